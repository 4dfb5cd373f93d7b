//! The origin's side: offers a local cortex to other hosts.
//!
//! It observes the cortex, so that a writer is never slowed by it, and answers questions: at once where it has something
//! newer than the asker, and otherwise when there is. So there is one value on its way to each follower at a time, and
//! it was the current one when the follower was ready for it.
//!
//! | state | what it does | next |
//! |---|---|---|
//! | looking round | waits until the claims of others have arrived | refused; or standing by |
//! | standing by | waits until no other origin is there | attaching |
//! | attaching | waits until the cortex is there | offering |
//! | offering | has a claim, answers questions | attaching, with a new epoch, where the cortex was removed; lost, where a greater claim is there |
//!
//! A program that has made the cortex may die: the last commit is offered on, for the segment stays.

use crate::claim::{winner, Claim};
use crate::clock;
use crate::engine::{Asked, Kept};
use crate::error::{MirrorError, MirrorResult};
use crate::offer::{is_missing, send, Offer, Open};
use crate::pool::{Job, Next, Task};
use crate::running::{Control, Ending, Inbox, Surroundings};
use crate::status::{Board, Status, BEAT};
use crate::wire::HOLD;
use neocortex::{inspect, Key, SegmentObserver};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long the claims of others are waited for before the name is claimed.
const LOOK_ROUND: Duration = Duration::from_millis(300);
/// How often it is looked whether the cortex is there, or was removed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a read may take while writers overtake it.
const READ: Duration = Duration::from_millis(500);

/// What to do where another origin has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rivals {
    Respect,
    TakeOver,
    StandBy,
}

enum State {
    LookingRound(Instant),
    StandingBy,
    Attaching,
    Offering(Box<Offer>),
}

/// The task of one published name.
pub struct Publisher {
    around: Surroundings,
    key: Key,
    name: String,
    rivals: Rivals,
    inbox: Arc<Inbox<Box<dyn Asked>>>,
    _watch: Kept,
    board: Board,
    status: Status,
    state: State,
    open: Vec<Open>,
    /// The claims that were made here.
    own: Vec<Claim>,
    term: u64,
    next: Instant,
    said: String,
    /// The last one: see there.
    ending: Ending,
}

impl Publisher {
    pub fn new(
        around: Surroundings,
        key: Key,
        rivals: Rivals,
        board: Board,
        control: Arc<Control>,
    ) -> MirrorResult<Self> {
        let name = key.to_string();
        let inbox = Inbox::new(around.bell.clone());
        let watch = inbox.watch(&*around.engine, &name)?;
        let mut status = Status::new(Status::PUBLISHES);
        status.set_origin(&around.origin);
        Ok(Self {
            around,
            key,
            name,
            rivals,
            inbox,
            _watch: watch,
            board,
            status,
            state: State::LookingRound(Instant::now() + LOOK_ROUND),
            open: Vec::new(),
            own: Vec::new(),
            term: 1,
            next: Instant::now(),
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

    /// Decides by the claims of others. `Some` is the end.
    fn heed(&mut self, claims: &[Claim], now: Instant) -> Option<MirrorResult<()>> {
        let others = || claims.iter().filter(|claim| !self.own.contains(claim));
        let rival = winner(
            others()
                .filter(|claim| claim.origin != self.around.origin)
                .collect::<Vec<_>>(),
        )
        .cloned();
        match &self.state {
            State::LookingRound(until) if now < *until => None,
            State::LookingRound(_) => {
                self.term = match (&rival, self.rivals) {
                    (Some(rival), Rivals::Respect) => return Some(Err(self.taken(rival))),
                    (Some(rival), Rivals::TakeOver) => rival.term + 1,
                    _ => 1,
                };
                self.state = State::StandingBy;
                self.heed(claims, now)
            }
            State::StandingBy => {
                match (rival, self.rivals) {
                    (Some(rival), Rivals::StandBy) => {
                        // So that it takes over from this one, and the elder claim is this one's again where it comes back.
                        self.term = rival.term;
                        self.say(format!("stands by for \"{}\"", rival.origin));
                    }
                    _ => self.state = State::Attaching,
                }
                None
            }
            State::Attaching => None,
            State::Offering(offer) => {
                let namesake = others().find(|claim| {
                    claim.origin == offer.claim.origin
                        && (claim.term, claim.epoch) > (offer.claim.term, offer.claim.epoch)
                });
                if namesake.is_some() {
                    let (name, origin) = (self.name.clone(), self.around.origin.clone());
                    return Some(Err(MirrorError::SameOrigin { name, origin }));
                }
                let rival = rival.filter(|rival| rival.rank() > offer.claim.rank())?;
                if self.rivals == Rivals::StandBy {
                    self.withdraw();
                    self.state = State::StandingBy;
                    return self.heed(claims, now);
                }
                let (name, winner, term) = (self.name.clone(), rival.origin, rival.term);
                Some(Err(MirrorError::Lost { name, winner, term }))
            }
        }
    }

    fn taken(&self, rival: &Claim) -> MirrorError {
        let (name, holder, term) = (self.name.clone(), rival.origin.clone(), rival.term);
        MirrorError::Taken { name, holder, term }
    }

    /// Gives up the claim; the questions that are open have ended.
    fn withdraw(&mut self) {
        self.state = State::Attaching;
        self.open.clear();
        self.status.alive = 0;
    }

    /// Attaches to the cortex, if it is there, and claims the name.
    fn attach(&mut self, now: Instant, claims: &[Claim]) {
        match self.attach_now(now, claims) {
            Ok(Some(offer)) => {
                tracing::info!(
                    "\"{}\": {} bytes, published as \"{}\"",
                    self.name,
                    offer.observer.size(),
                    self.around.origin
                );
                self.status.alive = 1;
                (self.status.term, self.status.epoch) = (offer.claim.term, offer.claim.epoch);
                self.said.clear();
                self.state = State::Offering(Box::new(offer));
            }
            Ok(None) => self.say("waits for a program to make the cortex".to_owned()),
            Err(MirrorError::Cortex(error)) => self.say(error.to_string()),
            Err(error) => self.say(format!("cannot be published: {error}")),
        }
    }

    fn attach_now(&mut self, now: Instant, claims: &[Claim]) -> MirrorResult<Option<Offer>> {
        let observer = match SegmentObserver::attach(&self.key, 0) {
            Err(error) if is_missing(&error) => return Ok(None),
            result => result?,
        };
        let align = inspect::segment(&self.key)?.align;
        observer.set_timeout(Some(READ));
        let of_this_name = claims
            .iter()
            .filter(|claim| claim.origin == self.around.origin);
        let last = of_this_name.chain(&self.own).map(|claim| claim.epoch).max();
        let claim = Claim {
            term: self.term,
            epoch: last.map_or(0, |last| last + 1).max(clock::wall()),
            origin: self.around.origin.clone(),
        };
        let (engine, inbox) = (&self.around.engine, Arc::clone(&self.inbox));
        let on_question = Box::new(move |asked| inbox.put(asked));
        // Before the claim, which makes the followers ask.
        let served = engine
            .serve(&self.name, &claim.origin, on_question)
            .map_err(MirrorError::Network)?;
        self.own.push(claim.clone());
        let claimed = engine
            .claim(&self.name, &claim)
            .map_err(MirrorError::Network)?;
        Ok(Some(Offer {
            seen: observer.version(),
            observer,
            claim,
            align,
            looked: now,
            _kept: [claimed, served],
        }))
    }

    /// Answers what can be answered, and returns the answers as jobs, for a link may be slow.
    fn answer(&mut self, now: Instant) -> Vec<Job> {
        let State::Offering(offer) = &mut self.state else {
            return Vec::new();
        };
        offer.seen = offer.observer.version();
        let (epoch, seen) = (offer.claim.epoch, offer.seen);
        let is_behind = |open: &Open| open.question.since != Some((epoch, seen));
        let (behind, waiting): (Vec<_>, Vec<_>) = self.open.drain(..).partition(is_behind);
        let (late, waiting): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|open| now - open.arrived >= HOLD);
        self.open = waiting;
        let mut jobs: Vec<Job> = late
            .into_iter()
            .map(|open| offer.nothing_new(&self.around, open))
            .collect();
        let (every, newest): (Vec<_>, Vec<_>) = behind.into_iter().partition(|open| {
            let known = open.question.since;
            open.question.is_every && known.is_some_and(|since| since.0 == epoch && since.1 < seen)
        });
        let mut failure = None;
        for open in every {
            match offer.every_commit(&self.around, &open) {
                Ok((header, payload)) => {
                    self.status.applied += u64::from(header.count);
                    jobs.push(send(open.asked, header, payload));
                }
                Err(error) => {
                    self.open.push(open);
                    failure = Some(error);
                }
            }
        }
        if !newest.is_empty() {
            match offer.read() {
                Ok((value, version)) => {
                    self.status.applied += newest.len() as u64;
                    (self.status.origin_version, self.status.applied_at) =
                        (version, clock::monotonic());
                    let answers = newest
                        .into_iter()
                        .map(|open| offer.newest(&self.around, open, &value, version));
                    jobs.extend(answers);
                }
                Err(error) => {
                    // They are tried again in the next step.
                    self.open.extend(newest);
                    failure = Some(error);
                }
            }
        }
        self.status.known_version = seen;
        match failure {
            Some(error) => {
                // Not at once: it may be poisoned, or overtaken for long.
                self.next = now + LOOK_AGAIN;
                self.say(error.to_string());
            }
            None => self.said.clear(),
        }
        jobs
    }
}

impl Task for Publisher {
    fn is_due(&mut self, now: Instant) -> bool {
        if now >= self.next || self.inbox.has_news() || self.ending.is_asked_for() {
            return true;
        }
        matches!(&self.state, State::Offering(offer) if !self.open.is_empty() && offer.observer.version() != offer.seen)
    }

    fn step(&mut self, now: Instant) -> Next {
        if self.ending.is_asked_for() {
            return Next::End;
        }
        let (asked, claims) = self.inbox.take();
        if !asked.is_empty() {
            self.status.heard_at = clock::monotonic();
        }
        self.open.extend(asked.into_iter().map(|asked| Open {
            question: asked.question(),
            asked,
            arrived: now,
        }));
        if let Some(end) = self.heed(&claims, now) {
            self.withdraw();
            self.ending.tell(end);
            return Next::End;
        }
        self.next = now + LOOK_AGAIN;
        if let State::Offering(offer) = &mut self.state {
            if now - offer.looked >= LOOK_AGAIN {
                offer.looked = now;
                if offer.observer.is_removed() {
                    self.withdraw();
                    self.say(
                        "the cortex was removed. What the followers have stays there".to_owned(),
                    );
                }
            }
        }
        if matches!(self.state, State::Attaching) {
            self.attach(now, &claims);
        }
        let (was_alive, had) = (self.status.alive, self.status.applied);
        let jobs = self.answer(now);
        debug_assert!(LOOK_AGAIN < BEAT);
        let is_news = !jobs.is_empty() || self.status.alive != was_alive;
        self.board.write(&mut self.status, is_news);
        if self.board.is_lost() {
            self.say("the status was removed from the kernel's tables; a second mirror of this name would not be noticed".to_owned());
        }
        // Nothing tells an observer of a commit. Where one came the next one is looked for more often.
        Next::Stay(jobs, self.status.applied != had)
    }
}
