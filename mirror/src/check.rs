//! Whether a mirror works: a round trip through all of it on this host, and who is there on the network.

use crate::claim::winner;
use crate::config::Config;
use crate::error::{MirrorError, MirrorResult};
use crate::mirror::{Follow, Mirror, Publish};
use crate::place::Place;
use crate::running::Inbox;
use neocortex::{inspect, CortexResult, Segment, SegmentObserver, SeqLock};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::Wait;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the steps of a round trip took.
#[derive(Debug, Clone, Copy)]
pub struct RoundTrip {
    /// Until the first value had arrived: sessions, claim, question, answer, a new cortex.
    pub first: Duration,
    /// From the commit at the origin until the next value was in the other cortex.
    pub next: Duration,
}

/// Removes what the check made, however it ends.
struct Made(String);

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = inspect::remove(&self.0) {
            tracing::debug!("{error}");
        }
    }
}

/// Publishes a cortex and follows it into another one, in this process and over the loopback interface.
///
/// # Errors
/// Which step failed, and why.
pub fn round_trip() -> MirrorResult<RoundTrip> {
    let begin = Instant::now();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port =
        port.map_err(|error| MirrorError::Network(format!("no port on 127.0.0.1: {error}")))?;
    let endpoint = format!("tcp/{port}");
    let number = crate::clock::monotonic() ^ u64::from(std::process::id()) << 40;
    let (from, to) = (
        format!("neocortex-mirror check {number:x}"),
        format!("neocortex-mirror check {number:x}, followed"),
    );
    let origin: Segment<SeqLock> = Segment::create(&from, 64)?;
    origin.write_at(0, &[1; 64])?;
    let network = |config: Config, origin: &str| {
        config
            .domain(format!("check-{number:x}"))
            .origin_name(origin)
    };
    let here = Mirror::open(network(Config::new().listen(&endpoint), "here"))?;
    let mut config = network(Config::new().connect(&endpoint), "there");
    // Otherwise it would refuse what is published on its own host.
    config.place = Some(Place {
        boot: [0; 16],
        ipc: number,
    });
    let there = Mirror::open(config)?;
    let publishing = here.publish(Publish::new(&from))?;
    let following = there.follow(Follow::new(&from).into_cortex(&to).create())?;
    let deadline = Instant::now() + PATIENCE;
    let end = |what: &str| {
        match publishing.has_ended() {
            true => publishing.wait().err(),
            false => following
                .has_ended()
                .then(|| following.wait().err())
                .flatten(),
        }
        .unwrap_or_else(|| {
            MirrorError::Network(format!("{what} did not arrive in {} s", PATIENCE.as_secs()))
        })
    };
    let copy = loop {
        match SegmentObserver::attach(&to, 64) {
            Ok(copy) if copy.version() > 0 => break copy,
            _ if Instant::now() > deadline || following.has_ended() || publishing.has_ended() => {
                return Err(end("the first value"))
            }
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let made = Made(to);
    let first = begin.elapsed();
    let begin = Instant::now();
    let version = copy.version();
    origin.write_at(0, &[2; 64])?;
    copy.wait_changed(version, Some(PATIENCE))
        .map_err(|_| end("the next value"))?;
    let next = begin.elapsed();
    let read = |segment: &dyn Fn(&mut [u8]) -> CortexResult<()>| -> CortexResult<[u8; 64]> {
        let mut bytes = [0; 64];
        segment(&mut bytes).map(|()| bytes)
    };
    if read(&|bytes| copy.read_at(0, bytes))? != read(&|bytes| origin.read_at(0, bytes))? {
        return Err(MirrorError::Network(
            "what arrived is not what was sent".to_owned(),
        ));
    }
    following.stop();
    following.wait()?;
    publishing.stop();
    publishing.wait()?;
    drop(made);
    Ok(RoundTrip { first, next })
}

/// Who claims a name.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The name.
    pub name: String,
    /// Its origin and the term, if there is one in sight.
    pub origin: Option<(String, u64)>,
}

/// Joins the network and looks for the origins of these names, for `patience` at most.
///
/// # Errors
/// As [`Mirror::open`].
pub fn origins(config: Config, names: &[String], patience: Duration) -> MirrorResult<Vec<Claimed>> {
    let mirror = Mirror::open(config)?;
    let around = mirror.surroundings();
    let watch = |name: &String| {
        let inbox = Inbox::<()>::new(around.bell.clone());
        inbox
            .watch(&*around.engine, name)
            .map(|kept| (name.clone(), inbox, kept))
    };
    let watched = names.iter().map(watch).collect::<MirrorResult<Vec<_>>>()?;
    let deadline = Instant::now() + patience;
    loop {
        let found: Vec<_> = (watched.iter())
            .map(|(name, inbox, _)| Claimed {
                name: name.clone(),
                origin: winner(&inbox.take().1).map(|claim| (claim.origin.clone(), claim.term)),
            })
            .collect();
        if Instant::now() > deadline || found.iter().all(|claimed| claimed.origin.is_some()) {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Opens a session of Zenoh alone, with the same settings, and returns what publishes with it: for measurements.
///
/// # Errors
/// As [`Mirror::open`].
pub fn putter(config: Config) -> MirrorResult<impl Fn(Vec<u8>) -> MirrorResult<()>> {
    let session = plain(config)?;
    let publisher = session
        .declare_publisher("neocortex-bench")
        .congestion_control(CongestionControl::Block);
    let publisher = publisher
        .express(true)
        .priority(Priority::DataHigh)
        .wait()
        .map_err(of_zenoh)?;
    Ok(move |bytes| {
        let _open = &session;
        publisher.put(bytes).wait().map_err(of_zenoh)
    })
}

/// Opens a session of Zenoh alone that calls `on_value` with what [`putter`] sends, as long as the result is kept.
///
/// # Errors
/// As [`Mirror::open`].
pub fn subscriber(
    config: Config,
    on_value: impl Fn(Vec<u8>) + Send + Sync + 'static,
) -> MirrorResult<impl Send> {
    let session = plain(config)?;
    let subscriber = session.declare_subscriber("neocortex-bench");
    let kept =
        subscriber.callback(move |sample| on_value(sample.payload().to_bytes().into_owned()));
    let kept = kept.wait().map_err(of_zenoh)?;
    Ok((kept, session))
}

fn plain(config: Config) -> MirrorResult<zenoh::Session> {
    zenoh::open(config.zenoh()?).wait().map_err(of_zenoh)
}

fn of_zenoh(error: zenoh::Error) -> MirrorError {
    MirrorError::Network(error.to_string())
}
