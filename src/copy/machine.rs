//! Copies by assembly: which accesses a length takes, in which order.

use core::mem::size_of;
use core::ptr::{read_unaligned as get, write_unaligned as put};
#[cfg(target_arch = "x86_64")]
use core::sync::atomic::Ordering::Relaxed;

use super::accesses::*;
#[cfg(target_arch = "x86_64")]
use super::blocks::{copy_lines, copy_string, load_two_ends};
#[cfg(target_arch = "x86_64")]
use super::processor::{self, AVX_BELOW, LINES, LINES_FROM, TWO_ENDS, TWO_ENDS_FROM};

#[cfg(not(target_arch = "x86_64"))]
pub(super) use copy as load;
pub(super) use copy as store;
pub(super) use copy as transfer;

/// Defines the copy of one `T` by the largest accesses that fit, unrolled once `T` is known.
macro_rules! fixed {
    ($name:ident: $($size:literal $load:expr, $store:expr;)*) => {
        /// # Safety
        ///
        /// As for `load_value` or `store_value`; `T` has at most 64 bytes.
        #[inline(always)]
        pub(super) unsafe fn $name<T>(src: *const u8, dst: *mut u8) {
            let mut done = 0;
            $(if size_of::<T>() - done >= $size {
                // SAFETY: `done + $size` is at most the size of `T`; the caller vouches for it.
                unsafe { $store(dst.add(done).cast(), $load(src.add(done).cast())) };
                done += $size;
            })*
            debug_assert_eq!(done, size_of::<T>());
        }
    };
}

fixed! {
    load_fixed:
    16 load16::<0>, put; 16 load16::<0>, put; 16 load16::<0>, put; 16 load16::<0>, put;
    8 load8::<0>, put; 4 load4::<0>, put; 2 load2::<0>, put; 1 load1::<0>, put;
}
fixed! {
    store_fixed:
    16 get, store16::<0>; 16 get, store16::<0>; 16 get, store16::<0>; 16 get, store16::<0>;
    8 get, store8::<0>; 4 get, store4::<0>; 2 get, store2::<0>; 1 get, store1::<0>;
}

/// Copies `$len` bytes from either end by as many accesses of `$size` as there are `$n`; all
/// loads come first.
macro_rules! ends {
    (
        $src:ident, $dst:ident, $len:ident, $size:literal $load:ident $store:ident:
        $($n:literal)*
    ) => {{
        let (src_end, dst_end) = ($src.add($len), $dst.add($len));
        let values = [$((
            $load::<{ $n * $size }>($src),
            $load::<{ -($n + 1) * $size }>(src_end),
        ),)*];
        $($store::<{ $n * $size }>($dst, values[$n].0);
        $store::<{ -($n + 1) * $size }>(dst_end, values[$n].1);)*
    }};
}

/// # Safety
///
/// As for the `load` outside.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) unsafe fn load(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: as for this function; there is AVX-512 where the number is not 0.
    unsafe {
        if len.wrapping_sub(TWO_ENDS_FROM) < TWO_ENDS.load(Relaxed) {
            load_two_ends(src, dst, len);
        } else {
            copy(src, dst, len);
        }
    }
}

/// # Safety
///
/// As for `load`, `store` or `transfer`.
pub(super) unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: each branch accesses bytes `0..len` only, twice where its two ends overlap; the
    // caller vouches for these.
    unsafe {
        if len > 32 {
            copy_wide(src, dst, len);
        } else if len >= 16 {
            ends!(src, dst, len, 16 load16 store16: 0);
        } else if len >= 8 {
            ends!(src, dst, len, 8 load8 store8: 0);
        } else if len >= 4 {
            ends!(src, dst, len, 4 load4 store4: 0);
        } else if len >= 2 {
            ends!(src, dst, len, 2 load2 store2: 0);
        } else if len == 1 {
            store1::<0>(dst, load1::<0>(src));
        }
    }
}

/// Defines a copy of more than 32 bytes by vectors of `$size`. A long one is of one vector at
/// one end, then four at a time at aligned addresses by `$aligned`, between two `$fence`s, then
/// four at the other end.
macro_rules! wide {
    (
        $(#[$attribute:meta])* $name:ident:
        $size:literal $load:ident $store:ident $aligned:ident $($fence:ident)?
    ) => {
        /// # Safety
        ///
        /// As for `copy`; `len` is more than 32.
        $(#[$attribute])*
        pub(super) unsafe fn $name(src: *const u8, dst: *mut u8, len: usize) {
            macro_rules! four {
                ($at:expr, $put:ident) => {{
                    let (src, dst) = (src.add($at), dst.add($at));
                    let (a, b) = ($load::<0>(src), $load::<$size>(src));
                    let (c, d) = ($load::<{ 2 * $size }>(src), $load::<{ 3 * $size }>(src));
                    $put::<0>(dst, a);
                    $put::<$size>(dst, b);
                    $put::<{ 2 * $size }>(dst, c);
                    $put::<{ 3 * $size }>(dst, d);
                }};
            }
            // SAFETY: each branch accesses bytes `0..len` only, some twice; the caller vouches
            // for these. What `$aligned` stores to is aligned: so are `at` and `end` when added
            // to `dst`.
            unsafe {
                if len > 8 * $size {
                    aside();
                    if upwards(src, dst, len) {
                        $store::<0>(dst, $load::<0>(src));
                        let mut at = $size - dst.addr() % $size;
                        $($fence();)?
                        while at < len - 4 * $size {
                            four!(at, $aligned);
                            at += 4 * $size;
                        }
                        $($fence();)?
                        four!(len - 4 * $size, $store);
                    } else {
                        $store::<{ -$size }>(dst.add(len), $load::<{ -$size }>(src.add(len)));
                        let mut end = len - dst.addr().wrapping_add(len) % $size;
                        $($fence();)?
                        while end > 4 * $size {
                            end -= 4 * $size;
                            four!(end, $aligned);
                        }
                        $($fence();)?
                        four!(0, $store);
                    }
                } else if len > 4 * $size {
                    aside();
                    ends!(src, dst, len, $size $load $store: 0 1 2 3);
                } else if len > 2 * $size {
                    aside();
                    ends!(src, dst, len, $size $load $store: 0 1);
                } else {
                    ends!(src, dst, len, $size $load $store: 0);
                }
            }
        }
    };
}

/// Keeps the branch that calls it out of the straight line, so that every length takes at most
/// one jump: below 1 KiB each costs a tenth.
#[cold]
#[inline]
fn aside() {}

/// The length from which a copy is a long one.
const LONG: usize = 512 << 10;

/// Returns which way a long copy goes. If the destination lies a little further into its page than the
/// source, an x86-64 that goes upwards takes loads for loads of what it has just stored. For a shorter
/// one that costs less than going against the prefetcher (measured on Zen 4).
#[inline]
fn upwards(src: *const u8, dst: *mut u8, len: usize) -> bool {
    let further = dst.addr().wrapping_sub(src.addr()) % 4096;
    cfg!(not(target_arch = "x86_64")) || len < LONG || further == 0 || further >= 256
}

#[cfg(target_arch = "aarch64")]
wide!(copy_wide: 32 load32 store32 store32);
#[cfg(target_arch = "x86_64")]
wide!(#[target_feature(enable = "avx")] copy_avx: 32 load32 store32 store32);
#[cfg(target_arch = "x86_64")]
wide!(#[target_feature(enable = "avx")] stream_avx: 32 load32 store32 stream32 sfence);
#[cfg(target_arch = "x86_64")]
wide!(copy_sse: 16 load16 store16 store16);
#[cfg(target_arch = "x86_64")]
wide!(stream_sse: 16 load16 store16 stream16 sfence);

/// # Safety
///
/// As for `copy`; `len` is more than 32.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn copy_wide(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: as for this function; there is AVX, and there are lines, where their number is not 0.
    unsafe {
        if len < AVX_BELOW.load(Relaxed) {
            copy_avx(src, dst, len);
        } else if len.wrapping_sub(LINES_FROM) < LINES.load(Relaxed) {
            if len < LONG {
                copy_lines(src, dst, len);
            } else if upwards(src, dst, len) {
                copy_string(src, dst, len);
            } else {
                copy_avx(src, dst, len);
            }
        } else {
            copy_wide_slow(src, dst, len);
        }
    }
}

/// Finds out on the first call how to copy, and copies in that way.
///
/// # Safety
///
/// As for `copy`; `len` is more than 32.
#[cfg(target_arch = "x86_64")]
#[cold]
unsafe fn copy_wide_slow(src: *const u8, dst: *mut u8, len: usize) {
    let (avx, threshold) = processor::find_out();
    // SAFETY: as for this function; there is AVX where it is used.
    unsafe {
        match (avx, len < threshold) {
            (true, true) => copy_avx(src, dst, len),
            (true, false) => stream_avx(src, dst, len),
            (false, true) => copy_sse(src, dst, len),
            (false, false) => stream_sse(src, dst, len),
        }
    }
}
