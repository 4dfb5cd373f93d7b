//! The C and C++ side, and our own C API out of `libneocortex.so`.

use std::ffi::{c_char, c_int, c_void, CString};

macro_rules! loops {
    ($($read:ident $write:ident $read_until:ident $write_until:ident;)*) => {
        #[allow(dead_code)]
        unsafe extern "C" {$(
            pub fn $read(area: *mut u8, n: u64) -> u64;
            pub fn $write(area: *mut u8, n: u64) -> u64;
            pub fn $read_until(area: *mut u8, stop: *const u32) -> u64;
            pub fn $write_until(area: *mut u8, stop: *const u32) -> u64;
        )*}
    };
}

loops! {
    peers_rwlock_read peers_rwlock_write peers_rwlock_read_until peers_rwlock_write_until;
    peers_robust_read peers_robust_write peers_robust_read_until peers_robust_write_until;
    peers_semaphore_read peers_semaphore_write peers_semaphore_read_until peers_semaphore_write_until;
    peers_semop_read peers_semop_write peers_semop_read_until peers_semop_write_until;
    peers_flock_read peers_flock_write peers_flock_read_until peers_flock_write_until;
    peers_plain_read peers_plain_write peers_plain_read_until peers_plain_write_until;
    peers_word_read peers_word_write peers_word_read_until peers_word_write_until;
}

unsafe extern "C" {
    pub fn peers_area_size() -> usize;
    pub fn peers_init(area: *mut u8) -> c_int;
    pub fn peers_use(area: *mut u8, semid: c_int, fd: c_int);
    pub fn peers_semaphore_set() -> c_int;
    pub fn peers_remove_set(id: c_int);
    pub fn peers_plain_pair_read(area: *mut u8, n: u64) -> u64;
    pub fn peers_counted_read(area: *mut u8, n: u64) -> u64;
    pub fn peers_commit_read(area: *mut u8, n: u64) -> u64;
    pub fn peers_robust_hold(area: *mut u8);
    pub fn peers_robust_write_at(
        area: *mut u8,
        bytes: *mut u8,
        size: usize,
        data: *const u8,
        length: usize,
        step: usize,
        n: u64,
    );
    pub fn peers_memcpy(to: *mut u8, from: *const u8, length: usize, to_step: usize, n: u64);
    pub fn peers_bare_size() -> usize;
    pub fn peers_bare_read(
        bare: *mut u8,
        to: *mut u8,
        from: *const u8,
        length: usize,
        from_step: usize,
        n: u64,
    );
    pub fn peers_bare_write(
        bare: *mut u8,
        to: *mut u8,
        from: *const u8,
        length: usize,
        to_step: usize,
        n: u64,
    );

    pub fn peers_api_read(api: *const Api, segment: *mut c_void, n: u64) -> u64;
    pub fn peers_api_nothing(api: *const Api, n: u64);
    pub fn peers_api_write(api: *const Api, segment: *mut c_void, n: u64);
    pub fn peers_api_publish(api: *const Api, segment: *mut c_void, n: u64);
    pub fn peers_api_guard(api: *const Api, segment: *mut c_void, n: u64) -> u64;
    pub fn peers_api_read_at(
        api: *const Api,
        segment: *mut c_void,
        buffer: *mut u8,
        length: usize,
        n: u64,
    );
    pub fn peers_api_write_at(
        api: *const Api,
        segment: *mut c_void,
        data: *const u8,
        length: usize,
        n: u64,
    );
    pub fn peers_api_follow(
        api: *const Api,
        segment: *mut c_void,
        size: usize,
        burst: usize,
        limit: usize,
        since: u64,
        n: u64,
    ) -> u64;
    pub fn peers_api_ping(
        api: *const Api,
        there: *mut c_void,
        back: *mut c_void,
        thought: u64,
        n: u64,
        trips: *mut u64,
    );
    pub fn peers_api_pong(
        api: *const Api,
        there: *mut c_void,
        back: *mut c_void,
        since: u64,
        thought: u64,
        n: u64,
    );

    pub fn peers_ring_size(gap: usize, count: u64) -> usize;
    pub fn peers_ring_run(
        ring: *mut u8,
        how: u32,
        is_batched: bool,
        size: usize,
        gap: usize,
        n: u64,
    ) -> u64;
    pub fn peers_ring_again(
        ring: *mut u8,
        is_batched: bool,
        size: usize,
        gap: usize,
        n: u64,
    ) -> u64;
    pub fn peers_ring_push_until(
        ring: *mut u8,
        how: u32,
        size: usize,
        gap: usize,
        stop: *const u32,
    ) -> u64;
    pub fn peers_ring_follow_until(
        ring: *mut u8,
        is_batched: bool,
        size: usize,
        gap: usize,
        stop: *const u32,
    ) -> u64;

    pub fn peers_create(size: usize, key: c_int, only_segment: bool, n: u64);
    pub fn peers_attach(key: c_int, set: c_int, only_segment: bool, n: u64);
    pub fn peers_found(key: c_int, size: usize, segment: *mut c_int) -> c_int;

    pub fn peers_think(time: u64);
    pub fn peers_futex_ping(area: *mut u8, thought: u64, has_limit: bool, n: u64, trips: *mut u64);
    pub fn peers_futex_pong(area: *mut u8, thought: u64, has_limit: bool, n: u64);
    pub fn peers_spin_ping(area: *mut u8, carried: u32, n: u64, trips: *mut u64);
    pub fn peers_spin_pong(area: *mut u8, carried: u32, n: u64);
    pub fn peers_fd_ping(input: c_int, output: c_int, n: u64, trips: *mut u64);
    pub fn peers_fd_pong(input: c_int, output: c_int, n: u64);
    pub fn peers_queue(name: *const c_char, is_new: bool) -> c_int;
    pub fn peers_queue_ping(input: c_int, output: c_int, n: u64, trips: *mut u64);
    pub fn peers_queue_pong(input: c_int, output: c_int, n: u64);
}

/// Boost, if its headers were there when this was built.
pub mod boost {
    pub const MISSING: &str = "not measured: install libboost-dev";

    #[cfg(boost)]
    mod native {
        use std::ffi::c_char;

        loops! {
            boost_mutex_read boost_mutex_write boost_mutex_read_until boost_mutex_write_until;
            boost_sharable_read boost_sharable_write boost_sharable_read_until boost_sharable_write_until;
        }
        unsafe extern "C" {
            pub fn boost_area_size() -> usize;
            pub fn boost_init(memory: *mut u8);
            pub fn boost_queue(
                name: *const c_char,
                is_new: bool,
                depth: usize,
                size: usize,
            ) -> *mut u8;
            pub fn boost_queue_remove(name: *const c_char);
            pub fn boost_queue_close(queue: *mut u8);
            pub fn boost_queue_run(queue: *mut u8, burst: usize, n: u64) -> u64;
            pub fn boost_queue_push_until(queue: *mut u8, stop: *const u32) -> u64;
            pub fn boost_queue_take_until(queue: *mut u8, stop: *const u32) -> u64;
            pub fn boost_queue_both_until(queue: *mut u8, stop: *const u32) -> u64;
        }
    }

    pub type Loop = unsafe extern "C" fn(*mut u8, u64) -> u64;
    pub type LoopUntil = unsafe extern "C" fn(*mut u8, *const u32) -> u64;

    /// The loops of one mutex.
    #[derive(Clone, Copy)]
    pub struct Loops {
        pub read: Loop,
        pub write: Loop,
        pub read_until: LoopUntil,
        pub write_until: LoopUntil,
    }

    #[cfg(boost)]
    pub fn size() -> usize {
        // SAFETY: returns a constant.
        unsafe { native::boost_area_size() }
    }

    #[cfg(not(boost))]
    pub fn size() -> usize {
        64
    }

    /// # Safety
    /// `memory` has [`size`] bytes, aligned to 64.
    #[cfg(boost)]
    pub unsafe fn init(memory: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { native::boost_init(memory) };
    }

    /// # Safety
    /// None.
    #[cfg(not(boost))]
    pub unsafe fn init(_memory: *mut u8) {}

    /// What a process does with a message queue until it is told to stop.
    #[derive(Clone, Copy)]
    pub enum Part {
        Push,
        Take,
        Both,
    }

    /// `boost::interprocess::message_queue`, under a name in `/dev/shm`.
    pub struct Queue(#[cfg_attr(not(boost), allow(dead_code))] *mut u8);

    #[cfg(boost)]
    impl Queue {
        /// A new one for so many messages of so many bytes.
        pub fn create(name: &str, depth: usize, size: usize) -> Option<Self> {
            let name = std::ffi::CString::new(name).expect("no NUL");
            // SAFETY: a name that ends with NUL.
            Some(Self(unsafe {
                native::boost_queue(name.as_ptr(), true, depth, size)
            }))
        }

        pub fn open(name: &str) -> Self {
            let name = std::ffi::CString::new(name).expect("no NUL");
            // SAFETY: a name that ends with NUL.
            Self(unsafe { native::boost_queue(name.as_ptr(), false, 0, 0) })
        }

        pub fn remove(name: &str) {
            let name = std::ffi::CString::new(name).expect("no NUL");
            // SAFETY: a name that ends with NUL.
            unsafe { native::boost_queue_remove(name.as_ptr()) };
        }

        pub fn run(&self, burst: usize, n: u64) -> u64 {
            // SAFETY: an open queue.
            unsafe { native::boost_queue_run(self.0, burst, n) }
        }

        pub fn until(&self, part: Part, stop: *const u32) -> u64 {
            let run = match part {
                Part::Push => native::boost_queue_push_until,
                Part::Take => native::boost_queue_take_until,
                Part::Both => native::boost_queue_both_until,
            };
            // SAFETY: an open queue, and a word that lives.
            unsafe { run(self.0, stop) }
        }
    }

    #[cfg(boost)]
    impl Drop for Queue {
        fn drop(&mut self) {
            // SAFETY: an open queue, closed once.
            unsafe { native::boost_queue_close(self.0) };
        }
    }

    #[cfg(not(boost))]
    impl Queue {
        pub fn create(_name: &str, _depth: usize, _size: usize) -> Option<Self> {
            None
        }

        pub fn open(_name: &str) -> Self {
            panic!("{MISSING}")
        }

        pub fn remove(_name: &str) {}

        pub fn run(&self, _burst: usize, _n: u64) -> u64 {
            panic!("{MISSING}")
        }

        pub fn until(&self, _part: Part, _stop: *const u32) -> u64 {
            panic!("{MISSING}")
        }
    }

    #[cfg(boost)]
    pub fn mutex() -> Option<Loops> {
        Some(Loops {
            read: native::boost_mutex_read,
            write: native::boost_mutex_write,
            read_until: native::boost_mutex_read_until,
            write_until: native::boost_mutex_write_until,
        })
    }

    #[cfg(boost)]
    pub fn sharable() -> Option<Loops> {
        Some(Loops {
            read: native::boost_sharable_read,
            write: native::boost_sharable_write,
            read_until: native::boost_sharable_read_until,
            write_until: native::boost_sharable_write_until,
        })
    }

    #[cfg(not(boost))]
    pub fn mutex() -> Option<Loops> {
        None
    }

    #[cfg(not(boost))]
    pub fn sharable() -> Option<Loops> {
        None
    }
}

/// The functions of `neocortex.h` that the loops in C call, in the order of `struct api`.
#[repr(C)]
pub struct Api {
    calls: [*mut c_void; CALLS.len()],
    create: *mut c_void,
    attach: *mut c_void,
    close: *mut c_void,
    lock_rwlock: *mut c_void,
}

const CALLS: [&str; 12] = [
    "neocortex_read",
    "neocortex_write",
    "neocortex_read_at",
    "neocortex_write_at",
    "neocortex_read_begin",
    "neocortex_read_end",
    "neocortex_write_begin",
    "neocortex_write_commit",
    "neocortex_write_publish",
    "neocortex_wait",
    "neocortex_interrupt",
    "neocortex_follow",
];

/// The first version of `neocortex_options`.
#[repr(C)]
struct Options {
    struct_size: usize,
    mode: u32,
    flags: u32,
    schema: u64,
    participants: u32,
    align: u32,
    timeout_ns: i64,
    lock: *const c_void,
    slots: u32,
}

const RANDOM_KEY: u32 = 32;

impl Api {
    /// Out of the library that cargo built beside this program.
    pub fn load() -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        let beside = program.parent()?;
        let library = [beside.join("deps"), beside.to_owned()]
            .into_iter()
            .map(|folder| folder.join("libneocortex.so"))
            .find(|path| path.exists())?;
        let path = CString::new(library.to_str()?).ok()?;
        // SAFETY: a path that ends with NUL; the library's initialisers are Rust's.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if library.is_null() {
            return None;
        }
        let find = |name: &str| {
            let name = CString::new(name).ok()?;
            // SAFETY: an open library and a name that ends with NUL.
            let address = unsafe { libc::dlsym(library, name.as_ptr()) };
            (!address.is_null()).then_some(address)
        };
        let mut calls = [std::ptr::null_mut(); CALLS.len()];
        for (call, name) in calls.iter_mut().zip(CALLS) {
            *call = find(name)?;
        }
        Some(Self {
            calls,
            create: find("neocortex_create")?,
            attach: find("neocortex_attach")?,
            close: find("neocortex_close")?,
            lock_rwlock: find("neocortex_lock_rwlock")?,
        })
    }

    /// A new segment of the C API, with the default lock or the read/write lock.
    pub fn create(&self, size: usize, is_rwlock: bool) -> Handle<'_> {
        self.create_with(size, is_rwlock, 0)
    }

    /// One that keeps so many commits, with the default lock.
    pub fn create_log(&self, size: usize, slots: u32) -> Handle<'_> {
        self.create_with(size, false, slots)
    }

    fn create_with(&self, size: usize, is_rwlock: bool, slots: u32) -> Handle<'_> {
        type Create = unsafe extern "C" fn(i32, usize, *const Options) -> *mut c_void;
        type Lock = unsafe extern "C" fn() -> *const c_void;
        // SAFETY: the types of neocortex.h; the options live during the call.
        let pointer = unsafe {
            let create: Create = std::mem::transmute(self.create);
            let rwlock: Lock = std::mem::transmute(self.lock_rwlock);
            let options = Options {
                struct_size: size_of::<Options>(),
                mode: 0,
                flags: RANDOM_KEY,
                schema: 0,
                participants: 0,
                align: 0,
                timeout_ns: 0,
                lock: if is_rwlock {
                    rwlock()
                } else {
                    std::ptr::null()
                },
                slots,
            };
            create(0, size, &options)
        };
        assert!(!pointer.is_null(), "neocortex_create failed");
        Handle { api: self, pointer }
    }

    pub fn attach(&self, key: i32) -> Handle<'_> {
        type Attach = unsafe extern "C" fn(i32, usize) -> *mut c_void;
        // SAFETY: the type of neocortex.h.
        let pointer = unsafe {
            let attach: Attach = std::mem::transmute(self.attach);
            attach(key, 0)
        };
        assert!(!pointer.is_null(), "neocortex_attach failed");
        Handle { api: self, pointer }
    }
}

/// An open `neocortex_segment`.
pub struct Handle<'a> {
    api: &'a Api,
    pub pointer: *mut c_void,
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        type Close = unsafe extern "C" fn(*mut c_void) -> i32;
        // SAFETY: an open handle, closed once.
        unsafe {
            let close: Close = std::mem::transmute(self.api.close);
            close(self.pointer);
        }
    }
}
