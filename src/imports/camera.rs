//! The cameras of an import: their ids, and the pairing of main and sub streams by their names.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::link::Link;

/// The largest length of an id, in bytes.
const MAX_ID: usize = 64;
/// The ends of the names of sub streams, after a separator.
const SUB: [&str; 2] = ["sub", "low"];
/// The characters before such an end.
const SEPARATORS: [char; 4] = ['_', '-', '/', '.'];

/// A camera in the format of an import with JSON. Contains secrets, so there is no `Debug`.
pub(crate) struct ImportedCamera(pub(crate) Map<String, Value>);

/// A camera of another system, before it has an id.
pub(super) struct Draft {
    /// The name in the other system.
    pub(super) name: String,
    /// The name for people, if it differs.
    pub(super) title: Option<String>,
    /// The main stream.
    pub(super) main: Link,
    /// The sub stream.
    pub(super) sub: Option<Link>,
}

/// The ids of the cameras of an import.
#[derive(Default)]
pub(super) struct Ids {
    taken: HashSet<String>,
    /// The number that was last appended to an id.
    last_numbers: HashMap<String, usize>,
}

/// Returns whether a name may contain a password, because a link or a user with a password is in its place.
pub(super) fn is_link(name: &str) -> bool {
    name.contains("://") || name.split_once('@').is_some_and(|(user, _)| user.contains(':'))
}

impl Ids {
    /// Returns an id like `name`, in which `-` replaces characters that ids cannot contain. If the id is
    /// taken, appends a number. A name that may contain a password is not used.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let name = if is_link(name) { "" } else { name };
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let words = name.split(|c: char| !is_allowed(c)).filter(|word| !word.is_empty());
        let mut id = words.collect::<Vec<_>>().join("-");
        id.truncate(MAX_ID);
        if id.is_empty() {
            "camera".clone_into(&mut id);
        }
        // Lower numbers are taken already.
        let last = self.last_numbers.entry(id.clone()).or_insert(1);
        let mut candidate = id.clone();
        while self.taken.contains(&candidate) {
            *last += 1;
            let suffix = format!("-{last}");
            candidate = format!("{}{suffix}", &id[..id.len().min(MAX_ID - suffix.len())]);
        }
        self.taken.insert(candidate.clone());
        candidate
    }

    /// Reserves an id that the file contains.
    pub(super) fn reserve(&mut self, id: &str) {
        self.taken.insert(id.to_owned());
    }
}

impl Draft {
    /// Creates a camera with only a main stream.
    pub(super) fn new(name: String, main: Link) -> Self {
        Self { name, title: None, main, sub: None }
    }

    /// Returns the camera with an id.
    pub(super) fn finish(self, ids: &mut Ids) -> ImportedCamera {
        let Self { name, title, main, sub } = self;
        let mut fields = Map::new();
        let links = [Some(&main), sub.as_ref()].into_iter().flatten();
        fields.insert("id".into(), ids.unique(&name).into());
        let title = title.unwrap_or(name);
        if !is_link(&title) {
            fields.insert("name".into(), title.into());
        }
        for link in links.rev() {
            let options = [
                ("video", link.video.map(|option| json!(option))),
                ("audio", link.audio.map(|option| json!(option))),
                ("transport", link.transport.map(|option| json!(option))),
            ];
            let given =
                options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            fields.extend(given);
        }
        fields.insert("rtsp_link".into(), main.source.expose().into());
        if let Some(sub) = sub {
            fields.insert("rtsp_link_sub".into(), sub.source.expose().into());
        }
        ImportedCamera(fields)
    }
}

/// Makes one camera of two if their names show that one is the sub stream of the other, such as `gate` and
/// `gate_sub`, or `gate-main` and `gate-low`, and both have the same host.
pub(super) fn paired(drafts: Vec<Draft>) -> Vec<Draft> {
    let indexes: HashMap<_, _> =
        drafts.iter().enumerate().map(|(index, draft)| (draft.name.clone(), index)).collect();
    let main_of = |sub: &Draft| {
        let mut main = main_names(&sub.name).filter_map(|name| indexes.get(&name).copied());
        main.find(|&index| {
            let main = &drafts[index];
            main.sub.is_none() && main.main.source.host() == sub.main.source.host()
        })
    };
    let mains: Vec<_> =
        drafts.iter().map(|draft| main_of(draft).filter(|_| draft.sub.is_none())).collect();
    let mut paired: Vec<_> = drafts.into_iter().map(Some).collect();
    for (index, main) in mains.iter().enumerate() {
        // A stream that is a sub stream itself cannot have one.
        let Some(main) = main.filter(|&main| mains[main].is_none()) else { continue };
        if paired[main].as_ref().is_some_and(|main| main.sub.is_none())
            && let Some(sub) = paired[index].take()
            && let Some(main) = &mut paired[main]
        {
            main.sub = Some(sub.main);
        }
    }
    paired.into_iter().flatten().collect()
}

/// Returns the names that the main stream of the sub stream `name` can have; none if `name` is not that of a
/// sub stream.
fn main_names(name: &str) -> impl Iterator<Item = String> {
    let base = name.rsplit_once(SEPARATORS).and_then(|(base, end)| {
        let is_sub = SUB.iter().any(|sub| end.eq_ignore_ascii_case(sub));
        is_sub.then(|| base.to_owned())
    });
    base.into_iter().flat_map(|base| {
        let mains = SEPARATORS.map(|separator| format!("{base}{separator}main"));
        std::iter::once(base).chain(mains)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns id, name, main link and sub link of a camera, separated by spaces.
    pub(in crate::imports) fn summary(camera: &ImportedCamera) -> String {
        let fields = ["id", "name", "rtsp_link", "rtsp_link_sub"];
        let texts = fields.map(|field| camera.0.get(field).and_then(Value::as_str).unwrap_or("-"));
        texts.join(" ")
    }

    #[test]
    fn ids_are_valid_and_unique() {
        let mut ids = Ids::default();
        let long = "x".repeat(70);
        let table = [
            ("gate", "gate"),
            ("cams/gate", "cams-gate"),
            ("cams gate", "cams-gate-2"),
            ("Tür", "T-r"),
            ("門", "camera"),
            ("gate", "gate-2"),
            ("gate", "gate-3"),
            (long.as_str(), &long[..64]),
        ];
        for (name, expected) in table {
            assert_eq!(ids.unique(name), expected, "{name}");
        }
        assert_eq!(ids.unique(&long), format!("{}-2", &long[..62]));
        // Without a memory of the last number, this takes minutes.
        let last = (0..100_000).map(|_| ids.unique("yard")).last();
        assert_eq!(last.as_deref(), Some("yard-100000"));
    }

    #[test]
    fn a_name_that_may_contain_a_password_is_not_used() {
        for name in ["rtsp://admin:secret@h/1", "admin:secret@192.0.2.7"] {
            let draft = Draft::new(name.to_owned(), Link::parse("rtsp://h/1").expect("a link"));
            assert_eq!(summary(&draft.finish(&mut Ids::default())), "camera - rtsp://h/1 -");
        }
    }

    #[test]
    fn main_and_sub_streams_are_paired_by_name_and_host() {
        let draft = |name: &str, host: &str| {
            let link = Link::parse(&format!("rtsp://{host}/{name}")).expect("a link");
            Draft::new(name.to_owned(), link)
        };
        let drafts = vec![
            draft("gate_sub", "h1"),
            draft("gate", "h1"),
            draft("yard-main", "h2"),
            draft("yard-LOW", "h2"),
            draft("shed", "h3"),
            draft("shed_sub", "h4"),
            draft("sub", "h5"),
            draft("attic_sub", "h6"),
            draft("attic_sub_sub", "h6"),
        ];
        let pairs: Vec<_> =
            paired(drafts).iter().map(|draft| (draft.name.clone(), draft.sub.is_some())).collect();
        let expected = [
            ("gate", true),
            ("yard-main", true),
            ("shed", false),
            ("shed_sub", false),
            ("sub", false),
            ("attic_sub", true),
        ];
        assert_eq!(pairs, expected.map(|(name, has_sub)| (name.to_owned(), has_sub)));
    }
}
