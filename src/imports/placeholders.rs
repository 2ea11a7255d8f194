//! Variables in links: `{NAME}` in Frigate's configuration, and `${NAME}` or `${NAME:default}` in that of
//! go2rtc.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

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

/// Replaces variables in links.
pub(super) struct Placeholders<'a> {
    /// The text with which a variable begins. A variable ends with `}`.
    begin: &'static str,
    /// The text with which the name of a variable begins. A longer name starts with it.
    prefix: &'static str,
    variable: &'a dyn Fn(&str) -> Option<String>,
    missing: BTreeSet<String>,
}

impl<'a> Placeholders<'a> {
    /// Creates the variables of a Frigate configuration.
    pub(super) fn of_frigate(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { begin: "{", prefix: "FRIGATE_", variable, missing: BTreeSet::new() }
    }

    /// Creates the variables of a go2rtc configuration.
    pub(super) fn of_go2rtc(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { begin: "${", prefix: "", variable, missing: BTreeSet::new() }
    }

    /// Returns `text` with the variables replaced. In the user name and the password of a link, the values are
    /// percent-encoded. Returns `None` if a variable has neither a value nor a default.
    pub(super) fn replace(&mut self, text: &str) -> Option<String> {
        let credentials_end = text.rfind('@').filter(|_| text.contains("://")).unwrap_or(0);
        let (mut result, mut at, mut is_complete) = (String::new(), 0, true);
        while let Some(begin) = text[at..].find(self.begin).map(|found| at + found) {
            let name_begin = begin + self.begin.len();
            let end = text[name_begin..].find('}').map(|found| name_begin + found);
            let Some((end, name, default)) = end.and_then(|end| {
                let (name, default) = match text[name_begin..end].split_once(':') {
                    Some((name, default)) => (name, Some(default)),
                    None => (&text[name_begin..end], None),
                };
                self.is_name(name).then_some((end, name, default))
            }) else {
                result.push_str(&text[at..name_begin]);
                at = name_begin;
                continue;
            };
            result.push_str(&text[at..begin]);
            at = end + 1;
            match (self.variable)(name).or_else(|| default.map(str::to_owned)) {
                Some(value) if begin < credentials_end => {
                    result.extend(utf8_percent_encode(&value, SPECIAL));
                }
                Some(value) => result.push_str(&value),
                None => {
                    is_complete = false;
                    self.missing.insert(name.to_owned());
                }
            }
        }
        result.push_str(&text[at..]);
        is_complete.then_some(result)
    }

    /// Returns the names of the variables without a value.
    pub(super) fn missing(self) -> BTreeSet<String> {
        self.missing
    }

    fn is_name(&self, text: &str) -> bool {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        text.starts_with(self.prefix)
            && (1..=128).contains(&text.len())
            && text.bytes().all(is_allowed)
    }
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
        let mut placeholders = Placeholders::of_frigate(&variable);
        let link = "rtsp://{FRIGATE_USER}:{FRIGATE_PASSWORD}@{FRIGATE_HOST}/x?{a}=1";
        let expected = "rtsp://admin:p%40ss%2Fw%3Ard%21@192.0.2.7/x?{a}=1";
        assert_eq!(placeholders.replace(link).as_deref(), Some(expected));
        assert_eq!(placeholders.replace("rtsp://h/{"), Some("rtsp://h/{".to_owned()));
        assert_eq!(placeholders.replace("rtsp://{FRIGATE_A}:{FRIGATE_B}@h/x"), None);
        assert_eq!(
            placeholders.missing().into_iter().collect::<Vec<_>>(),
            ["FRIGATE_A", "FRIGATE_B"]
        );
    }

    #[test]
    fn variables_of_go2rtc_can_have_defaults() {
        let mut placeholders = Placeholders::of_go2rtc(&variable);
        let link = "rtsp://${USER}:${PASSWORD:a:b@c}@h/{x}$";
        assert_eq!(placeholders.replace(link).as_deref(), Some("rtsp://admin:a%3Ab%40c@h/{x}$"));
        assert_eq!(placeholders.replace("rtsp://${NAME}@h/"), None);
        assert_eq!(placeholders.missing().into_iter().collect::<Vec<_>>(), ["NAME"]);
    }
}
