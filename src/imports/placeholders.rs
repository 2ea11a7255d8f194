//! Variables in links: `{NAME}` in Frigate's configuration, and `${NAME}` or `${NAME:default}` in the
//! configurations of go2rtc and mediamtx.

use std::collections::HashMap;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::notes::summary;

/// The characters of a value that are percent-encoded in user names and passwords. A percent sign is kept,
/// because a value may already be encoded, as the documentation of these systems advises.
const SPECIAL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'/')
    .add(b'?')
    .add(b'#')
    .add(b'@')
    .add(b':')
    .add(b'\'')
    .add(b'"')
    .add(b'\\');

/// The longest variable with its default, in bytes.
const MAX_PLACEHOLDER: usize = 2048;

/// Replaces variables in links.
pub(super) struct Placeholders<'a> {
    /// The text with which a variable begins. A variable ends with `}`.
    begin: &'static str,
    /// Returns whether a text can be the name of a variable.
    is_name: fn(&str) -> bool,
    variable: &'a dyn Fn(&str) -> Option<String>,
    /// The variables that the file itself sets.
    own: HashMap<String, String>,
}

/// The names of the variables in a link that have no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing(pub(super) Vec<String>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = summary(&self.0);
        let (variables, have, them, values) = match self.0.len() {
            1 => ("variable", "has", "it", "its value"),
            _ => ("variables", "have", "them", "their values"),
        };
        write!(
            f,
            "contains the {variables} {names}, which {have} no value; set {them} for the command \
             stream-manager import, or write {values} into the file"
        )
    }
}

impl<'a> Placeholders<'a> {
    /// Creates the variables of a Frigate configuration. `own` are the variables that the file itself sets.
    /// Frigate knows only names that begin with `FRIGATE_`. Other names in capitals are probably variables as
    /// well, which another program replaces before Frigate reads the file.
    pub(super) fn of_frigate(
        variable: &'a dyn Fn(&str) -> Option<String>,
        own: HashMap<String, String>,
    ) -> Self {
        let is_name = |text: &str| {
            let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            let is_allowed = |byte: u8| is_capital(byte) || byte.is_ascii_digit();
            text.starts_with("FRIGATE_")
                || text.bytes().all(is_allowed) && text.bytes().next().is_some_and(is_capital)
        };
        Self { begin: "{", is_name, variable, own }
    }

    /// Creates the variables of a go2rtc configuration. A mediamtx configuration can have such variables as well,
    /// if another program replaces them before mediamtx reads the file.
    pub(super) fn of_go2rtc(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { begin: "${", is_name: |_| true, variable, own: HashMap::new() }
    }

    /// Returns `text` with the variables replaced. In the user name and the password of a link, the values are
    /// percent-encoded. Fails if a variable has neither a value nor a default.
    pub(super) fn replace(&self, text: &str) -> Result<String, Missing> {
        let credentials_end = text.rfind('@').filter(|_| text.contains("://")).unwrap_or(0);
        let (mut result, mut at, mut missing) = (String::new(), 0, Vec::new());
        while let Some(Placeholder { begin, end, name, default }) = self.find(text, at) {
            result.push_str(&text[at..begin]);
            at = end;
            let value = self.own.get(name).cloned().or_else(|| (self.variable)(name));
            match value.or_else(|| default.map(str::to_owned)) {
                Some(value) if begin < credentials_end => {
                    result.extend(utf8_percent_encode(&value, SPECIAL));
                }
                Some(value) => result.push_str(&value),
                None if missing.iter().any(|known| known == name) => {}
                None => missing.push(name.to_owned()),
            }
        }
        result.push_str(&text[at..]);
        if missing.is_empty() { Ok(result) } else { Err(Missing(missing)) }
    }

    /// Splits a text at the first `#` that is not in a variable.
    pub(super) fn split_options<'t>(&self, text: &'t str) -> (&'t str, &'t str) {
        let mut at = 0;
        loop {
            let found = self.find(text, at);
            let part_end = found.as_ref().map_or(text.len(), |found| found.begin);
            if let Some(begin) = text[at..part_end].find('#').map(|found| at + found) {
                return (&text[..begin], &text[begin + 1..]);
            }
            let Some(found) = found else { return (text, "") };
            at = found.end;
        }
    }

    /// Returns the first variable that begins at `at` or later.
    fn find<'t>(&self, text: &'t str, mut at: usize) -> Option<Placeholder<'t>> {
        loop {
            let begin = at + text[at..].find(self.begin)?;
            let name_begin = begin + self.begin.len();
            let rest = text.as_bytes()[name_begin..].iter();
            let Some(end) = rest.take(MAX_PLACEHOLDER).position(|byte| *byte == b'}') else {
                at = name_begin;
                continue;
            };
            let end = name_begin + end;
            let (name, default) = match text[name_begin..end].split_once(':') {
                Some((name, default)) => (name, Some(default)),
                None => (&text[name_begin..end], None),
            };
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if (1..=128).contains(&name.len())
                && name.bytes().all(is_allowed)
                && (self.is_name)(name)
            {
                return Some(Placeholder { begin, end: end + 1, name, default });
            }
            at = name_begin;
        }
    }
}

/// A variable in a text.
struct Placeholder<'a> {
    /// The position at which the variable begins.
    begin: usize,
    /// The position after the variable.
    end: usize,
    name: &'a str,
    default: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "FRIGATE_USER" | "USER" => Some("admin".to_owned()),
            "FRIGATE_PASSWORD" => Some("p@ss/w:rd%21".to_owned()),
            "FRIGATE_HOST" => Some("192.0.2.7".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_of_frigate_are_replaced_and_encoded() {
        let own = HashMap::from([("FRIGATE_USER".to_owned(), "operator".to_owned())]);
        let placeholders = Placeholders::of_frigate(&variable, own);
        let link = "rtsp://{FRIGATE_USER}:{FRIGATE_PASSWORD}@{FRIGATE_HOST}/x?{a}=1";
        let expected = "rtsp://operator:p%40ss%2Fw%3Ard%21@192.0.2.7/x?{a}=1";
        assert_eq!(placeholders.replace(link).as_deref(), Ok(expected));
        assert_eq!(placeholders.replace("rtsp://h/{").as_deref(), Ok("rtsp://h/{"));
        let missing =
            |names: &[&str]| Err(Missing(names.iter().map(|&name| name.into()).collect()));
        let link = "rtsp://{FRIGATE_A}:{RTSP_PW}@h/{FRIGATE_A}{x}{1A}";
        assert_eq!(placeholders.replace(link), missing(&["FRIGATE_A", "RTSP_PW"]));
    }

    #[test]
    fn variables_of_go2rtc_can_have_defaults() {
        let placeholders = Placeholders::of_go2rtc(&variable);
        let link = "rtsp://${USER}:${PASSWORD:a:b@c}@h/{x}$";
        assert_eq!(placeholders.replace(link).as_deref(), Ok("rtsp://admin:a%3Ab%40c@h/{x}$"));
        assert_eq!(placeholders.replace("rtsp://${NAME}@h/"), Err(Missing(vec!["NAME".into()])));
    }

    #[test]
    fn the_reason_names_the_variables_and_what_to_do() {
        let reason = Missing(vec!["A".into()]).to_string();
        assert!(
            reason.starts_with("contains the variable A, which has no value; set it"),
            "{reason}"
        );
        let reason = Missing(vec!["A".into(), "B".into()]).to_string();
        assert!(reason.starts_with("contains the variables A, B, which have no value"), "{reason}");
    }

    #[test]
    fn options_begin_at_a_number_sign_outside_of_variables() {
        let placeholders = Placeholders::of_go2rtc(&variable);
        let table = [
            ("rtsp://h/x", ("rtsp://h/x", "")),
            ("rtsp://h/x#a#b=1", ("rtsp://h/x", "a#b=1")),
            ("rtsp://u:${P:a#b}@h/x#c", ("rtsp://u:${P:a#b}@h/x", "c")),
            ("rtsp://u:${P@h/x#c", ("rtsp://u:${P@h/x", "c")),
        ];
        for (text, expected) in table {
            assert_eq!(placeholders.split_options(text), expected, "{text}");
        }
    }
}
