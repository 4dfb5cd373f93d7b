//! What the command says: one line on standard error for each thing that has happened, the mirror's own and Zenoh's.
//!
//! Zenoh tries again and again what fails, and logs each time. Here a line that was said a minute ago or less is not
//! said again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const AGAIN: Duration = Duration::from_secs(60);

/// Where Zenoh says whether an endpoint could be reached.
const CONNECTING: &str = "zenoh::net::runtime::orchestrator";

#[derive(Default)]
struct Lines {
    said: Mutex<HashMap<String, Instant>>,
    /// All that is logged, for looking for a mistake: `NEOCORTEX_MIRROR_LOG`.
    is_all: bool,
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let most = match metadata.target() {
            _ if self.is_all => Level::DEBUG,
            target if target.starts_with("neocortex") => Level::INFO,
            CONNECTING => Level::DEBUG,
            target if target.starts_with("zenoh_link") || target.starts_with("zenoh_transport") => {
                Level::WARN
            }
            // What it says of its routing is for those who know it.
            _ => Level::ERROR,
        };
        *metadata.level() <= most
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let metadata = event.metadata();
        if self.is_all {
            return say(&format!(
                "{} {}: {}",
                metadata.level(),
                metadata.target(),
                message.0
            ));
        }
        let Some(line) = line(metadata.target(), *metadata.level(), &message.0) else {
            return;
        };
        if metadata.target().starts_with("neocortex") {
            return say(&line);
        }
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, at| now - *at < AGAIN);
        if said.insert(line.clone(), now).is_none() {
            say(&line);
        }
    }
}

/// Returns what to say of an event; `None` is nothing.
fn line(target: &str, level: Level, message: &str) -> Option<String> {
    let message = without_places(message);
    if target == CONNECTING && level > Level::WARN {
        if let Some(rest) = message.strip_prefix("Unable to connect to configured peer ") {
            let (peer, why) = rest.split_once("! ").unwrap_or((rest, ""));
            // What follows has numbers that differ each time.
            let why = why.split(" on: Transport").next().unwrap_or_default();
            let why = why.split(". Retry in").next().unwrap_or_default();
            return Some(format!(
                "no link to {peer} yet, and it is tried again: {}",
                why.trim_end_matches('.')
            ));
        }
        let peer = message.strip_prefix("Successfully connected to configured peer ")?;
        return Some(format!("linked to {peer}"));
    }
    if target.starts_with("zenoh_link_tls") {
        let why = message.split(". Hint: increase").next().unwrap_or_default();
        return Some(format!("a connection was refused: {why}"));
    }
    Some(message)
}

/// Zenoh's errors have the places in its source where they were passed on.
fn without_places(message: &str) -> String {
    let mut left = message;
    let mut text = String::new();
    while let Some(at) = left.find(" at /") {
        text.push_str(&left[..at]);
        let rest = &left[at + 4..];
        // `…/file.rs:123.`
        let end = rest.find(".rs:").map_or(rest.len(), |end| {
            let number = &rest[end + 4..];
            end + 4
                + number
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(number.len())
        });
        left = &rest[end..];
    }
    text.push_str(left);
    text
}

/// From here on events become lines.
pub fn begin() {
    let lines = Lines {
        is_all: std::env::var_os("NEOCORTEX_MIRROR_LOG").is_some(),
        ..Lines::default()
    };
    // It fails where there is one already, which there is not.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
}

/// A line on standard error, which may be closed. What it quotes may come from another host.
pub fn say(message: &str) {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let message: String = message.chars().map(plain).collect();
    let _ = writeln!(std::io::stderr(), "neocortex-mirror: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_zenoh_becomes_one_line_without_its_source() {
        let message = "Unable to connect to configured peer tcp/10.0.0.1:7447! Can not create a new TCP link bound to tcp/10.0.0.1:7447: [Connection refused at /root/x/src/lib.rs:50.] at /root/y/src/unicast.rs:331.. Retry in 1s.";
        assert_eq!(
            line(CONNECTING, Level::DEBUG, message).expect("a line"),
            "no link to tcp/10.0.0.1:7447 yet, and it is tried again: Can not create a new TCP link bound to tcp/10.0.0.1:7447: [Connection refused.]"
        );
        assert_eq!(line(CONNECTING, Level::DEBUG, "Try to connect: x"), None);
    }
}
