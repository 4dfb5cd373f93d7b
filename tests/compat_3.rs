//! Programs of neocortex 3.0.3: what its own tests do, in our words, over its own calls. They compile and hold as they
//! are.
#![cfg(feature = "semaphore")]
#![allow(deprecated)]

mod common;

use common::Kernel;
use neocortex::{
    Cortex, CortexError, CortexResult, Semaphore, SemaphorePermission, SemaphoreSettings,
};
use std::sync::{Arc, Barrier};
use std::thread;

#[test]
fn new_makes_a_cortex_that_reads_as_it_was_made() {
    let kernel = Kernel::new();
    let cortex: Cortex<_, Semaphore> = Cortex::new(Some(kernel.key()), 42.0, false, None).unwrap();
    assert_eq!(cortex.read().unwrap(), 42.0);
    let drawn: Cortex<_, Semaphore> = Cortex::new(None, 7_u8, false, None).unwrap();
    assert_eq!(
        Cortex::<u8, Semaphore>::attach(drawn.key())
            .unwrap()
            .read()
            .unwrap(),
        7
    );
}

#[test]
fn attach_finds_what_new_made() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let first: Cortex<_, Semaphore> = Cortex::new(Some(key), 42.0, false, None).unwrap();
    let second: Cortex<f64, Semaphore> = Cortex::attach(key).unwrap();
    second.write(12.34).unwrap();
    assert_eq!(first.read().unwrap(), 12.34);
}

#[test]
fn twenty_threads_attach_at_once_and_read_what_new_made() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let _cortex: Cortex<_, Semaphore> = Cortex::new(Some(key), 42, false, None).unwrap();
    let barrier = Arc::new(Barrier::new(20));
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                barrier.wait();
                Cortex::<i32, Semaphore>::attach(key)?.read()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().unwrap(), 42);
    }
}

#[test]
fn a_handle_moves_to_another_thread() {
    let kernel = Kernel::new();
    let cortex: Cortex<_, Semaphore> = Cortex::new(Some(kernel.key()), 42, false, None).unwrap();
    assert_eq!(
        thread::spawn(move || cortex.read())
            .join()
            .unwrap()
            .unwrap(),
        42
    );
}

/// What its README and its source promise of the arguments.
#[test]
fn new_adopts_where_it_is_told_to_and_takes_the_settings_of_the_lock() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let settings = SemaphoreSettings {
        mode: SemaphorePermission::OwnerAndGroup,
    };
    let first: Cortex<_, Semaphore> = Cortex::new(Some(key), 1.5, false, Some(&settings)).unwrap();
    let refused: CortexResult<Cortex<f64, Semaphore>> = Cortex::new(Some(key), 2.5, false, None);
    assert!(matches!(refused, Err(CortexError::CleanSystem(_))));
    let adopted: Cortex<f64, Semaphore> = Cortex::new(Some(key), 2.5, true, None).unwrap();
    assert_eq!(adopted.read().unwrap(), 1.5);
    drop((first, adopted));
    assert!(Cortex::<f64, Semaphore>::attach(key).is_err());
}
