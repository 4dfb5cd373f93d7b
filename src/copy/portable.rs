//! Relaxed atomic accesses of whole aligned words. Compiled everywhere, so that it is tested
//! everywhere.

use core::mem::size_of;
use core::ptr::{copy_nonoverlapping, read_unaligned, write_unaligned};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The size of a word: the largest whose atomic load is a plain load everywhere, read-only
/// mappings included.
const WORD: usize = size_of::<usize>();

/// # Safety
///
/// `p` is aligned and valid for reads of a word, to which others store by this module only.
#[inline(always)]
unsafe fn get(p: *const u8) -> usize {
    // SAFETY: the caller vouches for it, and a load stores nothing.
    unsafe { AtomicUsize::from_ptr(p.cast_mut().cast()) }.load(Relaxed)
}

/// # Safety
///
/// `p` is aligned and valid for writes of a word, which others access by this module only.
#[inline(always)]
unsafe fn put(p: *mut u8, word: usize) {
    // SAFETY: the caller vouches for it.
    unsafe { AtomicUsize::from_ptr(p.cast()) }.store(word, Relaxed);
}

/// Loads `n` bytes that lie in one word.
///
/// # Safety
///
/// As for `load`.
unsafe fn load_part(src: *const u8, dst: *mut u8, n: usize) {
    let skew = src.addr() % WORD;
    // SAFETY: the word that holds `src..src + n` is readable, and `dst` has room for `n`.
    unsafe {
        let word = get(src.sub(skew)).to_ne_bytes();
        copy_nonoverlapping(word.as_ptr().add(skew), dst, n);
    }
}

/// Stores `n` bytes that lie in one word, merging them into it.
///
/// # Safety
///
/// As for `store`.
unsafe fn store_part(src: *const u8, dst: *mut u8, n: usize) {
    let skew = dst.addr() % WORD;
    // SAFETY: the word that holds `dst..dst + n` is ours to write, and nobody else stores to
    // it.
    unsafe {
        let mut word = get(dst.sub(skew)).to_ne_bytes();
        copy_nonoverlapping(src, word.as_mut_ptr().add(skew), n);
        put(dst.sub(skew), usize::from_ne_bytes(word));
    }
}

/// Visits `0..len` of which byte 0 has the address `shared`: `one` takes the offset of each
/// whole word, eight at a time, `part` the offset and length of what is left at either end.
#[inline(always)]
fn walk(shared: usize, len: usize, part: impl Fn(usize, usize), one: impl Fn(usize)) {
    let mut at = (shared.wrapping_neg() % WORD).min(len);
    if at > 0 {
        part(0, at);
    }
    while len - at >= 8 * WORD {
        (0..8).for_each(|i| one(at + i * WORD));
        at += 8 * WORD;
    }
    while len - at >= WORD {
        one(at);
        at += WORD;
    }
    if at < len {
        part(at, len - at);
    }
}

/// # Safety
///
/// As for `super::load`.
pub(super) unsafe fn load(src: *const u8, dst: *mut u8, len: usize) {
    walk(
        src.addr(),
        len,
        // SAFETY: `walk` keeps to `0..len` and to words aligned in `src`; the caller vouches
        // for these.
        |at, n| unsafe { load_part(src.add(at), dst.add(at), n) },
        // SAFETY: as above.
        |at| unsafe { write_unaligned(dst.add(at).cast(), get(src.add(at))) },
    );
}

/// # Safety
///
/// As for `super::store`.
pub(super) unsafe fn store(src: *const u8, dst: *mut u8, len: usize) {
    walk(
        dst.addr(),
        len,
        // SAFETY: `walk` keeps to `0..len` and to words aligned in `dst`; the caller vouches
        // for these.
        |at, n| unsafe { store_part(src.add(at), dst.add(at), n) },
        // SAFETY: as above.
        |at| unsafe { put(dst.add(at), read_unaligned(src.add(at).cast())) },
    );
}

/// # Safety
///
/// As for `super::transfer`.
pub(super) unsafe fn transfer(src: *const u8, dst: *mut u8, len: usize) {
    let mut private = [0_u8; 512];
    let mut at = 0;
    while at < len {
        // Every piece but the last ends at an aligned address of `dst`.
        let room = private.len() - dst.addr().wrapping_add(at) % WORD;
        let n = room.min(len - at);
        // SAFETY: `at + n` is at most `len`, for which the caller vouches, and `n` at most the
        // buffer's length.
        unsafe {
            load(src.add(at), private.as_mut_ptr(), n);
            store(private.as_ptr(), dst.add(at), n);
        }
        at += n;
    }
}

/// # Safety
///
/// As for `load_value`, with `dst` valid for writes of a `T`.
#[inline(always)]
pub(super) unsafe fn load_fixed<T>(src: *const u8, dst: *mut u8) {
    let whole = size_of::<T>() / WORD * WORD;
    for at in (0..whole).step_by(WORD) {
        // SAFETY: the caller vouches for the words of `src`, which is aligned, and the bytes of
        // `dst`.
        unsafe { write_unaligned(dst.add(at).cast(), get(src.add(at))) };
    }
    if whole < size_of::<T>() {
        // SAFETY: as above.
        unsafe { load_part(src.add(whole), dst.add(whole), size_of::<T>() - whole) };
    }
}

/// # Safety
///
/// As for `store_value`, with `src` valid for reads of a `T`.
#[inline(always)]
pub(super) unsafe fn store_fixed<T>(src: *const u8, dst: *mut u8) {
    let whole = size_of::<T>() / WORD * WORD;
    for at in (0..whole).step_by(WORD) {
        // SAFETY: the caller vouches for the bytes of `src` and the words of `dst`, which is
        // aligned.
        unsafe { put(dst.add(at), read_unaligned(src.add(at).cast())) };
    }
    if whole < size_of::<T>() {
        let mut word = [0; WORD];
        // SAFETY: as above; what the last word holds beyond `T` is the caller's to spoil.
        unsafe {
            copy_nonoverlapping(src.add(whole), word.as_mut_ptr(), size_of::<T>() - whole);
            put(dst.add(whole), usize::from_ne_bytes(word));
        }
    }
}
