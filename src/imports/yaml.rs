//! YAML within limits: on the size of the file, and on the values that its aliases expand to.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{Error, Options};

use super::model::{Format, ImportError, MAX_YAML};

/// The largest number of parser events that all aliases of a file can repeat. A list of 1000 cameras whose
/// options all come from one anchor stays below this limit.
const MAX_REPEATED_EVENTS: usize = 100_000;
/// The largest number of strings in a list.
const MAX_LIST: usize = 1000;
/// The problem of a file that is YAML, but has another structure than the configuration.
pub(super) const STRUCTURE: &str = "does not have the structure of such a configuration";

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
    /// Returns the format of the file; `None` if the file has another format.
    pub(super) fn format(&self) -> Option<Format> {
        let formats = [
            (&self.cameras, Format::Frigate),
            (&self.streams, Format::Go2rtc),
            (&self.paths, Format::Mediamtx),
        ];
        formats.into_iter().find(|(section, _)| section.is_some()).map(|(_, format)| format)
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

/// A string, or a list of strings. Missing and empty elements are left out.
#[derive(Default)]
pub(super) struct OneOrMany(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;

        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<OneOrMany, E> {
                Ok(OneOrMany::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<Option<String>>()? {
                    if texts.len() == MAX_LIST {
                        return Err(serde::de::Error::invalid_length(MAX_LIST + 1, &self));
                    }
                    texts.extend(text.filter(|text| !text.trim().is_empty()));
                }
                Ok(OneOrMany(texts))
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[derive(Deserialize)]
    struct Names {
        names: Entries<OneOrMany>,
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
            names.0.iter().map(|(name, texts)| (name.as_str(), texts.0.len())).collect();
        assert_eq!(found, [("b", 1), ("a", 2), ("007", 0)]);
    }

    #[test]
    fn errors_name_the_line_but_nothing_of_the_file() {
        assert_eq!(problem("names:\n  a: one\n  a: two\n"), (3, "repeats a key"));
        assert_eq!(problem("names:\n  a: {secret: x}\n").1, STRUCTURE);
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
    fn one_anchor_can_be_used_by_a_thousand_cameras() {
        let mut text = "names:\n  first: &all [a, b, c, d]\n".to_owned();
        for number in 0..1000 {
            writeln!(text, "  c{number}: *all").expect("memory");
        }
        let Names { names } = read(&text).expect("names");
        assert_eq!((names.0.len(), names.0[1000].1.0.len()), (1001, 4));
    }
}
