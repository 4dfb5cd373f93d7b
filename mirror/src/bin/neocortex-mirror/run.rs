//! `publish`, `follow` and `check`: until a signal comes, or all has ended.

use crate::arguments::{Check, Follow, Publish};
use crate::exit_status;
use crate::lines::say;
use crate::manual::print;
use neocortex::Key;
use neocortex_mirror::{check, Following, Mirror, MirrorError, MirrorResult, Publishing};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// How soon a signal, or an end, is noticed.
const SLICE: Duration = Duration::from_millis(50);

enum Handle {
    Publishing(Publishing),
    Following(Following),
}

impl Handle {
    fn has_ended(&self) -> bool {
        match self {
            Self::Publishing(handle) => handle.has_ended(),
            Self::Following(handle) => handle.has_ended(),
        }
    }

    fn stop_and_wait(&self) -> MirrorResult<()> {
        match self {
            Self::Publishing(handle) => {
                handle.stop();
                handle.wait()
            }
            Self::Following(handle) => {
                handle.stop();
                handle.wait()
            }
        }
    }
}

pub fn publish(arguments: &Publish) -> MirrorResult<ExitCode> {
    let stop = signals()?;
    let mirror = Mirror::open(arguments.network.config(&arguments.names))?;
    let begin = |name: &Key| {
        let what = neocortex_mirror::Publish::new(name);
        let what = match (arguments.take_over, arguments.standby) {
            (true, _) => what.take_over(),
            (_, true) => what.stand_by(),
            _ => what,
        };
        mirror.publish(what).map(Handle::Publishing)
    };
    let handles = arguments
        .names
        .iter()
        .map(begin)
        .collect::<MirrorResult<_>>()?;
    until_the_end(handles, &stop)
}

pub fn follow(arguments: &Follow) -> MirrorResult<ExitCode> {
    if arguments.names.len() > 1 && (arguments.local.is_some() || arguments.status.is_some()) {
        let what = "`--as` and `--status` are for one name. Start a mirror for each";
        return Err(MirrorError::Config(what.to_owned()));
    }
    let stop = signals()?;
    let mirror = Mirror::open(arguments.network.config(&arguments.names))?;
    let begin = |name: &Key| {
        let mut what = neocortex_mirror::Follow::new(name);
        what = what
            .permission(arguments.mode)
            .slots(arguments.slots)
            .max_size(arguments.max_size);
        if let Some(local) = &arguments.local {
            what = what.into_cortex(local);
        }
        if let Some(status) = &arguments.status {
            what = what.status(status);
        }
        if let Some(schema) = arguments.schema {
            what = what.schema(schema);
        }
        if arguments.create {
            what = what.create();
        }
        if arguments.every {
            what = what.every();
        }
        mirror.follow(what).map(Handle::Following)
    };
    let handles = arguments
        .names
        .iter()
        .map(begin)
        .collect::<MirrorResult<_>>()?;
    until_the_end(handles, &stop)
}

fn signals() -> MirrorResult<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The second one ends the process at once.
        let first = signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag));
        let then = first.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)));
        then.map_err(|error| MirrorError::Network(format!("no signal handler: {error}")))?;
    }
    Ok(flag)
}

/// Waits for a signal, or until every name has ended. Each end is one line, and the first failure the status.
fn until_the_end(mut handles: Vec<Handle>, stop: &AtomicBool) -> MirrorResult<ExitCode> {
    let mut status = 0;
    while !handles.is_empty() {
        let is_over = stop.load(Ordering::Relaxed);
        handles.retain(|handle| {
            if !is_over && !handle.has_ended() {
                return true;
            }
            if let Err(error) = handle.stop_and_wait() {
                say(&error.to_string());
                status = if status == 0 {
                    exit_status(&error)
                } else {
                    status
                };
            }
            false
        });
        if !handles.is_empty() {
            std::thread::sleep(SLICE);
        }
    }
    Ok(status.into())
}

pub fn check(arguments: &Check) -> MirrorResult<ExitCode> {
    let trip = check::round_trip().map_err(|error| match error {
        MirrorError::Network(why) => {
            MirrorError::Network(format!("the round trip on this host has failed: {why}"))
        }
        error => error,
    })?;
    print(
        format!(
            "this host: the first value after {:.0?}, the next one after {:.0?}\n",
            trip.first, trip.next
        )
        .as_bytes(),
    )?;
    if !arguments.network.is_given() {
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<_> = arguments.names.iter().map(ToString::to_string).collect();
    let found = check::origins(
        arguments.network.config(&arguments.names),
        &names,
        arguments.patience,
    )?;
    let mut status = ExitCode::SUCCESS;
    for claimed in found {
        let line = match claimed.origin {
            Some((origin, term)) => format!(
                "{}: \"{origin}\" is its origin (term {term})\n",
                claimed.name
            ),
            None => {
                status = ExitCode::from(7);
                format!(
                    "{}: no origin in sight after {:?}\n",
                    claimed.name, arguments.patience
                )
            }
        };
        print(line.as_bytes())?;
    }
    Ok(status)
}
