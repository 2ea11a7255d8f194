//! The declaration of a setting, and the macro that derives the struct of all settings, their reader and
//! their documentation from declarations.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::value::{Invalid, Kind};

/// The values of the environment variables that are set, by name in lower case.
pub(super) struct Variables(pub(super) HashMap<String, String>);

impl Variables {
    /// Returns the value of a variable without surrounding white space; empty if the variable is unset.
    fn get(&self, name: &str) -> &str {
        self.0.get(&name.to_ascii_lowercase()).map_or("", |value| value.trim())
    }
}

/// A setting whose value has type `T`. `C` is the struct of all settings.
pub(super) struct Setting<T, C> {
    name: &'static str,
    default: &'static str,
    kind: Kind<T>,
    rule: Option<Rule<C>>,
}

/// A condition that a value must meet in relation to other settings.
struct Rule<C> {
    requirement: &'static str,
    is_met: fn(&C) -> bool,
}

/// The documentation of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// Heading of the group that the setting belongs to.
    pub(crate) group: &'static str,
    /// Name of the environment variable.
    pub(crate) name: &'static str,
    /// Value that is used if the variable is unset or empty. Empty if the setting has no default.
    pub(crate) default: &'static str,
    /// Allowed values.
    pub(crate) allowed: String,
    /// Purpose of the setting.
    pub(crate) help: String,
}

/// A reason why the settings cannot be used.
#[derive(Debug, Error)]
pub(super) enum Problem {
    /// A value that is not allowed.
    #[error("{name}={value:?} is invalid; allowed: {allowed}")]
    Value { name: &'static str, value: String, allowed: String },
    /// A value that is not allowed, of a setting whose value must not be shown.
    #[error("{name} is invalid; allowed: {allowed}")]
    Secret { name: &'static str, allowed: String },
    /// A value that is not allowed, for the reason in `source`.
    #[error("{name}={value:?} is invalid: {source}")]
    Because { name: &'static str, value: String, source: Box<dyn StdError + Send + Sync> },
    /// A value that conflicts with the value of another setting.
    #[error("{name} must be {requirement}")]
    Rule { name: &'static str, requirement: &'static str },
    /// A service that needs no key, although other machines can reach it at this address.
    #[error(
        "{0} can be reached from other machines, but ALLOW_ANONYMOUS=true lets every caller do \
         everything; set ALLOW_ANONYMOUS=false, or set API_KEYS, e.g. API_KEYS=me:admin:$(openssl rand -hex 16)"
    )]
    Exposed(String),
    /// A value in quotes. The message does not show the value, because it may be a secret.
    #[error(
        "{name} has quotes around its value; remove them, because they would be part of the value (Docker's \
         --env-file and Kubernetes, unlike shells, keep quotes)"
    )]
    Quotes { name: &'static str },
    /// A `.env` file that cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Dotenv { path: PathBuf, source: io::Error },
    /// A `.env` file with a line that cannot be used. The message does not show the line, because it may contain a
    /// secret.
    #[error("{}, line {line}: {reason}", .path.display())]
    DotenvLine { path: PathBuf, line: usize, reason: &'static str },
    /// An environment that cannot be read.
    #[error("cannot read the environment: {0}")]
    Environment(envy::Error),
}

/// Declares a setting that is read from the environment variable `name`.
pub(super) fn setting<T, C>(
    name: &'static str,
    default: &'static str,
    kind: Kind<T>,
) -> Setting<T, C> {
    Setting { name, default, kind, rule: None }
}

impl<T: 'static, C> Setting<T, C> {
    /// Adds a condition, which `is_met` checks. Messages state that the setting must be `requirement`.
    pub(super) fn must_be(self, requirement: &'static str, is_met: fn(&C) -> bool) -> Self {
        let kind = self.kind.note(requirement);
        Self { kind, rule: Some(Rule { requirement, is_met }), ..self }
    }

    /// Returns the value. If the value is not allowed, adds a problem and returns `None`.
    pub(super) fn read(self, variables: &Variables, problems: &mut Vec<Problem>) -> Option<T> {
        let Self { name, default, kind, .. } = self;
        let given = variables.get(name);
        if is_quoted(given) {
            problems.push(Problem::Quotes { name });
            return None;
        }
        let value = if given.is_empty() { default } else { given };
        let allowed = kind.allowed.clone();
        problems.push(match kind.parse(value) {
            Ok(value) => return Some(value),
            Err(_) if kind.is_secret => Problem::Secret { name, allowed },
            Err(Invalid::NotAllowed) => Problem::Value { name, value: value.to_owned(), allowed },
            Err(Invalid::Because(source)) => {
                Problem::Because { name, value: value.to_owned(), source }
            }
        });
        None
    }

    /// Adds a problem if the value does not meet the condition.
    pub(super) fn check(self, all: &C, problems: &mut Vec<Problem>) {
        if let Some(Rule { requirement, .. }) = self.rule.filter(|rule| !(rule.is_met)(all)) {
            problems.push(Problem::Rule { name: self.name, requirement });
        }
    }

    /// Returns the documentation of the setting. `help` contains the lines of the doc comment.
    pub(super) fn describe(self, group: &'static str, help: &[&str]) -> Description {
        let Self { name, default, kind, .. } = self;
        let help = help.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        Description { group, name, default, allowed: kind.allowed, help }
    }
}

/// Returns whether the value is surrounded by quotes of the same kind.
fn is_quoted(value: &str) -> bool {
    ['"', '\'']
        .into_iter()
        .any(|quote| value.strip_prefix(quote).is_some_and(|rest| rest.ends_with(quote)))
}

/// Generates `Config`, its reader and the descriptions of all settings from declarations:
///
/// ```text
/// "Heading of a group" {
///     /// Help.
///     field: Type = setting("NAME", "default", kind);
/// }
/// ```
macro_rules! settings {
    ($($group:literal {
        $($(#[doc = $help:literal])+ $field:ident: $type:ty = $setting:expr;)+
    })+) => {
        /// The values of all settings.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($($(#[doc = $help])+ pub $field: $type,)+)+
        }

        impl Config {
            /// Reads all settings, and adds a problem to `problems` for each value that is not allowed. If
            /// there are such values, returns `None`. Otherwise checks the conditions in relation to other
            /// settings, and adds a problem for each condition that is not met.
            pub(super) fn read(
                variables: &Variables,
                problems: &mut Vec<Problem>,
            ) -> Option<Self> {
                $($(
                    let setting: Setting<$type, Self> = $setting;
                    let $field = setting.read(variables, problems);
                )+)+
                let config = Self { $($($field: $field?,)+)+ };
                $($(
                    let setting: Setting<$type, Self> = $setting;
                    setting.check(&config, problems);
                )+)+
                Some(config)
            }
        }

        /// Returns the descriptions of all settings, in the order of their declarations.
        pub(crate) fn descriptions() -> Vec<Description> {
            let mut descriptions = Vec::new();
            $($(
                let setting: Setting<$type, Config> = $setting;
                descriptions.push(setting.describe($group, &[$($help),+]));
            )+)+
            descriptions
        }
    };
}
pub(super) use settings;
