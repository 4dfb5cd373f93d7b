//! What a publisher offers: the observed cortex under a claim, and the answers that are made of it.

use crate::claim::Claim;
use crate::clock;
use crate::engine::{Asked, Kept};
use crate::pool::Job;
use crate::running::Surroundings;
use crate::wire::{Header, Question};
use neocortex::{schema_of, CortexError, CortexResult, SegmentObserver};
use std::time::Instant;
use zenoh::bytes::ZBytes;

/// The most bytes in an answer with several commits, where one commit is not larger.
const BATCH: usize = 1 << 20;

/// A question that waits for its answer.
pub struct Open {
    pub asked: Box<dyn Asked>,
    pub question: Question,
    pub arrived: Instant,
}

/// A cortex that is offered.
pub struct Offer {
    pub observer: SegmentObserver,
    pub claim: Claim,
    pub align: u32,
    /// Every question that is open has this version.
    pub seen: u64,
    pub looked: Instant,
    pub _kept: [Kept; 2],
}

/// Returns whether an error says that no cortex has the key.
pub fn is_missing(error: &CortexError) -> bool {
    error
        .system()
        .is_some_and(|failure| failure.io_error().kind() == std::io::ErrorKind::NotFound)
}

impl Offer {
    pub fn read(&self) -> CortexResult<(ZBytes, u64)> {
        let mut bytes = vec![0; self.observer.size()];
        let version = self.observer.read_versioned(0, &mut bytes)?;
        Ok((bytes.into(), version))
    }

    fn header(&self, around: &Surroundings, open: &Open) -> Header {
        Header {
            term: self.claim.term,
            epoch: self.claim.epoch,
            origin: schema_of(&self.claim.origin),
            place: around.place,
            size: self.observer.size() as u64,
            schema: self.observer.schema(),
            align: self.align,
            lock: self.observer.lock_name().to_owned(),
            has_value: false,
            is_every: false,
            count: 0,
            version: self.seen,
            missed: 0,
            read_at: clock::wall(),
            held: open.arrived.elapsed().as_nanos() as u64,
        }
    }

    pub fn nothing_new(&self, around: &Surroundings, open: Open) -> Job {
        let header = self.header(around, &open);
        send(open.asked, header, ZBytes::new())
    }

    pub fn newest(&self, around: &Surroundings, open: Open, value: &ZBytes, version: u64) -> Job {
        let mut header = self.header(around, &open);
        header.version = version;
        if header.size > open.question.largest {
            return send(open.asked, header, ZBytes::new());
        }
        (header.has_value, header.count) = (true, 1);
        send(open.asked, header, value.clone())
    }

    /// Returns the commits after the version that the asker has, as many as are kept and fit.
    pub fn every_commit(
        &self,
        around: &Surroundings,
        open: &Open,
    ) -> CortexResult<(Header, ZBytes)> {
        let size = self.observer.size();
        let since = open.question.since.map_or(0, |since| since.1);
        let new = usize::try_from(self.seen.saturating_sub(since)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; new.clamp(1, (BATCH / size).max(1)) * size];
        let batch = self.observer.follow(since).next_many(&mut bytes)?;
        bytes.truncate(batch.count * size);
        let mut header = self.header(around, open);
        header.has_value = batch.count > 0;
        header.is_every = true;
        header.count = batch.count as u32;
        (header.version, header.missed) = match batch.count {
            // Writers have overtaken it at each attempt: the asker asks again.
            0 => (since, 0),
            _ => (batch.version, batch.missed),
        };
        Ok((header, bytes.into()))
    }
}

/// Returns the job that sends an answer.
pub fn send(asked: Box<dyn Asked>, header: Header, payload: ZBytes) -> Job {
    Box::new(move || {
        if let Err(error) = asked.answer(header.write(&payload), payload) {
            tracing::debug!("an answer was not sent: {error}");
        }
    })
}
