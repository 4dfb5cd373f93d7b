//! Loads and stores of one instruction each, which the compiler may not merge, split or repeat.

#[cfg(target_arch = "aarch64")]
use core::arch::aarch64::uint8x16_t;
use core::arch::asm;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{__m128i, __m256i};

/// Defines functions that load what is `O` bytes after `p` by one instruction.
macro_rules! loads {
    ($($(#[$feature:meta])* $name:ident($class:ident) -> $t:ty: $instruction:literal;)*) => { $(
        /// # Safety
        ///
        /// `p + O` is valid for reads of the size of the result; others may store to it.
        $(#[$feature])*
        #[inline]
        pub(super) unsafe fn $name<const O: isize>(p: *const u8) -> $t {
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
        pub(super) unsafe fn $name<const O: isize>(p: *mut u8, value: $t) {
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
pub(super) unsafe fn load32<const O: isize>(p: *const u8) -> (uint8x16_t, uint8x16_t) {
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
pub(super) unsafe fn store32<const O: isize>(p: *mut u8, value: (uint8x16_t, uint8x16_t)) {
    // SAFETY: one store, which the caller vouches for.
    unsafe {
        asm!("stp {a:q}, {b:q}, [{p}, #{o}]", a = in(vreg) value.0, b = in(vreg) value.1,
            p = in(reg) p, o = const O, options(nostack, preserves_flags));
    }
}
/// Orders all earlier stores, non-temporal ones included, before all later ones.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn sfence() {
    // SAFETY: every x86-64 processor has `sfence`, which touches no memory; the compiler moves
    // no access across it.
    unsafe { asm!("sfence", options(nostack, preserves_flags)) };
}
