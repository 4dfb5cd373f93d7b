//! Fields that are never plain data, as far as their types' names say so: refused before the compiler looks at them, with one
//! error each that says what to do instead.
//!
//! Only what cannot be meant otherwise is refused here. A type of another name is asked by its traits.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Fields, GenericArgument, Ident, PathArguments, Type, TypePath};

/// What takes memory elsewhere: its bytes are a pointer.
const POINTERS: [&str; 16] = [
    "Arc",
    "BTreeMap",
    "BTreeSet",
    "BinaryHeap",
    "Box",
    "CString",
    "Cow",
    "HashMap",
    "HashSet",
    "LinkedList",
    "OsString",
    "PathBuf",
    "Rc",
    "String",
    "Vec",
    "VecDeque",
];

/// The types that have no niche, so that an `Option` of one is never plain.
const PLAIN: [&str; 16] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
    "f64", "bool", "char",
];

/// Returns the errors of all fields that cannot be shared, each at its type.
pub(crate) fn fields(fields: &Fields) -> Option<Error> {
    let mut errors = fields.iter().filter_map(|field| {
        let name = match &field.ident {
            Some(name) => format!("the field `{name}`"),
            None => "this field".to_owned(),
        };
        let why = reason(&field.ty)?;
        let text = format!("{name} cannot be shared between processes: {why}");
        Some(Error::new(field.ty.span(), text))
    });
    let first = errors.next()?;
    Some(errors.fold(first, |mut all, next| {
        all.combine(next);
        all
    }))
}

/// Implementations that keep the uses of the refused type from being errors too. Nothing runs with them.
pub(crate) fn stubs(name: &Ident) -> TokenStream {
    quote! {
        const _: () = {
            // SAFETY: it is never used: the structure was refused.
            unsafe impl ::neocortex::bytemuck::NoUninit for #name where for<'a> #name: ::core::marker::Copy {}
            // SAFETY: as above.
            unsafe impl ::neocortex::bytemuck::CheckedBitPattern for #name where for<'a> #name: ::core::marker::Copy {
                type Bits = u8;
                fn is_valid_bit_pattern(_: &u8) -> bool {
                    false
                }
            }
            // SAFETY: as above.
            unsafe impl ::neocortex::AnyBytes for #name {}
            // SAFETY: as above.
            unsafe impl ::neocortex::bytemuck::Zeroable for #name {}
        };
    }
}

/// Returns why a type cannot be shared, and what to take instead.
fn reason(field: &Type) -> Option<String> {
    match field {
        Type::Array(array) => reason(&array.elem),
        Type::Paren(inner) => reason(&inner.elem),
        Type::Group(inner) => reason(&inner.elem),
        Type::Tuple(tuple) if !tuple.elems.is_empty() => Some(
            "nothing says how a tuple lies in memory. Take a structure with named fields that derives `Shared`".into(),
        ),
        Type::Reference(_) | Type::Ptr(_) | Type::Slice(_) => Some(format!(
            "a reference or a pointer means nothing in another process. {INSTEAD}"
        )),
        Type::FnPtr(_) => Some("a function has another address in every process. Take a number or an enumeration".into()),
        Type::Path(path) => named(path),
        _ => None,
    }
}

const INSTEAD: &str = "Text or a list: `[u8; N]` or `[T; N]` beside a field for its length, or a cortex of records, which have any length (`neocortex::Segment::push`)";

fn named(path: &TypePath) -> Option<String> {
    let is_bare = path.path.segments.len() == 1;
    let first = path.path.segments.first()?.ident.to_string();
    if path.qself.is_some() || !(is_bare || ["std", "core", "alloc"].contains(&first.as_str())) {
        return None;
    }
    let last = path.path.segments.last()?;
    let name = last.ident.to_string();
    let has_arguments = !matches!(last.arguments, PathArguments::None);
    let is_text = ["String", "CString", "OsString", "PathBuf"].contains(&name.as_str());
    if POINTERS.contains(&name.as_str()) && has_arguments != is_text {
        return Some(format!(
            "a `{name}` holds a pointer, which means nothing in another process. {INSTEAD}"
        ));
    }
    if name == "Option" && is_without_niche(&last.arguments) {
        return Some("the compiler decides how an `Option` lies in memory. Take a `bool` (`has_…`) beside the value".into());
    }
    None
}

/// Returns whether the argument is a type of which an `Option` is never plain data; of a `NonZeroU32` it is.
fn is_without_niche(arguments: &PathArguments) -> bool {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return false;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(Type::Path(path))) => path
            .path
            .get_ident()
            .is_some_and(|name| PLAIN.contains(&name.to_string().as_str())),
        Some(GenericArgument::Type(Type::Array(_))) => true,
        Some(GenericArgument::Type(other)) => reason(other).is_some(),
        _ => false,
    }
}
