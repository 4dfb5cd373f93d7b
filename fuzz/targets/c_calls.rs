//! Sequences of C calls with arbitrary arguments, within what the header allows: pointers are NULL or valid, a
//! handle is not used after it was closed, and a lock of the caller's excludes.
//!
//! Held against it: no crash, no panic caught at the boundary, outputs written on success only, and nothing left in
//! the kernel once every handle is closed and every key removed.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use neocortex::capi::*;
use neocortex_fuzz::{enter_namespace, objects, sweep};
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};

fuzz_target!(init: enter_namespace(), |data: &[u8]| {
    let mut handles = [null_mut(); 4];
    let mut guards = [None; 4];
    ANSWERS.set(data.last().copied().unwrap_or(0));
    let _ = run(&mut Unstructured::new(data), &mut handles, &mut guards);
    ANSWERS.set(0);
    // SAFETY: NULL, or open handles, each closed once.
    unsafe {
        for &handle in &handles {
            while neocortex_read_end(handle) == NEOCORTEX_OK {}
            neocortex_write_abort(handle);
            let status = neocortex_close(handle);
            assert_eq!(status, NEOCORTEX_OK, "close: {:?}", CStr::from_ptr(neocortex_last_message()));
        }
        neocortex_set_log(None, null_mut());
    }
    for key in KEYS.into_iter().chain(RANDOM_KEYS.take()) {
        neocortex_remove(key);
    }
    let left = objects();
    sweep();
    assert_eq!(left, (vec![], vec![]), "left behind");
});

const KEYS: [i32; 4] = [1, 2, -3, i32::MAX];
const MILLISECOND: i64 = 1_000_000;

thread_local! {
    /// The keys that the library drew.
    static RANDOM_KEYS: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
}

/// What this thread's guard through a handle points to.
#[derive(Clone, Copy)]
struct Held {
    first: *mut u8,
    is_write: bool,
}

// ---- A lock in C, as simple as can be: a word in the segment --------------------------------------

thread_local! {
    /// Which callbacks answer with an error of their own, bit by bit.
    static ANSWERS: Cell<u8> = const { Cell::new(0) };
}

/// Whether this callback is to fail now.
fn fails(bit: u8) -> bool {
    let answers = ANSWERS.get();
    ANSWERS.set(answers.rotate_left(1));
    answers & 1 << (bit % 8) != 0 && answers & 0x80 != 0
}

unsafe extern "C" fn make(_: *mut c_void, site: *const neocortex_lock_site, lock: *mut *mut c_void) -> c_int {
    if fails(0) {
        return 77;
    }
    // SAFETY: what the library gives a lock.
    unsafe {
        neocortex_site_key(site);
        neocortex_site_mode(site);
        let me = neocortex_site_participant(site);
        assert_eq!(neocortex_site_is_alive(site, me), 1);
        *lock = neocortex_site_memory(site);
    }
    0
}

unsafe extern "C" fn take(lock: *mut c_void, timeout: i64) -> c_int {
    if fails(1) {
        return -5;
    }
    // SAFETY: the lock's own bytes, shared_size of them, at least four; of which the smallest table has none.
    let word = unsafe { AtomicU32::from_ptr(lock.cast()) };
    match word.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => 0,
        Err(_) if timeout < 0 => 99,
        Err(_) => NEOCORTEX_LOCK_TIMED_OUT,
    }
}

unsafe extern "C" fn release(lock: *mut c_void, access: c_int) -> c_int {
    assert!(access == NEOCORTEX_ACCESS_READ || access == NEOCORTEX_ACCESS_WRITE);
    // SAFETY: as in `take`.
    let before = unsafe { AtomicU32::from_ptr(lock.cast()) }.swap(0, Ordering::SeqCst);
    assert_eq!(before, 1, "released what was not taken");
    if fails(2) {
        return 5;
    }
    0
}

unsafe extern "C" fn own(_: *mut c_void) {}

unsafe extern "C" fn destroy(lock: *mut c_void, owner: c_int) {
    assert!(!lock.is_null());
    assert!(owner == 0 || owner == 1);
}

unsafe extern "C" fn log(_: *mut c_void, level: c_int, message: *const c_char) {
    assert!((1..=5).contains(&level));
    // SAFETY: valid during the call.
    std::hint::black_box(unsafe { CStr::from_ptr(message) }.to_bytes().len());
}

/// A table with what may be wrong in one.
fn table(input: &mut Unstructured) -> Result<neocortex_lock_ops> {
    let way = input.arbitrary::<u16>()?;
    let name: &CStr = match way & 7 {
        0 => c"",
        1 => c"sixty-four bytes of a name are one more than there is room for 64",
        2 => c"seqlock",
        3 => c"\xff\xfe",
        _ => c"word",
    };
    let has = |bit: u32| way >> bit & 7 != 7;
    Ok(neocortex_lock_ops {
        struct_size: size_of::<neocortex_lock_ops>() - usize::from(way == 0xFFFF),
        name: if way & 0x1F == 0x1F { null() } else { name.as_ptr() },
        shared_size: match way >> 13 {
            0 => 1 << 20,
            1 => usize::MAX,
            2 => (1 << 20) + 1,
            _ => 4 + usize::from(way & 7),
        },
        ctx: null_mut(),
        create: has(3).then_some(make as _),
        attach: has(4).then_some(make as _),
        read_lock: has(5).then_some(take as _),
        write_lock: has(6).then_some(take as _),
        release: has(7).then_some(release as _),
        force_ownership: has(8).then_some(own as _),
        destroy: has(9).then_some(destroy as _),
    })
}

// ---- Arguments ------------------------------------------------------------------------------------

/// Small, near the ends of the type, or any.
fn number(input: &mut Unstructured) -> Result<usize> {
    let way = input.arbitrary::<u8>()?;
    Ok(match way % 8 {
        0..=4 => usize::from(input.arbitrary::<u8>()?),
        5 => usize::MAX - usize::from(way >> 3),
        6 => (isize::MAX as usize).wrapping_add_signed(isize::from(way as i8)),
        _ => 1 << (way >> 2),
    })
}

/// A segment's size: of those that can be made, few are large, for a partial write may copy all of it.
fn size(input: &mut Unstructured) -> Result<usize> {
    let size = number(input)?;
    Ok(if (1 << 16..1 << 48).contains(&size) { 1 << 16 } else { size })
}

fn key(input: &mut Unstructured) -> Result<i32> {
    let way = input.arbitrary::<u8>()?;
    Ok(if way < 8 { 0 } else { KEYS[usize::from(way) % KEYS.len()] })
}

/// The table of a built-in lock.
fn built_in(number: u8) -> *const neocortex_lock_ops {
    macro_rules! tables {
        ($($lock:ident $name:literal $function:ident [$($condition:meta)?])*) => { [$(neocortex::capi::$function),*] };
    }
    let tables = neocortex::built_in_locks!([tables]);
    tables[usize::from(number) % tables.len()]()
}

/// Options, in memory of exactly the size they claim.
fn options(input: &mut Unstructured) -> Result<(Vec<u8>, Option<Box<neocortex_lock_ops>>)> {
    let way = input.arbitrary::<u8>()?;
    let own = if way & 12 == 12 { Some(Box::new(table(input)?)) } else { None };
    let lock = match (way & 3, &own) {
        (_, Some(own)) => &raw const **own,
        (0, _) => null(),
        (lock, _) => built_in(lock - 1 + 3 * (way >> 7)),
    };
    let flags = if way & 16 != 0 { input.arbitrary::<u8>()?.into() } else { 0 };
    let size = match way >> 5 {
        0 => input.arbitrary::<u8>()?.into(),
        1 => size_of::<neocortex_options>() + usize::from(input.arbitrary::<u8>()?),
        _ => size_of::<neocortex_options>(),
    };
    let given = neocortex_options {
        struct_size: size,
        mode: if way & 64 != 0 { 0o600 } else { 0 },
        flags,
        schema: (way >> 7).into(),
        participants: if way & 128 != 0 { number(input)? as u32 } else { 0 },
        align: if way & 128 != 0 { number(input)? as u32 } else { 0 },
        timeout_ns: MILLISECOND,
        lock,
        slots: if way & 32 != 0 { input.arbitrary::<u8>()?.into() } else { 0 },
        owner_uid: u32::MAX,
        owner_gid: if way & 64 != 0 { u32::MAX } else { 0 },
    };
    // SAFETY: plain numbers and pointers; their padding was zeroed with the rest.
    let mut bytes = unsafe {
        let mut place = std::mem::MaybeUninit::<neocortex_options>::zeroed();
        place.write(given);
        std::slice::from_raw_parts(place.as_ptr().cast::<u8>(), size_of::<neocortex_options>()).to_vec()
    };
    bytes.resize(size.max(size_of::<usize>()), way & 1);
    Ok((bytes, own))
}

// ---- The calls ------------------------------------------------------------------------------------

fn run(
    input: &mut Unstructured,
    handles: &mut [*mut neocortex_segment; 4],
    guards: &mut [Option<Held>; 4],
) -> Result<()> {
    for _ in 0..64 {
        let step = input.arbitrary::<u8>()?;
        let index = usize::from(step >> 6);
        let handle = handles[index];
        // SAFETY: within the contract of each function, as the module says.
        let status = unsafe { call(input, step & 63, index, handle, handles, guards) }?;
        assert_ne!(status, NEOCORTEX_ERR_PANIC, "a panic");
        // SAFETY: static, or valid until the next failure.
        unsafe {
            assert!(!CStr::from_ptr(neocortex_strerror(status)).is_empty());
            if status != NEOCORTEX_OK {
                assert!(!CStr::from_ptr(neocortex_last_message()).is_empty());
            }
        }
        for held in guards.iter().flatten() {
            // SAFETY: a guard that has begun and not ended; no size is below one.
            unsafe {
                if held.is_write {
                    held.first.write(step);
                }
                std::hint::black_box(held.first.read());
            }
        }
    }
    Ok(())
}

/// # Safety
/// The handle is NULL or open.
unsafe fn call(
    input: &mut Unstructured,
    step: u8,
    index: usize,
    handle: *mut neocortex_segment,
    handles: &mut [*mut neocortex_segment; 4],
    guards: &mut [Option<Held>; 4],
) -> Result<neocortex_status> {
    let opened = |made: *mut neocortex_segment| {
        if made.is_null() {
            return neocortex_last_status();
        }
        // SAFETY: just opened.
        unsafe {
            RANDOM_KEYS.with_borrow_mut(|keys| keys.push(neocortex_key(made)));
            neocortex_set_timeout(made, MILLISECOND)
        }
    };
    // SAFETY: arguments as the header asks; the caller's promise.
    unsafe {
        Ok(match step {
            0..=15 if handle.is_null() => {
                let (key, size) = (key(input)?, size(input)?);
                let (given, _lock) = options(input)?;
                let given = given.as_ptr().cast::<neocortex_options>();
                let made = match step % 6 {
                    0 => neocortex_create(key, size, null()),
                    1 | 2 => neocortex_create(key, size, given),
                    3 => neocortex_attach(key, 0),
                    4 => neocortex_attach(key, size),
                    _ => neocortex_attach_with(key, if step & 8 == 0 { 0 } else { size }, given),
                };
                handles[index] = made;
                opened(made)
            }
            0 | 1 => {
                let status = neocortex_close(handle);
                assert!(guards[index].is_none() || status == NEOCORTEX_ERR_BUSY, "closed while held");
                if status != NEOCORTEX_ERR_BUSY {
                    handles[index] = null_mut();
                }
                status
            }
            2..=9 | 16..=19 => {
                let length = number(input)?;
                let offset = if step & 1 == 0 { 0 } else { number(input)? };
                // Longer than any segment that can be written to: refused before a byte is touched.
                let mut buffer = vec![step; length.min(1 << 17)];
                let data = if step & 4 != 0 && length & 15 == 15 { null_mut() } else { buffer.as_mut_ptr() };
                let before = buffer.clone();
                let is_read = step & 2 == 0;
                let status = match (is_read, step & 1) {
                    (true, 0) => neocortex_read(handle, data.cast(), length),
                    (true, _) => neocortex_read_at(handle, offset, data.cast(), length),
                    (false, 0) => neocortex_write(handle, data.cast(), length),
                    (false, _) => neocortex_write_at(handle, offset, data.cast(), length),
                };
                assert!(status == NEOCORTEX_OK && is_read || buffer == before, "an output was written");
                status
            }
            20..=22 => {
                let mut data = null();
                let status = neocortex_read_begin(handle, if step == 22 { null_mut() } else { &mut data });
                if status == NEOCORTEX_OK {
                    let first = data.cast_mut().cast();
                    guards[index] = Some(Held { first, is_write: false });
                }
                status
            }
            23 | 24 => {
                let status = neocortex_read_end(handle);
                // Reads within reads are let go of one by one; their bytes are the same.
                if status != NEOCORTEX_ERR_INVALID_ARGUMENT && guards[index].is_some_and(|held| !held.is_write) {
                    guards[index] = None;
                }
                status
            }
            25..=27 => {
                let mut data = null_mut();
                let status = neocortex_write_begin(handle, if step == 27 { null_mut() } else { &mut data });
                if status == NEOCORTEX_OK {
                    guards[index] = Some(Held { first: data.cast(), is_write: true });
                }
                status
            }
            28..=30 => {
                let is_held = guards[index].is_some_and(|held| held.is_write);
                let status =
                    if step == 28 { neocortex_write_abort(handle) } else { neocortex_write_commit(handle) };
                if is_held {
                    guards[index] = None;
                }
                status
            }
            31 | 32 => {
                let mut data = null_mut();
                let status = neocortex_write_publish(handle, if step == 32 { null_mut() } else { &mut data });
                if status == NEOCORTEX_OK {
                    guards[index] = Some(Held { first: data.cast(), is_write: true });
                }
                status
            }
            33 | 34 => neocortex_write_mark(handle, number(input)?, number(input)?),
            35 | 36 => {
                let mut count = 1;
                let since = if step == 35 { neocortex_commit_count(handle) } else { number(input)? as u64 };
                neocortex_wait(handle, since, i64::from(input.arbitrary::<u16>()?), &mut count)
            }
            37 => {
                // For ever, but for the interrupt that came first.
                neocortex_interrupt(handle);
                let mut count = 0;
                neocortex_wait(handle, neocortex_commit_count(handle), NEOCORTEX_FOREVER, &mut count)
            }
            38 => neocortex_wait(handle, 0, 0, null_mut()),
            39 => neocortex_clear_poison(handle),
            40 => neocortex_persist(handle),
            41 => neocortex_set_timeout(handle, i64::from(input.arbitrary::<u16>()?)),
            42 => neocortex_interrupt(handle),
            43 => neocortex_remove(key(input)?),
            // With a handle of ours open it would wait for a second, in case that we are dying.
            44 if handles.iter().all(|open| open.is_null()) => neocortex_reclaim(key(input)?),
            45 => {
                let (mut alive, mut limit) = (0, 0);
                let status = neocortex_participants(handle, &mut alive, &mut limit);
                assert!(status != NEOCORTEX_OK || alive <= limit);
                status
            }
            46 => neocortex_participants(handle, null_mut(), null_mut()),
            47 => {
                neocortex_key(handle);
                neocortex_size(handle);
                neocortex_is_owner(handle);
                neocortex_was_created(handle);
                neocortex_is_poisoned(handle);
                neocortex_is_removed(handle);
                neocortex_schema(handle);
                let name = neocortex_lock_name(handle);
                assert_eq!(name.is_null(), handle.is_null());
                NEOCORTEX_OK
            }
            48 => {
                neocortex_set_log(Some(log), null_mut());
                NEOCORTEX_OK
            }
            49 => {
                neocortex_set_log(None, null_mut());
                NEOCORTEX_OK
            }
            50 => {
                neocortex_last_status();
                neocortex_last_os_error();
                neocortex_last_custom();
                assert!(!CStr::from_ptr(neocortex_strerror(number(input)? as c_int)).is_empty());
                assert!(!CStr::from_ptr(neocortex_version()).is_empty());
                NEOCORTEX_OK
            }
            51 => {
                neocortex_site_key(null());
                neocortex_site_mode(null());
                neocortex_site_is_alive(null(), 5);
                assert_eq!(neocortex_site_participant(null()), 0);
                assert!(neocortex_site_memory(null()).is_null());
                NEOCORTEX_OK
            }
            _ => neocortex_close(null_mut()),
        })
    }
}
