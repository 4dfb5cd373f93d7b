//! The engine over Eclipse Zenoh: a question is a query, an origin a queryable, a claim a liveliness token.

use crate::claim::Claim;
use crate::engine::{Answer, Asked, Engine, EngineResult, Kept};
use crate::wire::{base, claim_key, claims_key, parse_claim, value_key, Header, Question};
use std::time::Duration;
use zenoh::bytes::ZBytes;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::{ConsolidationMode, Query, Reply};
use zenoh::sample::SampleKind;
use zenoh::{Session, Wait};

/// How long an answer may take, with its time on the link. A question does not wait for that where its origin goes: the
/// network then ends it.
const LONGEST_ANSWER: Duration = Duration::from_secs(600);

/// A session of Zenoh, and the domain of all its names.
pub struct ZenohEngine {
    session: Session,
    domain: String,
}

impl ZenohEngine {
    /// # Errors
    /// What Zenoh says: an endpoint that cannot be listened on, a certificate that cannot be read.
    pub fn open(config: zenoh::Config, domain: &str) -> EngineResult<Self> {
        let session = zenoh::open(config).wait().map_err(said)?;
        let domain = domain.to_owned();
        Ok(Self { session, domain })
    }

    fn base(&self, name: &str) -> String {
        base(&self.domain, name)
    }
}

impl Drop for ZenohEngine {
    fn drop(&mut self) {
        // The others then need not wait for the lease.
        if let Err(error) = self.session.close().wait() {
            tracing::debug!("closing: {error}");
        }
    }
}

/// An error of Zenoh without the place in its source.
fn said(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let end = text.rfind(" at /").unwrap_or(text.len());
    text[..end].to_owned()
}

impl Engine for ZenohEngine {
    fn watch(
        &self,
        name: &str,
        on_change: Box<dyn Fn(Claim, bool) + Send + Sync>,
    ) -> EngineResult<Kept> {
        let tokens = self
            .session
            .liveliness()
            .declare_subscriber(claims_key(&self.base(name)))
            .history(true);
        let watch = tokens.callback(move |token| {
            if let Some(claim) = parse_claim(token.key_expr()) {
                on_change(claim, token.kind() == SampleKind::Put);
            }
        });
        Ok(Box::new(watch.wait().map_err(said)?))
    }

    fn claim(&self, name: &str, claim: &Claim) -> EngineResult<Kept> {
        let token = self
            .session
            .liveliness()
            .declare_token(claim_key(&self.base(name), claim));
        Ok(Box::new(token.wait().map_err(said)?))
    }

    fn serve(
        &self,
        name: &str,
        origin: &str,
        on_question: Box<dyn Fn(Box<dyn Asked>) + Send + Sync>,
    ) -> EngineResult<Kept> {
        let key = value_key(&self.base(name), origin);
        let queryable = self.session.declare_queryable(key.clone()).complete(true);
        let queryable = queryable.callback(move |query| {
            let key = key.clone();
            on_question(Box::new(OpenQuery { query, key }));
        });
        Ok(Box::new(queryable.wait().map_err(said)?))
    }

    fn ask(
        &self,
        name: &str,
        origin: &str,
        question: Question,
        on_answer: Box<dyn Fn(Answer) + Send + Sync>,
    ) -> EngineResult<()> {
        let selector = format!(
            "{}?{}",
            value_key(&self.base(name), origin),
            question.write()
        );
        // Zenoh drops the callback when there will be no reply any more.
        let on_answer = EndsWith(on_answer);
        let query = self
            .session
            .get(selector)
            .timeout(LONGEST_ANSWER)
            .consolidation(ConsolidationMode::None);
        // The reply goes with the same quality: it waits for its place on the link, and what waits there is not older
        // than one value.
        let query = query
            .congestion_control(CongestionControl::Block)
            .priority(Priority::DataHigh)
            .express(true);
        query
            .callback(move |reply| on_answer.came(reply))
            .wait()
            .map_err(said)
    }
}

struct EndsWith(Box<dyn Fn(Answer) + Send + Sync>);

impl EndsWith {
    fn came(&self, reply: Reply) {
        // An error is Zenoh's own: a query that timed out, or that nobody takes.
        let Ok(sample) = reply.into_result() else {
            return;
        };
        let payload = sample.payload().clone();
        let header = sample.attachment().map(ZBytes::to_bytes);
        let header = Header::read(&header.unwrap_or_default(), &payload);
        (self.0)(Answer::Came(header.map(|header| (header, payload))));
    }
}

impl Drop for EndsWith {
    fn drop(&mut self) {
        (self.0)(Answer::Ended);
    }
}

struct OpenQuery {
    query: Query,
    key: String,
}

impl Asked for OpenQuery {
    fn question(&self) -> Question {
        Question::read(self.query.parameters().as_str())
    }

    fn answer(self: Box<Self>, header: Vec<u8>, payload: ZBytes) -> EngineResult<()> {
        self.query
            .reply(self.key, payload)
            .attachment(header)
            .wait()
            .map_err(said)
    }
}
