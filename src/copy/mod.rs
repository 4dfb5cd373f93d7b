//! The copy whose source or destination other processes may be using at this moment.
//!
//! A reader copies a slot while a writer may be storing to it, and throws the copy away if `begun`
//! says so afterwards. The bytes may be torn; the copy itself must not be undefined behaviour,
//! which rules out `ptr::copy`, `read_volatile` and libc's `memcpy`. Only `commit` and `segment`
//! call this module.
//!
//! # Invariants
//!
//! - All accesses to shared bytes are of one kind within a build: inline assembly on x86-64 and
//!   aarch64, else (other machines, `--cfg neocortex_portable`, loom, Miri) relaxed loads and
//!   stores of aligned `usize`.
//! - `load` only loads from shared memory, so a read-only mapping serves. Private bytes outside the
//!   destination are never touched. The portable form loads whole the words in which a range begins
//!   and ends; `store` there merges them, which is right because its caller is the only writer.
//! - Nothing here orders anything but its own non-temporal stores: the caller's fences do (below).
//!
//! # Why the assembly is equivalent to relaxed atomics
//!
//! An `asm!` block may do what some Rust code could do in its place. Ours could be a relaxed
//! `AtomicU8` access for each byte: the machine loads or stores an aligned byte at once whatever
//! the instruction's width or alignment, so each byte read is one that was stored, and the
//! compiler cannot see into the block to draw conclusions from a race, read twice or leave out.
//! More than bytes is not needed: a validated copy had no store in flight. Where bytes are copied
//! twice (overlapping ends), a store writes the same value, and a load that saw two different ones
//! fails validation. No block is `pure`, `nomem` or `readonly`: memory changes between two of them,
//! so the compiler may neither merge them nor keep memory in registers across them, nor move one
//! across a fence.
//!
//! # Why the callers' fences order it
//!
//! - x86-64 (Intel SDM 3A, "Memory Ordering"): loads are not reordered with loads, nor ordinary
//!   stores, vector ones included, with stores. The acquire and release fences are therefore no
//!   instruction, only a bar to the compiler.
//! - Non-temporal stores are the exception, in both directions: they may become visible before an
//!   older store (`begun`) and after a younger one (`committed`), and the release fence does not
//!   stop them. So `sfence` stands on both sides of the streaming loop: `begun` is visible before
//!   its first byte, its last byte before `committed`.
//! - `rep movsb` needs no more: the SDM lets the stores within one string operation appear out of
//!   order, but orders the operation with the stores before and after it ("data and semaphores should
//!   be separated"). It is used for long copies on Intel processors only: on Zen 4 it is never faster
//!   than the AVX loop, and takes 30 times as long when the destination begins 7 bytes further into its
//!   page than the source, as an unaligned private buffer may; such copies go downwards by AVX.
//! - aarch64: the fences are `dmb ishld` (acquire) and `dmb ish` (release), which order all earlier
//!   loads, or all earlier accesses, with all later ones, `ldp` and `stp` of vector registers as
//!   any other. Plain `stp` is used, never `stnp`, so nothing more is needed.

#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    all(target_pointer_width = "64", target_endian = "little"),
    not(any(neocortex_portable, loom, miri)),
))]
mod accesses;
#[cfg(all(
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(neocortex_portable, loom, miri)),
))]
mod blocks;
#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    all(target_pointer_width = "64", target_endian = "little"),
    not(any(neocortex_portable, loom, miri)),
))]
mod machine;
#[allow(dead_code)]
mod portable;
#[cfg(all(
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(neocortex_portable, loom, miri)),
))]
mod processor;
#[cfg(test)]
mod tests;

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    all(target_pointer_width = "64", target_endian = "little"),
    not(any(neocortex_portable, loom, miri)),
)))]
use portable as machine;

use core::mem::{size_of, MaybeUninit};
use core::ptr;

/// Copies `len` bytes of shared memory into private memory. The bytes mean nothing until validated.
///
/// # Safety
///
/// `src` is valid for reads of `len` bytes, and so is the rest of the aligned words in which they
/// begin and end; other threads and processes may store to them meanwhile. `dst` is valid for
/// writes of `len` bytes, and no other thread accesses it. The two do not overlap.
#[inline]
pub(crate) unsafe fn load(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: the caller's promise is the same.
    unsafe { machine::load(src, dst, len) }
}

/// Copies `count` values of `size` bytes each, which begin `stride` bytes apart in shared memory, into private memory, one
/// directly after the other. The bytes mean nothing until validated.
///
/// # Safety
///
/// `src` is aligned to 8, and `stride` a multiple of 8 that is not less than `size`. For each value as for [`load`].
pub(crate) unsafe fn load_many(
    src: *const u8,
    stride: usize,
    dst: *mut u8,
    size: usize,
    count: usize,
) {
    /// A loop for each size in common use, so that a value is a load and a store.
    #[inline(always)]
    unsafe fn each(
        src: *const u8,
        stride: usize,
        dst: *mut u8,
        size: usize,
        count: usize,
        one: impl Fn(*const u8, *mut u8),
    ) {
        for index in 0..count {
            // SAFETY: the caller vouches for `count` values.
            unsafe { one(src.add(index * stride), dst.add(index * size)) };
        }
    }
    // SAFETY: the caller vouches for all of them.
    unsafe {
        match size {
            // Without gaps.
            _ if size == stride => load(src, dst, size * count),
            8 => each(src, stride, dst, 8, count, |src, dst| {
                machine::load_fixed::<[u8; 8]>(src, dst)
            }),
            16 => each(src, stride, dst, 16, count, |src, dst| {
                machine::load_fixed::<[u8; 16]>(src, dst)
            }),
            32 => each(src, stride, dst, 32, count, |src, dst| {
                machine::load_fixed::<[u8; 32]>(src, dst)
            }),
            _ => each(src, stride, dst, size, count, |src, dst| {
                load(src, dst, size)
            }),
        }
    }
}

/// Copies `len` initialised bytes of private memory into shared memory, while others may load them.
///
/// # Safety
///
/// `src` is valid for reads of `len` bytes, all initialised, that no other thread stores to. `dst` is valid
/// for writes of `len` bytes, and so is the rest of the aligned words in which they begin and end;
/// others may load these meanwhile, but only the caller stores to them (it holds the write lock).
/// The two do not overlap.
#[inline]
pub(crate) unsafe fn store(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: the caller's promise is the same.
    unsafe { machine::store(src, dst, len) }
}

/// Copies `len` bytes from one place in shared memory to another, as `load` and `store` would.
///
/// # Safety
///
/// `src` as for [`load`], `dst` as for [`store`]. The two do not overlap, or are one place: each piece is loaded whole before it
/// is stored, so that it then stays as it is.
#[inline]
pub(crate) unsafe fn transfer(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: the caller's promise is the same.
    unsafe { machine::transfer(src, dst, len) }
}

/// Loads a `T` from shared memory: up to 64 bytes a few unrolled loads, above that [`load`].
/// The result is not a `T` until validated and its bytes are checked to be one.
///
/// # Safety
///
/// `src` is aligned to 8 and valid for reads of the size of `T` rounded up to 8; others may store
/// to it meanwhile.
#[inline(always)]
pub(crate) unsafe fn load_value<T>(src: *const u8) -> MaybeUninit<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let dst = value.as_mut_ptr().cast::<u8>();
    if size_of::<T>() > 64 {
        // SAFETY: the caller vouches for `src`; `dst` is `size_of::<T>()` bytes of our own.
        unsafe { load(src, dst, size_of::<T>()) };
    } else {
        // SAFETY: as above.
        unsafe { machine::load_fixed::<T>(src, dst) };
    }
    value
}

/// Stores a `T` into shared memory: up to 64 bytes a few unrolled stores, above that [`store`].
///
/// # Safety
///
/// `T` has no padding (`NoUninit`). `dst` is aligned to 8 and valid for writes of the size of `T`
/// rounded up to 8, all of which are the caller's to spoil; others may load them meanwhile, only
/// the caller stores.
#[inline(always)]
pub(crate) unsafe fn store_value<T>(src: &T, dst: *mut u8) {
    let src = ptr::from_ref(src).cast::<u8>();
    if size_of::<T>() > 64 {
        // SAFETY: the caller vouches for `dst`; a `T` without padding is initialised bytes.
        unsafe { store(src, dst, size_of::<T>()) };
    } else {
        // SAFETY: as above.
        unsafe { machine::store_fixed::<T>(src, dst) };
    }
}
