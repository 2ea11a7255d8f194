//! Reads YAML. Limits the size of the file, and the number of values that its aliases can repeat.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{Error, Options};

use super::model::{Format, ImportError, MAX_YAML};
use crate::camera::source::MAX_LENGTH;

/// The largest number of parser events that all aliases of a file can repeat. A list of 1000 cameras whose
/// options all come from one anchor stays below this limit.
const MAX_REPEATED_EVENTS: usize = 100_000;
/// The longest text that is kept, in bytes. Longer texts are shortened, because aliases can repeat them. A shortened
/// link is still too long to be accepted.
const MAX_TEXT: usize = 2 * MAX_LENGTH;
/// The problem of a file that is YAML, but is not a configuration of a known system.
pub(super) const STRUCTURE: &str = "does not have the structure of a configuration";

/// Reads one YAML document.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, ImportError> {
    if text.len() > MAX_YAML {
        return Err(ImportError::TooLarge);
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| failure(&error))
}

fn options() -> Options {
    let mut options = Options::default();
    // A snippet would show a part of the file, which may contain passwords.
    options.with_snippet = false;
    let mut aliases = AliasLimits::default();
    aliases.max_total_replayed_events = MAX_REPEATED_EVENTS;
    options.alias_limits = aliases;
    if let Some(budget) = &mut options.budget {
        // One anchor for all cameras is usual. MAX_REPEATED_EVENTS limits its expansion.
        budget.enforce_alias_anchor_ratio = false;
    }
    // A password without quotation marks can look like a number. It is kept as it is written.
    options.leading_zero_numbers_as_strings = true;
    options.underscored_numbers_as_strings = true;
    options
}

/// Returns the error without the texts of the parser, which may contain parts of the file.
fn failure(error: &Error) -> ImportError {
    let mut cause = error.without_snippet();
    while let Error::AliasError { error, .. } = cause {
        cause = error;
    }
    let problem = match cause {
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "exceeds the limits for values, nesting and aliases"
        }
        Error::DuplicateMappingKey { .. } => "repeats a key",
        Error::UnknownAnchor { .. } => "uses an alias without an anchor",
        Error::MultipleDocuments { .. } => "begins a second YAML document",
        Error::ExternalMessage { .. } | Error::Eof { .. } => "is not valid YAML",
        _ => STRUCTURE,
    };
    let line = error.location().map_or(0, |location| location.line()).max(1);
    ImportError::Yaml { line, problem }
}

/// The sections of a YAML file that show its format.
#[derive(Deserialize)]
pub(super) struct Sections {
    paths: Option<IgnoredAny>,
    streams: Option<IgnoredAny>,
    cameras: Option<IgnoredAny>,
}

impl Sections {
    /// Returns the formats whose section the file contains, the most probable one first.
    pub(super) fn formats(&self) -> impl Iterator<Item = Format> {
        let formats = [
            (&self.cameras, Format::Frigate),
            (&self.streams, Format::Go2rtc),
            (&self.paths, Format::Mediamtx),
        ];
        formats.into_iter().filter(|(section, _)| section.is_some()).map(|(_, format)| format)
    }
}

/// The entries of a mapping, in the order of the file. A missing value counts as the default.
pub(super) struct Entries<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<T>>()? {
                    entries.push((name, value.unwrap_or_default()));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

/// A value of any kind. A number counts as a text. Contains secrets, so there is no `Debug`.
#[derive(Clone, Default)]
pub(super) enum Node {
    #[default]
    Null,
    Flag(bool),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Returns the value of an entry of a mapping; `Null` if it is missing.
    pub(super) fn get(&self, name: &str) -> &Self {
        let entry = self.entries().iter().find(|(known, _)| known == name);
        entry.map_or(&Self::Null, |(_, node)| node)
    }

    /// Returns the entries of a mapping; an empty list for other values.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the elements of a list; an empty list for other values.
    pub(super) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    /// Returns the text without white space around it; `None` if the value is not a text, or is empty.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// Returns the text, or the texts in the list.
    pub(super) fn texts(&self) -> Vec<&str> {
        let texts = self.list().iter().filter_map(Self::text);
        self.text().into_iter().chain(texts).collect()
    }

    /// Returns whether the option is off, because its value is missing, empty, `no` or 0.
    pub(super) fn is_off(&self) -> bool {
        match self {
            Self::Null | Self::Flag(false) => true,
            Self::Flag(true) => false,
            Self::Text(_) => self.text().is_none_or(|text| text == "0"),
            Self::List(list) => list.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Node, E> {
                Ok(Node::Flag(flag))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Node, E> {
                Ok(Node::Text(number.to_string()))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Text(number.to_string()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Text(number.to_string()))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(cut(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, node)) = map.next_entry::<String, _>()? {
                    entries.push((cut(&name), node));
                }
                Ok(Node::Map(entries))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

/// Returns the text, limited to [`MAX_TEXT`].
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[derive(Deserialize)]
    struct Names {
        names: Entries<Node>,
    }

    fn problem(text: &str) -> (u64, &'static str) {
        match read::<Names>(text).err().expect(text) {
            ImportError::Yaml { line, problem } => (line, problem),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn strings_lists_and_missing_values_are_read_in_the_order_of_the_file() {
        let text = "names:\n  b: one\n  a: [one, null, two]\n  007: ~\n";
        let Names { names } = read(text).expect("names");
        let found: Vec<_> =
            names.0.iter().map(|(name, node)| (name.as_str(), node.texts().len())).collect();
        assert_eq!(found, [("b", 1), ("a", 2), ("007", 0)]);
    }

    #[test]
    fn errors_name_the_line_but_quote_nothing_from_the_file() {
        assert_eq!(problem("names:\n  a: one\n  a: two\n"), (3, "repeats a key"));
        assert_eq!(problem("names: secret\n").1, STRUCTURE);
        assert_eq!(problem("names:\n  a: 'secret\n").1, "is not valid YAML");
        assert_eq!(problem("names:\n  a: *secret\n").1, "uses an alias without an anchor");
    }

    #[test]
    fn aliases_and_nesting_cannot_use_more_than_a_limited_amount_of_memory() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            let aliases = vec![before; 10].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("memory");
        }
        bomb += "names:\n  a: x\n";
        assert_eq!(problem(&bomb).1, "exceeds the limits for values, nesting and aliases");
        let deep = format!("names: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read::<Names>(&deep).is_err());
        let long = format!("names:\n  a: {}\n", "x".repeat(MAX_YAML));
        assert!(matches!(read::<Names>(&long), Err(ImportError::TooLarge)));
    }

    #[test]
    fn a_long_text_that_aliases_repeat_is_shortened() {
        let mut text = format!("names:\n  first: &long {}\n", "x".repeat(100_000));
        (0..100)
            .for_each(|number| writeln!(text, "  c{number}: {{*long : *long}}").expect("memory"));
        let Names { names } = read(&text).expect("names");
        let lengths = names.0.iter().map(|(_, node)| match node.entries() {
            [(name, node)] => name.len().max(node.text().map_or(0, str::len)),
            _ => node.text().map_or(0, str::len),
        });
        assert_eq!(lengths.max(), Some(MAX_TEXT));
    }

    #[test]
    fn one_anchor_can_be_used_by_a_thousand_cameras() {
        let mut text = "names:\n  first: &all [a, b, c, d]\n".to_owned();
        for number in 0..1000 {
            writeln!(text, "  c{number}: *all").expect("memory");
        }
        let Names { names } = read(&text).expect("names");
        assert_eq!((names.0.len(), names.0[1000].1.texts().len()), (1001, 4));
    }
}
