//! The other side: writes to a local cortex what the origin of a name has.
//!
//! It holds one question open and puts the next one when the answer is stored. So what arrives was current when the link
//! had room for it, however slow the link is, and one value is on its way at a time.
//!
//! | what happens | what it does |
//! |---|---|
//! | a claim comes or goes | chooses the winner, and asks that one |
//! | an answer of the winner, newer than what is here | stores it, asks again |
//! | an answer of another one, or of an elder epoch | counts it as refused |
//! | a question ends without an answer | asks again, later each time |
//! | a value that is not accepted, or has no place here | says so once, and waits for a change |
//! | a commit of another process to the local cortex | counts it, and asks for the origin's value, which replaces it |

use crate::claim::{winner, Claim};
use crate::clock;
use crate::engine::{Answer, Kept};
use crate::error::{MirrorError, MirrorResult};
use crate::local::{Local, Wish};
use crate::pool::{Next, Task};
use crate::running::{Control, Ending, Inbox, Surroundings};
use crate::status::{Board, Status};
use crate::wire::{Header, Question};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zenoh::bytes::ZBytes;

/// How soon a question that ended without an answer is put again: at first, and at last.
const SOONEST: Duration = Duration::from_millis(5);
const LATEST: Duration = Duration::from_millis(500);
/// How often the local cortex is looked after, and the status is brought up to date.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often the commits of others are replaced at most.
const REPLACE: Duration = Duration::from_millis(20);
/// When it is said that there is no origin, or no answer.
const SAY_SO: Duration = Duration::from_secs(3);

pub enum Arrival {
    Came {
        number: u64,
        after: Duration,
        answer: Result<(Header, ZBytes), String>,
    },
    Ended {
        number: u64,
    },
}

/// The task of one followed name.
pub struct Follower {
    around: Surroundings,
    name: String,
    wish: Wish,
    is_every: bool,
    inbox: Arc<Inbox<Arrival>>,
    _watch: Kept,
    board: Board,
    status: Status,
    origin: Option<Claim>,
    local: Option<Local>,
    /// Epoch and version of what the next question need not bring.
    have: Option<(u64, u64)>,
    /// What the origin announced, where it could not be stored.
    homeless: Option<Header>,
    /// The question that is open.
    open: Option<u64>,
    questions: u64,
    pause: Duration,
    ask_at: Instant,
    replaced_at: Instant,
    next: Instant,
    /// Since when there has been no origin, or no answer.
    silent_since: Instant,
    said: String,
    /// The last one: see there.
    ending: Ending,
}

impl Follower {
    pub fn new(
        around: Surroundings,
        name: String,
        wish: Wish,
        is_every: bool,
        board: Board,
        control: Arc<Control>,
    ) -> MirrorResult<Self> {
        let inbox = Inbox::new(around.bell.clone());
        let watch = inbox.watch(&*around.engine, &name)?;
        let now = Instant::now();
        Ok(Self {
            around,
            name,
            wish,
            is_every,
            inbox,
            _watch: watch,
            board,
            status: Status::new(Status::FOLLOWS),
            origin: None,
            local: None,
            have: None,
            homeless: None,
            open: None,
            questions: 0,
            pause: SOONEST,
            ask_at: now,
            replaced_at: now,
            next: now,
            silent_since: now,
            said: String::new(),
            ending: Ending::new(control),
        })
    }

    /// Says what has not been said just before.
    fn say(&mut self, what: String) {
        if what != self.said {
            tracing::warn!("\"{}\": {what}", self.name);
            self.said = what;
        }
    }

    fn choose(&mut self, claims: &[Claim], now: Instant) {
        let chosen = winner(claims);
        self.status.alive = chosen.is_some().into();
        if chosen == self.origin.as_ref() {
            return;
        }
        self.silent_since = now;
        // A question to another one ends by itself, and its answer is not waited for.
        self.open = None;
        (self.pause, self.ask_at) = (SOONEST, now);
        match chosen {
            Some(claim) => {
                tracing::info!(
                    "\"{}\": follows \"{}\" (term {})",
                    self.name,
                    claim.origin,
                    claim.term
                );
                (self.status.term, self.status.epoch) = (claim.term, claim.epoch);
                self.status.set_origin(&claim.origin);
                self.status.known_version = 0;
            }
            None => self.say("the origin has gone. The last value stays".to_owned()),
        }
        self.origin = chosen.cloned();
    }

    /// Puts the next question.
    fn ask(&mut self, now: Instant) {
        let Some(origin) = &self.origin else { return };
        if self.open.is_some() || now < self.ask_at {
            return;
        }
        self.questions += 1;
        let (number, inbox) = (self.questions, Arc::clone(&self.inbox));
        let on_answer = Box::new(move |answer| {
            inbox.put(match answer {
                Answer::Came(answer) => Arrival::Came {
                    number,
                    after: now.elapsed(),
                    answer,
                },
                Answer::Ended => Arrival::Ended { number },
            });
        });
        let question = Question {
            since: self.have,
            largest: self.wish.largest,
            is_every: self.is_every,
        };
        self.open = Some(number);
        if let Err(error) = self
            .around
            .engine
            .ask(&self.name, &origin.origin, question, on_answer)
        {
            self.wait(now);
            self.say(format!("cannot ask: {error}"));
        }
    }

    /// Lets the next question wait, longer each time.
    fn wait(&mut self, now: Instant) {
        self.open = None;
        self.ask_at = now + self.pause;
        self.pause = (self.pause * 2).min(LATEST);
    }

    /// Drops what is here and asks for it at once, whatever question is open.
    fn ask_anew(&mut self) {
        (self.have, self.open) = (None, None);
    }

    fn refuse(&mut self, why: String) {
        self.status.refused += 1;
        self.say(format!("refused: {why}"));
    }

    /// Takes an answer. `Some` is the end.
    fn take(
        &mut self,
        header: Header,
        payload: &ZBytes,
        after: Duration,
        now: Instant,
    ) -> Option<MirrorError> {
        if header.place == self.around.place {
            return Some(MirrorError::OwnPlace {
                name: self.name.clone(),
            });
        }
        if !self
            .origin
            .as_ref()
            .is_some_and(|origin| header.is_of(origin))
        {
            self.status.refused += 1;
            return None;
        }
        (self.status.heard_at, self.silent_since) = (clock::monotonic(), now);
        self.status.known_version = self.status.known_version.max(header.last_version());
        let known = self
            .have
            .filter(|have| have.0 == header.epoch)
            .map(|have| have.1);
        let is_newer = known.is_none_or(|known| header.version > known);
        if let Some(why) = self.wish.why_not(&header) {
            self.have = Some((header.epoch, header.version));
            self.refuse(why);
            return None;
        }
        if !header.has_value || !is_newer {
            return None;
        }
        match self.store(&header, payload) {
            Ok(()) => {
                let held = Duration::from_nanos(header.held);
                self.status.age_at_most = after.saturating_sub(held).as_nanos() as u64;
                self.status.applied_at = clock::monotonic();
                self.status.applied += u64::from(header.count);
                self.status.origin_version = header.last_version();
                self.status.missed += header.missed;
                if !header.is_every {
                    self.status.conflated += known.map_or(0, |known| header.version - known - 1);
                }
                self.have = Some((header.epoch, header.last_version()));
                self.homeless = None;
                self.said.clear();
            }
            Err(why) => {
                // It is not fetched again before there is a place for it.
                self.have = Some((header.epoch, header.last_version()));
                self.homeless = Some(header);
                self.refuse(why);
            }
        }
        None
    }

    /// Stores the values of an answer. A local cortex that takes none is looked for anew.
    fn store(&mut self, header: &Header, payload: &ZBytes) -> Result<(), String> {
        let mut local = match self.local.take() {
            Some(local) if local.takes(header) => local,
            _ => self.wish.open(header)?,
        };
        local.store(header, payload, &mut self.status.foreign)?;
        self.status.local_version = local.own_version();
        self.local = Some(local);
        Ok(())
    }

    /// Looks whether others write here, or have removed the cortex; and for a place, where there was none.
    fn look_after_local(&mut self, now: Instant) {
        if self.local.as_ref().is_some_and(|local| local.is_removed()) {
            self.local = None;
            self.ask_anew();
            self.say("the local cortex was removed".to_owned());
        }
        if let Some(header) = self.homeless.take() {
            match self.wish.open(&header) {
                Ok(local) => {
                    self.local = Some(local);
                    self.said.clear();
                    self.ask_anew();
                }
                Err(_) => self.homeless = Some(header),
            }
        }
        if now - self.silent_since > SAY_SO {
            let what = match &self.origin {
                None if self.status.applied == 0 => "no origin is in sight. It is not published, the link is down, or this host may not see it".to_owned(),
                Some(origin) => format!("\"{}\" is there and does not answer. It may not be allowed to answer this host", origin.origin),
                None => return,
            };
            self.say(what);
        }
    }

    fn others_wrote(&self, now: Instant) -> bool {
        let is_foreign = || {
            self.local
                .as_ref()
                .is_some_and(|local| local.foreign() != 0)
        };
        is_foreign() && now >= self.replaced_at + REPLACE
    }

    fn heed_others(&mut self, now: Instant) {
        if self.others_wrote(now) {
            self.replaced_at = now;
            self.status.foreign += self.local.as_mut().map_or(0, Local::take_foreign);
            self.say("another process of this host writes to the local cortex. The origin's value replaces what it wrote".to_owned());
            self.ask_anew();
        }
    }
}

impl Task for Follower {
    fn is_due(&mut self, now: Instant) -> bool {
        let is_asking_due = || self.origin.is_some() && self.open.is_none() && now >= self.ask_at;
        now >= self.next
            || self.inbox.has_news()
            || self.ending.is_asked_for()
            || is_asking_due()
            || self.others_wrote(now)
    }

    fn step(&mut self, now: Instant) -> Next {
        if self.ending.is_asked_for() {
            return Next::End;
        }
        let before = (
            self.status.alive,
            self.status.applied,
            self.status.refused,
            self.status.foreign,
        );
        let (arrivals, claims) = self.inbox.take();
        self.choose(&claims, now);
        for arrival in arrivals {
            match arrival {
                Arrival::Came {
                    number,
                    after,
                    answer,
                } => {
                    let is_expected = self.open == Some(number);
                    match answer {
                        Ok((header, payload)) => {
                            if is_expected {
                                (self.open, self.pause, self.ask_at) = (None, SOONEST, now);
                            }
                            if let Some(end) = self.take(header, &payload, after, now) {
                                self.ending.tell(Err(end));
                                return Next::End;
                            }
                        }
                        Err(why) => {
                            self.refuse(why);
                            if is_expected {
                                self.wait(now);
                            }
                        }
                    }
                }
                Arrival::Ended { number } if self.open == Some(number) => self.wait(now),
                Arrival::Ended { .. } => {}
            }
        }
        self.heed_others(now);
        if now >= self.next {
            self.next = now + LOOK_AGAIN;
            self.look_after_local(now);
        }
        self.ask(now);
        let after = (
            self.status.alive,
            self.status.applied,
            self.status.refused,
            self.status.foreign,
        );
        self.board.write(&mut self.status, before != after);
        // What comes rings the bell.
        Next::Stay(Vec::new(), false)
    }
}
