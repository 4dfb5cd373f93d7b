//! The assembly: loads and stores of one access each, and what is built of them.

#[cfg(target_arch = "aarch64")]
use core::arch::aarch64::uint8x16_t;
use core::arch::asm;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{__m128i, __m256i};
use core::mem::size_of;
use core::ptr::{read_unaligned as get, write_unaligned as put};
#[cfg(target_arch = "x86_64")]
use core::sync::atomic::Ordering::Relaxed;

#[cfg(target_arch = "x86_64")]
use super::processor::{self, AVX_BELOW, LINES, LINES_FROM, TWO_ENDS, TWO_ENDS_FROM};

#[cfg(not(target_arch = "x86_64"))]
pub(super) use copy as load;
pub(super) use copy as store;
pub(super) use copy as transfer;

/// Defines functions that load what is `O` bytes after `p` by one instruction.
macro_rules! loads {
    ($($(#[$feature:meta])* $name:ident($class:ident) -> $t:ty: $instruction:literal;)*) => { $(
        /// # Safety
        ///
        /// `p + O` is valid for reads of the size of the result; others may store to it.
        $(#[$feature])*
        #[inline]
        unsafe fn $name<const O: isize>(p: *const u8) -> $t {
            let value: $t;
            // SAFETY: one load, which the caller vouches for.
            unsafe {
                asm!($instruction, v = out($class) value, p = in(reg) p, o = const O,
                    options(nostack, preserves_flags));
            }
            value
        }
    )* };
}

/// Defines functions that store `value` `O` bytes after `p` by one instruction.
macro_rules! stores {
    ($($(#[$feature:meta])* $name:ident($class:ident, $t:ty): $instruction:literal;)*) => { $(
        /// # Safety
        ///
        /// `p + O` is valid for writes of the size of `value`, and aligned to it for `stream*`;
        /// others may load it.
        $(#[$feature])*
        #[inline]
        unsafe fn $name<const O: isize>(p: *mut u8, value: $t) {
            // SAFETY: one store, which the caller vouches for.
            unsafe {
                asm!($instruction, v = in($class) value, p = in(reg) p, o = const O,
                    options(nostack, preserves_flags));
            }
        }
    )* };
}

#[cfg(target_arch = "x86_64")]
loads! {
    load1(reg_byte) -> u8: "mov {v}, byte ptr [{p} + {o}]";
    load2(reg) -> u16: "movzx {v:e}, word ptr [{p} + {o}]";
    load4(reg) -> u32: "mov {v:e}, dword ptr [{p} + {o}]";
    load8(reg) -> u64: "mov {v:r}, qword ptr [{p} + {o}]";
    load16(xmm_reg) -> __m128i: "movups {v}, [{p} + {o}]";
    #[target_feature(enable = "avx")]
    load32(ymm_reg) -> __m256i: "vmovups {v}, [{p} + {o}]";
}
#[cfg(target_arch = "x86_64")]
stores! {
    store1(reg_byte, u8): "mov byte ptr [{p} + {o}], {v}";
    store2(reg, u16): "mov word ptr [{p} + {o}], {v:x}";
    store4(reg, u32): "mov dword ptr [{p} + {o}], {v:e}";
    store8(reg, u64): "mov qword ptr [{p} + {o}], {v:r}";
    store16(xmm_reg, __m128i): "movups [{p} + {o}], {v}";
    stream16(xmm_reg, __m128i): "movntps [{p} + {o}], {v}";
    #[target_feature(enable = "avx")]
    store32(ymm_reg, __m256i): "vmovups [{p} + {o}], {v}";
    #[target_feature(enable = "avx")]
    stream32(ymm_reg, __m256i): "vmovntps [{p} + {o}], {v}";
}

#[cfg(target_arch = "aarch64")]
loads! {
    load1(reg) -> u8: "ldurb {v:w}, [{p}, #{o}]";
    load2(reg) -> u16: "ldurh {v:w}, [{p}, #{o}]";
    load4(reg) -> u32: "ldur {v:w}, [{p}, #{o}]";
    load8(reg) -> u64: "ldur {v:x}, [{p}, #{o}]";
    load16(vreg) -> uint8x16_t: "ldur {v:q}, [{p}, #{o}]";
}
#[cfg(target_arch = "aarch64")]
stores! {
    store1(reg, u8): "sturb {v:w}, [{p}, #{o}]";
    store2(reg, u16): "sturh {v:w}, [{p}, #{o}]";
    store4(reg, u32): "stur {v:w}, [{p}, #{o}]";
    store8(reg, u64): "stur {v:x}, [{p}, #{o}]";
    store16(vreg, uint8x16_t): "stur {v:q}, [{p}, #{o}]";
}

/// # Safety
///
/// `p + O` is valid for reads of 32 bytes; others may store to it.
#[cfg(target_arch = "aarch64")]
#[inline]
unsafe fn load32<const O: isize>(p: *const u8) -> (uint8x16_t, uint8x16_t) {
    let (first, second);
    // SAFETY: one load, which the caller vouches for.
    unsafe {
        asm!("ldp {a:q}, {b:q}, [{p}, #{o}]", a = out(vreg) first, b = out(vreg) second,
            p = in(reg) p, o = const O, options(nostack, preserves_flags));
    }
    (first, second)
}

/// # Safety
///
/// `p + O` is valid for writes of 32 bytes; others may load it.
#[cfg(target_arch = "aarch64")]
#[inline]
unsafe fn store32<const O: isize>(p: *mut u8, value: (uint8x16_t, uint8x16_t)) {
    // SAFETY: one store, which the caller vouches for.
    unsafe {
        asm!("stp {a:q}, {b:q}, [{p}, #{o}]", a = in(vreg) value.0, b = in(vreg) value.1,
            p = in(reg) p, o = const O, options(nostack, preserves_flags));
    }
}

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

/// From which length a copy is a long one.
const LONG: usize = 512 << 10;

/// Which way a long copy goes. If the destination lies a little further into its page than the
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

/// Orders all earlier stores, non-temporal ones included, before all later ones.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn sfence() {
    // SAFETY: every x86-64 processor has `sfence`, which touches no memory; the compiler moves
    // no access across it.
    unsafe { asm!("sfence", options(nostack, preserves_flags)) };
}

/// Copies by whole cache lines, four at a time: on an Intel Emerald Rapids in half to nine tenths of the
/// AVX loop's time while the bytes are in the first cache, and in about the same beyond. One block, since Rust
/// before 1.89 has no AVX-512 operands.
///
/// # Safety
///
/// As for `copy`; `len` is at least `LINES_FROM`, and there is AVX-512.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn copy_lines(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: the first line, then from the destination's next line on until less than 256 bytes are left (once
    // at least: 64 + 256 are within `len`), then the last 256; all within `0..len`, which the caller vouches for.
    unsafe {
        asm!(
            "vmovups zmm0, [{src}]",
            "vmovups [{dst}], zmm0",
            "2:",
            "vmovups zmm0, [{src} + {at}]",
            "vmovups zmm1, [{src} + {at} + 64]",
            "vmovups zmm2, [{src} + {at} + 128]",
            "vmovups zmm3, [{src} + {at} + 192]",
            "vmovups [{dst} + {at}], zmm0",
            "vmovups [{dst} + {at} + 64], zmm1",
            "vmovups [{dst} + {at} + 128], zmm2",
            "vmovups [{dst} + {at} + 192], zmm3",
            "add {at}, 256",
            "cmp {at}, {last}",
            "jb 2b",
            "vmovups zmm0, [{src} + {last}]",
            "vmovups zmm1, [{src} + {last} + 64]",
            "vmovups zmm2, [{src} + {last} + 128]",
            "vmovups zmm3, [{src} + {last} + 192]",
            "vmovups [{dst} + {last}], zmm0",
            "vmovups [{dst} + {last} + 64], zmm1",
            "vmovups [{dst} + {last} + 128], zmm2",
            "vmovups [{dst} + {last} + 192], zmm3",
            "vzeroupper",
            src = in(reg) src,
            dst = in(reg) dst,
            last = in(reg) len - 256,
            at = inout(reg) 64 - dst.addr() % 64 => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            options(nostack),
        );
    }
}

/// Copies two whole lines from either end: on Zen 4 in nine tenths of the time that AVX takes, when the private memory is
/// the destination; stores to shared memory take longer so. It leaves alone the registers whose upper halves would have to
/// be cleared afterwards.
///
/// # Safety
///
/// As for `load`; `len` is more than 128 and at most 256, and there is AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) unsafe fn load_two_ends(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: accesses `0..len`, some of it twice, which the caller vouches for.
    unsafe {
        asm!(
            "vmovups zmm16, [{src}]",
            "vmovups zmm17, [{src} + 64]",
            "vmovups zmm18, [{src} + {len} - 128]",
            "vmovups zmm19, [{src} + {len} - 64]",
            "vmovups [{dst}], zmm16",
            "vmovups [{dst} + 64], zmm17",
            "vmovups [{dst} + {len} - 128], zmm18",
            "vmovups [{dst} + {len} - 64], zmm19",
            src = in(reg) src,
            dst = in(reg) dst,
            len = in(reg) len,
            out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies by the processor's own loop: on the same processor up to a quarter faster than by vectors once the bytes
/// do not fit the second cache, for it need not load what it will overwrite.
///
/// # Safety
///
/// As for `copy`.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn copy_string(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: accesses `0..len`, which the caller vouches for, upwards: the direction flag is clear, as the ABI has it.
    unsafe {
        asm!("rep movsb", inout("rsi") src => _, inout("rdi") dst => _, inout("rcx") len => _,
            options(nostack, preserves_flags));
    }
}

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

/// Finds out how to copy, the first time, and copies so.
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
