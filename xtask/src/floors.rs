//! Holds `src` to its floors: no circle of files, no import upwards, `libc` in `sys` alone, no file that is too long.
//!
//! The order of the folders stands in the table of docs/architecture.md, that of the files of `capi` in the table at the
//! head of its `mod.rs`: the highest first. An import counts where the name is defined: what a module only passes on
//! (`pub use`) is an import of the file that it comes from. Tests are not looked at, but for their length.

use crate::weaken::is_test;
use crate::{root, Result};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// What a file of `src` may have at most.
const LINES: usize = 400;

/// Imports that are against the rules, with the reason: the file, what it imports, why.
#[rustfmt::skip]
const IMPORTS: &[(&str, &str, &str)] = &[
];

/// Files that are too long, with the reason.
const LONG: &[(&str, &str)] = &[];

/// One module: a file, or a part of one.
struct Module {
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    /// What a name stands for that was imported, and whether it is passed on.
    imports: BTreeMap<String, (Vec<String>, bool)>,
    globs: Vec<Vec<String>>,
    defined: BTreeSet<String>,
    /// Paths of two names or more, outside imports.
    paths: BTreeSet<Vec<String>>,
    words: HashSet<String>,
}

struct Crates {
    modules: Vec<Module>,
    /// The roots: the library, the command.
    library: usize,
}

/// What is imported, and under which name.
fn flatten(
    tree: &syn::UseTree,
    mut path: Vec<String>,
    found: &mut Vec<(Vec<String>, Option<String>)>,
) {
    match tree {
        syn::UseTree::Path(tree_path) => {
            path.push(tree_path.ident.to_string());
            flatten(&tree_path.tree, path, found);
        }
        syn::UseTree::Name(name) if name.ident == "self" => {
            let alias = path.last().cloned();
            found.push((path, alias));
        }
        syn::UseTree::Name(name) => {
            path.push(name.ident.to_string());
            found.push((path, Some(name.ident.to_string())));
        }
        syn::UseTree::Rename(rename) => {
            if rename.ident != "self" {
                path.push(rename.ident.to_string());
            }
            found.push((path, Some(rename.rename.to_string())));
        }
        syn::UseTree::Glob(_) => found.push((path, None)),
        syn::UseTree::Group(group) => {
            for item in &group.items {
                flatten(item, path.clone(), found);
            }
        }
    }
}

/// The paths and the words of a piece of source text.
fn collect(stream: TokenStream, module: &mut Module) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for tree in stream {
        match tree {
            TokenTree::Ident(name) => {
                let name = name.to_string();
                module.words.insert(name.clone());
                if colons != 2 {
                    keep(&mut path, module);
                }
                path.push(name);
                colons = 0;
            }
            TokenTree::Punct(sign) if sign.as_char() == ':' && !path.is_empty() => colons += 1,
            TokenTree::Group(group) => {
                keep(&mut path, module);
                colons = 0;
                collect(group.stream(), module);
            }
            _ => {
                keep(&mut path, module);
                colons = 0;
            }
        }
    }
    keep(&mut path, module);
}

fn keep(path: &mut Vec<String>, module: &mut Module) {
    let path = std::mem::take(path);
    if path.len() > 1 {
        module.paths.insert(path);
    }
}

fn name_of(item: &syn::Item) -> Option<String> {
    Some(match item {
        syn::Item::Const(item) => item.ident.to_string(),
        syn::Item::Enum(item) => item.ident.to_string(),
        syn::Item::Fn(item) => item.sig.ident.to_string(),
        syn::Item::Macro(item) => item.ident.as_ref()?.to_string(),
        syn::Item::Static(item) => item.ident.to_string(),
        syn::Item::Struct(item) => item.ident.to_string(),
        syn::Item::Trait(item) => item.ident.to_string(),
        syn::Item::Type(item) => item.ident.to_string(),
        syn::Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl Crates {
    fn open(source: &Path) -> Result<Self> {
        let mut crates = Self {
            modules: Vec::new(),
            library: 0,
        };
        crates.library = crates.add_file(source, source, &source.join("lib.rs"), None)?;
        let command = source.join("bin/neocortex");
        crates.add_file(source, &command, &command.join("main.rs"), None)?;
        Ok(crates)
    }

    /// Adds a file, the modules of which stand in the folder `below`.
    fn add_file(
        &mut self,
        source: &Path,
        below: &Path,
        file: &Path,
        parent: Option<usize>,
    ) -> Result<usize> {
        let text = std::fs::read_to_string(file)?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{file:?}: {error}"))?;
        let name = file.strip_prefix(source)?.to_string_lossy().into_owned();
        self.add(source, below, name, parsed.items, parent)
    }

    fn add(
        &mut self,
        source: &Path,
        below: &Path,
        file: String,
        items: Vec<syn::Item>,
        parent: Option<usize>,
    ) -> Result<usize> {
        let this = self.modules.len();
        self.modules.push(Module {
            file: file.clone(),
            parent: parent.unwrap_or(this),
            children: BTreeMap::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            defined: BTreeSet::new(),
            paths: BTreeSet::new(),
            words: HashSet::new(),
        });
        for item in items {
            if is_test(attributes_of(&item)) {
                continue;
            }
            self.modules[this].defined.extend(name_of(&item));
            match item {
                syn::Item::Use(item) => {
                    let is_passed_on = !matches!(item.vis, syn::Visibility::Inherited);
                    let mut found = Vec::new();
                    flatten(&item.tree, Vec::new(), &mut found);
                    for (path, alias) in found {
                        let module = &mut self.modules[this];
                        match alias {
                            Some(alias) => {
                                module.imports.insert(alias, (path, is_passed_on));
                            }
                            None => module.globs.push(path),
                        }
                    }
                }
                syn::Item::Mod(item) => {
                    let name = item.ident.to_string();
                    let folder = below.join(&name);
                    let child = match item.content {
                        Some((_, items)) => {
                            self.add(source, &folder, file.clone(), items, Some(this))?
                        }
                        None => {
                            let files = [below.join(format!("{name}.rs")), folder.join("mod.rs")];
                            let file = files.iter().find(|file| file.exists());
                            let missing = || format!("no file of {name} in {}", below.display());
                            let file = file.ok_or_else(missing)?;
                            self.add_file(source, &folder, file, Some(this))?
                        }
                    };
                    self.modules[this].children.insert(name, child);
                }
                item => collect(item.to_token_stream(), &mut self.modules[this]),
            }
        }
        Ok(this)
    }

    fn root_of(&self, mut module: usize) -> usize {
        while self.modules[module].parent != module {
            module = self.modules[module].parent;
        }
        module
    }

    /// The module in which what a path names is defined; `None` where it is none of ours.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        let (first, mut rest) = path.split_first()?;
        let module = match first.as_str() {
            _ if depth == 0 => return None,
            "crate" => self.root_of(from),
            "self" => from,
            "super" => {
                let mut module = self.modules[from].parent;
                while let Some(("super", after)) = rest
                    .split_first()
                    .map(|(first, after)| (first.as_str(), after))
                {
                    (module, rest) = (self.modules[module].parent, after);
                }
                module
            }
            "neocortex" => self.library,
            _ => return self.step(from, path, depth),
        };
        if rest.is_empty() {
            return Some(module);
        }
        self.step(module, rest, depth).or(Some(module))
    }

    /// [`Crates::resolve`], from within a module; `None` where it has no such name.
    fn step(&self, module: usize, path: &[String], depth: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let here = &self.modules[module];
        if let Some(&child) = here.children.get(first) {
            return if rest.is_empty() {
                Some(child)
            } else {
                self.step(child, rest, depth).or(Some(child))
            };
        }
        if here.defined.contains(first) {
            return Some(module);
        }
        if let Some((path, _)) = here.imports.get(first) {
            // `use x;` of another crate.
            if path.len() == 1 && &path[0] == first {
                return None;
            }
            let path: Vec<String> = path.iter().chain(rest).cloned().collect();
            return self.resolve(module, &path, depth - 1);
        }
        here.globs.iter().find_map(|glob| {
            let target = self.resolve(module, glob, depth - 1)?;
            (target != module)
                .then(|| self.step(target, path, depth - 1))
                .flatten()
        })
    }

    /// Which file imports which, by name.
    fn imports(&self) -> BTreeSet<(String, String)> {
        let mut all = BTreeSet::new();
        for (index, module) in self.modules.iter().enumerate() {
            let imported = module.imports.iter();
            let used = imported.filter(|(name, (_, is_passed_on))| {
                !is_passed_on || module.words.contains(name.as_str())
            });
            let paths = used.map(|(_, (path, _))| path).chain(&module.paths);
            for path in paths {
                let target = self.resolve(index, path, 16);
                let target = target.map(|target| self.modules[target].file.clone());
                all.extend(
                    target
                        .filter(|target| *target != module.file)
                        .map(|target| (module.file.clone(), target)),
                );
            }
        }
        all
    }
}

/// The first columns of a table: the names in backticks, row by row.
fn table(text: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .skip_while(|line| !line.starts_with(heading))
        .skip(2);
    let rows: Vec<Vec<String>> = lines
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(1))
        .map(|cell| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        })
        .collect();
    if rows.is_empty() {
        return Err(format!("no table that begins with: {heading}").into());
    }
    Ok(rows)
}

/// The floor on which a file of a folder stands; the highest is 0.
fn floor(rows: &[Vec<String>], name: &str) -> Result<usize> {
    let row = rows.iter().position(|row| {
        row.iter().any(|row| {
            name == row || name == format!("{row}.rs") || name.starts_with(&format!("{row}/"))
        })
    });
    row.ok_or_else(|| format!("{name} stands on no floor").into())
}

/// The files that import one another, directly or not.
fn circles(imports: &BTreeSet<(String, String)>) -> Vec<BTreeSet<String>> {
    let reachable = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(file) = next.pop() {
            let targets = imports.iter().filter(|(from, _)| *from == file);
            for (_, target) in targets {
                if seen.insert(target.clone()) {
                    next.push(target.clone());
                }
            }
        }
        seen
    };
    let files: BTreeSet<&String> = imports.iter().map(|(from, _)| from).collect();
    let reach: BTreeMap<&String, BTreeSet<String>> =
        files.iter().map(|&file| (file, reachable(file))).collect();
    let mut all = BTreeSet::new();
    for (file, targets) in &reach {
        if targets.contains(*file) {
            let circle = targets
                .iter()
                .filter(|target| reach.get(target).is_some_and(|back| back.contains(*file)));
            all.insert(circle.cloned().collect::<BTreeSet<String>>());
        }
    }
    all.into_iter().collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether everything is as it is to be; says what is not.
pub fn check() -> Result<bool> {
    let source = root().join("src");
    let crates = Crates::open(&source)?;
    let mut faults = Vec::new();
    let mut excused = BTreeSet::new();

    let mut imports = crates.imports();
    if std::env::var_os("XTASK_FLOORS_LIST").is_some() {
        for (from, to) in &imports {
            println!("{from} -> {to}");
        }
    }
    for (from, to, _) in IMPORTS {
        if imports.remove(&(from.to_string(), to.to_string())) {
            excused.insert(format!("{from} imports {to}"));
        }
    }
    let text = std::fs::read_to_string(root().join("docs/architecture.md"))?;
    let folders = table(&text, "| `src/`")?;
    let text = std::fs::read_to_string(source.join("capi/mod.rs"))?;
    let capi = table(&text, "| file")?;
    for (from, to) in &imports {
        // What is at the top only passes on.
        if [from, to].contains(&&"lib.rs".to_owned()) {
            continue;
        }
        let in_capi = |name: &str| name.strip_prefix("capi/").map(str::to_owned);
        match (in_capi(from), in_capi(to)) {
            (Some(from), Some(to)) if from != "mod.rs" => {
                if floor(&capi, &from)? >= floor(&capi, &to)? {
                    faults.push(format!("capi/{from} imports capi/{to}, which stands no lower in the table of capi/mod.rs"));
                }
            }
            (None, Some(_)) => faults.push(format!("{from} imports {to}: nobody imports capi")),
            _ => {}
        }
        if floor(&folders, from)? > floor(&folders, to)? {
            faults.push(format!(
                "{from} imports {to}, which stands higher in the table of docs/architecture.md"
            ));
        }
    }
    for circle in circles(&imports) {
        let inside = imports
            .iter()
            .filter(|(from, to)| circle.contains(from) && circle.contains(to));
        let edges: Vec<String> = inside.map(|(from, to)| format!("{from} → {to}")).collect();
        faults.push(format!("a circle: {}", edges.join(", ")));
    }

    let mut files = Vec::new();
    sources(&source, &mut files)?;
    for file in files {
        let name = file.strip_prefix(&source)?.to_string_lossy().into_owned();
        let lines = std::fs::read_to_string(&file)?.lines().count();
        if lines > LINES {
            if LONG.iter().any(|(long, _)| *long == name) {
                excused.insert(format!("{name} is long"));
            } else {
                faults.push(format!("{name} has {lines} lines, more than {LINES}"));
            }
        }
    }
    for module in &crates.modules {
        if module.words.contains("libc") && !module.file.starts_with("sys/") {
            faults.push(format!("{} uses libc, which sys alone may", module.file));
        }
    }

    let known = IMPORTS
        .iter()
        .map(|(from, to, _)| format!("{from} imports {to}"))
        .chain(LONG.iter().map(|(name, _)| format!("{name} is long")));
    let known: BTreeSet<String> = known.collect();
    for exception in known.difference(&excused) {
        faults.push(format!(
            "not so any more, and still an exception in xtask/src/floors.rs: {exception}"
        ));
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    Ok(faults.is_empty())
}
