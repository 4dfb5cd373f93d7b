//! Which types processes can share: what the compiler says of a type that they cannot.
//!
//! These are bytemuck's traits under names of this crate's own. A blanket implementation is what makes a type one: whatever
//! implements bytemuck's traits, by `#[derive(neocortex::Shared)]` or by bytemuck's own, is `Shared`.

use bytemuck::{AnyBitPattern, CheckedBitPattern, NoUninit};

/// Plain data without padding, whose bytes are checked when they are read: numbers, `bool`, `char`, arrays of numbers, and
/// structures and enumerations that derive it (`#[derive(neocortex::Shared)]`).
///
/// ```
/// use neocortex::{CortexBuilder, Shared};
///
/// #[derive(Debug, Clone, Copy, PartialEq, Shared)]
/// #[repr(u8)]
/// enum Kind { Info = 1, Alarm = 2 }
///
/// #[derive(Debug, Clone, Copy, PartialEq, Shared)]
/// #[repr(C)]
/// struct Event { at: u64, code: u32, kind: Kind, is_seen: bool, padding: [u8; 2] }
///
/// // An array of them is a field.
/// #[derive(Clone, Copy, Shared)]
/// #[repr(C)]
/// struct Events { count: u64, events: [Event; 1000] }
///
/// # fn main() -> neocortex::CortexResult<()> {
/// let none = Event { at: 0, code: 0, kind: Kind::Info, is_seen: false, padding: [0; 2] };
/// let events = CortexBuilder::new(Events { count: 0, events: [none; 1000] }).random_key().create()?;
/// events.update(|all| {
///     all.events[all.count as usize % 1000] = Event { at: 7, kind: Kind::Alarm, ..none };
///     all.count += 1;
/// })?;
/// assert_eq!(events.read_boxed()?.events[0].kind, Kind::Alarm);
/// # Ok(()) }
/// ```
///
/// It is implemented for every type that has bytemuck's [`NoUninit`] and [`CheckedBitPattern`], which is how types of
/// other crates come by it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be shared between processes",
    label = "not plain data: see the notes",
    note = "a structure: `#[derive(Clone, Copy, neocortex::Shared)] #[repr(C)]`, with its gaps as fields (`padding: [u8; 3]`); an enumeration: the same with `#[repr(u8)]`",
    note = "an array of your own structures or enumerations: make it the field of a structure that derives `Shared`",
    note = "a tuple: a structure; an `Option`: a structure with a `bool` beside the value; text: `[u8; N]` and a length, or a cortex of records (`neocortex::Segment::push`)",
    note = "what has a pointer in it (`String`, `Vec`, `Box`, a reference) means nothing in another process"
)]
pub trait Shared: CheckedBitPattern + NoUninit {}

#[diagnostic::do_not_recommend]
impl<T: CheckedBitPattern + NoUninit> Shared for T {}

/// What an [`Observer`](crate::Observer) can read: whatever is [`trait@Shared`]; and with padding, which reading does not
/// touch, whatever has bytemuck's [`CheckedBitPattern`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a cortex",
    label = "not plain data whose bytes can be checked",
    note = "it must be the type that the cortex was created with: `#[derive(Clone, Copy, neocortex::Shared)]`, and `#[repr(C)]` or, of an enumeration, `#[repr(u8)]`"
)]
pub trait Readable: CheckedBitPattern {}

#[diagnostic::do_not_recommend]
impl<T: CheckedBitPattern> Readable for T {}

/// Any bytes are a value: numbers, arrays of them, and structures of such that derive [`trait@Shared`]. A guard
/// shows the bytes themselves, unchecked, and so only such types; a `bool` or an enumeration has bytes that are no value.
///
/// # Safety
/// Every bit pattern is a value of the type.
#[diagnostic::on_unimplemented(
    message = "a guard cannot show `{Self}`, because not all bytes are a value of it",
    label = "it has a `bool`, a `char` or an enumeration in it",
    note = "`read`, `write` and `update` check the bytes; or let the field be a number"
)]
pub unsafe trait AnyBytes {}

// SAFETY: it is what bytemuck's trait says.
#[diagnostic::do_not_recommend]
unsafe impl<T: AnyBitPattern> AnyBytes for T {}

/// What the code that `derive(Shared)` writes calls.
#[doc(hidden)]
pub mod derived {
    /// A type that derives `Shared`: so that what is said of one that is not `Copy` is not said of a reference to it.
    pub trait Derived {}

    /// What a shared type must be besides its bytes.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be shared between processes, because it is not `Copy`: `#[derive(Clone, Copy, neocortex::Shared)]`",
        label = "processes copy it as bytes, so it must be `Copy`"
    )]
    pub trait Copied {}

    #[diagnostic::do_not_recommend]
    impl<T: Copy + Derived> Copied for T {}

    /// A message that is made while the compiler runs, cut where it is too long.
    pub struct Message {
        bytes: [u8; 512],
        len: usize,
    }

    impl Message {
        const fn and(mut self, text: &str) -> Self {
            let text = text.as_bytes();
            let mut index = 0;
            while index < text.len() && self.len < self.bytes.len() {
                self.bytes[self.len] = text[index];
                self.len += 1;
                index += 1;
            }
            self
        }

        const fn and_number(self, number: usize) -> Self {
            const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
            let before = if number >= 10 {
                self.and_number(number / 10)
            } else {
                self
            };
            before.and(DIGITS[number % 10])
        }

        /// Returns the message.
        #[doc(hidden)]
        pub const fn text(&self) -> &str {
            let (used, _) = self.bytes.split_at(self.len);
            match core::str::from_utf8(used) {
                Ok(text) => text,
                // Cut within a letter of a long name.
                Err(_) => "there is padding, whose bytes would be shared without ever having been written: name the gap as a field (`padding: [u8; N]`)",
            }
        }
    }

    /// Returns what to do about `bytes` of padding after a field.
    #[doc(hidden)]
    pub const fn padding(structure: &str, field: &str, bytes: usize) -> Message {
        Message {
            bytes: [0; 512],
            len: 0,
        }
        .and("`")
        .and(structure)
        .and("` has ")
        .and_number(bytes)
        .and(if bytes == 1 { " byte" } else { " bytes" })
        .and(" of padding after its field `")
        .and(field)
        .and("`, which would be shared without ever having been written: put a field there (`padding: [u8; ")
        .and_number(bytes)
        .and("]`), or the larger fields first")
    }
}
