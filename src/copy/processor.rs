//! What this x86-64 processor copies fast, and from which length to which: found out once.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The length from which a copy by lines is faster, where it is.
pub(super) const LINES_FROM: usize = 320;

/// Returns whether copies by lines and by `rep movsb` are taken to be as fast as we found them: on Intel's since Ice
/// Lake, which have VBMI2. They do not slow down for AVX-512, and have fast strings. Not on AMD's, which SSE4a tells:
/// Zen 4 has neither, and later ones we have not measured.
pub(super) fn has_fast_lines() -> bool {
    is_x86_feature_detected!("avx512vbmi2") && !is_x86_feature_detected!("sse4a")
}

/// Returns whether loads of two lines from either end are taken to be as fast as we found them: on AMD's since Zen 4,
/// the one that was measured.
pub(super) fn has_fast_ends() -> bool {
    is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("sse4a")
}

/// The lengths that are loaded so, if any.
pub(super) const TWO_ENDS_FROM: usize = 129;

/// How many lengths, from `TWO_ENDS_FROM` on, are loaded by two lines from either end; 0 until known, and where
/// that is not fast.
pub(super) static TWO_ENDS: AtomicUsize = AtomicUsize::new(0);

/// The length below which a copy is by AVX and into the caches; 0 until known, and without AVX.
pub(super) static AVX_BELOW: AtomicUsize = AtomicUsize::new(0);

/// How many lengths, from `LINES_FROM` on, are copied by lines or, if long, as a string, into the caches; 0 until
/// known, and where lines are not fast.
pub(super) static LINES: AtomicUsize = AtomicUsize::new(0);

/// Notes the numbers above. Returns whether there is AVX, and the length from which a copy goes past the caches.
pub(super) fn find_out() -> (bool, usize) {
    let threshold = streaming_threshold();
    let avx = is_x86_feature_detected!("avx");
    if avx && has_fast_lines() {
        AVX_BELOW.store(LINES_FROM, Relaxed);
        LINES.store(threshold - LINES_FROM, Relaxed);
    } else if avx {
        AVX_BELOW.store(threshold, Relaxed);
        if has_fast_ends() {
            TWO_ENDS.store(256 + 1 - TWO_ENDS_FROM, Relaxed);
        }
    }
    (avx, threshold)
}

/// Returns the length from which a copy goes past the caches: a third of the largest, so that two slots
/// and a private copy do not fit, or 4 MiB if the processor does not say how large that is.
pub(super) fn streaming_threshold() -> usize {
    static THRESHOLD: AtomicUsize = AtomicUsize::new(0);
    if THRESHOLD.load(Relaxed) == 0 {
        let largest = largest_cache();
        let threshold = if largest == 0 { 4 << 20 } else { largest / 3 };
        THRESHOLD.store(threshold.max(1 << 20), Relaxed);
    }
    THRESHOLD.load(Relaxed)
}

/// Returns the size of the largest cache in bytes, 0 if unknown (Intel: cpuid leaf 4, AMD: 0x8000_001D,
/// laid out alike).
#[cold]
fn largest_cache() -> usize {
    #[allow(unused_unsafe)] // `__cpuid_count` became safe after Rust 1.85
    // SAFETY: every x86-64 processor has `cpuid`.
    let leaf = |leaf, index| unsafe { core::arch::x86_64::__cpuid_count(leaf, index) };
    let size = |(leaf_number, index)| {
        let cache = leaf(leaf_number, index);
        let ways_partitions_line = [cache.ebx >> 22, cache.ebx >> 12 & 0x3ff, cache.ebx & 0xfff];
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
