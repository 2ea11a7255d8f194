//! Reads the paths that a module's production code names.
//!
//! Works on tokens rather than on syntax trees, so that paths inside macros count as well.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A path in the code, such as `crate::camera::id::CameraId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// Its segments. A glob ends in `*`.
    pub segments: Vec<String>,
    /// The line that it begins in.
    pub line: usize,
}

/// An import, which other modules can name as if its item were defined here.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    /// The name that it has here; `*` for a glob.
    pub name: String,
    /// What it names.
    pub path: Vec<String>,
}

/// The production code of one module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Modules that it declares and that have files of their own.
    pub children: Vec<String>,
    /// Modules that it holds in braces, with their code.
    pub inline: Vec<(String, Module)>,
    /// Names of the items that it defines.
    pub items: Vec<String>,
    /// Its imports.
    pub imports: Vec<Import>,
    /// Every path that it names, imports included.
    pub paths: Vec<NamedPath>,
}

const ITEM_KEYWORDS: [&str; 8] =
    ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];

impl Module {
    /// Reads the text of a source file.
    pub(crate) fn parse(text: &str) -> Self {
        let tokens: TokenStream = text.parse().expect("Rust source");
        let mut module = Self::default();
        module.read(&without_tests(tokens), true);
        module
    }

    fn read(&mut self, tokens: &[TokenTree], is_module_level: bool) {
        let mut at = 0;
        while at < tokens.len() {
            if let Some(length) = self.read_declaration(&tokens[at..], is_module_level) {
                at += length;
                continue;
            }
            match &tokens[at] {
                TokenTree::Ident(_) if !is_continued(tokens, at) => {
                    at += self.read_path(&tokens[at..]);
                    continue;
                }
                TokenTree::Group(group) => self.read(&tokens_of(group), false),
                TokenTree::Literal(literal) => self.read_literal(literal),
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads `mod name;`, `mod name { … }`, `use …;` and the names of items.
    fn read_declaration(&mut self, tokens: &[TokenTree], is_module_level: bool) -> Option<usize> {
        let keyword = ident(tokens.first()?)?;
        if keyword == "use" {
            let end = tokens.iter().position(|token| is_punct(token, ';'))?;
            for (path, name) in use_tree(&tokens[1..end]) {
                self.paths.push(NamedPath { segments: path.clone(), line: line(&tokens[0]) });
                if is_module_level {
                    self.imports.push(Import { name, path });
                }
            }
            return Some(end + 1);
        }
        let name = ident(tokens.get(1)?)?;
        if keyword == "mod" {
            match tokens.get(2)? {
                TokenTree::Group(group) => {
                    let mut inline = Self::default();
                    inline.read(&tokens_of(group), true);
                    self.inline.push((name, inline));
                }
                _ => self.children.push(name),
            }
            return Some(3);
        }
        if is_module_level && ITEM_KEYWORDS.contains(&keyword.as_str()) {
            self.items.push(name);
        }
        None
    }

    /// Reads one path. Returns the number of its tokens, at least one.
    fn read_path(&mut self, tokens: &[TokenTree]) -> usize {
        let mut segments = Vec::new();
        let mut at = 0;
        while let Some(segment) = tokens.get(at).and_then(ident) {
            segments.push(segment);
            at += 1;
            if !is_path_separator(tokens, at) {
                break;
            }
            at += 2;
        }
        if segments.len() > 1 {
            self.paths.push(NamedPath { segments, line: line(&tokens[0]) });
        }
        at.max(1)
    }

    /// Reads a path in a string, as serde's attributes have it.
    fn read_literal(&mut self, literal: &proc_macro2::Literal) {
        let text = literal.to_string();
        let text = text.trim_matches('"');
        let is_path = (text.starts_with("crate::") || text.starts_with("super::"))
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        if is_path {
            let segments = text.split("::").map(str::to_owned).collect();
            self.paths.push(NamedPath { segments, line: literal.span().start().line });
        }
    }
}

/// The paths of a `use` declaration, each with the name that it gets.
fn use_tree(tokens: &[TokenTree]) -> Vec<(Vec<String>, String)> {
    let mut prefix = Vec::new();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(segment)) => prefix.push(segment.to_string()),
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => prefix.push("*".to_owned()),
            Some(TokenTree::Group(group)) => {
                let inner = tokens_of(group);
                let branches = inner.split(|token| is_punct(token, ','));
                let branches = branches.filter(|branch| !branch.is_empty()).flat_map(use_tree);
                return branches.map(|(path, name)| joined(&prefix, path, name)).collect();
            }
            // A path from the root of all crates begins with `::`.
            Some(_) => {
                at += 1;
                continue;
            }
            None => return Vec::new(),
        }
        at += 1;
        if is_path_separator(tokens, at) {
            at += 2;
            continue;
        }
        let renamed = tokens.get(at).and_then(ident).filter(|word| word == "as");
        let name = renamed.and_then(|_| tokens.get(at + 1).and_then(ident));
        let name = name.unwrap_or_else(|| prefix.last().cloned().unwrap_or_default());
        return vec![(prefix, name)];
    }
}

/// A branch of a group behind `prefix`; `self` in the group is the prefix itself.
fn joined(prefix: &[String], mut path: Vec<String>, name: String) -> (Vec<String>, String) {
    let is_self = path.len() == 1 && path[0] == "self" && !prefix.is_empty();
    if is_self {
        path.clear();
    }
    let name = if name == "self" { prefix.last().cloned().unwrap_or_default() } else { name };
    (prefix.iter().cloned().chain(path).collect(), name)
}

/// The tokens without items that only tests have.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at += 2;
            at += item_length(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(group), ..] = tokens else { return false };
    is_punct(hash, '#') && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// An item, a statement or a field ends with the first `;`, `,` or braces.
fn item_length(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';') || is_punct(token, ','),
    };
    tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1)
}

fn tokens_of(group: &Group) -> Vec<TokenTree> {
    without_tests(group.stream())
}

fn ident(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |at: usize| tokens.get(at).is_some_and(|token| is_punct(token, ':'));
    is_colon(at) && is_colon(at + 1)
}

/// Whether the name at `at` belongs to what stands before it: a method, a field, or the rest of a
/// path.
fn is_continued(tokens: &[TokenTree], at: usize) -> bool {
    at > 0 && is_punct(&tokens[at - 1], '.') || at > 1 && is_path_separator(tokens, at - 2)
}

fn line(token: &TokenTree) -> usize {
    token.span().start().line
}
