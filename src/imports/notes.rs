//! Notes about options of another system that are lost when a camera is imported. The notes contain the names of the
//! options, but not their values, which may contain passwords.

/// The most names in a list.
const MAX_NAMES: usize = 12;
/// The largest number of notes of each kind. Each new note is compared with all others of its kind.
const MAX_NOTES: usize = 100;
/// The longest name that a note shows, in bytes.
const MAX_NAME: usize = 40;

/// The options that an imported camera does not have any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Options for something that the manager decides itself.
    automatic: Vec<String>,
    /// Known options without a counterpart.
    left_out: Vec<String>,
    /// Unknown options.
    unknown: Vec<String>,
    /// Other notes.
    others: Vec<String>,
}

impl Notes {
    /// Adds an option for something that the manager decides itself.
    pub(super) fn add_automatic(&mut self, name: impl Into<String>) {
        add(&mut self.automatic, name.into());
    }

    /// Adds a known option without a counterpart.
    pub(super) fn add_left_out(&mut self, name: impl Into<String>) {
        add(&mut self.left_out, name.into());
    }

    /// Adds an unknown option. If its name may be something else, such as a part of a password, the note does
    /// not show the name.
    pub(super) fn add_unknown(&mut self, prefix: &str, name: &str) {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed);
        let name = if is_name { format!("{prefix}{name}") } else { "another option".to_owned() };
        add(&mut self.unknown, name);
    }

    /// Removes the names of the unknown options.
    pub(super) fn forget_unknown(&mut self) {
        if !self.unknown.is_empty() {
            self.unknown = vec!["another option".to_owned()];
        }
    }

    /// Adds another note, which is shown unchanged.
    pub(super) fn add(&mut self, note: String) {
        add(&mut self.others, note);
    }

    /// Adds the notes of another stream of the camera.
    pub(super) fn extend(&mut self, other: Self) {
        let Self { automatic, left_out, unknown, others } = other;
        let lists = [
            (&mut self.automatic, automatic),
            (&mut self.left_out, left_out),
            (&mut self.unknown, unknown),
            (&mut self.others, others),
        ];
        for (list, texts) in lists {
            for text in texts {
                add(list, text);
            }
        }
    }

    /// Returns the lines for people.
    pub(super) fn lines(self) -> Vec<String> {
        let lists = [
            ("left out, because the manager decides this itself", self.automatic),
            ("left out, because there is no counterpart", self.left_out),
            ("left out, because unknown", self.unknown),
        ];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let lists = lists.map(|(label, names)| format!("{label}: {}", summary(&names)));
        let has_more = self.others.len() > MAX_NOTES;
        let more = has_more.then(|| "there are more notes, which are not shown".to_owned());
        self.others.into_iter().take(MAX_NOTES).chain(more).chain(lists).collect()
    }
}

/// Adds a text unless the list contains it, or has more than [`MAX_NOTES`] texts.
fn add(texts: &mut Vec<String>, text: String) {
    if texts.len() <= MAX_NOTES && !texts.contains(&text) {
        texts.push(text);
    }
}

/// Returns the names, separated by commas. If the list is long, returns only the first names, and the number of the
/// others. A list of notes with more than [`MAX_NOTES`] names is not complete, so the number is not returned.
pub(super) fn summary(names: &[String]) -> String {
    let shown = &names[..names.len().min(MAX_NAMES)];
    let others = names.len() - shown.len();
    let others = match others {
        0 => String::new(),
        _ if names.len() > MAX_NOTES => " and more".to_owned(),
        _ => format!(" and {others} more"),
    };
    shown.join(", ") + &others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_listed_by_reason() {
        let mut notes = Notes::default();
        notes.add_left_out("#timeout");
        notes.add_left_out("#timeout");
        notes.add_automatic("#audio");
        notes.add_unknown("#", "new");
        notes.add_unknown("#", "sec:ret");
        let mut other = Notes::default();
        other.add_left_out("#timeout");
        other.add_left_out("#backchannel");
        other.add("the sub stream is late".to_owned());
        notes.extend(other);
        let expected = [
            "the sub stream is late",
            "left out, because the manager decides this itself: #audio",
            "left out, because there is no counterpart: #timeout, #backchannel",
            "left out, because unknown: #new, another option",
        ];
        assert_eq!(notes.lines(), expected);
        assert!(Notes::default().lines().is_empty());
    }

    #[test]
    fn a_long_list_is_shortened() {
        let names: Vec<_> = (0..15).map(|number| format!("n{number}")).collect();
        assert_eq!(summary(&names), "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11 and 3 more");
    }

    #[test]
    fn the_number_of_notes_is_limited() {
        let mut notes = Notes::default();
        // Without the limit, comparing these notes with each other would take minutes.
        for number in 0..100_000 {
            notes.add_unknown("#", &format!("n{number}"));
            notes.add(format!("note {number}"));
        }
        let lines = notes.lines();
        assert_eq!(lines.len(), MAX_NOTES + 2);
        assert_eq!(
            lines[MAX_NOTES - 1..=MAX_NOTES],
            ["note 99", "there are more notes, which are not shown"]
        );
        assert!(lines[MAX_NOTES + 1].ends_with("#n10, #n11 and more"), "{lines:?}");
    }
}
