//! Checks all imports against the table of layers in `src/lib.rs`: every import points downwards, and
//! no modules import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use tree::{Edge, ModulePath, Tree};

mod source;
mod tree;

/// The heading row of the table in `src/lib.rs`.
const TABLE_HEAD: &str = "//! | Layer | Modules |";

/// Returns the path of `src`.
fn sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// Returns the height of each top-level module: a module can import modules of smaller heights. The
/// table lists the layers from top to bottom, and the modules of a row from left (low) to right (high).
fn heights(lib: &str) -> BTreeMap<String, usize> {
    let rows = lib.lines().skip_while(|line| *line != TABLE_HEAD).skip(2);
    let rows: Vec<_> = rows.take_while(|line| line.starts_with("//! |")).collect();
    let in_row = |row: &str| {
        row.split("[`")
            .skip(1)
            .filter_map(|text| text.split('`').next())
            .map(str::to_owned)
            .collect()
    };
    let modules = rows.iter().rev().flat_map(|row| -> Vec<String> { in_row(row) });
    modules.enumerate().map(|(height, name)| (name, height)).collect()
}

/// Returns a description of each violation: a module without a layer, an upward import, or a circle.
fn violations(tree: &Tree, heights: &BTreeMap<String, usize>) -> Vec<String> {
    let mut violations = Vec::new();
    for module in tree.top_level().iter().filter(|module| !heights.contains_key(*module)) {
        violations.push(format!("the module {module} is in no layer of src/lib.rs"));
    }
    let edges = tree.edges();
    let height = |path: &ModulePath| path.first().and_then(|module| heights.get(module));
    for edge in &edges {
        if let (Some(from), Some(to)) = (height(&edge.from), height(&edge.to))
            && from < to
        {
            let (from, to) = (edge.from.join("::"), edge.to.join("::"));
            violations.push(format!(
                "{from}, line {}: imports {to}, which the table in src/lib.rs does not allow",
                edge.line
            ));
        }
    }
    violations.extend(circles(&edges).iter().map(|circle| describe(circle, &edges)));
    violations
}

/// Returns a description of a circle: its modules, and the imports between them.
fn describe(circle: &BTreeSet<ModulePath>, edges: &[Edge]) -> String {
    let names: Vec<_> = circle.iter().map(|module| module.join("::")).collect();
    let mut text = format!("circle of {}", names.join(", "));
    for edge in edges.iter().filter(|edge| circle.contains(&edge.from) && circle.contains(&edge.to))
    {
        let (from, to) = (edge.from.join("::"), edge.to.join("::"));
        let _ = write!(text, "\n    {from}, line {}: {to}", edge.line);
    }
    text
}

/// Returns the circles: sets of modules in which every module imports every other module, directly or
/// indirectly.
fn circles(edges: &[Edge]) -> Vec<BTreeSet<ModulePath>> {
    let mut imports = BTreeMap::<&ModulePath, BTreeSet<&ModulePath>>::new();
    for edge in edges {
        imports.entry(&edge.from).or_default().insert(&edge.to);
    }
    let reach = |from| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            let next = imports.get(module).into_iter().flatten();
            open.extend(next.filter(|next| reached.insert(**next)));
        }
        reached
    };
    let reached: BTreeMap<_, _> = imports.keys().map(|module| (*module, reach(module))).collect();
    let leads_to = |from, to| reached.get(from).is_some_and(|all| all.contains(to));
    let mut found = BTreeSet::new();
    for module in reached.keys().filter(|module| leads_to(**module, **module)) {
        let members =
            reached.keys().filter(|other| leads_to(*module, *other) && leads_to(*other, *module));
        found.insert(members.map(|member| (*member).clone()).collect::<BTreeSet<_>>());
    }
    found.into_iter().collect()
}

#[test]
fn imports_point_downwards_and_form_no_circle() {
    let lib = std::fs::read_to_string(sources().join("lib.rs")).expect("src/lib.rs");
    let violations = violations(&Tree::of(sources()), &heights(&lib));
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Returns the violations in a small crate with three layers: `top`, below it `left` and `right`, and
/// below these `base`. All files of the crate are empty, except the given `files`.
fn violations_in(files: &[(&str, &str)]) -> Vec<String> {
    let lib = format!(
        "{TABLE_HEAD}\n//! |---|---|\n//! | a | [`top`] |\n//! | b | [`left`], [`right`] |\n//! | c | [`base`] |\n\
         pub mod base;\npub mod left;\npub mod right;\npub mod top;\n"
    );
    let empty = ["base.rs", "left.rs", "right.rs", "top.rs"].map(|file| (file, ""));
    let mut texts: BTreeMap<_, _> = empty.into_iter().chain(files.iter().copied()).collect();
    texts.insert("lib.rs", &lib);
    let tree = Tree::read(&|file| texts.get(file).map(|text| (*text).to_owned()));
    violations(&tree, &heights(&lib))
}

#[test]
fn allowed_imports_are_accepted() {
    let files = [
        ("top.rs", "use crate::{base::A, left::{self, B}}; fn f() { crate::right::g() }"),
        ("right.rs", "use crate::left::B; use std::fmt; fn g() { fmt::f(); }"),
        (
            "left.rs",
            "use super::base::A; pub struct B; #[cfg(test)] mod tests { use crate::top::f; }",
        ),
        ("base.rs", "pub struct A; // crate::top::f\nconst TEXT: &str = \"not crate::top::f\";"),
    ];
    assert_eq!(violations_in(&files), Vec::<String>::new());
}

#[test]
fn an_upward_import_is_found() {
    let table = [
        "use crate::top::f;",
        "use super::top::f;",
        "fn g() { crate::top::f(); }",
        "fn g() { println!(\"{}\", crate::top::f()); }",
        "struct S { #[serde(default = \"crate::top::f\")] field: u8 }",
        "use crate::{left::B as C, top::*};",
        "impl crate::top::T for u8 {}",
        "mod inner { fn g() { super::super::top::f() } }",
        "type A = Vec<crate::top::T>;",
    ];
    for text in table {
        let violations = violations_in(&[("base.rs", text)]);
        let is_found =
            violations.iter().any(|violation| violation.starts_with("base, line 1: imports top"));
        assert!(is_found, "{text}: {violations:?}");
    }
    let violations =
        violations_in(&[("left.rs", "use crate::right::X;"), ("right.rs", "pub struct X;")]);
    assert_eq!(
        violations,
        ["left, line 1: imports right, which the table in src/lib.rs does not allow"]
    );
}

#[test]
fn a_circle_is_found() {
    let files = [
        ("top.rs", "mod one; mod two; mod three;"),
        ("top/one.rs", "use super::two::B; pub struct A;"),
        ("top/two.rs", "pub struct B; fn f() { crate::top::three::g() }"),
        ("top/three.rs", "pub fn g() { super::one::A; }"),
    ];
    let violations = violations_in(&files);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(
        violations[0].starts_with("circle of top::one, top::three, top::two"),
        "{violations:?}"
    );
    // A module and its parent can form a circle as well.
    let files = [
        ("top.rs", "mod one; use one::A; pub struct T;"),
        ("top/one.rs", "use super::T; pub struct A;"),
    ];
    let violations = violations_in(&files);
    assert!(
        violations.len() == 1 && violations[0].starts_with("circle of top, top::one"),
        "{violations:?}"
    );
}

#[test]
fn a_reexported_item_belongs_to_the_module_that_defines_it() {
    // `base` re-exports what `top` defines: by name, by glob, and as a module.
    for text in ["pub use crate::top::f;", "pub use crate::top::*;", "pub use crate::top;"] {
        let user =
            if text.ends_with("top;") { "use crate::base::top::f;" } else { "use crate::base::f;" };
        let files = [("base.rs", text), ("left.rs", user), ("top.rs", "pub fn f() {}")];
        let violations = violations_in(&files);
        let is_found =
            violations.iter().any(|violation| violation.starts_with("left, line 1: imports top"));
        assert!(is_found, "{text}: {violations:?}");
    }
    // A parent can re-export an item of one child for another child. These modules form no circle.
    let files = [
        ("top.rs", "mod one; mod two; pub use one::A;"),
        ("top/one.rs", "pub struct A;"),
        ("top/two.rs", "use super::A;"),
    ];
    assert_eq!(violations_in(&files), Vec::<String>::new());
}

#[test]
fn a_module_without_a_layer_is_found() {
    assert_eq!(violations_in(&[("top.rs", "")]), Vec::<String>::new());
    let lib = "pub mod stray;";
    let tree = Tree::read(&|file| match file {
        "lib.rs" => Some(lib.to_owned()),
        "stray.rs" => Some(String::new()),
        _ => None,
    });
    let violations = violations(&tree, &BTreeMap::new());
    assert_eq!(violations, ["the module stray is in no layer of src/lib.rs"]);
}
