//! Bytes by copy: how near to `memcpy`, and what a small write in a large segment costs.

use crate::c::{self, Api};
use crate::contest::{Contest, Row, Settings, Target, C, RUST};
use crate::place::{Peers, Place};
use neocortex::{Segment, SegmentOptions, SeqLock};
use std::sync::atomic::{compiler_fence, Ordering};

const SIZES: [(usize, &str); 7] = [
    (64, "64 B"),
    (256, "256 B"),
    (1 << 10, "1 KiB"),
    (4 << 10, "4 KiB"),
    (64 << 10, "64 KiB"),
    (1 << 20, "1 MiB"),
    (16 << 20, "16 MiB"),
];

/// Throughput of at least 0.9 of memcpy's.
const NEAR_MEMCPY: f64 = 1.0 / 0.9;

/// What memcpy takes within the least protocol there can be.
const BARE: &str = "(bare protocol, memcpy)";

/// Private memory that begins at a page, as a large allocation does, plus what malloc puts before it.
struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    fn new(size: usize) -> Self {
        Self {
            bytes: vec![7; size + 8192],
        }
    }

    fn slice(&mut self, size: usize) -> &mut [u8] {
        let skip = self.bytes.as_ptr().align_offset(4096) + 64;
        &mut self.bytes[skip..skip + size]
    }
}

pub fn rows(settings: &Settings) -> Vec<Row> {
    let api = Api::load();
    let mut rows = Vec::new();
    for (size, name) in SIZES {
        for (work, is_read) in [
            (format!("read {name}"), true),
            (format!("write {name}"), false),
        ] {
            if settings.wants(&work) {
                rows.push(copy(settings, work, size, is_read, api.as_ref()));
            }
        }
    }
    for (work, step) in [
        ("write_at 64 B in 64 MiB, one place", 0),
        ("write_at 64 B in 64 MiB, all over", 0x9E_3780),
    ] {
        if settings.wants(work) {
            rows.push(partial(settings, work, step));
        }
    }
    rows
}

fn copy(settings: &Settings, work: String, size: usize, is_read: bool, api: Option<&Api>) -> Row {
    let segment = Segment::<SeqLock>::create_random(size).expect("a segment");
    let stride = size.next_multiple_of(64) + 64;
    // SAFETY: no arguments.
    let place = Place::new(2 * stride + unsafe { c::peers_bare_size() });
    let shared = place.base();
    // Written once, so that every page is there.
    // SAFETY: the place has so many bytes, and more after them: at a multiple of 64, all zeros.
    let bare = unsafe {
        shared.write_bytes(7, 2 * stride);
        shared.add(2 * stride)
    };
    let handle = api.map(|api| (api, api.create(size, false)));
    let mut buffers = [(); 3].map(|()| Buffer::new(size));
    for _ in 0..2 {
        segment.write_at(0, buffers[0].slice(size)).expect("write");
        if let Some((api, handle)) = &handle {
            let source = buffers[0].slice(size).as_ptr();
            // SAFETY: an open handle and a buffer of `size` bytes.
            unsafe { c::peers_api_write_at(*api, handle.pointer, source, size, 1) };
        }
    }
    let [ours, in_c, plain] = &mut buffers;
    let (ours, in_c, plain) = (
        ours.slice(size),
        in_c.slice(size),
        plain.slice(size).as_mut_ptr(),
    );
    let mut contest = Contest::new(work);
    if size >= 4 << 20 {
        // A turn of one or two copies would find the caches full of what the others copied.
        contest = contest.fixed(settings.pick(15, 41), 16);
    }
    // Between two copies stands what stands in the loops of C, which costs nothing: no copy is left out.
    contest = if is_read {
        contest.timed(RUST, |n| {
            for _ in 0..n {
                segment.read_at(0, ours).expect("read");
                compiler_fence(Ordering::SeqCst);
            }
        })
    } else {
        contest.timed(RUST, |n| {
            for _ in 0..n {
                segment.write_at(0, ours).expect("write");
                compiler_fence(Ordering::SeqCst);
            }
        })
    };
    if let Some((api, handle)) = &handle {
        contest = contest.timed(C, move |n| {
            // SAFETY: an open handle and a buffer of `size` bytes.
            unsafe {
                if is_read {
                    c::peers_api_read_at(*api, handle.pointer, in_c.as_mut_ptr(), size, n);
                } else {
                    c::peers_api_write_at(*api, handle.pointer, in_c.as_ptr(), size, n);
                }
            }
        });
    }
    // SAFETY: all of them have room; in the last, two copies beside each other.
    unsafe {
        if is_read {
            contest = contest
                .timed("(memcpy)", |n| c::peers_memcpy(plain, shared, size, 0, n))
                .timed(BARE, |n| {
                    c::peers_bare_read(bare, plain, shared, size, stride, n)
                });
        } else {
            contest = contest
                .timed("(memcpy)", |n| c::peers_memcpy(shared, plain, size, 0, n))
                .timed("(memcpy, two places)", |n| {
                    c::peers_memcpy(shared, plain, size, stride, n)
                })
                .timed(BARE, |n| {
                    c::peers_bare_write(bare, shared, plain, size, stride, n)
                });
        }
    }
    if size >= 256 {
        contest = contest.target(Target::new(NEAR_MEMCPY, "(memcpy)"));
    }
    if (256..64 << 10).contains(&size) {
        contest = contest.target(Target::new(NEAR_MEMCPY, BARE));
    }
    contest.run(settings)
}

fn partial(settings: &Settings, work: &str, step: usize) -> Row {
    const SIZE: usize = 64 << 20;
    let create = |in_place: bool| {
        let options = SegmentOptions::new();
        let options = if in_place {
            options.in_place()
        } else {
            options
        };
        let segment: Segment<SeqLock> = options.create_random(SIZE).expect("a segment");
        let all = vec![7; SIZE];
        for _ in 0..2 {
            segment.write_at(0, &all).expect("write");
        }
        segment
    };
    let (double, in_place) = (create(false), create(true));
    let data = [9_u8; 64];
    let write = |segment: &Segment<SeqLock>, n: u64| {
        let mut offset = 0;
        for _ in 0..n {
            segment.write_at(offset, &data).expect("write");
            offset = ((offset + step) % (SIZE - 64)) & !63;
        }
    };
    let peers = Peers::new();
    let place = Place::new(SIZE);
    // SAFETY: the place has so many bytes.
    unsafe { place.base().write_bytes(7, SIZE) };
    Contest::new(work)
        .timed(RUST, |n| write(&double, n))
        .timed("neocortex in place", |n| write(&in_place, n))
        // SAFETY: both live during the contest.
        .timed("pthread robust", |n| unsafe {
            c::peers_robust_write_at(peers.area(), place.base(), SIZE, data.as_ptr(), 64, step, n);
        })
        .run(settings)
}
