//! The local programs of a host: this test's own executable, started there once more, which uses cortexes as it is told,
//! line by line.

use neocortex::{
    inspect, CortexResult, Permission, RwLock, Segment, SegmentObserver, SegmentOptions, SeqLock,
};
use neocortex_mirror::Status;
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Set where the executable is started as an agent.
pub const ROLE: &str = "NEOCORTEX_MIRROR_TEST_AGENT";

/// A value that shows whether it is whole: a number, then bytes that follow from it.
fn value(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![(number % 251) as u8; size];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The number of a value; `None` where it is torn.
fn number(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(*bytes.first_chunk()?);
    bytes[8..]
        .iter()
        .all(|&byte| byte == (number % 251) as u8)
        .then_some(number)
}

fn read(observer: &SegmentObserver) -> CortexResult<Option<u64>> {
    let mut bytes = vec![0; observer.size()];
    observer.read_at(0, &mut bytes)?;
    // The zeros of a cortex that was just made are no value, and whole.
    Ok(if bytes.iter().all(|&byte| byte == 0) {
        Some(0)
    } else {
        number(&bytes)
    })
}

#[derive(Default)]
struct Seen {
    count: u64,
    torn: u64,
    backwards: u64,
    in_order: u64,
    first: u64,
    last: u64,
    gap: Duration,
}

struct Background<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T> Background<T> {
    fn start(work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self
    where
        T: Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || work(&flag));
        Self { stop, thread }
    }

    fn end(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the background thread")
    }
}

/// Looks at a cortex until it is told to stop, and makes it anew where it was removed.
fn watch(name: &str, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut observer: Option<SegmentObserver> = None;
    let (mut version, mut at) = (None, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let Some(now) = &observer else {
            observer = SegmentObserver::attach(name, 0).ok();
            version = None;
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        if version == Some(now.version()) {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        version = Some(now.version());
        match read(now) {
            Ok(Some(0)) => {}
            Ok(Some(number)) => {
                seen.count += 1;
                seen.backwards += u64::from(number < seen.last);
                seen.in_order += u64::from(number == seen.last + 1);
                seen.first = if seen.first == 0 { number } else { seen.first };
                seen.last = number;
                seen.gap = seen.gap.max(at.elapsed());
                at = Instant::now();
            }
            Ok(None) => seen.torn += 1,
            Err(_) => observer = None,
        }
    }
    seen
}

#[derive(Default)]
struct Agent {
    segments: HashMap<String, Arc<Segment<SeqLock>>>,
    storms: HashMap<String, (Background<()>, Arc<AtomicU64>)>,
    watches: HashMap<String, Background<Seen>>,
    locks: Mutex<Vec<Segment<RwLock>>>,
}

impl Agent {
    fn segment(&mut self, name: &str, size: usize) -> CortexResult<Arc<Segment<SeqLock>>> {
        if let Some(segment) = self
            .segments
            .get(name)
            .filter(|segment| !segment.is_removed() && (size == 0 || segment.size() == size))
        {
            return Ok(Arc::clone(segment));
        }
        let options = SegmentOptions::new().permission(Permission::OwnerOnly);
        let segment = Arc::new(match size {
            0 => options.attach(name, 0)?,
            size => options.create_or_attach(name, size)?,
        });
        self.segments.insert(name.to_owned(), Arc::clone(&segment));
        Ok(segment)
    }

    fn act(&mut self, words: &[&str]) -> CortexResult<String> {
        let parse = |index: usize| {
            words
                .get(index)
                .map_or(0, |word| word.parse::<u64>().expect("a number"))
        };
        let name = words.get(1).copied().unwrap_or_default();
        Ok(match words[0] {
            // make NAME SIZE SCHEMA SLOTS
            "make" => {
                let options = SegmentOptions::new()
                    .schema(parse(3))
                    .slots(parse(4).max(2) as u32);
                let segment = options.create(name, parse(2) as usize)?;
                self.segments.insert(name.to_owned(), Arc::new(segment));
                "made".to_owned()
            }
            "make-rwlock" => {
                let segment = SegmentOptions::new().create(name, parse(2) as usize)?;
                self.locks.lock().expect("the list").push(segment);
                "made".to_owned()
            }
            // put NAME SIZE NUMBER: makes it, where it is not there
            "put" => {
                let size = parse(2) as usize;
                let segment = self.segment(name, size)?;
                segment.write_at(0, &value(parse(3), segment.size()))?;
                segment.version().to_string()
            }
            "get" => match read(&SegmentObserver::attach(name, 0)?)? {
                Some(number) => number.to_string(),
                None => "torn".to_owned(),
            },
            // until NAME NUMBER: the milliseconds until a value that is not smaller was there
            "until" => {
                let begin = Instant::now();
                let is_there = || {
                    let found =
                        SegmentObserver::attach(name, 0).and_then(|observer| read(&observer));
                    found.is_ok_and(|number| number.is_some_and(|number| number >= parse(2)))
                };
                while !is_there() && begin.elapsed() < crate::PATIENCE {
                    std::thread::sleep(Duration::from_millis(1));
                }
                match is_there() {
                    true => begin.elapsed().as_millis().to_string(),
                    false => "late".to_owned(),
                }
            }
            // storm NAME SIZE PAUSE-IN-MICROSECONDS
            "storm" => {
                let segment = self.segment(name, parse(2) as usize)?;
                let (pause, last) = (Duration::from_micros(parse(3)), Arc::new(AtomicU64::new(0)));
                let counter = Arc::clone(&last);
                let storm = Background::start(move |stop| {
                    let size = segment.size();
                    let mut next = 1;
                    while !stop.load(Ordering::Relaxed) {
                        segment.write_at(0, &value(next, size)).expect("a write");
                        counter.store(next, Ordering::Relaxed);
                        next += 1;
                        std::thread::sleep(pause);
                    }
                });
                self.storms.insert(name.to_owned(), (storm, last));
                "begun".to_owned()
            }
            "last" => self.storms[name].1.load(Ordering::Relaxed).to_string(),
            "calm" => {
                let (storm, last) = self.storms.remove(name).expect("a storm");
                storm.end();
                last.load(Ordering::Relaxed).to_string()
            }
            "watch" => {
                let watched = name.to_owned();
                self.watches.insert(
                    name.to_owned(),
                    Background::start(move |stop| watch(&watched, stop)),
                );
                "watches".to_owned()
            }
            "watched" => {
                let seen = self.watches.remove(name).expect("a watch").end();
                format!(
                    "{} {} {} {} {} {} {}",
                    seen.count,
                    seen.torn,
                    seen.backwards,
                    seen.in_order,
                    seen.first,
                    seen.last,
                    seen.gap.as_millis()
                )
            }
            "status" => {
                let status = Status::of(name)?.read()?;
                let alive = status.is_alive(Duration::from_secs(3));
                let silent = status.since_heard().unwrap_or_default().as_millis();
                format!(
                    "{} {} {} {} {} {} {} {} {} {} {}",
                    u64::from(alive),
                    status.term,
                    status.epoch,
                    status.origin_version,
                    status.applied,
                    status.conflated,
                    status.refused,
                    status.foreign,
                    status.missed,
                    silent,
                    status.origin()
                )
            }
            // The milliseconds until the origin counts as there (1) or gone (0).
            "alive" => {
                let begin = Instant::now();
                let is_so = || {
                    Status::of(name)
                        .and_then(|status| status.read())
                        .is_ok_and(|status| status.alive == parse(2))
                };
                while !is_so() && begin.elapsed() < crate::PATIENCE {
                    std::thread::sleep(Duration::from_millis(1));
                }
                match is_so() {
                    true => begin.elapsed().as_millis().to_string(),
                    false => "late".to_owned(),
                }
            }
            "remove" => {
                // An owner has removed it by that.
                self.segments.remove(name);
                match inspect::remove(name) {
                    Err(error) if error.system().is_none() => return Err(error),
                    _ => "removed".to_owned(),
                }
            }
            // The names of all cortexes of this host.
            "list" => {
                let mut names: Vec<_> = inspect::segments()?
                    .into_iter()
                    .map(|info| info.name.replace(' ', "_"))
                    .collect();
                names.sort();
                names.join(" ")
            }
            other => panic!("{other}?"),
        })
    }
}

/// Does what the lines on standard input say, where this executable was started as an agent.
#[test]
fn role_agent() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let mut agent = Agent::default();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<_> = line.split(' ').collect();
        let answer = agent
            .act(&words)
            .unwrap_or_else(|error| format!("error: {error}"));
        // The test runner writes to standard output too: its lines have no such beginning.
        let mut output = std::io::stdout();
        writeln!(output, "\n>{}", answer.replace('\n', " "))
            .and_then(|()| output.flush())
            .expect("an answer");
    }
}
