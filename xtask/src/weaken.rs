//! Finds every ordering and fence of a source file, and puts a switch at each.
//!
//! A file is parsed, so that a place is known by the function it stands in; comments, imports and tests are left as
//! they are. All switches of all files stand in one program, of which each run turns one on.

use crate::rules::{Rule, Weakening, RULES};
use crate::Result;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// What takes an ordering's place, one after the other.
fn weaker(ordering: &str) -> &'static [&'static str] {
    match ordering {
        "SeqCst" => &["AcqRel"],
        "AcqRel" => &["Acquire", "Release"],
        "Acquire" | "Release" => &["Relaxed"],
        _ => &[],
    }
}

/// A rule names an ordering that is not itself to be weakened by this prefix.
const UNTRIED: &str = "Untried";

struct Token {
    text: String,
    range: Range<usize>,
}

/// The tokens of a source text, groups opened.
fn tokens(source: &str) -> Result<Vec<Token>> {
    fn flatten(stream: TokenStream, into: &mut Vec<Token>) {
        for tree in stream {
            let mut push = |text: String, range| into.push(Token { text, range });
            match tree {
                TokenTree::Group(group) => {
                    let (open, close) = (group.span_open(), group.span_close());
                    // A group without delimiters has none to compare.
                    let has_delimiters = group.delimiter() != proc_macro2::Delimiter::None;
                    let sign = format!("{:?}", group.delimiter());
                    if has_delimiters {
                        push(format!("open {sign}"), open.byte_range());
                    }
                    flatten(group.stream(), into);
                    if has_delimiters {
                        into.push(Token {
                            text: format!("close {sign}"),
                            range: close.byte_range(),
                        });
                    }
                }
                other => push(other.to_string(), other.span().byte_range()),
            }
        }
    }
    let stream: TokenStream = source
        .parse()
        .map_err(|error| format!("{error}: {source}"))?;
    let mut all = Vec::new();
    flatten(stream, &mut all);
    Ok(all)
}

/// The tokens of a rule's pattern, which may open what it does not close.
fn pattern_tokens(pattern: &str) -> Result<Vec<String>> {
    const DELIMITERS: [(char, &str); 6] = [
        ('(', "open Parenthesis"),
        (')', "close Parenthesis"),
        ('[', "open Bracket"),
        (']', "close Bracket"),
        ('{', "open Brace"),
        ('}', "close Brace"),
    ];
    let mut all = Vec::new();
    for piece in
        pattern.split_inclusive(|sign| DELIMITERS.iter().any(|(delimiter, _)| *delimiter == sign))
    {
        let delimiter = DELIMITERS
            .iter()
            .find(|(delimiter, _)| piece.ends_with(*delimiter));
        let inner = delimiter.map_or(piece, |(delimiter, _)| piece.trim_end_matches(*delimiter));
        all.extend(tokens(inner)?.into_iter().map(|token| token.text));
        all.extend(delimiter.map(|(_, name)| name.to_string()));
    }
    Ok(all)
}

/// Where functions stand, and what is not looked at: imports and tests.
#[derive(Default)]
struct Places {
    functions: Vec<(Range<usize>, String)>,
    skipped: Vec<Range<usize>>,
}

impl Places {
    fn is_skipped(&self, at: usize) -> bool {
        self.skipped.iter().any(|range| range.contains(&at))
    }

    /// The innermost function around a place.
    fn function(&self, at: usize) -> &str {
        let around = self
            .functions
            .iter()
            .filter(|(range, _)| range.contains(&at));
        around
            .min_by_key(|(range, _)| range.len())
            .map_or("(no function)", |(_, name)| name)
    }
}

pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test"
                || condition.starts_with("all (test")
                || condition.starts_with("all(test")
        }
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Places {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.functions
            .push((item.span().byte_range(), item.sig.ident.to_string()));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.functions
            .push((item.span().byte_range(), item.sig.ident.to_string()));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.functions
            .push((item.span().byte_range(), item.sig.ident.to_string()));
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.skipped.push(item.span().byte_range());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            self.skipped.push(item.span().byte_range());
        }
        visit::visit_item_mod(self, item);
    }
}

fn matches(tokens: &[Token], at: usize, pattern: &[&str]) -> bool {
    tokens.len() >= at + pattern.len()
        && pattern
            .iter()
            .zip(&tokens[at..])
            .all(|(text, token)| *text == token.text)
}

/// The source with a switch at each ordering and fence; the switches are added to the list.
fn weaken_orderings(file: &str, source: &str, weakenings: &mut Vec<Weakening>) -> Result<String> {
    const FENCE: [&str; 5] = ["fence", "open Parenthesis", "Ordering", ":", ":"];
    const FENCE_AFTER_RMW: [&str; 4] = [
        "fence_after_rmw",
        "open Parenthesis",
        "close Parenthesis",
        ";",
    ];
    let mut places = Places::default();
    places.visit_file(&syn::parse_file(source).map_err(|error| format!("{file}: {error}"))?);
    let tokens = tokens(source)?;
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut switch = |what: String| {
        let count = seen.entry(what.clone()).or_default();
        *count += 1;
        let nth = if *count > 1 {
            format!(" ({count})")
        } else {
            String::new()
        };
        weakenings.push(Weakening {
            file: file.into(),
            what: format!("{file} {what}{nth}"),
        });
        format!("crate::weak({})", weakenings.len())
    };
    let (mut text, mut copied, mut at) = (String::new(), 0, 0);
    while at < tokens.len() {
        let start = tokens[at].range.start;
        let is_method = at > 0 && [":", "."].contains(&tokens[at - 1].text.as_str());
        let (length, replacement) = if places.is_skipped(start) {
            (1, None)
        } else if !is_method && matches(&tokens, at, &FENCE_AFTER_RMW)
            || !is_method
                && matches(&tokens, at, &FENCE)
                && matches(&tokens, at + 6, &["close Parenthesis", ";"])
        {
            let is_rmw = tokens[at].text != "fence";
            let length = if is_rmw { 4 } else { 8 };
            let ordering = if is_rmw {
                "SeqCst"
            } else {
                &tokens[at + 5].text
            };
            let original = &source[start..tokens[at + length - 1].range.end];
            let name = format!("{}: fence {ordering}", places.function(start));
            let replacement = if ordering == "SeqCst" {
                let weak = switch(format!("{name} to AcqRel"));
                format!("if {weak} {{ loom::sync::atomic::fence(loom::sync::atomic::Ordering::AcqRel); }} else {{ {original} }}")
            } else {
                format!("if !{} {{ {original} }}", switch(format!("{name} removed")))
            };
            (length, Some(replacement))
        } else if matches(&tokens, at, &["Ordering", ":", ":"]) && at + 3 < tokens.len() {
            let ordering = &tokens[at + 3].text;
            let mut result = source[start..tokens[at + 3].range.end].to_owned();
            for weaker in weaker(ordering) {
                let weak = switch(format!(
                    "{}: {ordering} to {weaker}",
                    places.function(start)
                ));
                result = format!("(if {weak} {{ Ordering::{weaker} }} else {{ {result} }})");
            }
            (4, Some(result))
        } else {
            (1, None)
        };
        if let Some(replacement) = replacement {
            text += &source[copied..start];
            text += &replacement;
            copied = tokens[at + length - 1].range.end;
        }
        at += length;
    }
    text += &source[copied..];
    Ok(text.replace(UNTRIED, ""))
}

/// The source with the rule's pattern replaced; the pattern is compared token by token.
fn apply_rule(rule: &Rule, number: usize, source: &str) -> Result<String> {
    let (found, pattern) = (tokens(source)?, pattern_tokens(rule.from)?);
    let wanted: Vec<&str> = pattern.iter().map(String::as_str).collect();
    let places: Vec<usize> = (0..found.len())
        .filter(|&at| matches(&found, at, &wanted))
        .collect();
    let [at] = places[..] else {
        let count = places.len();
        return Err(format!(
            "stale rule: {}: {} has it {count} times: {}",
            rule.what, rule.file, rule.from
        )
        .into());
    };
    let range = found[at].range.start..found[at + wanted.len() - 1].range.end;
    let mut text = source.to_owned();
    text.replace_range(
        range,
        &rule.to.replace("WEAK", &format!("crate::weak({number})")),
    );
    Ok(text)
}

/// Adds all Rust files beneath a folder, in order.
pub fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    into.sort();
    Ok(())
}

/// Puts all switches into the copy of the source in this folder.
pub fn weaken(folder: &Path) -> Result<Vec<Weakening>> {
    let mut weakenings = Vec::new();
    for rule in RULES {
        weakenings.push(Weakening {
            file: rule.file.into(),
            what: rule.what.into(),
        });
        let path = folder.join(rule.file);
        let source = std::fs::read_to_string(&path)?;
        std::fs::write(path, apply_rule(rule, weakenings.len(), &source)?)?;
    }
    let mut files = Vec::new();
    rust_files(folder, &mut files)?;
    for path in files {
        let file = path.strip_prefix(folder)?.to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path)?;
        let is_model = file.split('/').any(|part| part == "models");
        let text = match is_model {
            true => source.replace(UNTRIED, ""),
            false => weaken_orderings(&file, &source, &mut weakenings)?,
        };
        std::fs::write(path, text)?;
    }
    Ok(weakenings)
}
