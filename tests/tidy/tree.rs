//! The source tree as the rules see it: packages, their modules, and what each file defines and names. Modules inside a file count as that
//! file. A method that is called on a value names no type, and is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One package of the workspace, without its tests.
pub(super) struct Package {
    pub(super) name: String,
    /// By module path below the package's root: `a::b`, and the empty path for `lib.rs`.
    pub(super) modules: BTreeMap<String, Module>,
}

/// One file of a package.
pub(super) struct Module {
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// Names that are defined at the top of the file.
    pub(super) defined: BTreeSet<String>,
    /// What a name that was imported stands for.
    pub(super) imported: BTreeMap<String, Vec<String>>,
    /// Modules all of whose names were imported.
    pub(super) globs: Vec<Vec<String>>,
    /// Every path in the code, as written.
    pub(super) paths: BTreeSet<Vec<String>>,
    /// Lines of unit tests.
    tests: Vec<(usize, usize)>,
}

impl Module {
    /// The code without comments and unit tests.
    pub(super) fn code(&self) -> String {
        let lines = self.text.lines().enumerate();
        let kept = lines.filter(|(index, line)| {
            let number = index + 1;
            !line.trim_start().starts_with("//") && !self.tests.iter().any(|(from, to)| (*from..=*to).contains(&number))
        });
        kept.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
    }
}

/// The packages of the workspace: the root's `src`, and those below `crates`.
pub(super) fn packages(root: &Path) -> Vec<Package> {
    let mut sources = vec![("ramand".to_owned(), root.join("src"))];
    for entry in fs::read_dir(root.join("crates")).expect("the folder of crates") {
        let entry = entry.expect("an entry");
        sources.push((entry.file_name().to_string_lossy().into_owned(), entry.path().join("src")));
    }
    sources.sort();
    sources.into_iter().map(|(name, folder)| Package { name, modules: modules(&folder) }).collect()
}

/// Every Rust file below a folder.
pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn modules(folder: &Path) -> BTreeMap<String, Module> {
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).expect("UTF-8"));
    parsed(folder, rust_files(folder).into_iter().map(read))
}

/// The modules of a package whose sources lie in `folder`.
pub(super) fn parsed(folder: &Path, files: impl Iterator<Item = (PathBuf, String)>) -> BTreeMap<String, Module> {
    let mut modules = BTreeMap::new();
    let mut tests = BTreeSet::new();
    for (file, text) in files {
        let name = module_name(file.strip_prefix(folder).expect("below the folder"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        tests.extend(reader.test_modules.iter().map(|child| join(&name, child)));
        let Reader { defined, imported, globs, paths, tests, .. } = reader;
        modules.insert(name, Module { file, text, defined, imported, globs, paths, tests });
    }
    // A file that is compiled for tests only, and what lies below it.
    let is_test = |name: &str| tests.iter().any(|test| name == test || name.starts_with(&format!("{test}::")));
    modules.retain(|name, _| !is_test(name) && name != "main");
    modules
}

/// `acquire/link.rs` is `acquire::link`, `obp/mod.rs` is `obp`, `lib.rs` is the empty path.
fn module_name(file: &Path) -> String {
    let file = file.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    let file = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if file == "lib" { String::new() } else { file.replace('/', "::") }
}

/// The name of a child of a module.
pub(super) fn join(module: &str, child: &str) -> String {
    if module.is_empty() { child.to_owned() } else { format!("{module}::{child}") }
}

#[derive(Default)]
struct Reader {
    defined: BTreeSet<String>,
    imported: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    paths: BTreeSet<Vec<String>>,
    tests: Vec<(usize, usize)>,
    test_modules: Vec<String>,
    depth: usize,
}

impl Reader {
    fn define(&mut self, name: &syn::Ident) {
        if self.depth == 0 {
            self.defined.insert(name.to_string());
        }
    }

    fn import(&mut self, tree: &syn::UseTree, mut before: Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = before.last().cloned().unwrap_or_default();
                self.imported.insert(last, before);
            }
            syn::UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.imported.insert(name.ident.to_string(), before);
            }
            syn::UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    before.push(rename.ident.to_string());
                }
                self.imported.insert(rename.rename.to_string(), before);
            }
            syn::UseTree::Glob(_) => self.globs.push(before),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before.clone());
                }
            }
        }
    }
}

fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn lines(item: &impl Spanned) -> (usize, usize) {
    (item.span().start().line, item.span().end().line)
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if for_tests(attributes(item)) {
            self.tests.push(lines(item));
            if let syn::Item::Mod(module) = item
                && module.content.is_none()
            {
                self.test_modules.push(module.ident.to_string());
            }
            return;
        }
        match item {
            syn::Item::Const(item) => self.define(&item.ident),
            syn::Item::Enum(item) => self.define(&item.ident),
            syn::Item::Fn(item) => self.define(&item.sig.ident),
            syn::Item::Static(item) => self.define(&item.ident),
            syn::Item::Struct(item) => self.define(&item.ident),
            syn::Item::Trait(item) => self.define(&item.ident),
            syn::Item::Type(item) => self.define(&item.ident),
            syn::Item::Macro(syn::ItemMacro { ident: Some(name), .. }) => drop(self.defined.insert(name.to_string())),
            _ => {}
        }
        self.depth += 1;
        visit::visit_item(self, item);
        self.depth -= 1;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if for_tests(&item.attrs) {
            self.tests.push(lines(item));
            return;
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, Vec::new());
        // What is only passed on is not needed here; what is imported is, be it for a trait's methods alone.
        if matches!(item.vis, syn::Visibility::Inherited) {
            let mut named = Reader::default();
            named.import(&item.tree, Vec::new());
            self.paths.extend(named.imported.into_values());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        visit::visit_macro(self, item);
        // What stands in a macro's arguments is not parsed: words joined by `::`.
        let text = item.tokens.to_string().replace(" :: ", "::");
        for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            let path: Vec<String> = word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            if !path.is_empty() {
                self.paths.insert(path);
            }
        }
    }
}
