//! Memory that is there: touched, locked, huge; and what becomes of a cortex where it is not to be had.
#![cfg(target_os = "linux")]

use crate::by_lock;
use crate::common::{proof, segment_id, segment_status, Child, Kernel, Role, LOCKS};
use neocortex::{
    Cortex, CortexBuilder, CortexError, CortexSync, HugePages, Observer, Segment, SegmentObserver,
    SegmentOptions,
};
use std::sync::Mutex;

const SIZE: usize = 3_000_000;

/// Bytes of this process's mapping of the segment that are in memory and mapped, and the size of its pages.
fn resident(id: i32) -> (usize, usize) {
    let text = std::fs::read_to_string("/proc/self/smaps").expect("the own mappings");
    let (mut is_it, mut bytes, mut page) = (false, 0, 0);
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0].contains('-') {
            is_it = line.contains("/SYSV") && words[4] == id.to_string();
        } else if is_it {
            let figure = || words[1].parse::<usize>().expect("kB") * 1024;
            match words[0] {
                "Rss:" | "Shared_Hugetlb:" | "Private_Hugetlb:" => bytes += figure(),
                "KernelPageSize:" => page = figure(),
                _ => {}
            }
        }
    }
    (bytes, page)
}

fn id_of(key: i32) -> i32 {
    segment_id(key).expect("the segment")
}

fn total(key: i32) -> usize {
    segment_status(id_of(key)).expect("a status").shm_segsz
}

fn works<L: CortexSync>(segment: &Segment<L>) {
    let size = segment.size();
    segment.write_at(0, &vec![7; size]).unwrap();
    let mut bytes = vec![0; size];
    segment.read_at(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 7));
}

#[test]
fn prefaulted_memory_is_there_before_it_is_used() {
    let kernel = Kernel::new();
    for name in LOCKS {
        fn run<L: CortexSync>(kernel: &Kernel) {
            let key = kernel.key();
            let options = SegmentOptions::new().prefault();
            let owner: Segment<L> = options.create(key, SIZE).unwrap();
            assert!(resident(id_of(key)).0 >= total(key));
            // Zeros all the same.
            let mut bytes = vec![1; SIZE];
            owner.read_at(0, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0));
            works(&owner);
            let plain: Segment<L> = SegmentOptions::new().create(kernel.key(), SIZE).unwrap();
            assert!(resident(id_of(plain.key())).0 < total(plain.key()) / 2);
        }
        by_lock!(name, run(&kernel));
    }
}

#[test]
fn role_attacher() {
    let Some(role) = Role::of("role_attacher") else {
        return;
    };
    let (key, options) = (role.key(), SegmentOptions::new().prefault());
    if role.text(1) == "observe" {
        let observer = SegmentObserver::attach_with(key, 0, &options).unwrap();
        role.say(resident(id_of(key)).0 >= total(key));
        drop(observer);
        let plain = SegmentObserver::attach(key, 0).unwrap();
        role.say(resident(id_of(key)).0 >= total(key));
        drop(plain);
    } else {
        let segment: Segment = options.attach(key, 0).unwrap();
        role.say(resident(id_of(key)).0 >= total(key));
        drop(segment);
        let plain: Segment = Segment::attach(key, 0).unwrap();
        role.say(resident(id_of(key)).0 >= total(key));
        drop(plain);
    }
}

#[test]
fn who_attaches_can_have_its_own_way_to_the_pages_beforehand() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let owner: Segment = SegmentOptions::new().prefault().create(key, SIZE).unwrap();
    owner.write_at(0, &[3; 100]).unwrap();
    for how in ["attach", "observe"] {
        let mut child = Child::spawn("role_attacher", &[&key, &how]);
        child.expect("true");
        child.expect("false");
        child.finish();
    }
    let mut bytes = [0; 100];
    owner.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [3; 100]);
}

/// Whether the kernel says that the segment is locked (SHM_LOCKED, `shmctl(2)`).
fn is_locked(key: i32) -> bool {
    const LOCKED: u32 = 0o2000;
    let status = segment_status(id_of(key)).expect("a status");
    u32::from(status.shm_perm.mode) & LOCKED != 0
}

#[test]
fn role_locker() {
    let Some(role) = Role::of("role_locker") else {
        return;
    };
    let limit: libc::rlim_t = role.text(1).parse().unwrap();
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: a live limit, and a user that is nobody, without rights.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgid(65_534), 0);
            assert_eq!(libc::setuid(65_534), 0);
        }
    }
    let options = SegmentOptions::new().lock_in_memory().prefault();
    match options.create::<neocortex::SeqLock>(role.key(), SIZE) {
        Ok(segment) => {
            works(&segment);
            role.say(is_locked(role.key()));
        }
        Err(error) => role.say(format!("{error}").replace('\n', " ")),
    }
}

#[test]
fn locked_memory_is_locked_until_it_is_removed_or_the_error_says_what_to_raise() {
    let kernel = Kernel::new();
    let key = kernel.key();
    // The usual limit: more may be had by root alone.
    let plenty = 8 << 20;
    let mut child = Child::spawn("role_locker", &[&key, &plenty]);
    child.expect("true");
    child.finish();
    for (limit, answer) in [(0, "EPERM"), (4096, "ENOMEM")] {
        let mut child = Child::spawn("role_locker", &[&key, &limit]);
        let words = child.hear();
        child.finish();
        for part in [
            answer,
            "shmctl(SHM_LOCK)",
            "RLIMIT_MEMLOCK",
            "`lock_in_memory`",
            &key.to_string(),
        ] {
            assert!(words.contains(part), "{part} in {words}");
        }
        // Nothing is left behind.
        assert_eq!(segment_id(key), None);
    }
    let plain: Segment = Segment::create(key, SIZE).unwrap();
    assert!(!is_locked(key));
    drop(plain);
}

/// The number of huge pages is the machine's: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

const SETTING: &str = "/proc/sys/vm/nr_hugepages";

fn meminfo(line: &str) -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").expect("the memory");
    let line = text.lines().find_map(|one| one.strip_prefix(line));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn free() -> usize {
    meminfo("HugePages_Free:").saturating_sub(meminfo("HugePages_Rsvd:"))
}

/// So many more huge pages while this lives.
struct More(usize);

impl More {
    fn set_aside(count: usize) -> Option<Self> {
        let now = meminfo("HugePages_Total:");
        std::fs::write(SETTING, (now + count).to_string()).ok()?;
        let more = Self(meminfo("HugePages_Total:").saturating_sub(now));
        (more.0 == count).then_some(more)
    }
}

impl Drop for More {
    fn drop(&mut self) {
        let rest = meminfo("HugePages_Total:").saturating_sub(self.0);
        let _ = std::fs::write(SETTING, rest.to_string());
    }
}

#[test]
fn huge_pages_are_huge_for_everybody_and_the_size_is_what_was_asked_for() {
    let _turn = TURN.lock();
    let how = "cortexes of huge pages, by every lock and layout: read, written, observed, replaced, removed";
    let Some(_more) = More::set_aside(24) else {
        proof::not_run(
            "P3",
            how,
            "no huge pages can be set aside here (root, memory)",
        );
        return;
    };
    let kernel = Kernel::new();
    let before = free();
    let mut cases = 0;
    for name in LOCKS {
        fn run<L: CortexSync>(kernel: &Kernel, slots: u32) {
            let key = kernel.key();
            let options = SegmentOptions::new()
                .slots(slots)
                .huge_pages(HugePages::Require);
            let owner: Segment<L> = options.create(key, SIZE).unwrap();
            let plain: Segment<L> = SegmentOptions::new()
                .slots(slots)
                .create(kernel.key(), SIZE)
                .unwrap();
            assert_eq!(total(key), total(plain.key()));
            works(&owner);
            let (_, page) = resident(id_of(key));
            assert_eq!(page, meminfo("Hugepagesize:") * 1024);
            let other: Segment<L> = SegmentOptions::new().attach(key, SIZE).unwrap();
            works(&other);
            // Another size is refused, though the mapping has room for it.
            for wrong in [SIZE + 1, SIZE + 64, 4 << 20] {
                let error = SegmentOptions::new()
                    .attach::<L>(key, wrong)
                    .map(drop)
                    .unwrap_err();
                assert!(matches!(error, CortexError::Layout { .. }), "{error}");
            }
            let observer = SegmentObserver::attach(key, SIZE).unwrap();
            let mut bytes = vec![0; SIZE];
            observer.read_at(0, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 7));
            // Touched and locked, as any: what is huge is there in any case.
            drop((other, observer, owner));
            let owner: Segment<L> = options
                .prefault()
                .lock_in_memory()
                .dump()
                .create(key, SIZE)
                .unwrap();
            assert!(resident(id_of(key)).0 >= total(key));
            works(&owner);
        }
        for slots in [1, 2, 3] {
            by_lock!(name, run(&kernel, slots));
            cases += 1;
        }
    }
    let cortex = CortexBuilder::new([1_u64; 1000])
        .key(kernel.key())
        .huge_pages(HugePages::Prefer)
        .create()
        .unwrap();
    let observer = Observer::<[u64; 1000]>::attach(cortex.key()).unwrap();
    assert_eq!(observer.read().unwrap(), [1; 1000]);
    assert_eq!(
        resident(id_of(cortex.key())).1,
        meminfo("Hugepagesize:") * 1024
    );
    drop((cortex, observer));
    assert_eq!(free(), before, "huge pages are given back");
    proof::passed("P3", how, cases);
}

/// A segment that lies in the kernel's tables as a huge one, cut short or foreign, is refused as any.
#[test]
fn what_is_not_to_be_had_is_an_error_or_ordinary_pages() {
    let _turn = TURN.lock();
    let kernel = Kernel::new();
    let key = kernel.key();
    // More than the machine has.
    let size = (free() + 64) * meminfo("Hugepagesize:").max(1024) * 1024;
    let options = SegmentOptions::new().in_place();
    let error = options
        .clone()
        .huge_pages(HugePages::Require)
        .create::<neocortex::SeqLock>(key, size)
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, CortexError::CleanSystem(_)), "{error}");
    let words = error.to_string();
    for part in ["shmget", "vm.nr_hugepages", "`huge_pages`"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert_eq!(segment_id(key), None);
    let segment: Segment = options
        .huge_pages(HugePages::Prefer)
        .create(key, size)
        .unwrap();
    segment.write_at(size - 100, &[5; 100]).unwrap();
    assert_eq!(resident(id_of(key)).1, 4096.max(page_size()));
}

fn page_size() -> usize {
    // SAFETY: takes and returns numbers.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

#[test]
fn what_is_asked_of_memory_is_asked_of_an_adopted_or_replaced_one_too() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let first: Segment = Segment::create(key, SIZE).unwrap();
    first.write_at(0, &[9; 8]).unwrap();
    first.persist();
    drop(first);
    let options = SegmentOptions::new().prefault().force_ownership();
    let adopted: Segment = options.create(key, SIZE).unwrap();
    let mut bytes = [0; 8];
    adopted.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [9; 8]);
    assert!(resident(id_of(key)).0 >= total(key));
    let _: Cortex<[u8; SIZE]> =
        Cortex::attach_with(key, &SegmentOptions::new().prefault()).unwrap();
}
