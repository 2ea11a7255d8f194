//! The modules of the crate, and the items that they use of other modules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::{Module, NamedPath};

/// A module's path in the crate, such as `["camera", "id"]`.
pub(crate) type ModulePath = Vec<String>;

/// All modules of the crate.
pub(crate) struct Tree {
    modules: BTreeMap<ModulePath, Module>,
}

/// A path in one module that refers to an item of another module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    /// The module that contains the path.
    pub from: ModulePath,
    /// The module that defines the item.
    pub to: ModulePath,
    /// The line in the file of `from`.
    pub line: usize,
}

/// Largest number of re-exports between a path and the definition. The limit ends circular re-exports.
const MAX_REEXPORTS: usize = 16;

impl Tree {
    /// Reads the crate whose `lib.rs` is in `directory`.
    pub(crate) fn of(directory: &Path) -> Self {
        Self::read(&|file: &str| std::fs::read_to_string(directory.join(file)).ok())
    }

    /// Reads a crate. `text_of` returns the text of a file, or `None` if there is no such file.
    pub(crate) fn read(text_of: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut tree = Self { modules: BTreeMap::new() };
        let root = text_of("lib.rs").expect("a lib.rs");
        tree.add(Vec::new(), Module::parse(&root), text_of);
        tree
    }

    fn add(&mut self, path: ModulePath, module: Module, text_of: &dyn Fn(&str) -> Option<String>) {
        for child in &module.children {
            let child = child_of(&path, child);
            let stem = child.join("/");
            let text =
                text_of(&format!("{stem}.rs")).or_else(|| text_of(&format!("{stem}/mod.rs")));
            let text = text.unwrap_or_else(|| panic!("module {} has no file", child.join("::")));
            self.add(child, Module::parse(&text), text_of);
        }
        self.modules.insert(path, module);
    }

    /// Returns the names of the crate's top-level modules.
    pub(crate) fn top_level(&self) -> BTreeSet<String> {
        self.modules.keys().filter_map(|path| path.first().cloned()).collect()
    }

    /// Returns all paths that refer to an item of another module.
    pub(crate) fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (path, module) in &self.modules {
            self.collect(path, path, module, &mut edges);
        }
        edges.sort();
        edges.dedup();
        edges
    }

    fn collect(&self, file: &ModulePath, scope: &ModulePath, module: &Module, to: &mut Vec<Edge>) {
        for NamedPath { segments, line } in &module.paths {
            let Some(target) = self.definition(scope, segments, MAX_REEXPORTS) else { continue };
            // An item of an inline module counts as an item of the module whose file contains it.
            let target = self.file_of(target);
            if target != *file {
                to.push(Edge { from: file.clone(), to: target, line: *line });
            }
        }
        for (name, inline) in &module.inline {
            self.collect(file, &child_of(scope, name), inline, to);
        }
    }

    /// Returns the module that defines the item to which `path` refers in module `scope`, or `None` if
    /// the item is not in this crate.
    fn definition(&self, scope: &[String], path: &[String], steps: usize) -> Option<ModulePath> {
        let (mut at, rest) = self.start(scope, path, steps)?;
        for (index, segment) in rest.iter().enumerate() {
            let child = child_of(&at, segment);
            if self.find(&child).is_some() {
                at = child;
                continue;
            }
            let remaining = &rest[index + 1..];
            return Some(self.imported(&at, segment, remaining, steps).unwrap_or(at));
        }
        Some(at)
    }

    /// Returns the module in which a path begins, and the remaining segments.
    fn start<'a>(
        &self,
        scope: &[String],
        path: &'a [String],
        steps: usize,
    ) -> Option<(ModulePath, &'a [String])> {
        let first = path.first()?;
        match first.as_str() {
            "crate" => Some((Vec::new(), &path[1..])),
            "self" => Some((scope.to_vec(), &path[1..])),
            "super" => {
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                let depth = scope.len().checked_sub(ups)?;
                Some((scope[..depth].to_vec(), &path[ups..]))
            }
            _ if self.find(&child_of(scope, first)).is_some() => Some((scope.to_vec(), path)),
            // The first segment can be an imported name.
            _ => {
                let target = self.imported(scope, first, &path[1..], steps)?;
                Some((target, &[]))
            }
        }
    }

    /// If module `at` imports `name`, returns the module that defines the item to which `name` and the
    /// `remaining` segments lead.
    fn imported(
        &self,
        at: &[String],
        name: &str,
        remaining: &[String],
        steps: usize,
    ) -> Option<ModulePath> {
        let steps = steps.checked_sub(1)?;
        let module = self.find(at)?;
        if module.items.iter().any(|item| item == name) {
            return None;
        }
        let named = module.imports.iter().find(|import| import.name == name);
        if let Some(import) = named {
            let path: Vec<_> = import.path.iter().chain(remaining).cloned().collect();
            return self.definition(at, &path, steps);
        }
        let mut globs = module.imports.iter().filter(|import| import.name == "*");
        globs.find_map(|glob| {
            let path = &glob.path[..glob.path.len() - 1];
            let target = self.definition(at, path, steps)?;
            let defines_name = self.find(&target)?.items.iter().any(|item| item == name);
            if defines_name { Some(target) } else { self.imported(&target, name, remaining, steps) }
        })
    }

    fn find(&self, path: &[String]) -> Option<&Module> {
        if let Some(module) = self.modules.get(path) {
            return Some(module);
        }
        let (name, parent) = path.split_last()?;
        let parent = self.find(parent)?;
        parent.inline.iter().find(|(inline, _)| inline == name).map(|(_, module)| module)
    }

    fn file_of(&self, mut path: ModulePath) -> ModulePath {
        while !self.modules.contains_key(&path) {
            path.pop();
        }
        path
    }
}

fn child_of(path: &[String], name: &str) -> ModulePath {
    path.iter().cloned().chain([name.to_owned()]).collect()
}
