//! Finds the paths in a module's production code, which excludes tests.
//!
//! The parser works on tokens and not on syntax trees, so it also finds paths inside macros.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A path in the code, such as `crate::camera::id::CameraId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// The segments of the path. The last segment of a glob is `*`.
    pub segments: Vec<String>,
    /// The line in which the path begins.
    pub line: usize,
}

/// A `use` declaration of one name. Other modules can reach the item through the importing module.
#[derive(Debug, Clone)]
pub(crate) struct Import {
    /// The name in the importing module, or `*` for a glob.
    pub name: String,
    /// The path that is imported.
    pub path: Vec<String>,
}

/// The production code of one module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Child modules that have their own files.
    pub children: Vec<String>,
    /// Child modules that are written inline, in braces.
    pub inline: Vec<(String, Module)>,
    /// Names of the items that the module defines.
    pub items: Vec<String>,
    /// Imports at module level.
    pub imports: Vec<Import>,
    /// All paths in the code, including imports.
    pub paths: Vec<NamedPath>,
}

const ITEM_KEYWORDS: [&str; 8] =
    ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];

impl Module {
    /// Parses the text of a source file.
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

    /// Reads the declaration at the beginning of `tokens`: `use …;`, `mod name;`, `mod name { … }`, or an
    /// item. Returns the number of tokens of a `use` or `mod`. Returns `None` if there is no declaration. Also
    /// returns `None` for an item, because the item's tokens must still be searched for paths.
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

    /// Reads one path. Returns the number of its tokens, which is at least 1.
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

    /// Reads a string, and keeps it if it is a path, such as in an attribute of serde.
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

/// Returns the paths of a `use` declaration, each with the name that it gets in the module.
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
            // Skips the leading `::` of an absolute path.
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

/// Appends a branch of a group to `prefix`. A branch `self` stands for the prefix itself.
fn joined(prefix: &[String], mut path: Vec<String>, name: String) -> (Vec<String>, String) {
    let is_self = path.len() == 1 && path[0] == "self" && !prefix.is_empty();
    if is_self {
        path.clear();
    }
    let name = if name == "self" { prefix.last().cloned().unwrap_or_default() } else { name };
    (prefix.iter().cloned().chain(path).collect(), name)
}

/// Returns the tokens without the items that are compiled for tests only.
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

/// Returns the number of tokens of an item, a statement or a field. Each of these ends with the first `;`
/// or `,`, or with the first group in braces.
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

/// Returns whether the name at `at` continues an expression or a path: a method, a field, or a further
/// segment.
fn is_continued(tokens: &[TokenTree], at: usize) -> bool {
    at > 0 && is_punct(&tokens[at - 1], '.') || at > 1 && is_path_separator(tokens, at - 2)
}

fn line(token: &TokenTree) -> usize {
    token.span().start().line
}
