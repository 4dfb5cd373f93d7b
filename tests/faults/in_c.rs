//! The same operations through the C functions: the status, the thread's last failure, and outputs that are untouched
//! where a function fails.

use super::case::{named, Aim, Check, Fault, Run, Scenario, Stage};
use super::scenarios::{dies, options, unfinished, NAME, PATIENCE, SIZE};
use neocortex::capi::*;
use neocortex::{Segment, Semaphore, SeqLock};
use std::ffi::{c_void, CStr, CString};

const VALUE: [u8; SIZE] = [7; SIZE];
const OTHER: [u8; SIZE] = [9; SIZE];

/// What this thread's last failure was; `status` is what the function answered, where it answers one.
fn last(status: Option<neocortex_status>) -> Fault {
    let last = neocortex_last_status();
    assert_ne!(last, NEOCORTEX_OK, "a failure without a last status");
    assert!(
        status.is_none_or(|status| status == last),
        "{status:?} and {last}"
    );
    // SAFETY: never NULL, and valid until the next failure.
    let message = unsafe { CStr::from_ptr(neocortex_last_message()) };
    let message = message.to_str().expect("words").to_owned();
    let variant = match last {
        NEOCORTEX_ERR_CLEAN_SYSTEM => "CleanSystem",
        NEOCORTEX_ERR_DIRTY_SYSTEM => "DirtySystem",
        NEOCORTEX_ERR_REMOVED => "Removed",
        NEOCORTEX_ERR_CORRUPT => "Corrupt",
        NEOCORTEX_ERR_FULL => "Full",
        NEOCORTEX_ERR_BUSY => "Busy",
        NEOCORTEX_ERR_TIMEOUT => "Timeout",
        NEOCORTEX_ERR_NOT_READY => "NotReady",
        _ => "another",
    };
    // The call stands in the message only: "(shmget: ENOENT)".
    let call = message
        .rsplit_once(": E")
        .and_then(|(before, _)| before.rsplit_once('('));
    // "(shmctl(IPC_STAT): EACCES)" has the command in brackets of its own.
    let call = call.map_or("", |(before, command)| match command.strip_suffix(')') {
        Some(_) => {
            &message[before.rfind('(').map_or(0, |at| at + 1)..before.len() + command.len() + 1]
        }
        None => command,
    });
    Fault {
        variant: variant.to_owned(),
        call: call.to_owned(),
        errno: neocortex_last_os_error(),
        left: named(&message),
        message,
    }
}

/// An answer as a result.
fn answer(status: neocortex_status, check: impl FnOnce() + 'static) -> Result<Check, Fault> {
    match status {
        NEOCORTEX_OK => Ok(Box::new(check)),
        status => Err(last(Some(status))),
    }
}

/// A handle, closed at the end of the case.
#[derive(Clone, Copy)]
struct Handle(*mut neocortex_segment);

impl Handle {
    fn opened(handle: *mut neocortex_segment) -> Result<Self, Fault> {
        if handle.is_null() {
            return Err(last(None));
        }
        Ok(Self(handle))
    }

    fn works(self) {
        let mut bytes = [0_u8; SIZE];
        // SAFETY: an open handle, and buffers of the length.
        unsafe {
            assert_eq!(
                neocortex_write(self.0, OTHER.as_ptr().cast(), SIZE),
                NEOCORTEX_OK
            );
            assert_eq!(
                neocortex_read(self.0, bytes.as_mut_ptr().cast(), SIZE),
                NEOCORTEX_OK
            );
        }
        assert_eq!(bytes, OTHER);
    }

    fn close(self) -> neocortex_status {
        // SAFETY: an open handle that nobody uses any more.
        unsafe { neocortex_close(self.0) }
    }
}

struct Closed(Handle);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn chosen() -> neocortex_options {
    // SAFETY: plain old data: 0 is the default everywhere.
    let mut options: neocortex_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of::<neocortex_options>();
    options.participants = 3;
    options
}

fn create(key: i32, flags: u32) -> Result<Handle, Fault> {
    let options = neocortex_options { flags, ..chosen() };
    // SAFETY: valid options.
    Handle::opened(unsafe { neocortex_create(key, SIZE, &options) })
}

fn owner(stage: &mut Stage) -> Handle {
    let handle = create(stage.key, 0).expect("the owner");
    // SAFETY: an open handle, and a value of the length.
    unsafe { neocortex_write(handle.0, VALUE.as_ptr().cast(), SIZE) };
    stage.keep(Closed(handle));
    handle
}

fn scenario(name: &str, aim: Aim, setup: impl Fn(&mut Stage) -> Run + 'static) -> Scenario {
    Scenario {
        name: format!("C: {name}"),
        aim,
        setup: Box::new(setup),
    }
}

/// A holder in another process that has died; the C functions then pass it.
fn died_holding(key: i32) {
    dies(move || {
        let segment: Segment<Semaphore> = options().attach(key, SIZE).expect("a handle");
        let segment = Box::leak(Box::new(segment));
        std::mem::forget(segment.write_guard().expect("a guard"));
    });
}

/// The owner of a cortex with the semaphore lock, whose holder has died.
fn bereaved(stage: &mut Stage) -> Handle {
    let timeout_ns = PATIENCE.as_nanos() as i64;
    let options = neocortex_options {
        lock: neocortex_lock_semaphore(),
        timeout_ns,
        ..chosen()
    };
    // SAFETY: valid options.
    let handle =
        Handle::opened(unsafe { neocortex_create(stage.key, SIZE, &options) }).expect("the owner");
    // SAFETY: an open handle, and a value of the length.
    unsafe { neocortex_write(handle.0, VALUE.as_ptr().cast(), SIZE) };
    stage.keep(Closed(handle));
    died_holding(stage.key);
    handle
}

/// An operation that yields a handle, which is to work, to have this value at first if any, and to be closed.
fn opening(
    name: &str,
    prepare: impl Fn(&mut Stage) + 'static,
    value: Option<[u8; SIZE]>,
    open: impl Fn(i32, &CStr, &neocortex_options) -> *mut neocortex_segment + Copy + 'static,
) -> Scenario {
    scenario(name, Aim::Adds, move |stage| {
        prepare(stage);
        let (key, name) = (stage.key, CString::new(NAME).expect("a name"));
        Box::new(move || {
            let options = neocortex_options {
                timeout_ns: PATIENCE.as_nanos() as i64,
                ..chosen()
            };
            let handle = Handle::opened(open(key, &name, &options))?;
            Ok(Box::new(move || {
                let mut bytes = [0_u8; SIZE];
                // SAFETY: an open handle, and a buffer of the length.
                let status = unsafe { neocortex_read(handle.0, bytes.as_mut_ptr().cast(), SIZE) };
                assert_eq!(status, NEOCORTEX_OK);
                assert!(value.is_none_or(|value| bytes == value));
                handle.works();
                assert_eq!(handle.close(), NEOCORTEX_OK);
            }))
        })
    })
}

/// The owner of the cortex with the name.
fn owner_by_name(stage: &mut Stage) {
    let name = CString::new(NAME).expect("a name");
    let (options, value) = (chosen(), VALUE.as_ptr().cast());
    // SAFETY: a string, a value of the size, and valid options.
    let handle = unsafe { neocortex_create_named_with(name.as_ptr(), SIZE, value, &options) };
    stage.keep(Closed(Handle::opened(handle).expect("the owner")));
}

/// The calls of the front door that open a cortex.
fn openings() -> Vec<Scenario> {
    let time = PATIENCE.as_nanos() as i64;
    let either = |options: &neocortex_options| neocortex_options {
        flags: NEOCORTEX_OPEN_OR_CREATE,
        ..*options
    };
    vec![
        opening(
            "neocortex_create, open or create, where a creator died",
            |stage| unfinished::<SeqLock>(stage.key),
            Some([0; SIZE]),
            // SAFETY: valid options.
            move |key, _, options| unsafe { neocortex_create(key, SIZE, &either(options)) },
        ),
        opening(
            "neocortex_create_named, by name",
            |_| {},
            Some([0; SIZE]),
            // SAFETY: a string and valid options.
            |_, name, options| unsafe { neocortex_create_named(name.as_ptr(), SIZE, options) },
        ),
        opening(
            "neocortex_create_named_with, by name, open or create, where a creator died",
            |_| unfinished::<SeqLock>(NAME),
            Some(VALUE),
            // SAFETY: a string, a value of the size, and valid options.
            move |_, name, options| unsafe {
                let value = VALUE.as_ptr().cast();
                neocortex_create_named_with(name.as_ptr(), SIZE, value, &either(options))
            },
        ),
        opening(
            "neocortex_attach_named, by name",
            owner_by_name,
            Some(VALUE),
            // SAFETY: a string and valid options.
            |_, name, options| unsafe { neocortex_attach_named(name.as_ptr(), SIZE, options) },
        ),
        opening(
            "neocortex_attach_named_wait, by name",
            owner_by_name,
            Some(VALUE),
            // SAFETY: a string and valid options.
            move |_, name, options| unsafe {
                neocortex_attach_named_wait(name.as_ptr(), SIZE, options, time)
            },
        ),
        opening(
            "neocortex_create, for an owner, dumped",
            |_| {},
            Some([0; SIZE]),
            |key, _, options| {
                let options = neocortex_options {
                    flags: NEOCORTEX_SET_OWNER | NEOCORTEX_DUMP,
                    // SAFETY: takes nothing and cannot fail.
                    owner_uid: unsafe { libc::geteuid() },
                    owner_gid: u32::MAX,
                    ..*options
                };
                // SAFETY: valid options.
                unsafe { neocortex_create(key, SIZE, &options) }
            },
        ),
    ]
}

pub fn all() -> Vec<Scenario> {
    let mut all = openings();
    all.extend(with_handles());
    all
}

fn with_handles() -> Vec<Scenario> {
    vec![
        scenario("neocortex_create, neocortex_close", Aim::Adds, |stage| {
            let key = stage.key;
            Box::new(move || {
                let handle = create(key, 0)?;
                Ok(Box::new(move || {
                    handle.works();
                    assert_eq!(handle.close(), NEOCORTEX_OK);
                }))
            })
        }),
        scenario("neocortex_create_with", Aim::Adds, |stage| {
            let key = stage.key;
            Box::new(move || {
                let options = chosen();
                // SAFETY: valid options, and a value of the size.
                let handle = Handle::opened(unsafe {
                    neocortex_create_with(key, SIZE, VALUE.as_ptr().cast(), &options)
                })?;
                Ok(Box::new(move || {
                    let mut bytes = [0_u8; SIZE];
                    // SAFETY: an open handle, and a buffer of the length.
                    let status =
                        unsafe { neocortex_read(handle.0, bytes.as_mut_ptr().cast(), SIZE) };
                    assert_eq!(status, NEOCORTEX_OK);
                    assert_eq!(bytes, VALUE);
                    handle.works();
                    assert_eq!(handle.close(), NEOCORTEX_OK);
                }))
            })
        }),
        scenario("neocortex_attach", Aim::Adds, |stage| {
            owner(stage);
            let key = stage.key;
            Box::new(move || {
                let handle = Handle::opened(neocortex_attach(key, SIZE))?;
                Ok(Box::new(move || {
                    handle.works();
                    assert_eq!(handle.close(), NEOCORTEX_OK);
                }))
            })
        }),
        scenario("neocortex_attach_with, read-only", Aim::Adds, |stage| {
            owner(stage);
            let key = stage.key;
            Box::new(move || {
                let options = neocortex_options {
                    flags: NEOCORTEX_READ_ONLY,
                    ..chosen()
                };
                // SAFETY: valid options.
                let handle = Handle::opened(unsafe { neocortex_attach_with(key, SIZE, &options) })?;
                Ok(Box::new(move || assert_eq!(handle.close(), NEOCORTEX_OK)))
            })
        }),
        scenario("neocortex_create, open or create", Aim::Adds, |stage| {
            let key = stage.key;
            Box::new(move || {
                let options = neocortex_options {
                    flags: NEOCORTEX_OPEN_OR_CREATE,
                    timeout_ns: PATIENCE.as_nanos() as i64,
                    ..chosen()
                };
                // SAFETY: valid options.
                let handle = Handle::opened(unsafe { neocortex_create(key, SIZE, &options) })?;
                Ok(Box::new(move || {
                    handle.works();
                    assert_eq!(handle.close(), NEOCORTEX_OK);
                }))
            })
        }),
        scenario("neocortex_attach_wait", Aim::Adds, |stage| {
            owner(stage);
            let key = stage.key;
            Box::new(move || {
                let (options, time) = (chosen(), PATIENCE.as_nanos() as i64);
                // SAFETY: valid options.
                let handle =
                    Handle::opened(unsafe { neocortex_attach_wait(key, SIZE, &options, time) })?;
                Ok(Box::new(move || {
                    handle.works();
                    assert_eq!(handle.close(), NEOCORTEX_OK);
                }))
            })
        }),
        scenario("neocortex_close", Aim::Consumes, |stage| {
            let mut handle = Some(create(stage.key, 0).expect("the owner"));
            Box::new(move || answer(handle.take().map_or(NEOCORTEX_OK, Handle::close), || {}))
        }),
        scenario(
            "neocortex_read, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    let mut bytes = [0xAA_u8; SIZE];
                    // SAFETY: an open handle, and a buffer of the length.
                    let status =
                        unsafe { neocortex_read(handle.0, bytes.as_mut_ptr().cast(), SIZE) };
                    let expected = if status == NEOCORTEX_OK {
                        VALUE
                    } else {
                        [0xAA; SIZE]
                    };
                    assert_eq!(bytes, expected, "the output after {status}");
                    answer(status, || {})
                })
            },
        ),
        scenario(
            "neocortex_write_for, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    let time = PATIENCE.as_nanos() as i64;
                    // SAFETY: an open handle, and a value of the length.
                    let status = unsafe {
                        neocortex_write_for(handle.0, 0, OTHER.as_ptr().cast(), SIZE, time)
                    };
                    answer(status, || {})
                })
            },
        ),
        scenario(
            "neocortex_read_for, _read_begin_for, _write_begin_for, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    let (mut bytes, time) = ([0xAA_u8; SIZE], PATIENCE.as_nanos() as i64);
                    let to = bytes.as_mut_ptr().cast();
                    // SAFETY: an open handle, and a buffer of the length.
                    let status = unsafe { neocortex_read_for(handle.0, 0, to, SIZE, time) };
                    if status != NEOCORTEX_OK {
                        assert_eq!(bytes, [0xAA; SIZE], "the output after {status}");
                        return Err(last(Some(status)));
                    }
                    let mut data: *const c_void = std::ptr::null();
                    // SAFETY: an open handle, and a place for a pointer.
                    let status = unsafe { neocortex_read_begin_for(handle.0, time, &mut data) };
                    if status != NEOCORTEX_OK {
                        assert!(data.is_null(), "the output after {status}");
                        return Err(last(Some(status)));
                    }
                    // SAFETY: an open handle with a guard.
                    assert_eq!(unsafe { neocortex_read_end(handle.0) }, NEOCORTEX_OK);
                    let mut data: *mut c_void = std::ptr::null_mut();
                    // SAFETY: an open handle, and a place for a pointer.
                    let status = unsafe { neocortex_write_begin_for(handle.0, time, &mut data) };
                    assert_eq!(status == NEOCORTEX_OK, !data.is_null(), "after {status}");
                    answer(status, move || {
                        // SAFETY: an open handle with a guard.
                        assert_eq!(unsafe { neocortex_write_commit(handle.0) }, NEOCORTEX_OK);
                        handle.works();
                    })
                })
            },
        ),
        scenario(
            "neocortex_read_begin, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    let mut data: *const c_void = std::ptr::dangling();
                    let untouched = data;
                    // SAFETY: an open handle, and a place for a pointer.
                    let status = unsafe { neocortex_read_begin(handle.0, &mut data) };
                    assert_eq!(
                        status == NEOCORTEX_OK,
                        data != untouched,
                        "the output after {status}"
                    );
                    answer(status, move || {
                        // SAFETY: an open handle with a guard.
                        assert_eq!(unsafe { neocortex_read_end(handle.0) }, NEOCORTEX_OK);
                    })
                })
            },
        ),
        scenario(
            "neocortex_write_begin, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    let mut data: *mut c_void = std::ptr::dangling_mut();
                    let untouched = data;
                    // SAFETY: an open handle, and a place for a pointer.
                    let status = unsafe { neocortex_write_begin(handle.0, &mut data) };
                    assert_eq!(
                        status == NEOCORTEX_OK,
                        data != untouched,
                        "the output after {status}"
                    );
                    answer(status, move || {
                        // SAFETY: an open handle with a guard.
                        assert_eq!(unsafe { neocortex_write_commit(handle.0) }, NEOCORTEX_OK);
                    })
                })
            },
        ),
        scenario(
            "neocortex_overwrite_begin, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    let mut data: *mut c_void = std::ptr::dangling_mut();
                    let (untouched, time) = (data, PATIENCE.as_nanos() as i64);
                    // SAFETY: an open handle, and a place for a pointer.
                    let status = unsafe { neocortex_overwrite_begin(handle.0, time, &mut data) };
                    assert_eq!(
                        status == NEOCORTEX_OK,
                        data != untouched,
                        "the output after {status}"
                    );
                    answer(status, move || {
                        // SAFETY: an open handle with a guard, which shows SIZE bytes.
                        unsafe {
                            data.cast::<u8>().copy_from(OTHER.as_ptr(), SIZE);
                            assert_eq!(neocortex_write_commit(handle.0), NEOCORTEX_OK);
                        }
                        handle.works();
                    })
                })
            },
        ),
        scenario(
            "neocortex_read_versioned, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    let (mut bytes, mut version) = ([0xAA_u8; SIZE], 77);
                    // SAFETY: an open handle, a buffer of the length, and a place for a number.
                    let status = unsafe {
                        let to = bytes.as_mut_ptr().cast();
                        neocortex_read_versioned(handle.0, to, SIZE, &mut version)
                    };
                    let expected = match status {
                        NEOCORTEX_OK => (VALUE, 1),
                        _ => ([0xAA; SIZE], 77),
                    };
                    assert_eq!((bytes, version), expected, "the outputs after {status}");
                    answer(status, || {})
                })
            },
        ),
        scenario(
            "neocortex_create, touched, locked, huge if it can be",
            Aim::Adds,
            |stage| {
                let key = stage.key;
                Box::new(move || {
                    let flags = NEOCORTEX_PREFAULT
                        | NEOCORTEX_LOCK_IN_MEMORY
                        | NEOCORTEX_PREFER_HUGE_PAGES
                        | NEOCORTEX_INTERRUPTIBLE;
                    let handle = create(key, flags)?;
                    Ok(Box::new(move || {
                        handle.works();
                        assert_eq!(handle.close(), NEOCORTEX_OK);
                    }))
                })
            },
        ),
        scenario("neocortex_participants", Aim::Adds, |stage| {
            let handle = owner(stage);
            Box::new(move || {
                let (mut alive, mut limit) = (77, 77);
                // SAFETY: an open handle, and places for two numbers.
                let status = unsafe { neocortex_participants(handle.0, &mut alive, &mut limit) };
                let expected = if status == NEOCORTEX_OK {
                    (1, 3)
                } else {
                    (77, 77)
                };
                assert_eq!((alive, limit), expected, "the outputs after {status}");
                answer(status, || {})
            })
        }),
        scenario(
            "neocortex_clear_poison, after the holder died",
            Aim::Adds,
            |stage| {
                let handle = bereaved(stage);
                Box::new(move || {
                    // SAFETY: an open handle.
                    answer(unsafe { neocortex_clear_poison(handle.0) }, move || {
                        handle.works()
                    })
                })
            },
        ),
        scenario("neocortex_remove", Aim::Removes, |stage| {
            let key = stage.key;
            dies(move || drop(create(key, NEOCORTEX_PERSIST)));
            Box::new(move || {
                let status = neocortex_remove(key);
                // Taken away by the attempt before.
                let is_free = super::common::segment_id(key).is_none();
                if status != NEOCORTEX_OK && neocortex_last_os_error() == libc::ENOENT && is_free {
                    return Ok(Box::new(|| {}));
                }
                answer(status, || {})
            })
        }),
        scenario("neocortex_reclaim", Aim::Removes, |stage| {
            let key = stage.key;
            dies(move || drop(create(key, 0)));
            Box::new(move || answer(neocortex_reclaim(key), || {}))
        }),
    ]
}
