//! iceoryx2 in a place of its own, of which nothing is left behind.

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

type Service = ipc::Service;

/// A node whose files all have the name of the run: its first process's id.
pub struct Place {
    pub node: Node<Service>,
}

impl Place {
    /// The node of the process that started the run.
    pub fn new() -> Self {
        Self::of(std::process::id())
    }

    /// The node of another process of the same run.
    pub fn of(run: u32) -> Self {
        set_log_level(LogLevel::Error);
        let mut config = Config::default();
        let folder = folder(run);
        let path = folder.to_str().expect("a temporary directory in UTF-8");
        let path = Path::new(path.as_bytes()).expect("a short path");
        config.global.set_root_path(&path);
        // So that what it leaves in /dev/shm can be told from others'.
        config.global.prefix = FileName::new(prefix(run).as_bytes()).expect("a short name");
        let node = NodeBuilder::new()
            .config(&config)
            .create::<Service>()
            .expect("a node of iceoryx2");
        Self { node }
    }

    /// The two ends of an event, to be found by its name from every process of the run.
    pub fn event(&self, name: &str) -> (Notifier<Service>, Listener<Service>) {
        let service = self
            .node
            .service_builder(&name.try_into().expect("a name"))
            .event()
            .open_or_create()
            .expect("an event");
        let notifier = service.notifier_builder().create().expect("a notifier");
        let listener = service.listener_builder().create().expect("a listener");
        (notifier, listener)
    }
}

/// The two ends of a topic of arrays.
pub struct Topic<const WORDS: usize> {
    publisher: Publisher<Service, [u64; WORDS], ()>,
    subscriber: Subscriber<Service, [u64; WORDS], ()>,
}

impl Place {
    /// A topic whose subscribers keep so many samples, the newest, to be found by its name from every process of the run.
    pub fn topic<const WORDS: usize>(&self, name: &str, kept: usize) -> Topic<WORDS> {
        let service = self
            .node
            .service_builder(&name.try_into().expect("a name"))
            .publish_subscribe::<[u64; WORDS]>()
            .subscriber_max_buffer_size(kept)
            .enable_safe_overflow(true)
            .open_or_create()
            .expect("a topic");
        let subscriber = service.subscriber_builder().buffer_size(kept);
        Topic {
            publisher: service.publisher_builder().create().expect("a publisher"),
            subscriber: subscriber.create().expect("a subscriber"),
        }
    }
}

impl<const WORDS: usize> Topic<WORDS> {
    /// Writes it in place, where subscribers read it.
    pub fn publish(&self, value: &[u64; WORDS]) {
        let mut sample = self.publisher.loan_uninit().expect("a sample");
        let place = sample.payload_mut().as_mut_ptr();
        // SAFETY: the place is the sample's, and all of it is written.
        let sample = unsafe {
            place.copy_from_nonoverlapping(value, 1);
            sample.assume_init()
        };
        sample.send().expect("send");
    }

    /// What the next sample says, which is read in place; `None` where there is none.
    pub fn next<R>(&self, read: impl FnOnce(&[u64; WORDS]) -> R) -> Option<R> {
        let sample = self.subscriber.receive().expect("receive")?;
        Some(read(sample.payload()))
    }
}

/// Sleeps until the event comes.
pub fn await_event(listener: &Listener<Service>) {
    listener.blocking_wait(|_| ()).expect("wait for the event");
}

pub fn prefix(run: u32) -> String {
    format!("peers{run}_")
}

fn folder(run: u32) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("peers-{run}"))
}

/// Takes away what the run left when dropped: declare it before the places of the run.
pub struct Broom(u32);

impl Broom {
    pub fn new() -> Self {
        Self(std::process::id())
    }
}

impl Drop for Broom {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(folder(self.0));
        // A node's management segment outlives the node.
        let left = std::fs::read_dir("/dev/shm");
        let prefix = prefix(self.0);
        for file in left.into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}
