//! What a field of the header is made of, and the macro that makes the header from its table.

use crate::protocol::atomics::{AtomicU32, Ordering};
#[cfg(any(loom, test))]
use crate::protocol::slots_in_use::SlotsInUse;

/// A part of the header as the kernel hands it out: all zeros.
#[cfg(any(loom, test))]
pub(crate) trait Blank {
    fn blank() -> Self;
}

#[cfg(any(loom, test))]
impl Blank for AtomicU32 {
    fn blank() -> Self {
        Self::new(0)
    }
}

#[cfg(any(loom, test))]
impl<const COUNT: usize> Blank for [AtomicU32; COUNT] {
    fn blank() -> Self {
        std::array::from_fn(|_| Blank::blank())
    }
}

#[cfg(any(loom, test))]
impl Blank for Field64 {
    fn blank() -> Self {
        Self(Blank::blank())
    }
}

#[cfg(any(loom, test))]
impl Blank for SlotsInUse {
    fn blank() -> Self {
        Self::new()
    }
}

/// A field of the header: words of 32 bits that are loaded and stored with relaxed ordering, each once.
pub(crate) trait Field {
    /// The type of the value that the field holds.
    type Value: PartialEq;

    fn load(&self) -> Self::Value;

    fn store(&self, value: Self::Value);
}

impl Field for AtomicU32 {
    type Value = u32;

    fn load(&self) -> u32 {
        Self::load(self, Ordering::Relaxed)
    }

    fn store(&self, value: u32) {
        Self::store(self, value, Ordering::Relaxed);
    }
}

impl<const COUNT: usize> Field for [AtomicU32; COUNT] {
    type Value = [u32; COUNT];

    fn load(&self) -> [u32; COUNT] {
        std::array::from_fn(|index| Field::load(&self[index]))
    }

    fn store(&self, value: [u32; COUNT]) {
        for (field, word) in self.iter().zip(value) {
            Field::store(field, word);
        }
    }
}

/// A 64-bit field in two halves, in memory order, so that it lies as a `u64` would.
#[repr(C, align(8))]
pub(crate) struct Field64([AtomicU32; 2]);

impl Field for Field64 {
    type Value = u64;

    fn load(&self) -> u64 {
        bytemuck::cast(Field::load(&self.0))
    }

    fn store(&self, value: u64) {
        Field::store(&self.0, bytemuck::cast(value));
    }
}

/// A part of the [`super::Shape`], as a field of the header holds it.
pub(crate) trait Stored<Value>: Sized {
    fn to_field(&self) -> Value;

    /// # Errors
    /// What is wrong with it, where no program could have written it.
    fn from_field(value: Value) -> Result<Self, &'static str>;
}

impl Stored<u32> for u32 {
    fn to_field(&self) -> u32 {
        *self
    }

    fn from_field(value: u32) -> Result<Self, &'static str> {
        Ok(value)
    }
}

impl Stored<u64> for u64 {
    fn to_field(&self) -> u64 {
        *self
    }

    fn from_field(value: u64) -> Result<Self, &'static str> {
        Ok(value)
    }
}

impl Stored<u32> for usize {
    /// Of what is at most [`super::LOCK_SIZE_LIMIT`].
    fn to_field(&self) -> u32 {
        *self as u32
    }

    fn from_field(value: u32) -> Result<Self, &'static str> {
        Ok(value as usize)
    }
}

impl Stored<u64> for usize {
    fn to_field(&self) -> u64 {
        *self as u64
    }

    fn from_field(value: u64) -> Result<Self, &'static str> {
        Self::try_from(value)
            .map_err(|_| "its header says more bytes than this machine can address")
    }
}

/// Text that is shorter than the field, ended by a 0.
impl<const WORDS: usize> Stored<[u32; WORDS]> for String {
    fn to_field(&self) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        bytes[..self.len()].copy_from_slice(self.as_bytes());
        words
    }

    fn from_field(words: [u32; WORDS]) -> Result<Self, &'static str> {
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let length = bytes.iter().position(|&byte| byte == 0);
        let length = length.ok_or("a name in its header has no end")?;
        let text = std::str::from_utf8(&bytes[..length]);
        text.map(str::to_owned)
            .map_err(|_| "a name in its header is not UTF-8")
    }
}

/// Makes the structure of the header from the table of its fields, with what goes through all of them: blank, written
/// for a layout, read into a shape, compared with a layout; and, for the test that holds `docs/segment.md` to it, the
/// rows of the page.
///
/// A line is the text of the page, the field, its type, and what becomes of it:
///
/// | | written when the header is made | when it is read |
/// |---|---|---|
/// | `later` | no: it stays 0, or a function of its own writes it | not looked at |
/// | `written { value }` | the value | not looked at |
/// | `chosen { part }` | that part of the shape | becomes that part of the shape |
/// | `follows { \|layout\| value }` | what follows from the layout | refused unless it follows from what was chosen |
macro_rules! header {
    (
        $(#[$attribute:meta])*
        struct $header:ident {
            $($(#[doc = $text:literal])+ $visibility:vis $field:ident: $type:ty,
                $role:ident $({ $($what:tt)* })?;)*
        }
    ) => {
        $(#[$attribute])*
        #[repr(C)]
        pub(crate) struct $header {
            $($(#[doc = $text])+ #[allow(dead_code)] $visibility $field: $type,)*
        }

        impl $header {
            /// Returns the header as the kernel hands it out: all zeros.
            #[cfg(any(loom, test))]
            pub(crate) fn new() -> Self {
                Self { $($field: Blank::blank(),)* }
            }

            /// Writes all that is known when the segment is made, in the order of the fields.
            fn write_fields(&self, layout: &Layout) {
                $(header!(@write self.$field, layout, $role $({ $($what)* })?);)*
            }

            /// Reads what is free to choose, each field once.
            fn read_shape(&self) -> Result<Shape, &'static str> {
                let mut shape = Shape::default();
                $(header!(@read self.$field, shape, $role $({ $($what)* })?);)*
                Ok(shape)
            }

            /// Compares the fields that follow from the layout, and returns the first that differs. Each is read once.
            fn contradiction(&self, layout: &Layout) -> Option<&'static str> {
                $(header!(@compare self.$field, layout, $field, $role $({ $($what)* })?);)*
                None
            }

            /// Offset, size, name and text of each field.
            #[cfg(all(test, not(loom)))]
            pub(crate) const FIELDS: &[(usize, usize, &str, &str)] = &[
                $((
                    std::mem::offset_of!($header, $field),
                    size_of::<$type>(),
                    stringify!($field),
                    concat!($($text),+),
                ),)*
            ];
        }
    };

    (@write $field:expr, $layout:ident, written { $value:expr }) => {
        Field::store(&$field, $value)
    };
    (@write $field:expr, $layout:ident, chosen { $part:ident }) => {
        Field::store(&$field, Stored::to_field(&$layout.shape.$part))
    };
    (@write $field:expr, $layout:ident, follows { |$given:ident| $value:expr }) => {{
        let $given = $layout;
        Field::store(&$field, $value);
    }};
    (@write $($other:tt)*) => {};

    (@read $field:expr, $shape:ident, chosen { $part:ident }) => {
        $shape.$part = Stored::from_field(Field::load(&$field))?
    };
    (@read $($other:tt)*) => {};

    (@compare $field:expr, $layout:ident, $name:ident, follows { |$given:ident| $value:expr }) => {{
        let $given = $layout;
        if Field::load(&$field) != $value {
            return Some(stringify!($name));
        }
    }};
    (@compare $($other:tt)*) => {};
}

pub(crate) use header;
