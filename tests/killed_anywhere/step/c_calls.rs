//! The same operations through the C surface, which reaches them by paths of its own: a lock chosen at run
//! time, and guards kept in the handle.

use super::operations::{same, three, whole, Operation, Scene, PART, SHORT, SIZE};
use super::Work;
use crate::common::{c_lock, filled};
use neocortex::capi::*;
use std::ffi::{c_void, CStr};
use std::ptr::null;

/// A handle of the C surface.
pub type Handle = *mut neocortex_segment;

pub fn attach(key: i32) -> Handle {
    let handle = neocortex_attach(key, SIZE);
    assert!(!handle.is_null(), "attach: {}", neocortex_last_status());
    handle
}

fn options(lock: &str, slots: u32, flags: u32) -> neocortex_options {
    let in_place = if slots == 1 { NEOCORTEX_IN_PLACE } else { 0 };
    neocortex_options {
        struct_size: size_of::<neocortex_options>(),
        mode: 0,
        flags: flags | in_place,
        schema: 0,
        participants: 4,
        align: 0,
        timeout_ns: 0,
        lock: c_lock(lock),
        slots,
        owner_uid: u32::MAX,
        owner_gid: u32::MAX,
    }
}

/// Creates a segment with this first value; without one, of zeros.
pub fn create(key: i32, name: &str, slots: u32, flags: u32, initial: Option<&[u8]>) -> Handle {
    let options = options(name, slots, flags);
    assert!(initial.is_none_or(|initial| initial.len() == SIZE));
    // SAFETY: live options, and a value of the size or none.
    let handle = unsafe {
        match initial {
            Some(initial) => neocortex_create_with(key, SIZE, initial.as_ptr().cast(), &options),
            None => neocortex_create(key, SIZE, &options),
        }
    };
    assert!(!handle.is_null(), "create: {}", neocortex_last_status());
    handle
}

/// [`create`] by name.
pub fn create_named(
    name: &CStr,
    lock: &str,
    slots: u32,
    flags: u32,
    initial: Option<&[u8]>,
) -> Handle {
    let options = options(lock, slots, flags);
    assert!(initial.is_none_or(|initial| initial.len() == SIZE));
    // SAFETY: a string, live options, and a value of the size or none.
    let handle = unsafe {
        match initial {
            Some(initial) => {
                let initial = initial.as_ptr().cast();
                neocortex_create_named_with(name.as_ptr(), SIZE, initial, &options)
            }
            None => neocortex_create_named(name.as_ptr(), SIZE, &options),
        }
    };
    assert!(
        !handle.is_null(),
        "create by name: {}",
        neocortex_last_status()
    );
    handle
}

/// Attaches by name, and would wait for a creator.
pub fn attach_named_wait(name: &CStr) -> Handle {
    let time = SHORT.as_nanos() as i64;
    // SAFETY: a string, and no options.
    let handle = unsafe { neocortex_attach_named_wait(name.as_ptr(), SIZE, null(), time) };
    assert!(
        !handle.is_null(),
        "attach by name: {}",
        neocortex_last_status()
    );
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

fn begin(handle: Handle, data: &mut *mut c_void) -> neocortex_status {
    // SAFETY: a live handle and place.
    unsafe { neocortex_write_begin(handle, data) }
}

/// Begins a write guard, fills it with the next value, and ends it.
fn writing(
    key: i32,
    number: u32,
    begin: fn(Handle, &mut *mut c_void) -> neocortex_status,
    end: unsafe extern "C" fn(Handle) -> neocortex_status,
) -> Work {
    let (handle, value) = (attach(key), filled(SIZE, number + 1).leak());
    Box::new(move || {
        let mut data = std::ptr::null_mut();
        ok(begin(handle, &mut data));
        // SAFETY: a live handle, which holds the guard whose bytes these are until the end.
        unsafe {
            put(data, value);
            ok(end(handle));
        }
    })
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
        operation("neocortex_read_for", same, |key, number| {
            let (handle, value) = (attach(key), filled(SIZE, number).leak());
            Box::new(move || {
                let mut buffer = [0_u8; SIZE];
                let (to, time) = (buffer.as_mut_ptr().cast(), SHORT.as_nanos() as i64);
                // SAFETY: a live handle and buffer.
                ok(unsafe { neocortex_read_for(handle, 0, to, SIZE, time) });
                assert!(buffer[..] == *value);
            })
        }),
        operation("neocortex_read_versioned", same, |key, number| {
            let (handle, value) = (attach(key), filled(SIZE, number).leak());
            Box::new(move || {
                let (mut buffer, mut version) = ([0_u8; SIZE], 0);
                let to = buffer.as_mut_ptr().cast();
                // SAFETY: a live handle and buffer, and a place for a number.
                ok(unsafe { neocortex_read_versioned(handle, to, SIZE, &mut version) });
                assert!(buffer[..] == *value);
                // SAFETY: a live handle.
                assert_eq!(version, unsafe { neocortex_commit_count(handle) });
            })
        }),
        operation("neocortex_overwrite_begin, commit", whole, |key, number| {
            let begin = |handle, data: &mut _| {
                let time = SHORT.as_nanos() as i64;
                // SAFETY: a live handle and place.
                unsafe { neocortex_overwrite_begin(handle, time, data) }
            };
            writing(key, number, begin, neocortex_write_commit)
        }),
        operation("neocortex_write_for", whole, |key, number| {
            let (handle, data) = (attach(key), filled(SIZE, number + 1).leak());
            Box::new(move || {
                let (from, time) = (data.as_ptr().cast(), SHORT.as_nanos() as i64);
                // SAFETY: a live handle and buffer.
                ok(unsafe { neocortex_write_for(handle, 0, from, SIZE, time) });
            })
        }),
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
            writing(key, number, begin, neocortex_write_commit)
        }),
        operation(
            "neocortex_write_begin_for, _commit",
            whole,
            |key, number| {
                // SAFETY: a live handle and place.
                let begin = |handle, data: &mut _| unsafe {
                    neocortex_write_begin_for(handle, NEOCORTEX_TRY, data)
                };
                writing(key, number, begin, neocortex_write_commit)
            },
        ),
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
            |key, number| writing(key, number, begin, neocortex_write_abort),
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
