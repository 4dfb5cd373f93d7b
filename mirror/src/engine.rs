//! What a mirror needs of a network: to ask and to answer, and to know who is there. Zenoh gives it ([`crate::session`]);
//! the rest of the mirror knows these few words of it only.

use crate::claim::Claim;
use crate::wire::{Header, Question};
use zenoh::bytes::ZBytes;

/// Why the network refused something.
pub type EngineResult<T> = Result<T, String>;

/// What stays as long as it is kept: a claim, an answering origin, a watch.
pub type Kept = Box<dyn Send>;

/// A question that waits for an answer. Dropped without one, it has ended.
pub trait Asked: Send {
    /// Returns what is asked for.
    fn question(&self) -> Question;

    /// Answers, which blocks while the link is full, and ends the question.
    ///
    /// # Errors
    /// Where the link was closed.
    fn answer(self: Box<Self>, header: Vec<u8>, payload: ZBytes) -> EngineResult<()>;
}

/// What comes of a question.
pub enum Answer {
    /// An answer, or why it is none.
    Came(Result<(Header, ZBytes), String>),
    /// There will be no answer any more.
    Ended,
}

/// The network. Its callbacks run on its own threads: they must not block, and never while a lock is held that a caller
/// of `answer` or `ask` holds too.
pub trait Engine: Send + Sync {
    /// Reports each claim of a name that is there, and those that go (`false`).
    ///
    /// # Errors
    /// Where the network is closed.
    fn watch(
        &self,
        name: &str,
        on_change: Box<dyn Fn(Claim, bool) + Send + Sync>,
    ) -> EngineResult<Kept>;

    /// Claims a name.
    ///
    /// # Errors
    /// Where the network is closed.
    fn claim(&self, name: &str, claim: &Claim) -> EngineResult<Kept>;

    /// Takes the questions that are put to an origin.
    ///
    /// # Errors
    /// Where the network is closed.
    fn serve(
        &self,
        name: &str,
        origin: &str,
        on_question: Box<dyn Fn(Box<dyn Asked>) + Send + Sync>,
    ) -> EngineResult<Kept>;

    /// Puts a question to an origin. `on_answer` is called with [`Answer::Ended`] last, once.
    ///
    /// # Errors
    /// Where the network is closed.
    fn ask(
        &self,
        name: &str,
        origin: &str,
        question: Question,
        on_answer: Box<dyn Fn(Answer) + Send + Sync>,
    ) -> EngineResult<()>;
}
