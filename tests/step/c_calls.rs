//! The same operations through the C surface, which reaches them by paths of its own: a lock chosen at run
//! time, and guards kept in the handle.

use super::operations::{same, three, whole, Operation, Scene, PART, SHORT, SIZE};
use super::Work;
use crate::common::filled;
use neocortex::capi::*;
use std::ffi::c_void;
use std::ptr::null;

/// A handle of the C surface.
pub type Handle = *mut neocortex_segment;

pub fn attach(key: i32) -> Handle {
    let handle = neocortex_attach(key, SIZE);
    assert!(!handle.is_null(), "attach: {}", neocortex_last_status());
    handle
}

/// The lock with this name.
pub fn lock(name: &str) -> *const neocortex_lock_ops {
    match name {
        "seqlock" => neocortex_lock_seqlock(),
        "rwlock" => neocortex_lock_rwlock(),
        "semaphore" => neocortex_lock_semaphore(),
        other => panic!("no lock is called {other}"),
    }
}

/// Creates a segment of zeros.
pub fn create(key: i32, name: &str, slots: u32, flags: u32) -> Handle {
    let in_place = if slots == 1 { NEOCORTEX_IN_PLACE } else { 0 };
    let options = neocortex_options {
        struct_size: size_of::<neocortex_options>(),
        mode: 0,
        flags: flags | in_place,
        schema: 0,
        participants: 4,
        align: 0,
        timeout_ns: 0,
        lock: lock(name),
        slots,
    };
    // SAFETY: live options.
    let handle = unsafe { neocortex_create(key, SIZE, &options) };
    assert!(!handle.is_null(), "create: {}", neocortex_last_status());
    handle
}

#[track_caller]
pub fn ok(status: neocortex_status) {
    assert_eq!(status, NEOCORTEX_OK);
}

/// The bytes that a guard shows.
///
/// # Safety
/// The handle holds the guard whose bytes these are.
unsafe fn shown<'a>(data: *const c_void) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data.cast(), SIZE) }
}

/// Fills the bytes that a write guard shows.
///
/// # Safety
/// As for `shown`, for writing.
unsafe fn put(data: *mut c_void, value: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(data.cast(), SIZE) }.copy_from_slice(value);
}

/// What they read and write is never freed, which would be a part of the operation.
fn operation(
    name: &'static str,
    images: fn(u32) -> Vec<Vec<u8>>,
    prepare: fn(i32, u32) -> Work,
) -> Operation {
    Operation {
        name,
        scene: Scene::Free,
        images,
        prepare,
    }
}

/// Those of a handle that is attached to a cortex with this lock, which the calls find out by themselves.
pub fn operations(slots: u32) -> Vec<Operation> {
    let mut all = vec![
        operation("neocortex_read", same, |key, number| {
            let (handle, value) = (attach(key), filled(SIZE, number).leak());
            Box::new(move || {
                let mut buffer = [0_u8; SIZE];
                // SAFETY: a live handle and buffer.
                ok(unsafe { neocortex_read(handle, buffer.as_mut_ptr().cast(), SIZE) });
                assert!(buffer[..] == *value);
            })
        }),
        operation("neocortex_write", whole, |key, number| {
            let (handle, data) = (attach(key), filled(SIZE, number + 1).leak());
            // SAFETY: a live handle and buffer.
            Box::new(move || ok(unsafe { neocortex_write(handle, data.as_ptr().cast(), SIZE) }))
        }),
        operation(
            "neocortex_write_at",
            super::operations::part,
            |key, number| {
                let (handle, data) = (attach(key), filled(SIZE, number + 1).leak());
                Box::new(move || {
                    let part = &data[PART];
                    // SAFETY: a live handle and buffer.
                    ok(unsafe {
                        neocortex_write_at(handle, PART.start, part.as_ptr().cast(), part.len())
                    });
                })
            },
        ),
        operation("neocortex_read_begin, _end", same, |key, number| {
            let (handle, value) = (attach(key), filled(SIZE, number).leak());
            Box::new(move || {
                let mut data = null();
                // SAFETY: a live handle and place; the bytes are looked at before the end.
                unsafe {
                    ok(neocortex_read_begin(handle, &mut data));
                    assert!(shown(data) == value);
                    ok(neocortex_read_end(handle));
                }
            })
        }),
        operation("neocortex_write_begin, _commit", whole, |key, number| {
            let (handle, value) = (attach(key), filled(SIZE, number + 1).leak());
            Box::new(move || {
                let mut data = std::ptr::null_mut();
                // SAFETY: as above.
                unsafe {
                    ok(neocortex_write_begin(handle, &mut data));
                    put(data, value);
                    ok(neocortex_write_commit(handle));
                }
            })
        }),
        operation("neocortex_wait", same, |key, number| {
            let handle = attach(key);
            Box::new(move || {
                let mut count = 0;
                // SAFETY: a live handle and place.
                let status = unsafe {
                    neocortex_wait(handle, number.into(), SHORT.as_nanos() as i64, &mut count)
                };
                assert_eq!(status, NEOCORTEX_ERR_TIMEOUT);
            })
        }),
        operation("neocortex_close, not the owner", same, |key, _| {
            let handle = attach(key);
            // SAFETY: a live handle, closed once.
            Box::new(move || ok(unsafe { neocortex_close(handle) }))
        }),
    ];
    if slots > 1 {
        all.push(operation(
            "neocortex_write_begin, _abort",
            same,
            |key, number| {
                let (handle, value) = (attach(key), filled(SIZE, number + 1).leak());
                Box::new(move || {
                    let mut data = std::ptr::null_mut();
                    // SAFETY: as above.
                    unsafe {
                        ok(neocortex_write_begin(handle, &mut data));
                        put(data, value);
                        ok(neocortex_write_abort(handle));
                    }
                })
            },
        ));
        all.push(operation(
            "neocortex_write_publish",
            three,
            |key, number| {
                let (handle, values) = (attach(key), three(number).leak());
                Box::new(move || {
                    let mut data = std::ptr::null_mut();
                    // SAFETY: as above.
                    unsafe {
                        ok(neocortex_write_begin(handle, &mut data));
                        for value in &values[1..3] {
                            put(data, value);
                            ok(neocortex_write_publish(handle, &mut data));
                        }
                        put(data, &values[3]);
                        ok(neocortex_write_commit(handle));
                    }
                })
            },
        ));
    }
    all
}
