//! Standard output: whether it still has a reader, how wide it is, and a failure where it is closed.
//!
//! The runtime of Rust opens `/dev/null` where standard output is closed, before `main`: what is printed then vanishes
//! with a success. Whether it was closed is therefore asked before that, by a function that the loader calls.

use ratatui::crossterm::terminal;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_whether_closed() {
    // `EBADF` is the only failure of it.
    let is_closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
    WAS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Called before the runtime's own preparations; it allocates nothing and uses nothing of the runtime.
#[used]
#[cfg_attr(
    target_vendor = "apple",
    link_section = "__DATA,__mod_init_func,mod_init_funcs"
)]
#[cfg_attr(not(target_vendor = "apple"), link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = note_whether_closed;

/// Standard output, which fails where it was closed.
pub struct Output(StdoutLock<'static>);

pub fn lock() -> Output {
    Output(io::stdout().lock())
}

impl Output {
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

fn check_open() -> io::Result<()> {
    match WAS_CLOSED.load(Ordering::Relaxed) {
        true => Err(rustix::io::Errno::BADF.into()),
        false => Ok(()),
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check_open()?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        check_open()?;
        self.0.flush()
    }
}

/// Returns how many columns the terminal on standard output has; `None` where it is no terminal, or does not tell.
pub fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let (columns, _) = terminal::size().ok()?;
    (columns > 0).then_some(usize::from(columns))
}

/// Returns whether the reader of a pipe on standard output has left. This is known before anything is written.
pub fn is_closed() -> bool {
    let output = io::stdout();
    let mut ends = [PollFd::new(&output, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let gone = PollFlags::ERR | PollFlags::HUP;
    poll(&mut ends, Some(&now)).is_ok() && ends[0].revents().intersects(gone)
}
