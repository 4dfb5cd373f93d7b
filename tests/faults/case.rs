//! One case: an operation with calls that fail, and whether it did what is promised.

use super::calls;
use super::common::{self, attachments, Events};
use super::inject::{self, OnSleep, Rule, Trace};
use neocortex::{CortexError, Leftover};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// What is looked at after an operation that succeeded; a panic is a problem.
pub type Check = Box<dyn FnOnce()>;

/// The operation. After a failure it is called once more, with nothing made to fail.
pub type Run = Box<dyn FnMut() -> Result<Check, Fault>>;

/// An operation and what must be there before it.
pub struct Scenario {
    pub name: String,
    pub aim: Aim,
    pub setup: Box<dyn Fn(&mut Stage) -> Run>,
}

impl Scenario {
    /// Whether it works on [`super::scenarios::NAME`]; the others on a key of their own.
    pub fn is_by_name(&self) -> bool {
        self.name.contains("by name")
    }
}

/// What an operation means to do with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Makes something, or looks, or waits.
    Adds,
    /// Takes everything away that is there, and leaves it alone if it fails before it has begun.
    Removes,
    /// Takes everything away, and is over in any case.
    Consumes,
    /// Ends without an answer: what it cannot take away, it logs.
    Drops,
}

/// Where a scenario takes place.
#[derive(Default)]
pub struct Stage {
    pub key: i32,
    pub on_sleep: Option<OnSleep>,
    /// What lives until the end of the case.
    pub kept: Vec<Box<dyn Any>>,
}

impl Stage {
    pub fn keep<T: 'static>(&mut self, what: T) {
        self.kept.push(Box::new(what));
    }
}

/// A failure, from Rust or from C.
#[derive(Debug)]
pub struct Fault {
    pub variant: String,
    pub call: String,
    pub errno: i32,
    pub left: BTreeSet<Object>,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Segment(i32),
    Set(i32),
}

impl From<CortexError> for Fault {
    fn from(error: CortexError) -> Self {
        let words = format!("{error:?}");
        let end = words
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(words.len());
        let system = error.system();
        let left = system.map_or(&[][..], |system| system.left());
        let fault = Self {
            variant: words[..end].to_owned(),
            call: system.map_or(String::new(), |system| system.call().to_owned()),
            errno: system.and_then(|system| system.raw_os_error()).unwrap_or(0),
            left: left
                .iter()
                .filter_map(|left| match left {
                    Leftover::Segment(id) => Some(Object::Segment(*id)),
                    Leftover::Semaphores(id) => Some(Object::Set(*id)),
                    _ => None,
                })
                .collect(),
            message: error.to_string(),
        };
        assert_eq!(
            fault.left,
            named(&fault.message),
            "the message and `left` differ"
        );
        fault
    }
}

/// The objects that a message says were left behind.
pub fn named(message: &str) -> BTreeSet<Object> {
    let mut objects = BTreeSet::new();
    let words: Vec<_> = message
        .split(|c: char| !c.is_alphanumeric() && c != '-')
        .collect();
    for three in words.windows(3) {
        match three {
            ["ipcrm", "-m", id] => objects.insert(Object::Segment(id.parse().expect("an id"))),
            ["ipcrm", "-s", id] => objects.insert(Object::Set(id.parse().expect("an id"))),
            _ => continue,
        };
    }
    objects
}

/// Everything in this IPC namespace.
pub fn objects() -> BTreeSet<Object> {
    let ids = |path| {
        let text = std::fs::read_to_string(path).expect("the kernel's table");
        let id = |line: &str| line.split_whitespace().nth(1)?.parse::<i32>().ok();
        text.lines().skip(1).filter_map(id).collect::<Vec<_>>()
    };
    let segments = ids("/proc/sysvipc/shm").into_iter().map(Object::Segment);
    segments
        .chain(ids("/proc/sysvipc/sem").into_iter().map(Object::Set))
        .collect()
}

pub fn take_away(objects: &BTreeSet<Object>) {
    for object in objects {
        match *object {
            Object::Segment(id) => common::remove_segment(id),
            Object::Set(id) => common::remove_set(id),
        }
    }
}

/// How the kernel looks after an operation: segments, sets, own attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape(pub usize, pub usize, pub usize);

fn shape() -> Shape {
    let objects = objects();
    let segments = objects
        .iter()
        .filter(|object| matches!(object, Object::Segment(_)))
        .count();
    Shape(segments, objects.len() - segments, attachments())
}

/// What came of a case.
#[derive(Debug, Default)]
pub struct Report {
    pub trace: Trace,
    /// In a word: `ok`, or the failure's variant, call and errno.
    pub outcome: String,
    pub shape: Option<Shape>,
    pub problems: Vec<String>,
    /// The kernel seemed to say that something is not there that is.
    pub is_lied_to: bool,
}

/// Runs a case in this process, which has to end after it.
pub fn play(scenario: &Scenario, key: i32, rules: &[Rule], expected: Option<Shape>) -> Report {
    let mut report = Report::default();
    let log = Events::up_to(tracing::Level::ERROR);
    tracing::subscriber::set_global_default(log.clone()).expect("the first one");
    let mut stage = Stage {
        key,
        ..Stage::default()
    };
    let mut run = (scenario.setup)(&mut stage);
    let (before, attached) = (objects(), attachments());
    if let Err(error) = inject::begin(rules.to_vec(), stage.on_sleep.clone()) {
        report.problems.push(format!("NO FILTER: {error}"));
        return report;
    }
    let (result, trace) = inject::armed(|| catch_unwind(AssertUnwindSafe(&mut run)));
    let logged = log.take().concat();
    let (after, shape) = (objects(), shape());
    if let Some(on_sleep) = &stage.on_sleep {
        on_sleep.gate.open();
    }
    let injected = trace.injected();
    // A segment that could not be detached is a mapping more, of which there is a word in the log.
    let stuck = injected.iter().filter(|call| call.0 == "shmdt").count();
    let mut problem = |text: String| report.problems.push(text);
    let is_logged = |object: &Object| match object {
        Object::Segment(id) => logged.contains(&format!("ipcrm -m {id}")),
        Object::Set(id) => logged.contains(&format!("ipcrm -s {id}")),
    };
    // An answer that an object is not there is a lie here, for it is. The library believes it and leaves the object;
    // the test takes it away.
    let is_lie = |&(name, errno): &(&str, i32)| {
        let is_object = name.starts_with("sh") || name.starts_with("se");
        let says_gone = is_object && matches!(errno, libc::EINVAL | libc::EIDRM | libc::ENOENT);
        // Likewise that a semaphore which is to be lowered is 0 already.
        let says_zero = name == "semop" && errno == libc::EAGAIN;
        let has_no_table = name == "openat" && errno == libc::ENOENT;
        // Another user's set is another user's to reclaim.
        let is_refused = matches!(errno, libc::EPERM | libc::EACCES);
        let says_foreign = scenario.name.starts_with("reclaim the sem")
            && (name.starts_with("semctl") || name == "shmctl(IPC_STAT)")
            && is_refused;
        says_gone || says_zero || has_no_table || says_foreign
    };
    // A dead one's beacon that was claimed and could not be released is lit until this process ends; then
    // `reclaim` takes the set.
    let keeps_beacon =
        injected.iter().any(|call| call.0 == "semop") && scenario.name.contains(" died");
    let is_lied_to = injected.iter().any(is_lie) || keeps_beacon;
    report.is_lied_to = is_lied_to;
    let said = match &result {
        Ok(Err(fault)) => fault.message.as_str(),
        _ => "",
    };
    if stuck > 0 && !logged.contains("stays mapped") && !said.contains("stays mapped") {
        problem("a segment stays mapped, and nobody says so".into());
    }
    report.outcome = match result {
        Err(panic) => {
            problem(format!("panicked: {}", words_of(&*panic)));
            "panicked".into()
        }
        Ok(Ok(check)) => {
            let mut shape = shape;
            shape.2 -= stuck.min(shape.2);
            let unnamed: Vec<_> = after.iter().filter(|object| is_logged(object)).collect();
            if expected.is_some_and(|expected| expected != shape)
                && unnamed.is_empty()
                && !is_lied_to
            {
                problem(format!(
                    "succeeded, and left {shape:?} instead of {expected:?}"
                ));
            }
            report.shape = Some(shape);
            // What is said to be gone counts as removed.
            let is_removal = scenario.name.contains("remove") || scenario.name.contains("reclaim");
            match catch_unwind(AssertUnwindSafe(check)) {
                Err(panic) if !(is_removal && is_lied_to) => {
                    problem(format!("succeeded, and is wrong: {}", words_of(&*panic)));
                }
                _ => {}
            }
            let unnamed: BTreeSet<_> = after
                .into_iter()
                .filter(|object| is_logged(object))
                .collect();
            take_away(&unnamed);
            "ok".into()
        }
        Ok(Err(fault)) => {
            let key = if scenario.name.contains("random") {
                "key ".to_owned()
            } else if scenario.is_by_name() {
                format!("\"{}\" (key {key}):", super::scenarios::NAME)
            } else {
                format!("key {key}:")
            };
            judge(&fault, &key, &injected, &mut problem);
            let made: BTreeSet<_> = after.difference(&before).copied().collect();
            if !made.is_subset(&fault.left) && !is_lied_to {
                problem(format!("left behind {made:?}, and names {:?}", fault.left));
            }
            if !fault.left.is_subset(&after) {
                problem(format!(
                    "names {:?}, and there is only {after:?}",
                    fault.left
                ));
            }
            let untouched = after == before && scenario.aim == Aim::Removes;
            if scenario.aim != Aim::Adds && !untouched && !is_lied_to && after != fault.left {
                problem(format!(
                    "did not take away {after:?}, and names {:?}",
                    fault.left
                ));
            }
            if shape.2 > attached + stuck {
                problem(format!(
                    "{} segments attached, before it {attached}",
                    shape.2
                ));
            }
            take_away(&fault.left);
            match catch_unwind(AssertUnwindSafe(|| run().map(|check| check()))) {
                Ok(Ok(())) => {}
                // Attached still, by the mapping that could not be taken away.
                Ok(Err(again)) if stuck > 0 && again.variant == "Busy" => {}
                Ok(Err(again)) => problem(format!("the next attempt fails: {}", again.message)),
                Err(panic) => problem(format!("the next attempt: {}", words_of(&*panic))),
            }
            format!(
                "{} {} {}",
                fault.variant,
                fault.call,
                calls::name(fault.errno)
            )
        }
    };
    report.problems.iter_mut().for_each(|problem| {
        if !logged.is_empty() {
            problem.push_str(&format!(" [logged: {logged}]"));
        }
    });
    drop(run);
    stage.kept.clear();
    report.trace = trace;
    report
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("?")
        .to_owned()
}

/// Whether a failure is one that the injected answers may lead to, and says what it must.
fn judge(fault: &Fault, key: &str, injected: &[(&str, i32)], problem: &mut dyn FnMut(String)) {
    let message = &fault.message;
    let caused = |wanted: &dyn Fn(&str, i32) -> bool| {
        injected.iter().any(|&(name, errno)| wanted(name, errno))
    };
    let is_gone = |errno: i32| matches!(errno, libc::EINVAL | libc::EIDRM | libc::ENOENT);
    let fits = match fault.variant.as_str() {
        "CleanSystem" | "DirtySystem" if fault.errno != 0 => caused(&|name, errno| {
            let is_file =
                matches!(name, "openat" | "read") && fault.call.starts_with("read(/proc/");
            (is_file || calls::in_messages(name) == fault.call) && errno == fault.errno
        }),
        // A refusal of the library's own that could not clean up after itself.
        "DirtySystem" => injected.len() > 1,
        // What is said to be gone was removed by somebody.
        "Removed" | "Corrupt" => caused(&|name, errno| {
            // Or removed by half, and the rest is not this user's to remove.
            name.starts_with("s") && is_gone(errno) || name == "shmctl(IPC_RMID)"
        }),
        // A claim that would have to wait is taken by somebody.
        // Nobody could take the gate of a segment that is half closed.
        "NotReady" => injected
            .iter()
            .all(|call| call.0.starts_with("se") || call.0.starts_with("sh")),
        // Of a holder that this process may not ask about, it cannot be told that it died.
        // Who waits for a creator waits while nothing has the key.
        "Timeout" => caused(&|name, errno| {
            name == "semop" && errno == libc::EAGAIN
                || name == "shmget" && errno == libc::ENOENT
                || matches!(name, "semop" | "semctl(GETVAL)")
                    && matches!(errno, libc::EACCES | libc::EPERM)
                // Where it cannot be known whether a follower died, it may be alive.
                || name == "semctl(GETVAL)" && is_gone(errno)
        }),
        "Full" => caused(&|name, errno| name == "semop" && errno == libc::EAGAIN),
        // Likewise; or what was just made or found is gone again and again.
        "Busy" => caused(&|name, errno| {
            name == "semop" && errno == libc::EAGAIN
                || name.starts_with("s") && is_gone(errno)
                || errno == libc::EEXIST
        }),
        "Unsupported" => caused(&|name, errno| name == "openat" && errno == libc::ENOENT),
        _ => false,
    };
    if !fits {
        problem(format!(
            "not a failure that {injected:?} can lead to: {}: {message}",
            fault.variant
        ));
    }
    if (fault.variant == "DirtySystem") == fault.left.is_empty()
        && !message.contains("stays mapped")
    {
        problem(format!(
            "{} with {:?} left: {message}",
            fault.variant, fault.left
        ));
    }
    // An operation on no key in particular names what it works on.
    let is_of_none = message.contains("/proc/") || message.contains("wait set");
    if !message.contains(key) && !is_of_none {
        problem(format!("does not name {key} {message}"));
    }
    if fault.errno != 0 {
        let answer = format!("({}: {})", fault.call, calls::name(fault.errno));
        let advice = message
            .split_once(&answer)
            .map(|(_, rest)| rest.trim_start_matches(". "));
        if advice.is_none_or(|advice| advice.len() < 20 || advice.starts_with("Left behind")) {
            problem(format!(
                "does not say {answer} and what to do next: {message}"
            ));
        }
    }
}
