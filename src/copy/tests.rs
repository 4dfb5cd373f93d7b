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
        319,
        320,
        321,
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
        &[0, 1, 100].map(|n| processor::streaming_threshold().min(32 << 20) - 1 + n),
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
    if processor::has_fast_lines() {
        let from = processor::LINES_FROM;
        let lengths: Vec<usize> = (from..=from + 300).chain([4097]).collect();
        check(&[blocks::copy_lines], &lengths, &offsets(4, 65));
    }
    if processor::has_fast_ends() {
        let lengths: Vec<usize> = (processor::TWO_ENDS_FROM..=256).collect();
        check(&[blocks::load_two_ends], &lengths, &offsets(4, 65));
    }
    check(&[blocks::copy_string], &lengths, &offsets(4, 32));
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

#[test]
fn many_values_lie_one_after_the_other() {
    let mut memory = [(); 2].map(|()| vec![[0; 8]; 32]);
    let [src, dst] = memory.each_mut().map(|memory| bytes(memory));
    src.iter_mut()
        .zip((1..=251).cycle())
        .for_each(|(byte, value)| *byte = value);
    // Sizes with a loop of their own, others, and those without gaps.
    for (size, stride) in [
        (8, 64),
        (16, 64),
        (32, 64),
        (5, 64),
        (24, 64),
        (64, 64),
        (200, 256),
        (256, 256),
    ] {
        for count in 0..=src.len() / stride {
            dst.fill(0xfe);
            // SAFETY: so many values are in the source; the destination is as large, and this test's own.
            unsafe { load_many(src.as_ptr(), stride, dst.as_mut_ptr(), size, count) };
            let values = src
                .chunks(stride)
                .take(count)
                .flat_map(|value| &value[..size]);
            assert!(dst[..size * count].iter().eq(values), "{count} of {size}");
            assert!(dst[size * count..].iter().all(|&byte| byte == 0xfe));
        }
    }
}
