//! A lock of one's own in Rust: a robust, process-shared pthread mutex behind `CortexSync`.
//!
//! `cargo run --example robust_mutex` has a child killed while it holds the lock, and goes on. It shows how
//! to plug a lock in; the built-in ones need no such thing. (A robust mutex keeps pointers in shared
//! memory: do not share one with processes that you do not trust, or between different C libraries.)

use neocortex::{
    Access, Cortex, CortexBuilder, CortexError, CortexResult, CortexSync, LockSite, Wait,
};
use std::process::{Command, Stdio};
use std::ptr::NonNull;
use std::time::Duration;

/// The mutex in the lock's own bytes of the segment.
struct RobustMutex {
    mutex: NonNull<libc::pthread_mutex_t>,
    key: i32,
}

// SAFETY: a pthread mutex may be used from any thread; the bytes live as long as the lock.
unsafe impl Send for RobustMutex {}
// SAFETY: as above.
unsafe impl Sync for RobustMutex {}

/// POSIX functions return their error instead of setting `errno`.
fn check(code: i32) -> CortexResult<()> {
    if code == 0 {
        return Ok(());
    }
    Err(CortexError::Custom(code))
}

impl RobustMutex {
    fn lock(&self, wait: Wait, operation: &'static str) -> CortexResult<()> {
        let mutex = self.mutex.as_ptr();
        loop {
            let code = match wait {
                // SAFETY: initialised by `new` before the segment was ready.
                Wait::Forever => unsafe { libc::pthread_mutex_lock(mutex) },
                // SAFETY: as above.
                _ => unsafe { libc::pthread_mutex_trylock(mutex) },
            };
            match code {
                // The holder died. Whatever it had half written, the cortex knows what was committed.
                // SAFETY: we hold the mutex, in the state that this call is for.
                libc::EOWNERDEAD => return check(unsafe { libc::pthread_mutex_consistent(mutex) }),
                // `pthread_mutex_timedlock` counts on the wall clock; this counts on ours.
                libc::EBUSY if wait.left() != Some(Duration::ZERO) => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                libc::EBUSY => {
                    return Err(CortexError::Timeout {
                        key: self.key,
                        operation,
                    })
                }
                code => return check(code),
            }
        }
    }
}

// SAFETY: a pthread mutex admits one holder, and orders what one stored before what the next does.
unsafe impl CortexSync for RobustMutex {
    type Settings = ();
    const NAME: &'static str = "example robust mutex";
    const SHARED_SIZE: usize = size_of::<libc::pthread_mutex_t>();

    fn new(site: LockSite<'_>, _settings: Option<&()>) -> CortexResult<Self> {
        let lock = Self::attach(site)?;
        // SAFETY: plain data, initialised by the next call.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { std::mem::zeroed() };
        // SAFETY: live attributes, and a mutex in bytes that nobody else uses yet.
        unsafe {
            check(libc::pthread_mutexattr_init(&mut attributes))?;
            let shared = libc::PTHREAD_PROCESS_SHARED;
            check(libc::pthread_mutexattr_setpshared(&mut attributes, shared))?;
            let robust = libc::PTHREAD_MUTEX_ROBUST;
            check(libc::pthread_mutexattr_setrobust(&mut attributes, robust))?;
            check(libc::pthread_mutex_init(lock.mutex.as_ptr(), &attributes))?;
            check(libc::pthread_mutexattr_destroy(&mut attributes))?;
        }
        Ok(lock)
    }

    fn attach(site: LockSite<'_>) -> CortexResult<Self> {
        Ok(Self {
            mutex: site.memory().cast(),
            key: site.key(),
        })
    }

    unsafe fn read_lock(&self, wait: Wait) -> CortexResult<()> {
        self.lock(wait, "read")
    }

    unsafe fn write_lock(&self, wait: Wait) -> CortexResult<()> {
        self.lock(wait, "write")
    }

    unsafe fn release(&self, _access: Access) -> CortexResult<()> {
        // SAFETY: this thread holds it (CortexSync).
        check(unsafe { libc::pthread_mutex_unlock(self.mutex.as_ptr()) })
    }

    fn force_ownership(&mut self) {}
}

/// The child: takes the lock, says so, and never lets go.
fn hold(key: i32) -> CortexResult<()> {
    let cortex: Cortex<u64, RobustMutex> = Cortex::attach(key)?;
    let mut guard = cortex.write_guard()?;
    *guard = 666;
    println!("held");
    loop {
        std::thread::park();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(key) = std::env::args().nth(1) {
        return Ok(hold(key.parse()?)?);
    }
    let cortex = CortexBuilder::new(1_u64)
        .random_key()
        .with_default_lock::<RobustMutex>()?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg(cortex.key().to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or("a pipe")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
    assert!(matches!(
        cortex.try_write(2),
        Err(CortexError::Timeout { .. })
    ));
    println!("process {} holds the lock, and is killed", child.id());
    child.kill()?;
    child.wait()?;
    println!("the last committed value is {}", cortex.read()?);
    cortex.update(|value| *value += 1)?;
    println!("and the next one {}", cortex.read()?);
    assert_eq!(cortex.read()?, 2);
    Ok(())
}
