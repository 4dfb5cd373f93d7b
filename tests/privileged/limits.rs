//! Each limit of the kernel gives an error that names it and says how to raise it, and leaves nothing behind.
//!
//! The limits are those of an IPC namespace of the test's own (`/proc/sys/kernel/{shmmni,shmmax,shmall,sem}`), of its
//! address space, and of a memory cgroup beneath its own: nothing of the machine's is changed.
#![cfg(target_os = "linux")]

use crate::common::{proof, Events};
use neocortex::{CortexError, Segment, SegmentOptions, SeqLock};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

const HOW: &str =
    "each kernel limit reached: SHMMNI, SHMMAX, SHMALL, SEMMNI, SEMMNS, SEMMSL, RLIMIT_AS";
const CGROUP: &str = "a memory cgroup's limit reached while a value is written";

/// Runs `work` in a child with an IPC namespace of its own; why it could not be had.
fn apart(work: impl FnOnce()) -> Result<(), String> {
    let mut lacks = None;
    let child = crate::common::fork(|| {
        // SAFETY: no memory is passed.
        let left = unsafe {
            libc::unshare(libc::CLONE_NEWIPC) == 0
                || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWIPC) == 0
        };
        assert!(left, "APART: {}", std::io::Error::last_os_error());
        std::fs::write("/proc/sys/kernel/shmmni", "4096")
            .unwrap_or_else(|error| panic!("APART: {error}"));
        work();
    });
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| child.join())) {
        let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        match words.split_once("APART: ") {
            Some((_, why)) => lacks = Some(why.to_owned()),
            None => panic!("{words}"),
        }
    }
    lacks.map_or(Ok(()), Err)
}

fn set(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/kernel/{name}"), value)
        .expect("a limit of our own namespace");
}

fn is_empty() -> bool {
    ["shm", "sem"].iter().all(|table| {
        let text =
            std::fs::read_to_string(format!("/proc/sysvipc/{table}")).expect("the kernel's table");
        text.lines().count() == 1
    })
}

fn create(size: usize) -> Result<Segment<SeqLock>, CortexError> {
    SegmentOptions::new().participants(8).create_random(size)
}

/// The failure must be of this call, with this answer, and its message must have these words.
#[track_caller]
fn expect(result: Result<Segment<SeqLock>, CortexError>, call: &str, errno: i32, words: &[&str]) {
    let error = result.expect_err("the limit is reached");
    let CortexError::CleanSystem(system) = &error else {
        panic!("not clean: {error}");
    };
    assert_eq!(
        (system.call(), system.raw_os_error()),
        (call, Some(errno)),
        "{error}"
    );
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn each_limit_is_named_with_the_way_to_raise_it() {
    let done = apart(|| {
        let works = || drop(create(64).expect("with the limit raised again"));
        set("shmmni", "0");
        expect(
            create(64),
            "shmget",
            libc::ENOSPC,
            &["kernel.shmmni", "raise", "sysctl", "ipcs -lm"],
        );
        assert!(is_empty());
        set("shmmni", "1");
        let first = create(64).expect("one is allowed");
        expect(create(64), "shmget", libc::ENOSPC, &["kernel.shmmni"]);
        drop(first);
        set("shmmni", "4096");
        works();

        set("shmmax", "8192");
        expect(
            create(1 << 20),
            "shmget",
            libc::EINVAL,
            &["kernel.shmmax", "raise", "share less"],
        );
        set("shmmax", "1073741824");
        drop(create(1 << 20).expect("with the limit raised again"));

        set("shmall", "16");
        expect(
            create(1 << 20),
            "shmget",
            libc::ENOSPC,
            &["kernel.shmall", "raise"],
        );
        set("shmall", "1048576");
        drop(create(1 << 20).expect("with the limit raised again"));

        // SEMMSL, SEMMNS, SEMOPM, SEMMNI.
        set("sem", "10 32000 500 128");
        expect(
            create(64),
            "semget",
            libc::EINVAL,
            &["SEMMSL", "kernel.sem", "participants"],
        );
        assert!(is_empty(), "the segment was taken back");
        set("sem", "32000 10 500 128");
        expect(
            create(64),
            "semget",
            libc::ENOSPC,
            &["SEMMNS", "kernel.sem", "participants"],
        );
        assert!(is_empty());
        set("sem", "32000 32000 500 1");
        let first = create(64).expect("one is allowed");
        expect(create(64), "semget", libc::ENOSPC, &["SEMMNI", "raise"]);
        drop(first);
        // A claim is two operations at once.
        set("sem", "32000 32000 1 128");
        expect(create(64), "semop", libc::E2BIG, &["SEMOPM", "kernel.sem"]);
        assert!(is_empty(), "segment and set were taken back");
        set("sem", "32000 1024000000 500 32000");
        works();

        // SAFETY: plain old data, and a live place for it.
        let before = unsafe {
            let mut limit: libc::rlimit = std::mem::zeroed();
            assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &mut limit), 0);
            let tight = libc::rlimit {
                rlim_cur: 256 << 20,
                ..limit
            };
            assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &tight), 0);
            limit
        };
        expect(
            create(300 << 20),
            "shmat",
            libc::ENOMEM,
            &["RLIMIT_AS", "ulimit -v"],
        );
        assert!(is_empty(), "the segment was taken back");
        // SAFETY: a live value.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &before) }, 0);
        drop(create(300 << 20).expect("with the limit raised again"));
        assert!(is_empty());
    });
    match done {
        Ok(()) => proof::passed("P5 P10", HOW, 9),
        Err(why) => proof::not_run(
            "P5 P10",
            HOW,
            &format!("an IPC namespace of its own: {why}"),
        ),
    }
}

/// What a C read in place, or of an observer, copies into before it writes to the caller's buffer may be more than
/// there is.
#[test]
fn a_read_for_which_there_is_no_memory_fails_with_a_status() {
    use neocortex::capi::*;
    const SIZE: usize = 256 << 20;
    const HOW: &str = "RLIMIT_AS reached by a C read of 256 MiB";
    let done = apart(|| {
        // SAFETY: all zeros is one of its values; the key is free in a namespace of our own.
        let handles = unsafe {
            let mut options: neocortex_options = std::mem::zeroed();
            options.struct_size = size_of::<neocortex_options>();
            options.flags = NEOCORTEX_IN_PLACE;
            let owner = neocortex_create(7, SIZE, &options);
            options.flags = NEOCORTEX_READ_ONLY;
            [owner, neocortex_attach_with(7, SIZE, &options)]
        };
        assert!(handles.iter().all(|handle| !handle.is_null()));
        let mut buffer = vec![0_u8; SIZE];
        buffer[0] = 7;
        let pages = std::fs::read_to_string("/proc/self/statm").expect("what is mapped");
        let pages: u64 = pages
            .split(' ')
            .next()
            .expect("the first")
            .parse()
            .expect("a number");
        // SAFETY: plain old data, and a live place for it; open handles, and a buffer of that length.
        unsafe {
            let mut before: libc::rlimit = std::mem::zeroed();
            assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &mut before), 0);
            let page = libc::sysconf(libc::_SC_PAGESIZE) as u64;
            let rlim_cur = pages * page + (32 << 20);
            let tight = libc::rlimit { rlim_cur, ..before };
            assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &tight), 0);
            for handle in handles {
                let to = buffer.as_mut_ptr().cast();
                let results = [
                    neocortex_read(handle, to, SIZE),
                    neocortex_read_at(handle, 0, to, SIZE),
                ];
                assert_eq!(results, [NEOCORTEX_ERR_CLEAN_SYSTEM; 2]);
                assert_eq!(neocortex_last_os_error(), libc::ENOMEM);
                let message = std::ffi::CStr::from_ptr(neocortex_last_message());
                assert!(message
                    .to_str()
                    .is_ok_and(|message| message.contains("ulimit -v")));
                assert_eq!(buffer[0], 7, "written on success only");
                // A part at a time, as the message advises.
                assert_eq!(neocortex_read(handle, to, 1 << 20), NEOCORTEX_OK);
                assert_eq!(buffer[0], 0);
                buffer[0] = 7;
            }
            assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &before), 0);
            for handle in handles {
                assert_eq!(
                    neocortex_read(handle, buffer.as_mut_ptr().cast(), SIZE),
                    NEOCORTEX_OK
                );
                assert_eq!(std::mem::replace(&mut buffer[0], 7), 0);
            }
            for handle in handles {
                assert_eq!(neocortex_close(handle), NEOCORTEX_OK);
            }
        }
        assert!(is_empty());
    });
    match done {
        Ok(()) => proof::passed("P5 P10", HOW, 4),
        Err(why) => proof::not_run(
            "P5 P10",
            HOW,
            &format!("an IPC namespace of its own: {why}"),
        ),
    }
}

const POLICIES: &str =
    "memory that a process locks, and a seccomp filter: named, with what to do, and nothing is left";

/// Makes this process one whose calls of this number end with `EPERM`, as in a container's default profile.
fn forbid(call: libc::c_long) {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: u8::from(code & 0x07 == libc::BPF_JMP),
        k,
    };
    let mut filter = [
        // The number of the call is the first word of `seccomp_data` (seccomp(2)).
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32),
        statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: a live program, which the kernel copies.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program
            ),
            0,
            "a filter"
        );
    }
}

#[test]
fn what_comes_from_around_a_call_is_named_with_what_to_do() {
    let done = apart(|| {
        // A process that locks all its memory; root may lock any amount, whoever it becomes may not.
        let locks = crate::common::fork(|| {
            // SAFETY: plain old data, live places, and calls without memory.
            unsafe {
                let mut limit: libc::rlimit = std::mem::zeroed();
                assert_eq!(libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit), 0);
                limit.rlim_max = limit.rlim_max.min(64 << 20);
                limit.rlim_cur = limit.rlim_max;
                assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
                libc::setresuid(65534, 65534, 65534);
                // Where this is root of a user namespace of its own, it has no right to lock more anyway.
                libc::setresuid(65534, 65534, 65534);
                assert_eq!(libc::mlockall(libc::MCL_FUTURE), 0);
            }
            expect(
                create(100 << 20),
                "shmat",
                libc::EAGAIN,
                &["mlockall", "RLIMIT_MEMLOCK", "ulimit -l"],
            );
            drop(create(64).expect("a small one"));
        });
        locks.join();
        assert!(is_empty(), "the segment was taken back");
        for (calls, name) in [
            (&[libc::SYS_shmget][..], "shmget"),
            (&[libc::SYS_shmat], "shmat"),
            (&[libc::SYS_semget], "semget"),
            // A C library may do the one by the other.
            (&[libc::SYS_semop, libc::SYS_semtimedop], "semop"),
        ] {
            let filtered = crate::common::fork(|| {
                calls.iter().copied().for_each(forbid);
                expect(create(64), name, libc::EPERM, &["seccomp", "@ipc"]);
            });
            filtered.join();
            assert!(is_empty(), "{name}: what was made was taken back");
        }
    });
    match done {
        Ok(()) => proof::passed("P5 P10", POLICIES, 5),
        Err(why) => proof::not_run(
            "P5 P10",
            POLICIES,
            &format!("an IPC namespace of its own: {why}"),
        ),
    }
}

/// Where the kernel removes a segment with its last attachment nothing can stay, and creating says so.
#[test]
fn creating_says_so_where_nothing_can_stay() {
    let how = "kernel.shm_rmid_forced=1: creating warns, and warns each time of what is to stay";
    let done = apart(|| {
        let events = Events::up_to(tracing::Level::WARN);
        let global = tracing::subscriber::set_global_default(events.clone());
        global.expect("the only one of this process");
        let warnings = || events.take();
        set("shm_rmid_forced", "1");
        let segment = create(64).expect("made");
        // Once in a process, and the one that this was forked from may have made one already.
        let said = warnings();
        assert!(
            said.iter()
                .all(|one| one.contains("kernel.shm_rmid_forced")),
            "{said:?}"
        );
        let stays = || -> Segment<SeqLock> {
            let options = SegmentOptions::new().participants(8).persist();
            options.create_random(64).expect("made")
        };
        for _ in 0..2 {
            let kept = stays();
            let said = warnings();
            assert!(
                said.len() == 1 && said[0].contains("although it is to stay"),
                "{said:?}"
            );
            drop(kept);
        }
        // As it says: it is gone, and its semaphores are not.
        assert_eq!(neocortex::inspect::segments().unwrap().len(), 1);
        assert_eq!(neocortex::inspect::orphans().unwrap().len(), 2);
        segment.persist();
        let said = warnings();
        assert!(
            said.len() == 1 && said[0].contains("although it is to stay"),
            "{said:?}"
        );
        drop(segment);
        set("shm_rmid_forced", "0");
        neocortex::inspect::reclaim_orphans().unwrap();
        let kept = stays();
        assert_eq!(warnings(), Vec::<String>::new());
        let key = kept.key();
        drop(kept);
        neocortex::inspect::remove(key).expect("it has stayed");
        assert!(is_empty());
    });
    match done {
        Ok(()) => proof::passed("P10", how, 4),
        Err(why) => proof::not_run("P10", how, &format!("an IPC namespace of its own: {why}")),
    }
}

/// A memory cgroup beneath this process's own; removed when dropped.
struct Group(PathBuf);

impl Group {
    fn make() -> Result<Self, String> {
        let own =
            std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let path = own
            .lines()
            .find_map(|line| line.split_once(":memory:"))
            .map(|(_, path)| path);
        let path = path.ok_or("no memory controller of version 1")?;
        let name = format!("neocortex-test-{}", std::process::id());
        let group = Path::new("/sys/fs/cgroup/memory")
            .join(path.trim_start_matches('/'))
            .join(name);
        std::fs::create_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
        let group = Self(group);
        group.set("memory.limit_in_bytes", &(16 << 20).to_string())?;
        Ok(group)
    }

    fn set(&self, file: &str, value: &str) -> Result<(), String> {
        std::fs::write(self.0.join(file), value).map_err(|error| format!("{file}: {error}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its pages are uncharged soon after the last process.
        while std::fs::remove_dir(&self.0)
            .is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
        {
            std::thread::yield_now();
        }
    }
}

/// What the guide says under "Known limits": pages come when they are first touched, so creating succeeds, and the
/// process that touches one more than its cgroup allows is killed by the kernel, like any other that needs
/// memory. The others keep the last committed value, and nobody hangs.
#[test]
fn a_writer_killed_by_the_memory_limit_leaves_the_last_value() {
    let group = match Group::make() {
        Ok(group) => group,
        Err(why) => return proof::not_run("P2 P5", CGROUP, &why),
    };
    let kernel = crate::common::Kernel::new();
    let key = kernel.key();
    const SIZE: usize = 64 << 20;
    let segment: Segment<SeqLock> =
        Segment::create(key, SIZE).expect("creating touches next to nothing");
    let procs = group.0.join("cgroup.procs");
    let (mut from, mut to) = crate::common::pipe();
    // SAFETY: the child uses this library and what it allocates, and `_exit`s.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1);
    if child == 0 {
        let joined = std::fs::write(procs, std::process::id().to_string());
        let _ = to.write_all(format!("{joined:?}").as_bytes());
        drop(to);
        let writer: Segment<SeqLock> = Segment::attach(key, SIZE).expect("a handle");
        let mut guard = writer.write_guard().expect("a guard");
        guard.fill(1);
        let code = if guard.commit().is_ok() { 0 } else { 1 };
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    drop(to);
    let mut joined = String::new();
    std::io::Read::read_to_string(&mut from, &mut joined).expect("the pipe");
    let mut status = 0;
    // SAFETY: a child of ours, a live place.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    let status = std::process::ExitStatus::from_raw(status);
    if joined != "Ok(())" {
        return proof::not_run("P2 P5", CGROUP, &joined);
    }
    println!("the writer ended by {status}");
    assert_eq!(
        status.signal(),
        Some(libc::SIGKILL),
        "{status}: not the kernel's answer that the guide describes"
    );
    let mut bytes = [0; 9];
    segment.read_at(0, &mut bytes).expect("a read");
    assert_eq!(
        (segment.version(), bytes),
        (0, [0; 9]),
        "the first value stands"
    );
    segment
        .write_at(0, b"next one!")
        .expect("the dead holder is passed");
    segment.read_at(0, &mut bytes).expect("a read");
    assert_eq!(&bytes, b"next one!");
    proof::passed("P2 P5", CGROUP, 1);
}
