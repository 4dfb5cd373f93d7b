//! `top` on a real terminal (a pty), what it draws read back by a terminal emulator.

use super::common::{Foreign, Kernel};
use super::{holder, json, path, succeeds};
use neocortex::CortexBuilder;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A terminal with the command in it; what is on the screen.
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
        let top = ["top", "--interval", "0.1"];
        Self::run(&top, (140, 30), is_its_own, environment)
    }

    /// `top` on a screen with so many columns and lines.
    fn of_size(columns: u16, lines: u16) -> Self {
        Self::run(&["top", "--interval", "0.1"], (columns, lines), true, &[])
    }

    fn run(
        arguments: &[&str],
        (columns, lines): (u16, u16),
        is_its_own: bool,
        environment: &[(&str, &OsStr)],
    ) -> Self {
        let (mut ours, mut theirs) = (0, 0);
        let size = libc::winsize {
            ws_row: lines,
            ws_col: columns,
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
            .args(arguments)
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
            screen: vt100::Parser::new(lines, columns, 0),
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
/// Held by a test that looks for its cortexes on a screen, where another's eight hundred would take their place.
fn whole_screen() -> MutexGuard<'static, ()> {
    static SCREEN: Mutex<()> = Mutex::new(());
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    let _alone = whole_screen();
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
        let status = terminal.end(untouched());
        // Whoever is stopped by a signal dies of it, with Ctrl-C as well, so that a shell ends the loop around it.
        let signal = match end {
            "\x03" | "INT" => Some(libc::SIGINT),
            "TERM" => Some(libc::SIGTERM),
            "HUP" => Some(libc::SIGHUP),
            _ => None,
        };
        assert_eq!(status.signal(), signal, "{end:?}");
        assert_eq!(status.success(), signal.is_none(), "{end:?}");
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

/// The words of the row with the headings, and where each begins.
fn headings(text: &str) -> Vec<(String, usize)> {
    let row = text.lines().find(|line| line.starts_with("KEY"));
    let row = row.unwrap_or_else(|| panic!("no heading: {text}"));
    let words = row.split_whitespace();
    words
        .map(|word| (word.to_owned(), row.find(word).unwrap()))
        .collect()
}

const TOP_COLUMNS: [&str; 13] = [
    "KEY", "SIZE", "LOCK", "LAYOUT", "OWNER", "ATTACHED", "ALIVE", "DEAD", "COMMITS", "RATE/S",
    "HOLDER", "WAITS", "STATE",
];

#[test]
fn on_a_narrow_screen_columns_are_left_out_whole_and_named() {
    let _alone = whole_screen();
    let kernel = Kernel::new();
    let (busy, stuck) = (kernel.key(), kernel.key());
    let cortex = CortexBuilder::new([1_u64, 2]).key(busy).create().unwrap();
    holder("seqlock", "double", stuck).kill();
    for width in [30, 80, 100, 140, 200] {
        for command in ["top", "list"] {
            let mut terminal = match command {
                "top" => Terminal::of_size(width, 30),
                _ => Terminal::run(&["list"], (width, 30), true, &[]),
            };
            let row = |text: &str, key: i32| {
                let key = key.to_string();
                // Whole: another key may begin with the same figures.
                let mut lines = text
                    .lines()
                    .filter(|line| line.split_whitespace().next() == Some(&key));
                lines.next().map(str::to_owned)
            };
            let text = terminal.await_screen(|screen| {
                let text = screen.contents();
                [busy, stuck].iter().all(|&key| row(&text, key).is_some())
                    && text.contains("STATE")
                    && (width >= 140 || text.contains("no room") || text.contains("hidden"))
            });
            let headings = headings(&text);
            // What is shown is whole, below its heading.
            let is_shown = |name: &str| headings.iter().any(|(heading, _)| heading == name);
            for (key, name, whole) in [
                (busy, "COMMITS", "0"),
                (stuck, "COMMITS", "1"),
                (busy, "STATE", "ready"),
                (stuck, "STATE", "stale, holder dead"),
                (busy, "ALIVE", "1"),
                (stuck, "SIZE", "16"),
            ] {
                let Some((_, at)) = headings.iter().find(|(heading, _)| heading == name) else {
                    assert!(width < 100, "{name} at {width}: {text}");
                    continue;
                };
                let cell = &row(&text, key).unwrap()[*at..];
                let cell = cell.split("  ").next().unwrap().trim_end();
                assert_eq!(cell, whole, "{name} at {width}: {text}");
            }
            if command == "list" {
                terminal.process.wait().unwrap();
                continue;
            }
            // What is not shown is named, or counted where there is no room even for that.
            let hidden: Vec<&str> = TOP_COLUMNS
                .into_iter()
                .filter(|name| !is_shown(name))
                .collect();
            assert_eq!(headings.len() + hidden.len(), TOP_COLUMNS.len(), "{text}");
            let flat = text.replace('\n', " ");
            match flat.split_once("no room in ") {
                Some((_, note)) => {
                    let named = hidden.iter().all(|name| note.contains(name));
                    assert!(named, "{hidden:?}: {text}");
                }
                None if width == 30 => {
                    assert!(flat.contains(&format!("{} columns hidden", hidden.len())))
                }
                None => assert_eq!(hidden.len(), 0, "{text}"),
            }
            terminal.ours.write_all(b"q").unwrap();
            assert!(terminal.end(untouched()).success());
        }
    }
    drop(cortex);
    neocortex::inspect::reclaim(stuck).unwrap();
}

#[test]
fn pages_scroll_and_many_cortexes_are_looked_at_less_often() {
    let _alone = whole_screen();
    let kernel = Kernel::new();
    let mut keys: Vec<i32> = (0..800).map(|_| kernel.key()).collect();
    keys.sort_unstable();
    let make = |&key: &i32| {
        let builder = CortexBuilder::new(1_u64).key(key).participants(1);
        builder.create().unwrap()
    };
    let cortexes: Vec<_> = keys.iter().map(make).collect();
    let mut terminal = Terminal::of_size(100, 20);
    // As others' tests run beside this one, others' cortexes may be among them.
    let shown = |screen: &vt100::Screen| -> Vec<i32> {
        let text = screen.contents();
        let first = |line: &str| line.split_whitespace().next()?.parse::<i32>().ok();
        let rows = text.lines().skip(2).filter_map(first);
        rows.filter(|key| keys.contains(key)).collect()
    };
    terminal.await_screen(|screen| shown(screen).first() == Some(&keys[0]));
    // A look at so many takes longer than a fortieth of a tenth of a second.
    terminal.await_screen(|screen| {
        let text = screen.contents();
        text.contains("every ") && !text.contains("every 0.1 s")
    });
    for (press, is_so) in [
        (&b"\x1b[6~"[..], false),
        (b"\x1b[6~", false),
        (b"\x1b[5~", false),
        // A page may have a row less where a line says which columns are left out.
        (b"\x1b[5~\x1b[5~", true),
        (b"\x1b[F", false),
        (b"\x1b[H", true),
    ] {
        let before = shown(terminal.screen.screen());
        terminal.ours.write_all(press).unwrap();
        terminal.await_screen(|screen| {
            let now = shown(screen);
            now != before
                && now.contains(&keys[0]) == is_so
                && now.len() > 10
                && (press != b"\x1b[F" || now.last() == keys.last())
        });
    }
    terminal.ours.write_all(b"q").unwrap();
    assert!(terminal.end(untouched()).success());
    drop(cortexes);
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_is_refused_with_the_reason() {
    let _kernel = Kernel::new();
    for kind in ["dumb", ""] {
        let mut terminal = Terminal::run(&["top"], (80, 24), true, &[("TERM", OsStr::new(kind))]);
        let status = terminal.process.wait().unwrap();
        assert_eq!(status.code(), Some(2));
        // They come in pieces.
        let mut words = String::new();
        while !words.contains("for programs") {
            let mut bytes = [0; 4096];
            let count = terminal.ours.read(&mut bytes).unwrap();
            words += &String::from_utf8_lossy(&bytes[..count]);
        }
        assert!(
            words.contains("TERM") && words.contains("neocortex list"),
            "{words}"
        );
        assert!(!words.contains('\x1b'), "{words:?}");
    }
}

/// Text in a segment, and a name in its header, are of another user's making.
#[test]
fn what_others_wrote_does_not_steer_the_terminal_and_reaches_a_pipe_as_it_is() {
    let kernel = Kernel::new();
    let key = kernel.key();
    let text = key.to_string();
    // Colours and titles, in 7 bits and in 8, a change of direction, and what has no width.
    let hostile =
        "a\x1b[31mb\x1b]0;title\x07\u{9b}2Jc\u{202e}d\u{200b}e\x7f\u{2066}\tf\ng\u{e9}.END.";
    let bytes: [u8; 128] =
        std::array::from_fn(|at| hostile.as_bytes().get(at).copied().unwrap_or(0));
    let cortex = CortexBuilder::new(bytes).key(key).create().unwrap();
    let forged = "\x1b[41m\x07x";
    let foreign = Foreign::open(key);
    let at = foreign
        .bytes()
        .windows(7)
        .position(|name| name == b"seqlock")
        .unwrap();
    let steers = |shown: &str| {
        [
            '\x1b', '\x07', '\u{9b}', '\u{202e}', '\u{200b}', '\u{2066}', '\x7f',
        ]
        .into_iter()
        .any(|c| shown.contains(c))
    };
    let on_terminal = |arguments: &[&str], end: &str| {
        let mut terminal = Terminal::run(arguments, (200, 50), true, &[]);
        let mut shown = Vec::new();
        let mut bytes = [0; 4096];
        while !String::from_utf8_lossy(&shown).contains(end) {
            let count = terminal.ours.read(&mut bytes).expect("the terminal");
            shown.extend_from_slice(&bytes[..count]);
        }
        terminal.process.wait().unwrap();
        String::from_utf8(shown).unwrap()
    };
    let shown = on_terminal(&["read", &text, "--as", "utf8"], ".END.");
    assert!(!steers(&shown), "{shown:?}");
    assert!(
        shown.contains("a\\u{1b}[31mb") && shown.contains("\tf\r\ngé.END."),
        "{shown:?}"
    );
    let piped = succeeds(&["read", &text, "--as", "utf8"]);
    assert_eq!(piped, format!("{hostile}\n"));
    // JSON says the same and steers nothing.
    let arguments = ["inspect", &text, "--as", "utf8", "--json"];
    let shown = succeeds(&arguments);
    assert!(!steers(&shown), "{shown:?}");
    assert_eq!(json(&arguments)["value"], hostile);
    assert!(!steers(&on_terminal(
        &["inspect", &text, "--as", "utf8"],
        ".END."
    )));

    foreign.put(at, forged.as_bytes());
    for (arguments, end) in [
        (&["list"][..], text.as_str()),
        (&["list", "--json"], text.as_str()),
        (&["inspect", &text], "participants"),
        (&["write", &text, "--as", "u8", "1"], "can write"),
    ] {
        let shown = on_terminal(arguments, end);
        assert!(!steers(&shown), "{arguments:?}: {shown:?}");
    }
    foreign.put(at, b"seqlock");
    drop(cortex);
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
