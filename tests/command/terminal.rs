//! `top` on a real terminal (a pty), what it draws read back by a terminal emulator.

use super::common::Kernel;
use super::{holder, path};
use neocortex::CortexBuilder;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

/// A terminal of 140 × 30 with `top` in it; what is on the screen.
struct Terminal {
    process: Child,
    ours: File,
    /// Kept open, so that the terminal's settings can be looked at when the program is gone.
    theirs: OwnedFd,
    screen: vt100::Parser,
}

fn settings(terminal: &OwnedFd) -> (u32, u32, u32) {
    // SAFETY: plain old data.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: a live place.
    let result = unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut settings) };
    assert_eq!(result, 0);
    (settings.c_iflag, settings.c_oflag, settings.c_lflag)
}

impl Terminal {
    fn start() -> Self {
        Self::start_with(true, &[])
    }

    /// Only a process whose own terminal it is hears (SIGHUP) that the terminal is gone.
    fn start_with(is_its_own: bool, environment: &[(&str, &OsStr)]) -> Self {
        let (mut ours, mut theirs) = (0, 0);
        let size = libc::winsize {
            ws_row: 30,
            ws_col: 140,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: live places; the descriptors are new, and each gets one owner.
        let (ours, theirs) = unsafe {
            assert_eq!(
                libc::openpty(
                    &mut ours,
                    &mut theirs,
                    std::ptr::null_mut(),
                    std::ptr::null(),
                    &size
                ),
                0
            );
            // Or the program would hold its own terminal open.
            libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
            (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
        };
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = Command::new(path());
        command
            .args(["top", "--interval", "0.1"])
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end());
        // SAFETY: system calls and nothing else: the terminal becomes the child's own.
        unsafe {
            command.pre_exec(move || {
                if is_its_own {
                    libc::setsid();
                    libc::ioctl(0, libc::TIOCSCTTY, 0);
                }
                Ok(())
            })
        };
        let process = command.spawn().unwrap();
        Self {
            process,
            ours,
            theirs,
            screen: vt100::Parser::new(30, 140, 0),
        }
    }

    /// Reads what is drawn until the screen is as wanted; the watchdog ends a test that waits in vain.
    fn await_screen(&mut self, is_so: impl Fn(&vt100::Screen) -> bool) -> String {
        let mut bytes = [0; 4096];
        while !is_so(self.screen.screen()) {
            let count = self.ours.read(&mut bytes).expect("the terminal");
            self.screen.process(&bytes[..count]);
        }
        self.screen.screen().contents()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a child of ours that was not waited for.
        assert_eq!(unsafe { libc::kill(self.process.id() as i32, signal) }, 0);
    }

    /// The status when it has ended, and that the terminal is as it was `before`.
    fn end(mut self, before: (u32, u32, u32)) -> std::process::ExitStatus {
        self.await_screen(|screen| !screen.alternate_screen() && !screen.hide_cursor());
        let status = self.process.wait().unwrap();
        assert_eq!(settings(&self.theirs), before, "the terminal's settings");
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The window is closed. Whoever outlives that without a signal, as under `sudo`, finds out by itself.
#[test]
fn top_ends_with_its_terminal() {
    let _kernel = Kernel::new();
    for is_its_own in [true, false] {
        let mut terminal = Terminal::start_with(is_its_own, &[]);
        terminal.await_screen(|screen| screen.contents().contains("q quit"));
        // Stopped where it waits for a key, most likely: what it then sees first is a terminal that can be read.
        terminal.signal(libc::SIGSTOP);
        let mut status = 0;
        // SAFETY: a child of ours, a live place.
        unsafe { libc::waitpid(terminal.process.id() as i32, &mut status, libc::WUNTRACED) };
        assert!(libc::WIFSTOPPED(status));
        // The last descriptor of our side, by putting another file in its place.
        terminal.ours = File::open("/dev/null").unwrap();
        terminal.signal(libc::SIGCONT);
        let status = terminal.process.wait().unwrap();
        // There is nothing left to put back, and it may find that out by a write. The kernel sends SIGHUP twice, and
        // the second ends it at once.
        let is_over = matches!(status.code(), Some(0 | 1)) || status.signal() == Some(libc::SIGHUP);
        assert!(is_over, "{status}");
    }
}

#[test]
fn top_shows_every_cortex_and_puts_the_terminal_back() {
    let kernel = Kernel::new();
    let (busy, stuck) = (kernel.key(), kernel.key());
    let cortex = CortexBuilder::new([1_u64, 2]).key(busy).create().unwrap();
    holder("seqlock", "double", stuck).kill();
    let line = |text: &str, key: i32| -> String {
        let key = key.to_string();
        text.lines()
            .find(|line| line.contains(&key))
            .unwrap_or_default()
            .to_owned()
    };
    for end in ["q", "\x03", "\x1b", "INT", "TERM", "HUP"] {
        let mut terminal = Terminal::start();
        let text = terminal.await_screen(|screen| {
            let text = screen.contents();
            let are_listed = [busy, stuck]
                .iter()
                .all(|&key| !line(&text, key).is_empty());
            screen.alternate_screen() && are_listed
        });
        assert!(
            text.contains("COMMITS") && text.contains("HOLDER") && text.contains("q quit"),
            "{text}"
        );
        let row = line(&text, stuck);
        assert!(row.contains("dead") && row.contains("stale"), "{row}");
        // The rate follows the commits, and with r the busy one stands first.
        cortex.write([3, 4]).unwrap();
        let commits = format!(" {} ", cortex.version());
        terminal.ours.write_all(b"r").unwrap();
        terminal.await_screen(|screen| line(&screen.contents(), busy).contains(&commits));
        match end {
            "INT" => terminal.signal(libc::SIGINT),
            "TERM" => terminal.signal(libc::SIGTERM),
            "HUP" => terminal.signal(libc::SIGHUP),
            key => terminal.ours.write_all(key.as_bytes()).unwrap(),
        }
        assert!(terminal.end(untouched()).success(), "{end:?}");
    }
    neocortex::inspect::reclaim(stuck).unwrap();
}

/// A clock that fails from SIGUSR1 on. The standard library panics when it is asked for the time.
const BROKEN_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t is_broken;

static void breaks(int signal)
{
    (void)signal;
    is_broken = 1;
}

__attribute__((constructor)) static void prepare(void)
{
    signal(SIGUSR1, breaks);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (is_broken) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_clock_gettime, clock, time);
}
"#;

#[test]
fn top_puts_the_terminal_back_when_it_panics() {
    let _kernel = Kernel::new();
    let folder = tempfile::tempdir().unwrap();
    let (source, clock) = (
        folder.path().join("clock.c"),
        folder.path().join("clock.so"),
    );
    std::fs::write(&source, BROKEN_CLOCK).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&clock)
        .arg(&source);
    assert!(compiler.status().unwrap().success());

    let mut terminal = Terminal::start_with(true, &[("LD_PRELOAD", clock.as_os_str())]);
    terminal.await_screen(|screen| screen.alternate_screen());
    terminal.signal(libc::SIGUSR1);
    // The message comes after the screen was given back, so that it stays to be read.
    let text = terminal.await_screen(|screen| {
        !screen.alternate_screen() && screen.contents().contains("panicked")
    });
    assert!(!text.contains("COMMITS"), "{text}");
    assert_eq!(terminal.end(untouched()).code(), Some(101));
}

/// The settings of a terminal that nobody has touched: those of a new one of the same make.
fn untouched() -> (u32, u32, u32) {
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: live places; the descriptors are new, and each gets one owner.
    let (_ours, theirs) = unsafe {
        let null = std::ptr::null_mut();
        assert_eq!(
            libc::openpty(
                &mut ours,
                &mut theirs,
                null,
                std::ptr::null(),
                std::ptr::null()
            ),
            0
        );
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    settings(&theirs)
}
