//! The modules of the crate, and which of them names items of which other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::source::{Module, NamedPath};

/// A module's path below the crate, such as `["camera", "id"]`.
pub(crate) type ModulePath = Vec<String>;

/// All modules of the crate.
pub(crate) struct Tree {
    modules: BTreeMap<ModulePath, Module>,
}

/// One place where a module names an item of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    /// The module with the path in it.
    pub from: ModulePath,
    /// The module that defines what is named.
    pub to: ModulePath,
    /// Line in the importing module's file.
    pub line: usize,
}

/// How many re-exports a name may pass on its way to its definition.
const LONGEST_WAY: usize = 16;

impl Tree {
    /// Reads the modules below `directory`, beginning with its `lib.rs`.
    pub(crate) fn of(directory: &Path) -> Self {
        Self::read(&|file: &str| std::fs::read_to_string(directory.join(file)).ok())
    }

    /// Reads the modules from texts by file name.
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
            let text = text.unwrap_or_else(|| panic!("no file of the module {}", child.join("::")));
            self.add(child, Module::parse(&text), text_of);
        }
        self.modules.insert(path, module);
    }

    /// The modules right below the crate.
    pub(crate) fn top_level(&self) -> BTreeSet<String> {
        self.modules.keys().filter_map(|path| path.first().cloned()).collect()
    }

    /// Every place where a module names an item of another one.
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
            let Some(target) = self.definition(scope, segments, LONGEST_WAY) else { continue };
            // An inline module belongs to its file.
            let target = self.file_of(target);
            if target != *file {
                to.push(Edge { from: file.clone(), to: target, line: *line });
            }
        }
        for (name, inline) in &module.inline {
            self.collect(file, &child_of(scope, name), inline, to);
        }
    }

    /// The module that defines what `path` names in the module `scope`; `None` when that is outside
    /// of the crate.
    fn definition(&self, scope: &[String], path: &[String], steps: usize) -> Option<ModulePath> {
        let (mut at, rest) = self.start(scope, path, steps)?;
        for (index, segment) in rest.iter().enumerate() {
            let child = child_of(&at, segment);
            if self.find(&child).is_some() {
                at = child;
                continue;
            }
            let behind = &rest[index + 1..];
            return Some(self.imported(&at, segment, behind, steps).unwrap_or(at));
        }
        Some(at)
    }

    /// Where a path begins, and what follows there.
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
            // A name that an import brought here.
            _ => {
                let target = self.imported(scope, first, &path[1..], steps)?;
                Some((target, &[]))
            }
        }
    }

    /// Follows an import of `name` in the module `at`, with `behind` still to come.
    fn imported(
        &self,
        at: &[String],
        name: &str,
        behind: &[String],
        steps: usize,
    ) -> Option<ModulePath> {
        let steps = steps.checked_sub(1)?;
        let module = self.find(at)?;
        if module.items.iter().any(|item| item == name) {
            return None;
        }
        let named = module.imports.iter().find(|import| import.name == name);
        if let Some(import) = named {
            let path: Vec<_> = import.path.iter().chain(behind).cloned().collect();
            return self.definition(at, &path, steps);
        }
        let mut globs = module.imports.iter().filter(|import| import.name == "*");
        globs.find_map(|glob| {
            let path = &glob.path[..glob.path.len() - 1];
            let target = self.definition(at, path, steps)?;
            let has_it = self.find(&target)?.items.iter().any(|item| item == name);
            if has_it { Some(target) } else { self.imported(&target, name, behind, steps) }
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
