//! Shared memory for the peers, of which nothing is left behind however this process ends.

use crate::c;
use std::sync::atomic::AtomicU32;

/// A System V segment that is marked for removal as soon as it is attached: it goes with the last
/// process that uses it. Linux lets children attach to it by id until then (`shmctl(2)`).
pub struct Place {
    pub id: i32,
    base: *mut u8,
    size: usize,
}

impl Place {
    pub fn new(size: usize) -> Self {
        // SAFETY: no pointers.
        let id = unsafe { libc::shmget(libc::IPC_PRIVATE, size, 0o600) };
        assert!(id >= 0, "shmget: {}", std::io::Error::last_os_error());
        let place = Self::attach(id, size);
        // SAFETY: IPC_RMID takes no buffer.
        unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        place
    }

    pub fn attach(id: i32, size: usize) -> Self {
        // SAFETY: where the kernel likes.
        let base = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        assert!(
            base as isize != -1,
            "shmat: {}",
            std::io::Error::last_os_error()
        );
        Self {
            id,
            base: base.cast(),
            size,
        }
    }

    pub fn base(&self) -> *mut u8 {
        self.base
    }

    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: attached in `attach`, and whoever borrowed it is gone.
        unsafe { libc::shmdt(self.base.cast()) };
    }
}

/// What the C peers share, and what they have in the kernel.
pub struct Peers {
    pub place: Place,
    pub semid: i32,
    boost: Place,
    file: std::fs::File,
}

impl Peers {
    pub fn new() -> Self {
        use std::os::fd::AsRawFd;
        // SAFETY: `area` has the size that the C side asks for, zeroed, attached for as long as self.
        unsafe {
            let place = Place::new(c::peers_area_size());
            assert_eq!(c::peers_init(place.base()), 0);
            let semid = c::peers_semaphore_set();
            assert!(semid >= 0, "semget: {}", std::io::Error::last_os_error());
            let name = format!("peers-flock-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let file = std::fs::File::create(&path).expect("a file in the temporary directory");
            let _ = std::fs::remove_file(&path);
            c::peers_use(place.base(), semid, file.as_raw_fd());
            let boost = Place::new(c::boost::size());
            c::boost::init(boost.base());
            Self {
                place,
                semid,
                boost,
                file,
            }
        }
    }

    pub fn area(&self) -> *mut u8 {
        let _ = &self.file;
        self.place.base()
    }

    pub fn boost(&self) -> &Place {
        &self.boost
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        unsafe { c::peers_remove_set(self.semid) };
    }
}

/// How two processes begin and end together.
#[repr(C)]
pub struct Signals {
    pub ready: AtomicU32,
    pub go: AtomicU32,
    pub stop: AtomicU32,
}

impl Signals {
    pub fn of(place: &Place) -> &Self {
        assert!(place.size() >= size_of::<Self>());
        // SAFETY: large enough, page-aligned, all atomics, lives as long as the place.
        unsafe { &*place.base().cast::<Self>() }
    }
}
