use neocortex::*;
fn main() {
    let c = CortexBuilder::new(42.0).random_key().create().unwrap();
    let d: Cortex<f64> = Cortex::attach(c.key()).unwrap();
    d.write(3.5).unwrap();
    assert_eq!(c.read().unwrap(), 3.5);
    c.update(|v| *v += 1.0).unwrap();
    println!("{:?} v{}", d.read(), d.version());
    let n = 10_000_000u64;
    let t = std::time::Instant::now();
    let mut s = 0.0;
    for _ in 0..n { s += std::hint::black_box(&c).read().unwrap(); }
    println!("read {:?} ns {s}", t.elapsed().as_nanos() as f64 / n as f64);
    let t = std::time::Instant::now();
    for i in 0..n { std::hint::black_box(&c).write(i as f64).unwrap(); }
    println!("write {:?} ns", t.elapsed().as_nanos() as f64 / n as f64);
    let r: Cortex<f64, RwLock> = CortexBuilder::new(42.0).random_key().with_default_lock().unwrap();
    let t = std::time::Instant::now();
    for _ in 0..n { s += *std::hint::black_box(&r).read_guard().unwrap(); }
    println!("rwlock guard {:?} ns", t.elapsed().as_nanos() as f64 / n as f64);
    let mut g = c.write_guard().unwrap();
    let t = std::time::Instant::now();
    for i in 0..n { *g = i as f64; g.publish().unwrap(); }
    println!("publish {:?} ns", t.elapsed().as_nanos() as f64 / n as f64);
    drop(g);
    println!("{:?}", Cortex::<f32>::attach(c.key()).unwrap_err().to_string());
    println!("{:?}", Cortex::<f64, Semaphore>::attach(c.key()).unwrap_err().to_string());
    println!("{:?}", Cortex::<f64, Semaphore>::attach(77).unwrap_err().to_string());
    println!("{:?}", CortexBuilder::new(1.0).key(c.key()).create().unwrap_err().to_string());
    println!("{:?}", CortexBuilder::new(1.0).key(c.key()).replace_stale().create().unwrap_err().to_string());
    drop(c); println!("{}", d.segment().is_removed());
    let g = d.read_guard().unwrap();
    println!("{:?}", d.write(1.0).unwrap_err().to_string());
    drop(g);
}
