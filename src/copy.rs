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
//! the instruction's width or alignment, so each byte read is one that somebody stored, and the
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
//! - `rep movsb` is not used. It would be sound: the SDM lets the stores within one string
//!   operation appear out of order, but orders the operation with the stores before and after it
//!   ("data and semaphores should be separated"). But on Zen 4 it is never faster than the AVX
//!   loop, and takes 30 times as long when the destination begins 7 bytes further into its page
//!   than the source, as an unaligned private buffer may.
//! - aarch64: the fences are `dmb ishld` (acquire) and `dmb ish` (release), which order all earlier
//!   loads, or all earlier accesses, with all later ones, `ldp` and `stp` of vector registers as
//!   any other. Plain `stp` is used, never `stnp`, so nothing more is needed.

use core::mem::{size_of, MaybeUninit};
use core::ptr;

/// Copies `len` bytes of shared memory into private memory. The bytes mean nothing until validated.
///
/// # Safety
///
/// `src` is valid for reads of `len` bytes, and so is the rest of the aligned words in which they
/// begin and end; other threads and processes may store to them meanwhile. `dst` is valid for
/// writes of `len` bytes and nobody else's. The two do not overlap.
#[inline]
pub(crate) unsafe fn load(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: the caller's promise is the same.
    unsafe { machine::load(src, dst, len) }
}

/// Copies `len` initialised bytes of private memory into shared memory, while others may load them.
///
/// # Safety
///
/// `src` is valid for reads of `len` bytes, all initialised, that nobody stores to. `dst` is valid
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
/// `src` as for [`load`], `dst` as for [`store`]. The two do not overlap.
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

#[cfg(not(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    all(target_pointer_width = "64", target_endian = "little"),
    not(any(neocortex_portable, loom, miri)),
)))]
use portable as machine;

/// The assembly: loads and stores of one access each, and what is built of them.
#[cfg(all(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    all(target_pointer_width = "64", target_endian = "little"),
    not(any(neocortex_portable, loom, miri)),
))]
mod machine {
    #[cfg(target_arch = "aarch64")]
    use core::arch::aarch64::uint8x16_t;
    use core::arch::asm;
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::{__m128i, __m256i};
    use core::mem::size_of;
    use core::ptr::{read_unaligned as get, write_unaligned as put};
    #[cfg(target_arch = "x86_64")]
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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

    /// Which way a long copy goes. If the destination lies a little further into its page than the
    /// source, an x86-64 that goes upwards takes loads for loads of what it has just stored. Below
    /// 512 KiB that costs less than going against the prefetcher (measured on Zen 4).
    #[inline]
    fn upwards(src: *const u8, dst: *mut u8, len: usize) -> bool {
        let further = dst.addr().wrapping_sub(src.addr()) % 4096;
        cfg!(not(target_arch = "x86_64")) || len < 512 << 10 || further == 0 || further >= 256
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

    /// The length below which a copy is by AVX and into the caches; 0 until known, and without AVX.
    #[cfg(target_arch = "x86_64")]
    static AVX_BELOW: AtomicUsize = AtomicUsize::new(0);

    /// # Safety
    ///
    /// As for `copy`; `len` is more than 32.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn copy_wide(src: *const u8, dst: *mut u8, len: usize) {
        if len < AVX_BELOW.load(Relaxed) {
            // SAFETY: as for this function; there is AVX, as the bound is not 0.
            unsafe { copy_avx(src, dst, len) };
        } else {
            // SAFETY: as for this function.
            unsafe { copy_wide_slow(src, dst, len) };
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
        let threshold = streaming_threshold();
        let avx = is_x86_feature_detected!("avx");
        if avx {
            AVX_BELOW.store(threshold, Relaxed);
        }
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

    /// The length from which a copy goes past the caches: a third of the largest, so that two slots
    /// and a private copy do not fit, or 4 MiB if the processor does not say how large that is.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn streaming_threshold() -> usize {
        static THRESHOLD: AtomicUsize = AtomicUsize::new(0);
        if THRESHOLD.load(Relaxed) == 0 {
            let largest = largest_cache();
            let threshold = if largest == 0 { 4 << 20 } else { largest / 3 };
            THRESHOLD.store(threshold.max(1 << 20), Relaxed);
        }
        THRESHOLD.load(Relaxed)
    }

    /// The size of the largest cache in bytes, 0 if unknown (Intel: cpuid leaf 4, AMD: 0x8000_001D,
    /// laid out alike).
    #[cfg(target_arch = "x86_64")]
    #[cold]
    fn largest_cache() -> usize {
        #[allow(unused_unsafe)] // `__cpuid_count` became safe after Rust 1.85
        // SAFETY: every x86-64 processor has `cpuid`.
        let leaf = |leaf, index| unsafe { core::arch::x86_64::__cpuid_count(leaf, index) };
        let size = |(leaf_number, index)| {
            let cache = leaf(leaf_number, index);
            let ways_partitions_line =
                [cache.ebx >> 22, cache.ebx >> 12 & 0x3ff, cache.ebx & 0xfff];
            let product = |sets: usize, &n: &u32| sets.saturating_mul(n as usize + 1);
            match cache.eax & 31 {
                0 => 0, // no such cache
                _ => ways_partitions_line
                    .iter()
                    .fold(cache.ecx as usize + 1, product),
            }
        };
        [(0, 4), (0x8000_0000, 0x8000_001d)]
            .into_iter()
            .filter(|&(range, caches)| leaf(range, 0).eax >= caches)
            .flat_map(|(_, caches)| (0..8).map(move |index| (caches, index)))
            .map(size)
            .max()
            .unwrap_or(0)
    }
}

/// Relaxed atomic accesses of whole aligned words. Compiled everywhere, so that it is tested
/// everywhere.
#[allow(dead_code)]
mod portable {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{fence, AtomicUsize, Ordering::*};

    type Copy = unsafe fn(*const u8, *mut u8, usize);
    const COPIES: [Copy; 3] = [load, store, transfer];
    const PORTABLE: [Copy; 3] = [portable::load, portable::store, portable::transfer];

    fn bytes(memory: &mut [[u64; 8]]) -> &mut [u8] {
        // SAFETY: integers are initialised bytes, and the borrow is passed on.
        unsafe { core::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), memory.len() * 64) }
    }

    /// Makes every copy of every length from and to every offset; compares all of the destination,
    /// and 32 bytes or more on either side of it.
    fn check(copies: &[Copy], lengths: &[usize], offsets: &[(usize, usize)]) {
        let size = lengths.iter().max().unwrap() + 128;
        let mut memory = [(); 3].map(|()| vec![[0; 8]; size.div_ceil(64)]);
        let [src, dst, expected] = memory.each_mut().map(|memory| bytes(memory));
        src.iter_mut()
            .zip((1..=251).cycle())
            .for_each(|(byte, value)| *byte = value);
        for (copy, &len) in copies
            .iter()
            .flat_map(|copy| lengths.iter().map(move |len| (copy, len)))
        {
            let (dst, expected) = (&mut dst[..len + 128], &mut expected[..len + 128]);
            for (from, to) in offsets.iter().map(|(from, to)| (from + 32, to + 32)) {
                dst.fill(0xfe);
                expected.fill(0xfe);
                expected[to..to + len].copy_from_slice(&src[from..from + len]);
                // SAFETY: the range and 32 bytes around it lie in memory of this test's own.
                unsafe { copy(src.as_ptr().add(from), dst.as_mut_ptr().add(to), len) };
                assert!(dst == expected, "offset {from} to {to}, length {len}");
            }
        }
    }

    fn offsets(from: usize, to: usize) -> Vec<(usize, usize)> {
        (0..from)
            .flat_map(|from| (0..to).map(move |to| (from, to)))
            .collect()
    }

    #[test]
    fn every_short_length_at_every_offset_copies_these_bytes_only() {
        let step = if cfg!(miri) { 7 } else { 1 };
        let lengths: Vec<usize> = (0..=300).step_by(step).collect();
        let offsets: Vec<_> = offsets(16, 16).into_iter().step_by(step).collect();
        check(&COPIES, &lengths, &offsets);
        check(&PORTABLE, &lengths, &offsets);
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow")]
    fn lengths_around_every_threshold_copy_these_bytes_only() {
        let offsets = [(0, 0), (0, 1), (7, 0), (3, 16), (15, 13)];
        let lengths = [
            511,
            512,
            513,
            4096,
            65_535,
            (512 << 10) - 1,
            512 << 10,
            (1 << 20) + 77,
        ];
        check(&COPIES, &lengths, &offsets);
        check(&PORTABLE, &lengths, &offsets);
        #[cfg(all(target_arch = "x86_64", not(any(neocortex_portable, loom, miri))))]
        check(
            &COPIES,
            &[0, 1, 100].map(|n| machine::streaming_threshold().min(32 << 20) - 1 + n),
            &offsets,
        );
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", not(any(neocortex_portable, loom, miri))))]
    fn every_vector_form_copies_these_bytes_only() {
        let mut forms: Vec<Copy> = vec![machine::copy_sse, machine::stream_sse];
        if is_x86_feature_detected!("avx") {
            forms.extend([machine::copy_avx as Copy, machine::stream_avx]);
        }
        let lengths: Vec<usize> = (33..=300).chain([1000, 4097]).collect();
        check(&forms, &lengths, &offsets(4, 32));
        check(
            &forms,
            &[(512 << 10) + 50, (512 << 10) + 127],
            &offsets(2, 32),
        );
    }

    /// Stores and loads an array of every given size by `$store` and `$load`.
    macro_rules! values {
        ($load:expr, $store:expr; $($size:literal)*) => { $({
            let value: [u8; $size] = core::array::from_fn(|i| i as u8 + 1);
            let mut slot = [[u64::MAX; 8]; 2];
            let mut back = MaybeUninit::<[u8; $size]>::uninit();
            // SAFETY: the slot is aligned and larger than the value, which has no padding; after
            // the load `back` is initialised.
            unsafe {
                $store(&value, slot.as_mut_ptr().cast::<u8>());
                $load(slot.as_ptr().cast::<u8>(), &mut back);
                assert_eq!(back.assume_init(), value);
            }
            let (stored, rest) = bytes(&mut slot).split_at($size);
            assert_eq!(stored, value);
            let padding = stored.len().next_multiple_of(8) - stored.len();
            assert!(rest[padding..].iter().all(|&byte| byte == 0xff));
        })* };
    }

    #[test]
    fn values_of_every_size_come_back_and_spoil_only_their_last_word() {
        unsafe fn load<T>(src: *const u8, value: &mut MaybeUninit<T>) {
            // SAFETY: the caller's promise is the same.
            *value = unsafe { load_value(src) };
        }
        unsafe fn portable_load<T>(src: *const u8, value: &mut MaybeUninit<T>) {
            // SAFETY: the caller's promise is the same.
            unsafe { portable::load_fixed::<T>(src, value.as_mut_ptr().cast()) };
        }
        unsafe fn portable_store<T>(value: &T, dst: *mut u8) {
            // SAFETY: the caller's promise is the same.
            unsafe { portable::store_fixed::<T>(ptr::from_ref(value).cast(), dst) };
        }
        values!(load, store_value;
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60
            61 62 63 64 65 66 100 120);
        values!(portable_load, portable_store;
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 24 31 33 40 47 48 55 56 57 58 59 60 61 62
            63 64);
    }

    #[test]
    fn loads_of_read_only_memory_store_nothing() {
        static CONSTANT: [u64; 40] = [0x0102_0304_0506_0708; 40];
        let src = CONSTANT.as_ptr().cast::<u8>();
        let mut dst = [0_u64; 40];
        for load in [load, portable::load] {
            // SAFETY: both are 320 bytes; the source is in a read-only section of the executable.
            unsafe { load(src, dst.as_mut_ptr().cast(), 320) };
            assert_eq!(dst, CONSTANT);
        }
        // SAFETY: as above.
        let value = unsafe { load_value::<[u64; 8]>(src).assume_init() };
        assert_eq!(value, CONSTANT[..8]);
    }

    #[test]
    fn a_validated_copy_is_never_torn() {
        let commits = if cfg!(miri) { 20 } else { 3000 };
        for (load, store) in [(COPIES[0], COPIES[1]), (PORTABLE[0], PORTABLE[1])] {
            for len in [8, 40, 64, 120, 1000, 2500] {
                let slots: Vec<AtomicUsize> = (0..2 * 640).map(|_| AtomicUsize::new(0)).collect();
                let slot = |commit: usize| slots[commit % 2 * 640..].as_ptr().cast::<u8>();
                let (begun, committed) = (AtomicUsize::new(0), AtomicUsize::new(0));
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        for commit in 1..=commits {
                            begun.store(commit, Relaxed);
                            fence(Release);
                            let value = vec![commit as u8; len];
                            // SAFETY: a slot has 640 words; this is the only writer.
                            unsafe { store(value.as_ptr(), slot(commit).cast_mut(), len) };
                            committed.store(commit, Release);
                        }
                    });
                    let (mut commit, mut copy) = (0, vec![0; len]);
                    while commit < commits {
                        commit = committed.load(Acquire);
                        // SAFETY: the slot and `copy` have `len` bytes.
                        unsafe { load(slot(commit), copy.as_mut_ptr(), len) };
                        fence(Acquire);
                        if begun.load(Relaxed) <= commit + 1 {
                            assert_eq!(copy, vec![commit as u8; len], "commit {commit}");
                        }
                    }
                });
            }
        }
    }
}
