//! Which file of a package needs which: no circles, and the program's layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::tree::{Package, join, parsed};

/// How often a name may be passed on from module to module.
pub(super) const PASSED_ON_MAX: usize = 16;

/// The layers of the program: each may use only those before it. Parts of one line do not use each other: they meet in `daemon`.
const LAYERS: &[&[&str]] = &[
    &["supervise"],
    &["acquire", "journal", "publish", "update", "web"],
    &["config"],
    &["daemon"],
    &["doctor"],
    &["cli"],
];

/// Which modules a module uses items of.
pub(super) type Needs = BTreeMap<String, BTreeSet<String>>;

impl Package {
    /// By module, the modules whose items it uses.
    pub(super) fn needs(&self) -> Needs {
        let of = |name: &str| {
            let module = &self.modules[name];
            let named = module.paths.iter().filter_map(|path| self.defining(name, path, 0));
            let all = module.globs.iter().filter_map(|path| self.module_at(name, path));
            named.chain(all).filter(|other| other != name).collect()
        };
        self.modules.keys().map(|name| (name.clone(), of(name))).collect()
    }

    /// The module that a path leads to, if it leads to one.
    fn module_at(&self, from: &str, path: &[String]) -> Option<String> {
        let mut at = from.to_owned();
        for segment in path {
            at = match segment.as_str() {
                "crate" => String::new(),
                "self" => at,
                "super" => at.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned()),
                child => Some(join(&at, child)).filter(|child| self.modules.contains_key(child))?,
            };
        }
        Some(at)
    }

    /// The module that defines what a path in the code of module `from` names; `None` for what is not of this package.
    fn defining(&self, from: &str, path: &[String], passed_on: usize) -> Option<String> {
        if passed_on > PASSED_ON_MAX {
            return None;
        }
        let (mut at, mut left) = (from.to_owned(), false);
        for (index, segment) in path.iter().enumerate() {
            let module = self.modules.get(&at)?;
            left |= index > 0;
            match segment.as_str() {
                "crate" => at = String::new(),
                "self" => {}
                "super" => at = at.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned()),
                name if module.defined.contains(name) => return Some(at),
                name if self.modules.contains_key(&join(&at, name)) => at = join(&at, name),
                name => {
                    let Some(target) = module.imported.get(name) else {
                        // Not of this package; or what a macro or an included file defines in the module that was reached.
                        return left.then_some(at);
                    };
                    // A name of another crate, or of this module itself under another name.
                    if target.first().is_some_and(|first| first == name) {
                        return None;
                    }
                    let whole: Vec<String> = target.iter().chain(&path[index + 1..]).cloned().collect();
                    return self.defining(&at, &whole, passed_on + 1);
                }
            }
        }
        None
    }
}

/// Groups of modules each of which needs, directly or over others, every other of its group.
fn circles(needs: &Needs) -> Vec<Vec<&str>> {
    let reach = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.to_owned()];
        while let Some(name) = open.pop() {
            for next in needs.get(&name).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = needs.keys().map(|name| (name.as_str(), reach(name))).collect();
    let mut found: Vec<Vec<&str>> = Vec::new();
    for (&name, within) in &reached {
        if within.contains(name) && !found.iter().any(|circle| circle.contains(&name)) {
            let back = |other: &&&str| within.contains(**other) && reached[**other].contains(name);
            found.push(reached.keys().filter(back).copied().collect());
        }
    }
    found
}

/// Circles of imports in a package, each with the imports that make it.
pub(super) fn circles_of(package: &Package) -> Vec<String> {
    let needs = package.needs();
    let name = |module: &str| if module.is_empty() { "lib".to_owned() } else { module.to_owned() };
    let described = |circle: Vec<&str>| {
        let arrows = circle.iter().flat_map(|&from| {
            let inside = needs[from].iter().filter(|to| circle.contains(&to.as_str()));
            inside.map(move |to| format!("{} -> {}", name(from), name(to)))
        });
        format!("{}: {}", package.name, arrows.collect::<Vec<_>>().join(", "))
    };
    circles(&needs).into_iter().map(described).collect()
}

/// Imports of the program that go up or sideways.
pub(super) fn layer_faults(program: &Package) -> Vec<String> {
    let part = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let layer = |part: &str| LAYERS.iter().position(|layer| layer.contains(&part));
    let mut faults = Vec::new();
    for (from, needed) in program.needs() {
        let Some(own) = layer(&part(&from)) else {
            // The root only declares the parts.
            if !from.is_empty() {
                faults.push(format!(
                    "{from}: is in no layer; add it to LAYERS in tests/tidy/imports.rs and to ARCHITECTURE.md"
                ));
            }
            continue;
        };
        for to in needed {
            let down = part(&from) == part(&to) || layer(&part(&to)).is_some_and(|below| below < own);
            if !down {
                faults.push(format!("{from} must not use {to}"));
            }
        }
    }
    faults
}

/// A package of these files.
pub(super) fn planted(files: &[(&str, &str)]) -> Package {
    let folder = Path::new("src");
    let files = files.iter().map(|(name, text)| (folder.join(name), (*text).to_owned()));
    Package { name: "planted".into(), modules: parsed(folder, files) }
}

#[test]
fn planted_circles_are_found_however_names_travel() {
    let circle = |files: &[(&str, &str)]| !circles_of(&planted(files)).is_empty();
    let root = ("lib.rs", "mod a; mod b;");
    // Directly, by a module's name, over a re-export, for a trait's methods alone, by a glob, out of a macro.
    assert!(circle(&[
        root,
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "use crate::a::A; pub struct B(A);")
    ]));
    assert!(circle(&[root, ("a.rs", "use crate::b; fn f() { b::g() }"), ("b.rs", "fn g() { super::a::f() }")]));
    assert!(circle(&[
        ("lib.rs", "mod a; mod b; pub use a::A; use b::B;"),
        ("a.rs", "use super::B; pub struct A;"),
        ("b.rs", "use super::A; pub struct B;")
    ]));
    assert!(circle(&[root, ("a.rs", "use crate::b::B; pub trait A {}"), ("b.rs", "use crate::a::A; pub struct B;")]));
    assert!(circle(&[root, ("a.rs", "use crate::b::*; pub struct A;"), ("b.rs", "pub struct B(crate::a::A);")]));
    assert!(circle(&[
        root,
        ("a.rs", "made! { B } fn f() { crate::b::f() }"),
        ("b.rs", "struct C(crate::a::B); fn f() {}")
    ]));
    // The parent's own item, and a child's that the parent uses.
    assert!(circle(&[("lib.rs", "mod a; fn f() { a::g() }"), ("a.rs", "pub fn g() { super::f() }")]));
}

#[test]
fn what_is_passed_on_or_tested_is_no_circle() {
    let circles = |files: &[(&str, &str)]| circles_of(&planted(files));
    let none: Vec<String> = Vec::new();
    let passed_on = [
        ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
        ("a.rs", "use super::B; pub struct A(B);"),
        ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::A; }"),
    ];
    assert_eq!(circles(&passed_on), none);
}

#[test]
fn planted_faults_of_layers_are_found() {
    let faults = |files: &[(&str, &str)]| layer_faults(&planted(files)).len();
    let root = ("lib.rs", "pub mod journal; pub mod daemon; pub mod web;");
    let (journal, daemon) = (("journal.rs", "pub struct J;"), ("daemon.rs", "use crate::journal::J; pub struct D(J);"));
    assert_eq!(faults(&[root, journal, daemon]), 0);
    assert_eq!(
        faults(&[root, ("journal.rs", "use crate::daemon::D; pub struct J;"), ("daemon.rs", "pub struct D;")]),
        1
    );
    assert_eq!(faults(&[root, journal, ("web.rs", "pub struct W(crate::journal::J);")]), 1, "sideways");
    assert_eq!(faults(&[root, ("new.rs", "")]), 1, "in no layer");
}
