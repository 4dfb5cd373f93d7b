//! The crate's tracing events, delivered to a C callback.
//!
//! **Invariants.** A callback is called only while its sink is the current one and counted as
//! running; [`neocortex_set_log`] makes another sink current first and then waits until the old one
//! runs no more. No mutex: a forked child could inherit it locked, and a callback may call anything.
//! Sinks are never freed, because a thread may be just about to read one; they are used again.

use crate::error::names::quoted;
use crate::protocol::of_process::AtomicOfProcess;
use crate::sys::{cancel, fork, futex};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void, CString};
use std::fmt::Write;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Something could not be cleaned up.
pub const NEOCORTEX_LOG_ERROR: c_int = 1;
/// Something was recovered from, such as a dead holder.
pub const NEOCORTEX_LOG_WARN: c_int = 2;
/// Information.
pub const NEOCORTEX_LOG_INFO: c_int = 3;
/// For debugging a program that uses this library.
pub const NEOCORTEX_LOG_DEBUG: c_int = 4;
/// For debugging this library.
pub const NEOCORTEX_LOG_TRACE: c_int = 5;

type Callback =
    Option<unsafe extern "C" fn(ctx: *mut c_void, level: c_int, message: *const c_char)>;

struct Sink {
    log: Cell<Callback>,
    ctx: Cell<*mut c_void>,
    /// (epoch, how many threads are in the callback).
    running: AtomicOfProcess,
    is_taken: AtomicBool,
    next: AtomicPtr<Sink>,
}

// SAFETY: `log` and `ctx` are written only by the one call of set_log that has taken the sink, before
// it becomes current, and read only by threads that count as running and saw it current after that.
unsafe impl Sync for Sink {}

/// The sink that events go to; null is none.
static CURRENT: AtomicPtr<Sink> = AtomicPtr::new(std::ptr::null_mut());
/// Every sink ever made.
static ALL: AtomicPtr<Sink> = AtomicPtr::new(std::ptr::null_mut());
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

impl Sink {
    /// Changes the number of threads in the callback; those of a parent process do not count.
    fn count(&self, change: impl Fn(u32) -> u32) {
        self.running.change(fork::epoch(), Ordering::SeqCst, change);
    }

    fn is_running(&self) -> bool {
        self.running.count(fork::epoch(), Ordering::SeqCst) != 0
    }

    /// Takes a sink that is not in use, or makes one, and sets this callback in it.
    fn obtain(log: Callback, ctx: *mut c_void) -> &'static Self {
        let mut place = ALL.load(Ordering::SeqCst);
        // SAFETY: sinks are never freed.
        while let Some(sink) = unsafe { place.as_ref() } {
            if !sink.is_taken.swap(true, Ordering::SeqCst) {
                if !sink.is_running() {
                    sink.log.set(log);
                    sink.ctx.set(ctx);
                    return sink;
                }
                sink.is_taken.store(false, Ordering::SeqCst);
            }
            place = sink.next.load(Ordering::SeqCst);
        }
        let sink: &'static Self = Box::leak(Box::new(Self {
            log: Cell::new(log),
            ctx: Cell::new(ctx),
            running: AtomicOfProcess::default(),
            is_taken: AtomicBool::new(true),
            next: AtomicPtr::new(std::ptr::null_mut()),
        }));
        let mut first = ALL.load(Ordering::SeqCst);
        loop {
            sink.next.store(first, Ordering::SeqCst);
            let this = std::ptr::from_ref(sink).cast_mut();
            match ALL.compare_exchange(first, this, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return sink,
                Err(now) => first = now,
            }
        }
    }
}

/// Sends this library's events to `log` from now on: level (NEOCORTEX_LOG_ERROR to _TRACE) and one
/// line of text, valid during the call. NULL ends it. What is about a cortex says its key, and its name where it has one
/// that this process knows: key=1772166907 name="arm/pose".
///
/// May be called at any time, from any thread, also from within the callback. When it returns, the
/// former callback is not running any more (but for the call that this is made from). The callback
/// runs on the thread that has something to say, with no lock held, possibly on several threads at
/// once; what it makes this library say in turn is dropped. In a Rust program that has set a global
/// tracing subscriber, events go there and not here.
///
/// # Safety
/// `log` is NULL or may be called with `ctx` from any thread until it is replaced.
#[no_mangle]
pub unsafe extern "C" fn neocortex_set_log(
    log: Option<unsafe extern "C" fn(ctx: *mut c_void, level: c_int, message: *const c_char)>,
    ctx: *mut c_void,
) {
    let _uncancelled = cancel::Disabled::new();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let next = match log {
            Some(_) => std::ptr::from_ref(Sink::obtain(log, ctx)).cast_mut(),
            None => std::ptr::null_mut(),
        };
        let former = CURRENT.swap(next, Ordering::SeqCst);
        if log.is_some() && !IS_INSTALLED.swap(true, Ordering::SeqCst) {
            // A subscriber that is there already stays.
            let _ = tracing::subscriber::set_global_default(Bridge);
        }
        // SAFETY: sinks are never freed.
        let Some(former) = (unsafe { former.as_ref() }) else {
            return;
        };
        let is_own_call = IS_IN_CALLBACK.try_with(Cell::get).unwrap_or(false);
        while former.is_running() && !is_own_call {
            futex::sleep(Duration::from_micros(50));
        }
        former.is_taken.store(false, Ordering::SeqCst);
    }));
}

/// Calls the current callback, if there is one and this is not inside it.
fn deliver(level: c_int, message: &str) {
    if IS_IN_CALLBACK
        .try_with(|is_in| is_in.replace(true))
        .unwrap_or(true)
    {
        return;
    }
    loop {
        let place = CURRENT.load(Ordering::SeqCst);
        // SAFETY: sinks are never freed.
        let Some(sink) = (unsafe { place.as_ref() }) else {
            break;
        };
        sink.count(|count| count + 1);
        // Still the current one after this thread counts in it: the call that replaces it waits for this thread.
        let is_current = CURRENT.load(Ordering::SeqCst) == place;
        if let (true, Some(log)) = (is_current, sink.log.get()) {
            let text = CString::new(message.replace('\0', "?")).unwrap_or_default();
            // SAFETY: the promise made to neocortex_set_log.
            unsafe { log(sink.ctx.get(), level, text.as_ptr()) };
        }
        sink.count(|count| count.saturating_sub(1));
        if is_current {
            break;
        }
    }
    let _ = IS_IN_CALLBACK.try_with(|is_in| is_in.set(false));
}

/// The tracing subscriber that stands between the crate's events and the callback.
struct Bridge;

impl Subscriber for Bridge {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        !CURRENT.load(Ordering::Relaxed).is_null()
    }

    fn new_span(&self, _attributes: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::ERROR => NEOCORTEX_LOG_ERROR,
            Level::WARN => NEOCORTEX_LOG_WARN,
            Level::INFO => NEOCORTEX_LOG_INFO,
            Level::DEBUG => NEOCORTEX_LOG_DEBUG,
            Level::TRACE => NEOCORTEX_LOG_TRACE,
        };
        let mut line = Line::default();
        event.record(&mut line);
        let _uncancelled = cancel::Disabled::new();
        deliver(level, &format!("{}{}", line.message, line.fields));
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}

    fn register_callsite(
        &self,
        _metadata: &'static Metadata<'static>,
    ) -> tracing::subscriber::Interest {
        // Asked each time: a callback can be set and taken away.
        tracing::subscriber::Interest::sometimes()
    }
}

/// An event as text: its message, then `name=value` for each field.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            // Quoted: a name may have spaces in it, and anything that a log gives a meaning to.
            name => write!(self.fields, " {name}={}", quoted(value)),
        };
    }
}
