//! `#[derive(neocortex::Shared)]`: plain data that a cortex can hold.
//!
//! It implements bytemuck's `NoUninit` and `CheckedBitPattern`, which make a type `neocortex::Shared`. Bytemuck's own
//! derives do the same, but for one thing: they accept no array of structures or enums whose bytes are checked. This one
//! looks into arrays. It also implements `neocortex::AnyBytes` and bytemuck's `Zeroable` where all fields have them.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Type};

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
    let bounds = types.iter().map(|field| {
        let element = element(field);
        quote_spanned!(element.span()=> is_plain::<#element>();)
    });
    // The bytes are laid out as the structure's are: same order, and each part of the same size and alignment.
    let layout = words
        .iter()
        .map(|word| Ident::new(word, Span::call_site()))
        .filter(|word| word == "C" || word == "transparent");
    let padding = format!(
        "{name} has padding, whose bytes would be shared without ever having been written: name the gaps as fields (padding: [u8; N])"
    );
    Ok(quote! {
        const _: () = {
            #[doc(hidden)]
            #[derive(Clone, Copy)]
            #[repr(#(#layout),*)]
            #visibility struct #unchecked {
                #(#names: #bits),*
            }
            const fn is_plain<T: ::neocortex::Shared>() {}
            const _: () = {
                #(#bounds)*
                assert!(
                    ::core::mem::size_of::<#name>() == 0 #(+ ::core::mem::size_of::<#types>())*,
                    #padding
                );
                assert!(
                    ::core::mem::size_of::<#name>() == ::core::mem::size_of::<#unchecked>()
                        && ::core::mem::align_of::<#name>() >= ::core::mem::align_of::<#unchecked>()
                );
            };
            // SAFETY: every field is of a type whose bits may be anything, or an array of such.
            unsafe impl ::neocortex::bytemuck::Zeroable for #unchecked {}
            // SAFETY: as above.
            unsafe impl ::neocortex::bytemuck::AnyBitPattern for #unchecked {}
            // SAFETY: repr(C) or repr(transparent), without padding (asserted above), each field without padding.
            unsafe impl ::neocortex::bytemuck::NoUninit for #name {}
            // SAFETY: the bits have the structure's layout, field by field, and are checked field by field.
            unsafe impl ::neocortex::bytemuck::CheckedBitPattern for #name {
                type Bits = #unchecked;
                #[inline]
                fn is_valid_bit_pattern(bits: &#unchecked) -> bool {
                    true #(&& #checks)*
                }
            }
            // The bounds are about types that are known here, and would be errors where they do not hold: behind a
            // `for` they are asked when the implementation is used.
            // SAFETY: any bytes are a value of every field, and there is no padding.
            unsafe impl ::neocortex::AnyBytes for #name where #(for<'a> #elements: ::neocortex::AnyBytes),* {}
            // SAFETY: zeros are a value of every field.
            unsafe impl ::neocortex::bytemuck::Zeroable for #name where #(for<'a> #elements: ::neocortex::bytemuck::Zeroable),* {}
        };
    })
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
    Ok(quote! {
        // SAFETY: an integer without padding.
        unsafe impl ::neocortex::bytemuck::NoUninit for #name {}
        // SAFETY: the enumeration is represented by this integer, and only the numbers of its variants pass.
        unsafe impl ::neocortex::bytemuck::CheckedBitPattern for #name {
            type Bits = #integer;
            #[inline]
            fn is_valid_bit_pattern(bits: &#integer) -> bool {
                [#(#name::#variants as #integer),*].contains(bits)
            }
        }
    })
}
