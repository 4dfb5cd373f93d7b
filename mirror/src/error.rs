//! Why a mirror does not begin, or has ended.

use neocortex::CortexError;

/// Why a mirror does not begin, or has ended. The local cortex is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),

    /// The network refused something.
    #[error("{0}")]
    Network(String),

    /// Another origin has the name.
    #[error("\"{name}\" is published by \"{holder}\" already (term {term}). `--take-over` takes its place, `--standby` waits until it is gone")]
    Taken {
        /// The name.
        name: String,
        /// The origin that has it.
        holder: String,
        /// The term of its claim.
        term: u64,
    },

    /// Another origin has won the name, so that this one has stopped.
    #[error("\"{name}\" is now published by \"{winner}\" (term {term}), and this host's publisher has stopped. `--take-over` takes it back")]
    Lost {
        /// The name.
        name: String,
        /// The origin that has it now.
        winner: String,
        /// The term of its claim.
        term: u64,
    },

    /// Another publisher in the network calls itself by this origin's name.
    #[error("\"{name}\": another publisher calls itself \"{origin}\" too, and is the newer one, so this one has stopped. Give each host a name of its own (`--origin`)")]
    SameOrigin {
        /// The name.
        name: String,
        /// The origin's name, which two have.
        origin: String,
    },

    /// Another mirror of this cortex is at work in this IPC namespace.
    #[error("the cortex \"{local}\" is mirrored already, by process {process} of this host. Each cortex has one publisher or follower")]
    InUse {
        /// The local cortex.
        local: String,
        /// The process, in its own PID namespace.
        process: u64,
    },

    /// The name is published in the same IPC namespace of the same host.
    #[error("\"{name}\" is published on this host itself: its cortex is here already, and a mirror of it would go in a circle")]
    OwnPlace {
        /// The name.
        name: String,
    },

    /// An operation on a cortex has failed.
    #[error(transparent)]
    Cortex(#[from] CortexError),
}

/// The result of what can fail in a mirror.
pub type MirrorResult<T> = Result<T, MirrorError>;
