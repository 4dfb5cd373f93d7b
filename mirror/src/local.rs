//! The local cortex of a followed name: how it is found or made, and how a value is stored there.
//!
//! **Invariant.** Nothing is made that was not asked for, and what is there is written to only if its size, alignment,
//! schema and lock are the origin's.

use crate::offer::is_missing;
use crate::wire::Header;
use neocortex::{
    CortexResult, CortexSync, Key, Permission, RwLock, Segment, SegmentOptions, SeqLock,
};
use std::time::Duration;
use zenoh::bytes::ZBytes;

/// How long a local program may hold the lock before a value is refused, and tried again.
const WRITE: Duration = Duration::from_secs(1);

/// What a follower accepts, and where it stores it.
#[derive(Debug, Clone)]
pub struct Wish {
    pub local: Key,
    /// Whether to make the local cortex where there is none.
    pub create: bool,
    pub schema: Option<u64>,
    pub largest: u64,
    pub mode: Permission,
    pub slots: u32,
}

impl Wish {
    /// Returns why the value that a header announces is not accepted.
    pub fn why_not(&self, header: &Header) -> Option<String> {
        if header.size > self.largest {
            let (size, largest) = (header.size, self.largest);
            return Some(format!(
                "the value has {size} bytes, and at most {largest} are accepted (`--max-size`)"
            ));
        }
        let expected = self.schema.filter(|&expected| expected != header.schema)?;
        Some(format!(
            "the origin's schema is {:#x}, and {expected:#x} is expected (`--schema`)",
            header.schema
        ))
    }

    /// Attaches to the local cortex, or makes it with zeros.
    ///
    /// # Errors
    /// Why there is none that fits.
    pub fn open(&self, header: &Header) -> Result<Local, String> {
        match &*header.lock {
            SeqLock::NAME => self.open_with::<SeqLock>(header),
            RwLock::NAME => self.open_with::<RwLock>(header),
            #[cfg(feature = "semaphore")]
            neocortex::Semaphore::NAME => self.open_with::<neocortex::Semaphore>(header),
            other => Err(format!(
                "the origin's lock is \"{other}\", which does not come with neocortex"
            )),
        }
    }

    fn open_with<L: CortexSync + 'static>(&self, header: &Header) -> Result<Local, String> {
        let size = usize::try_from(header.size)
            .map_err(|_| "the value is too large for this machine".to_owned())?;
        let options = SegmentOptions::new()
            .schema(header.schema)
            .align(header.align)
            .timeout(Some(WRITE));
        match options.attach::<L>(&self.local, size) {
            Ok(segment) => Ok(Local::new(segment, header)),
            Err(error) if is_missing(&error) && self.create => {
                // It is to stay when the mirror ends: the last value is good as long as somebody reads it.
                let options = options.persist().permission(self.mode).slots(self.slots);
                let made = options.create_or_attach::<L>(&self.local, size);
                made.map(|segment| Local::new(segment, header))
                    .map_err(|error| error.to_string())
            }
            Err(error) if is_missing(&error) => Err(format!(
                "there is no cortex \"{}\" here. A program makes it, or `--create` does",
                self.local
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The local cortex, and which of its commits were made here.
pub struct Local {
    cortex: Box<dyn Cortex>,
    /// Its version after the last commit that was made here.
    own: u64,
    /// Size, alignment, schema and lock of the values that it takes.
    shape: Shape,
}

type Shape = (u64, u32, u64, String);

fn shape(header: &Header) -> Shape {
    let Header {
        size,
        align,
        schema,
        lock,
        ..
    } = header;
    (*size, *align, *schema, lock.clone())
}

impl Local {
    fn new(cortex: impl Cortex + 'static, header: &Header) -> Self {
        let (own, shape) = (cortex.version(), shape(header));
        let cortex = Box::new(cortex);
        Self { cortex, own, shape }
    }

    /// Returns whether it takes the values that a header announces: the origin's cortex may have been made anew.
    pub fn takes(&self, header: &Header) -> bool {
        self.shape == shape(header)
    }

    /// Stores the values of an answer, each as one commit, and adds the commits that others made before it.
    ///
    /// # Errors
    /// Why one could not be stored; those before it are.
    pub fn store(
        &mut self,
        header: &Header,
        payload: &ZBytes,
        foreign: &mut u64,
    ) -> Result<(), String> {
        for index in 0..header.count as usize {
            let before = self.cortex.version();
            let stored = self.cortex.store(payload, index * header.size as usize);
            stored.map_err(|error| error.to_string())?;
            *foreign += before.wrapping_sub(self.own);
            self.own = before + 1;
        }
        Ok(())
    }

    pub fn own_version(&self) -> u64 {
        self.own
    }

    /// Returns how many commits others have made after the last one that was made here.
    pub fn foreign(&self) -> u64 {
        self.cortex.version().wrapping_sub(self.own)
    }

    /// Takes the commits of others as known.
    pub fn take_foreign(&mut self) -> u64 {
        let count = self.foreign();
        self.own = self.own.wrapping_add(count);
        count
    }

    pub fn is_removed(&self) -> bool {
        self.cortex.is_removed()
    }
}

/// A cortex, whatever its lock.
trait Cortex: Send {
    /// Stores as many bytes of a payload as it has room for, from `offset` on, as one commit.
    fn store(&self, payload: &ZBytes, offset: usize) -> CortexResult<()>;
    fn version(&self) -> u64;
    fn is_removed(&self) -> bool;
}

impl<L: CortexSync + 'static> Cortex for Segment<L> {
    fn store(&self, payload: &ZBytes, offset: usize) -> CortexResult<()> {
        let mut guard = self.overwrite_guard()?;
        let (mut skip, mut filled) = (offset, 0);
        for slice in payload.slices() {
            let begin = skip.min(slice.len());
            skip -= begin;
            let part = &slice[begin..];
            let part = &part[..part.len().min(guard.len() - filled)];
            guard[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        }
        guard.commit()
    }

    fn version(&self) -> u64 {
        Segment::version(self)
    }

    fn is_removed(&self) -> bool {
        Segment::is_removed(self)
    }
}
