//! The interface of the crate: a mirror, and what it publishes and follows.

use crate::config::Config;
use crate::error::{MirrorError, MirrorResult};
use crate::follow::Follower;
use crate::local::Wish;
use crate::names::status_name;
use crate::place::Place;
use crate::pool::Pool;
use crate::publish::{Publisher, Rivals};
use crate::running::{Control, Surroundings};
use crate::session::ZenohEngine;
use crate::status::{Board, Status, SCHEMA};
use neocortex::{inspect, CortexError, CortexResult, Key, Observer, Permission};
use std::sync::Arc;

/// A process's part in the network: one session of Zenoh and one pool of threads, for any number of names.
///
/// Dropping it ends all that it publishes and follows. The local cortexes stay.
///
/// ```no_run
/// use neocortex_mirror::{Config, Follow, Mirror, Publish};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // On the host that has the value:
/// let mirror = Mirror::open(Config::new().listen("tcp/127.0.0.1:7447"))?;
/// let publishing = mirror.publish(Publish::new("arm/pose"))?;
///
/// // On the other one:
/// let mirror = Mirror::open(Config::new().connect("tcp/127.0.0.1:7447"))?;
/// let following = mirror.follow(Follow::new("arm/pose").create())?;
/// println!("{:?}", following.status()?.read()?);
/// # Ok(()) }
/// ```
pub struct Mirror {
    pool: Pool,
    around: Surroundings,
    /// Names that the configuration allows; the network lets no other one through.
    names: Vec<String>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Mirror");
        shown
            .field("origin", &self.around.origin)
            .finish_non_exhaustive()
    }
}

/// What to publish, and what to do where another origin has the name.
#[derive(Debug, Clone)]
pub struct Publish {
    key: Key,
    rivals: Rivals,
    mode: Permission,
}

/// What to follow, and where to store it.
#[derive(Debug, Clone)]
pub struct Follow {
    key: Key,
    status: Option<Key>,
    is_every: bool,
    wish: Wish,
}

impl Publish {
    /// Publishes the cortex of this name, or key, which a program has made or will make.
    pub fn new(name: impl Into<Key>) -> Self {
        Self {
            key: name.into(),
            rivals: Rivals::Respect,
            mode: Permission::ReadOnlyForOthers,
        }
    }

    /// Takes the place of an origin that has the name: this one's term is greater by one, and the other one stops.
    pub fn take_over(mut self) -> Self {
        self.rivals = Rivals::TakeOver;
        self
    }

    /// Waits as long as another origin has the name, and begins when its claim goes; stands by again where that origin
    /// comes back.
    pub fn stand_by(mut self) -> Self {
        self.rivals = Rivals::StandBy;
        self
    }

    /// Sets who may read the status cortex (its read bits; the default is everyone).
    pub fn status_permission(mut self, mode: Permission) -> Self {
        self.mode = mode;
        self
    }
}

impl Follow {
    /// Follows this name, or key, into the local cortex of the same one, which must exist and be of the same size,
    /// alignment, schema and lock.
    pub fn new(name: impl Into<Key>) -> Self {
        let key = name.into();
        let wish = Wish {
            local: key.clone(),
            create: false,
            schema: None,
            largest: Self::LARGEST,
            mode: Permission::OwnerOnly,
            slots: 2,
        };
        Self {
            key,
            status: None,
            is_every: false,
            wish,
        }
    }

    /// The largest value that is accepted by default: 64 MiB.
    pub const LARGEST: u64 = 64 << 20;

    /// Stores it in the local cortex of this name, or key.
    pub fn into_cortex(mut self, local: impl Into<Key>) -> Self {
        self.wish.local = local.into();
        self
    }

    /// Makes the local cortex where there is none. It stays when the mirror ends.
    pub fn create(mut self) -> Self {
        self.wish.create = true;
        self
    }

    /// Sets who may use the local cortex, where it is made here. The default is the user alone.
    pub fn permission(mut self, mode: Permission) -> Self {
        self.wish.mode = mode;
        self
    }

    /// Sets the slots of the local cortex, where it is made here: 2 by default; more keep commits for local followers.
    pub fn slots(mut self, slots: u32) -> Self {
        self.wish.slots = slots;
        self
    }

    /// Accepts values of this schema only.
    pub fn schema(mut self, schema: u64) -> Self {
        self.wish.schema = Some(schema);
        self
    }

    /// Accepts values up to this many bytes. The default is [`Follow::LARGEST`].
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.wish.largest = bytes;
        self
    }

    /// Has the status under this name too.
    pub fn status(mut self, name: impl Into<Key>) -> Self {
        self.status = Some(name.into());
        self
    }

    /// Stores every commit from the first value on, in order, as long as the origin's cortex keeps it; what it no longer
    /// keeps is counted as missed. Without this, commits are left out where a newer one is there.
    pub fn every(mut self) -> Self {
        self.is_every = true;
        self
    }
}

impl Mirror {
    /// Joins the network.
    ///
    /// # Errors
    /// `Config` where the configuration cannot be used, or is not safe; `Network` where an endpoint cannot be listened
    /// on, or a certificate cannot be read. A host that cannot be reached is none: it is tried again and again.
    pub fn open(config: Config) -> MirrorResult<Self> {
        let session = config.zenoh()?;
        let (origin, names) = (config.origin()?, config.names.clone());
        let pool =
            Pool::new().map_err(|error| MirrorError::Network(format!("no thread: {error}")))?;
        let engine = ZenohEngine::open(session, &config.domain).map_err(MirrorError::Network)?;
        let around = Surroundings {
            engine: Arc::new(engine),
            origin,
            place: config.place.unwrap_or_else(Place::here),
            bell: pool.bell(),
        };
        Ok(Self {
            pool,
            around,
            names,
        })
    }

    /// Returns the name of this origin.
    pub fn origin(&self) -> &str {
        &self.around.origin
    }

    /// Offers a local cortex to other hosts. It need not exist yet, and may be removed and made anew.
    ///
    /// The mirror observes it: no writer is slowed, and read permission is enough.
    ///
    /// # Errors
    /// `InUse` where another mirror of this cortex is at work in this IPC namespace; `Cortex`; `Network`. That another
    /// origin has the name is told by [`Publishing::wait`], for its claim takes its time.
    pub fn publish(&self, what: Publish) -> MirrorResult<Publishing> {
        let (local, control) = (what.key.clone(), Control::new(self.around.bell.clone()));
        self.check_allowed(&local)?;
        let board = board(&local, None, what.mode, Status::PUBLISHES)?;
        let task = Publisher::new(
            self.around.clone(),
            what.key,
            what.rivals,
            board,
            Arc::clone(&control),
        )?;
        self.pool.add(Box::new(task));
        Ok(Publishing(Running { local, control }))
    }

    /// Writes to a local cortex what the origin of a name has.
    ///
    /// # Errors
    /// `OwnPlace` where the name is published in this IPC namespace; `InUse` where another mirror of the local cortex is
    /// at work; `Cortex`; `Network`.
    pub fn follow(&self, what: Follow) -> MirrorResult<Following> {
        let (local, control) = (
            what.wish.local.clone(),
            Control::new(self.around.bell.clone()),
        );
        self.check_allowed(&what.key)?;
        let name = what.key.to_string();
        if self.around.place == Place::here() && is_published_here(&what.key) {
            return Err(MirrorError::OwnPlace { name });
        }
        let board = board(
            &local,
            what.status.as_ref(),
            what.wish.mode,
            Status::FOLLOWS,
        )?;
        let task = Follower::new(
            self.around.clone(),
            name,
            what.wish,
            what.is_every,
            board,
            Arc::clone(&control),
        )?;
        self.pool.add(Box::new(task));
        Ok(Following(Running { local, control }))
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.around
    }

    /// The network would let nothing of another name through, and nothing would say so.
    fn check_allowed(&self, key: &Key) -> MirrorResult<()> {
        key.number()?;
        if self.names.is_empty() || self.names.contains(&key.to_string()) {
            return Ok(());
        }
        Err(MirrorError::Config(format!(
            "\"{key}\" is not among the names that this mirror was opened for"
        )))
    }
}

fn board(local: &Key, copy: Option<&Key>, mode: Permission, role: u64) -> MirrorResult<Board> {
    let opened = Board::new(local, copy, mode, Status::new(role));
    opened.map_err(|error| match error {
        CortexError::Full { .. } => MirrorError::InUse {
            local: local.to_string(),
            process: Status::of(local)
                .and_then(|status| status.read())
                .map_or(0, |status| status.process),
        },
        error => error.into(),
    })
}

/// Returns whether a publisher of this name is at work in this IPC namespace.
fn is_published_here(key: &Key) -> bool {
    let is_held = || {
        inspect::segment(status_name(key))
            .is_ok_and(|info| info.schema == SCHEMA && info.alive != Some(0))
    };
    is_held()
        && Status::of(key)
            .and_then(|status| status.read())
            .is_ok_and(|status| status.role == Status::PUBLISHES)
}

struct Running {
    local: Key,
    control: Arc<Control>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop();
    }
}

macro_rules! handle {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        pub struct $name(Running);

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name))
                    .field(&self.0.local)
                    .finish()
            }
        }

        impl $name {
            /// Attaches to its status.
            ///
            /// # Errors
            /// As [`Status::of`].
            pub fn status(&self) -> CortexResult<Observer<Status>> {
                Status::of(&self.0.local)
            }

            /// Ends it. It has ended when [`Self::wait`] returns.
            pub fn stop(&self) {
                self.0.control.stop();
            }

            /// Returns whether it has ended.
            pub fn has_ended(&self) -> bool {
                self.0.control.has_ended()
            }

            /// Waits until it ends.
            ///
            /// # Errors
            /// Why it has ended, where nobody asked for it: `Taken`, `Lost` and `SameOrigin` of a publisher, `OwnPlace`
            /// of a follower. Only the first call tells.
            pub fn wait(&self) -> MirrorResult<()> {
                self.0.control.wait()
            }
        }
    };
}

handle!(Publishing, "A published name. Dropping it ends that.");
handle!(
    Following,
    "A followed name. Dropping it ends that; the local cortex stays."
);
