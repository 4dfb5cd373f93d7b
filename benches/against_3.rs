//! Reading and writing beside the crate this one re-implements, `neocortex` 3.0.3: same work, one run.
//!
//! `cargo bench -p peers --bench against_3`. Compare the medians of one run with one another, never with those of
//! another machine or another day.

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use neocortex::{Cortex, CortexBuilder, CortexSync, RwLock, Semaphore, SeqLock};
use std::hint::black_box;

type Old<T> = neocortex3::Cortex<T, neocortex3::Semaphore>;

/// A key that is free now; 3.0.3 draws its own from an unseeded generator.
fn free_key() -> i32 {
    CortexBuilder::new(0_u8)
        .random_key()
        .create()
        .expect("a probe")
        .key()
}

fn old<T>(value: T) -> Old<T> {
    neocortex3::CortexBuilder::new(value)
        .key(free_key())
        .with_default_lock()
        .expect("a cortex of 3.0.3")
}

fn new<T, L>(value: T) -> Cortex<T, L>
where
    T: bytemuck::CheckedBitPattern + bytemuck::NoUninit,
    L: CortexSync,
{
    CortexBuilder::new(value)
        .random_key()
        .with_default_lock()
        .expect("a cortex")
}

fn number(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read f64");
    let (ours, theirs) = (new::<_, SeqLock>(42.0), old(42.0));
    let (semaphore, rwlock) = (new::<_, Semaphore>(42.0), new::<_, RwLock>(42.0));
    group.bench_function("neocortex 3.0.3", |b| b.iter(|| black_box(&theirs).read()));
    group.bench_function("SeqLock", |b| b.iter(|| black_box(&ours).read()));
    group.bench_function("Semaphore", |b| b.iter(|| black_box(&semaphore).read()));
    group.bench_function("RwLock", |b| b.iter(|| black_box(&rwlock).read()));
    group.finish();

    let mut group = criterion.benchmark_group("write f64");
    let value = black_box(1.5);
    group.bench_function("neocortex 3.0.3", |b| {
        b.iter(|| black_box(&theirs).write(value))
    });
    group.bench_function("SeqLock", |b| b.iter(|| black_box(&ours).write(value)));
    group.bench_function("Semaphore", |b| {
        b.iter(|| black_box(&semaphore).write(value))
    });
    group.bench_function("RwLock", |b| b.iter(|| black_box(&rwlock).write(value)));
    group.finish();

    let mut group = criterion.benchmark_group("guards f64");
    group.bench_function("RwLock read guard", |b| {
        b.iter(|| *black_box(&rwlock).read_guard().expect("a guard"));
    });
    group.bench_function("SeqLock write guard, commit", |b| {
        b.iter(|| {
            let mut guard = black_box(&ours).write_guard().expect("a guard");
            *guard = value;
            guard.commit()
        });
    });
    group.bench_function("SeqLock publish", |b| {
        let mut guard = ours.write_guard().expect("a guard");
        b.iter(|| {
            *guard = value;
            guard.publish()
        });
    });
    group.finish();
}

const LARGE: usize = 64 * 1024;

fn large(criterion: &mut Criterion) {
    let (ours, theirs) = (new::<_, SeqLock>([7_u8; LARGE]), old([7_u8; LARGE]));
    let mut group = criterion.benchmark_group("read 64 KiB");
    group.throughput(Throughput::Bytes(LARGE as u64));
    group.bench_function("neocortex 3.0.3", |b| b.iter(|| black_box(&theirs).read()));
    group.bench_function("SeqLock", |b| b.iter(|| black_box(&ours).read()));
    let mut buffer = vec![0_u8; LARGE];
    group.bench_function("SeqLock into a buffer", |b| {
        b.iter(|| {
            black_box(&ours)
                .segment()
                .read_at(0, black_box(&mut buffer))
        });
    });
    let source = vec![7_u8; LARGE];
    group.bench_function("memcpy", |b| {
        b.iter(|| black_box(&mut buffer).copy_from_slice(black_box(&source)));
    });
    group.finish();
}

fn life(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("life");
    group.bench_function("create and drop", |b| {
        b.iter(|| new::<_, SeqLock>(black_box(1.0)));
    });
    let owner = new::<_, SeqLock>(1.0);
    group.bench_function("attach and drop", |b| {
        b.iter_batched(
            || owner.key(),
            |key| Cortex::<f64>::attach(key).expect("a cortex"),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, number, large, life);
criterion_main!(benches);
