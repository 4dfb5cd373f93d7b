//! `#[derive(neocortex::Shared)]`: plain data that a cortex can hold.
//!
//! It implements bytemuck's `NoUninit` and `CheckedBitPattern`, which make a type `neocortex::Shared`. Bytemuck's own
//! derives do the same, but for one thing: they accept no array of structures or enums whose bytes are checked. This one
//! looks into arrays. It also implements `neocortex::AnyBytes` and bytemuck's `Zeroable` where all fields have them.

mod refuse;

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Member, Result, Type};

/// Makes a structure or an enumeration fit to be shared.
///
/// A structure is `#[repr(C)]` or `#[repr(transparent)]`, has no padding (name the gaps: `padding: [u8; 3]`), no
/// generic parameters, and fields that may be shared: numbers, `bool`, `char`, types that derive `Shared`, and arrays of
/// all of these. An enumeration has `#[repr(u8)]` or another integer, and variants without fields. Bytes that another
/// process wrote and that are no value of the type are an error when they are read.
#[proc_macro_derive(Shared)]
pub fn shared(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        let detail =
            "a shared type has no generic parameters: every process must have the same bytes";
        return Err(Error::new(input.generics.span(), detail));
    }
    match &input.data {
        Data::Struct(data) => structure(input, &data.fields),
        Data::Enum(data) => enumeration(input, data),
        Data::Union(_) => {
            let detail = "a union cannot be shared: nothing says which of its fields is there";
            Err(Error::new(input.ident.span(), detail))
        }
    }
}

/// The words of all `#[repr(…)]`.
fn representation(input: &DeriveInput) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for attribute in &input.attrs {
        if attribute.path().is_ident("repr") {
            attribute.parse_nested_meta(|meta| {
                if let Some(word) = meta.path.get_ident() {
                    words.push(word.to_string());
                }
                // `align(16)` has an argument.
                if meta.input.peek(syn::token::Paren) {
                    let _content;
                    syn::parenthesized!(_content in meta.input);
                    let _: TokenStream = _content.parse()?;
                }
                Ok(())
            })?;
        }
    }
    Ok(words)
}

/// The type within any number of arrays.
fn element(mut field: &Type) -> &Type {
    loop {
        field = match field {
            Type::Array(array) => &array.elem,
            Type::Paren(inner) => &inner.elem,
            Type::Group(inner) => &inner.elem,
            _ => return field,
        };
    }
}

/// The type of a field's unchecked bytes.
fn bits(field: &Type) -> TokenStream {
    match field {
        Type::Array(array) => {
            let (inner, length) = (bits(&array.elem), &array.len);
            quote!([#inner; #length])
        }
        Type::Paren(inner) => bits(&inner.elem),
        Type::Group(inner) => bits(&inner.elem),
        _ => quote!(<#field as ::neocortex::bytemuck::CheckedBitPattern>::Bits),
    }
}

/// Whether bytes are a value of the field, `at` being a reference to them.
fn check(field: &Type, at: TokenStream) -> TokenStream {
    match field {
        Type::Array(array) => {
            let inner = check(&array.elem, quote!(element));
            quote!((#at).iter().all(|element| #inner))
        }
        Type::Paren(inner) => check(&inner.elem, at),
        Type::Group(inner) => check(&inner.elem, at),
        _ => {
            quote!(<#field as ::neocortex::bytemuck::CheckedBitPattern>::is_valid_bit_pattern(#at))
        }
    }
}

fn structure(input: &DeriveInput, fields: &Fields) -> Result<TokenStream> {
    let words = representation(input)?;
    if !words
        .iter()
        .any(|word| word == "C" || word == "transparent")
    {
        let detail = "a shared structure needs #[repr(C)]: otherwise every compiler may order its fields as it likes";
        return Err(Error::new(input.ident.span(), detail));
    }
    let (name, visibility) = (&input.ident, &input.vis);
    if let Some(refusals) = refuse::fields(fields) {
        let (refusals, stubs) = (refusals.into_compile_error(), refuse::stubs(name));
        return Ok(quote!(#refusals #stubs));
    }
    let unchecked = format_ident!("{}Bits", name);
    let names: Vec<Ident> = (0..fields.len())
        .map(|index| format_ident!("field_{index}"))
        .collect();
    let types: Vec<&Type> = fields.iter().map(|field| &field.ty).collect();
    let bits = types.iter().map(|field| bits(field));
    let checks = names
        .iter()
        .zip(&types)
        .map(|(name, field)| check(field, quote!(&bits.#name)));
    let elements: Vec<&Type> = types.iter().map(|field| element(field)).collect();
    let bounds = elements
        .iter()
        .map(|element| quote_spanned!(element.span()=> const _: () = is_plain::<#element>();));
    let gaps = gaps(name, fields);
    let is_copy = is_copy(name);
    // The bytes are laid out as the structure's are: same order, and each part of the same size and alignment.
    let layout = words
        .iter()
        .map(|word| Ident::new(word, Span::call_site()))
        .filter(|word| word == "C" || word == "transparent");
    // A bound that does not hold is an error where it is about types that are known, and is not behind a `for`. So it is
    // the lines with `is_plain` alone that say what is wrong, once, and not each use of a field's type.
    let plain = quote!(#(for<'a> #elements: ::neocortex::bytemuck::CheckedBitPattern,)*);
    Ok(quote! {
        #[allow(private_bounds)]
        const _: () = {
            const fn is_plain<T: ::neocortex::Shared>() {}
            #(#bounds)*
            #is_copy
            #gaps
            #[doc(hidden)]
            #[repr(#(#layout),*)]
            #visibility struct #unchecked where #plain {
                #(#names: #bits),*
            }
            impl ::core::clone::Clone for #unchecked where #plain {
                #[inline]
                fn clone(&self) -> Self {
                    *self
                }
            }
            impl ::core::marker::Copy for #unchecked where #plain {}
            // SAFETY: every field is of a type whose bits may be anything, or an array of such.
            unsafe impl ::neocortex::bytemuck::Zeroable for #unchecked where #plain {}
            // SAFETY: as above.
            unsafe impl ::neocortex::bytemuck::AnyBitPattern for #unchecked where #plain {}
            // SAFETY: repr(C) or repr(transparent), without padding (asserted above), each field without padding.
            unsafe impl ::neocortex::bytemuck::NoUninit for #name where #plain for<'a> #name: ::core::marker::Copy {}
            // SAFETY: the bits have the structure's layout, field by field, and are checked field by field.
            unsafe impl ::neocortex::bytemuck::CheckedBitPattern for #name where #plain for<'a> #name: ::core::marker::Copy {
                type Bits = #unchecked;
                #[inline]
                fn is_valid_bit_pattern(bits: &#unchecked) -> bool {
                    const {
                        assert!(
                            ::core::mem::size_of::<#name>() == ::core::mem::size_of::<#unchecked>()
                                && ::core::mem::align_of::<#name>() >= ::core::mem::align_of::<#unchecked>()
                        );
                    }
                    true #(&& #checks)*
                }
            }
            // SAFETY: any bytes are a value of every field, and there is no padding.
            unsafe impl ::neocortex::AnyBytes for #name where #(for<'a> #elements: ::neocortex::AnyBytes),* {}
            // SAFETY: zeros are a value of every field.
            unsafe impl ::neocortex::bytemuck::Zeroable for #name where #(for<'a> #elements: ::neocortex::bytemuck::Zeroable),* {}
        };
    })
}

/// The line that says so where a type is not `Copy`.
fn is_copy(name: &Ident) -> TokenStream {
    quote_spanned! {name.span()=>
        const _: () = {
            impl ::neocortex::derived::Derived for #name {}
            const fn is_copy<T: ::neocortex::derived::Copied>() {}
            is_copy::<#name>()
        };
    }
}

/// The lines that say where padding is: after each field, up to the next one or to the end.
fn gaps(name: &Ident, fields: &Fields) -> TokenStream {
    let of = |index: usize, field: &syn::Field| match &field.ident {
        Some(name) => Member::Named(name.clone()),
        None => Member::Unnamed(index.into()),
    };
    let members: Vec<(Member, &Type)> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| (of(index, field), &field.ty))
        .collect();
    let checks = members.iter().enumerate().map(|(index, (member, field))| {
        let next = match members.get(index + 1) {
            Some((next, _)) => quote!(::core::mem::offset_of!(#name, #next)),
            None => quote!(::core::mem::size_of::<#name>()),
        };
        let called = match member {
            Member::Named(name) => name.to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        let structure = name.to_string();
        quote_spanned! {field.span()=>
            const _: () = {
                let end = ::core::mem::offset_of!(#name, #member) + ::core::mem::size_of::<#field>();
                let gap = #next - end;
                if gap != 0 {
                    ::core::panic!("{}", ::neocortex::derived::padding(#structure, #called, gap).text());
                }
            };
        }
    });
    quote!(#(#checks)*)
}

fn enumeration(input: &DeriveInput, data: &syn::DataEnum) -> Result<TokenStream> {
    const INTEGERS: [&str; 10] = [
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
    ];
    let words = representation(input)?;
    let Some(integer) = words.iter().find(|word| INTEGERS.contains(&word.as_str())) else {
        let detail = "a shared enumeration needs #[repr(u8)] or another integer, so that every process numbers it alike";
        return Err(Error::new(input.ident.span(), detail));
    };
    if let Some(variant) = data
        .variants
        .iter()
        .find(|variant| !matches!(variant.fields, Fields::Unit))
    {
        let detail = "a shared enumeration has variants without fields: use a structure with a kind and the fields of all";
        return Err(Error::new(variant.span(), detail));
    }
    let (name, integer) = (&input.ident, Ident::new(integer, Span::call_site()));
    let variants: Vec<&Ident> = data.variants.iter().map(|variant| &variant.ident).collect();
    let is_copy = is_copy(name);
    Ok(quote! {
        #is_copy
        // The bound is behind a `for` so that the line above alone says what is wrong.
        // SAFETY: an integer without padding.
        unsafe impl ::neocortex::bytemuck::NoUninit for #name where for<'a> #name: ::core::marker::Copy {}
        // SAFETY: the enumeration is represented by this integer, and only the numbers of its variants pass.
        unsafe impl ::neocortex::bytemuck::CheckedBitPattern for #name where for<'a> #name: ::core::marker::Copy {
            type Bits = #integer;
            #[inline]
            fn is_valid_bit_pattern(bits: &#integer) -> bool {
                [#(#name::#variants as #integer),*].contains(bits)
            }
        }
    })
}
