//! The cameras of an import: their ids, and the pairing of main and sub streams by their names.

use std::collections::{HashMap, HashSet};

use deunicode::deunicode_with_tofu;
use serde_json::{Map, Value};

use super::link::{Link, LinkOptions};
use super::notes::Notes;
use crate::camera::id::is_id;

/// The largest length of an id, in bytes.
const MAX_ID: usize = 64;
/// The largest length of a name for people, in characters.
const MAX_TITLE: usize = 200;
/// The ends of the names of main streams, after a separator.
const MAIN: [&str; 4] = ["main", "high", "hd", "hq"];
/// The ends of the names of sub streams, after a separator.
const SUB: [&str; 4] = ["sub", "low", "sd", "lq"];
/// The characters that can precede one of these ends.
const SEPARATORS: [char; 4] = ['_', '-', '/', '.'];

/// A camera in the format of an import with JSON. Contains secrets, so there is no `Debug`.
pub(crate) struct ImportedCamera {
    /// The fields of the camera.
    pub(crate) fields: Map<String, Value>,
    /// Notes for people, for example about options that the camera does not keep. Contains no secrets.
    pub(crate) notes: Vec<String>,
}

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
    /// Notes about the camera, in addition to those about its links.
    pub(super) notes: Notes,
}

/// The ids of the cameras of an import.
#[derive(Default)]
pub(super) struct Ids {
    taken: HashSet<String>,
    /// For each id, the number that was last appended to it.
    last_numbers: HashMap<String, usize>,
}

/// Returns whether a name may contain a password, because the file has a link, or a user name and a password, where
/// a name is expected.
pub(super) fn is_link(name: &str) -> bool {
    name.contains("://") || name.split_once('@').is_some_and(|(user, _)| user.contains(':'))
}

impl Ids {
    /// Returns an id that resembles `name`. Letters of ASCII replace other letters, and `-` replaces characters
    /// that ids cannot contain. If the id is taken, appends a number. A name that may contain a password is not used.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let name = if is_link(name) { "" } else { name };
        let name = deunicode_with_tofu(name, "");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let words = name.split(|c: char| !is_allowed(c)).filter(|word| !word.is_empty());
        let mut id = words.collect::<Vec<_>>().join("-");
        id.truncate(MAX_ID);
        if id.is_empty() {
            "camera".clone_into(&mut id);
        }
        // Earlier calls have already taken the lower numbers.
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

    /// Reserves an id that the file contains. Returns false if it is reserved already.
    pub(super) fn reserve(&mut self, id: &str) -> bool {
        self.taken.insert(id.to_owned())
    }
}

impl Draft {
    /// Creates a camera with only a main stream.
    pub(super) fn new(name: String, main: Link) -> Self {
        Self { name, title: None, main, sub: None, notes: Notes::default() }
    }

    /// Creates a camera from the first two links. Adds the texts of the other links to `left_out`. Returns `None`
    /// if there are no links.
    pub(super) fn of_links(
        name: &str,
        links: Vec<(Link, String)>,
        left_out: &mut Vec<String>,
    ) -> Option<Self> {
        let mut links = links.into_iter();
        let (main, _) = links.next()?;
        let sub = links.next().map(|(link, _)| link);
        let others = links.map(|(_, text)| format!("{text}: a camera has at most two streams"));
        left_out.extend(others);
        Some(Self { sub, ..Self::new(name.to_owned(), main) })
    }

    /// Returns the camera with an id.
    fn finish(self, id: String) -> ImportedCamera {
        let Self { name, title, main, sub, notes: other_notes } = self;
        let mut notes = other_notes;
        notes.extend(main.notes);
        let mut fields = Map::new();
        fields.insert("id".into(), id.into());
        let title = title.unwrap_or(name);
        if !is_link(&title) {
            fields.insert("name".into(), printable(&title, MAX_TITLE).into());
        }
        for (name, value) in named(main.options) {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        }
        fields.insert("rtsp_link".into(), main.source.expose().into());
        if let Some(sub) = sub {
            fields.insert("rtsp_link_sub".into(), sub.source.expose().into());
            differences(main.options, sub.options).for_each(|note| notes.add(note));
            notes.extend(sub.notes);
        }
        ImportedCamera { fields, notes: notes.lines() }
    }
}

/// Returns the options with the names of the API.
fn named(options: LinkOptions) -> [(&'static str, Option<Value>); 3] {
    let LinkOptions { video, audio, transport } = options;
    [
        ("video", video.map(|option| serde_json::json!(option))),
        ("audio", audio.map(|option| serde_json::json!(option))),
        ("transport", transport.map(|option| serde_json::json!(option))),
    ]
}

/// Returns a note for each option in which the sub stream differs from the main stream, because the options of a
/// camera apply to both.
fn differences(main: LinkOptions, sub: LinkOptions) -> impl Iterator<Item = String> {
    let options = named(main).into_iter().zip(named(sub));
    options.filter(|((_, main), (_, sub))| main != sub).map(|((name, main), (_, sub))| {
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        match (main, sub) {
            (_, Some(sub)) => format!(
                "{name}: {} of the sub stream is left out, because both streams of a camera have the same options",
                text(sub)
            ),
            (main, None) => format!(
                "{name}: {} also applies to the sub stream, because both streams of a camera have the same options",
                text(main.unwrap_or_default())
            ),
        }
    })
}

/// Gives each camera an id. A name that is a valid id becomes the id unchanged.
pub(super) fn finished(drafts: Vec<Draft>) -> Vec<ImportedCamera> {
    let mut ids = Ids::default();
    let is_kept = |draft: &Draft, ids: &mut Ids| is_id(&draft.name) && ids.reserve(&draft.name);
    let kept: Vec<_> = drafts.iter().map(|draft| is_kept(draft, &mut ids)).collect();
    let drafts = drafts.into_iter().zip(kept);
    let cameras = drafts.map(|(draft, is_kept)| {
        let id = if is_kept { draft.name.clone() } else { ids.unique(&draft.name) };
        draft.finish(id)
    });
    cameras.collect()
}

/// Combines two cameras if they have the same host, and if their names show that one is the sub stream of the other,
/// such as `gate` and `gate_sub`, or `gate-main` and `gate-low`. The combined camera gets the name `gate`, unless
/// another camera has that name.
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
        // A sub stream cannot have a sub stream of its own.
        let Some(main) = main.filter(|&main| mains[main].is_none()) else { continue };
        if paired[main].as_ref().is_some_and(|main| main.sub.is_none())
            && let Some(sub) = paired[index].take()
            && let Some(main) = &mut paired[main]
        {
            main.add_sub(sub);
            let base = base(&main.name, &MAIN).filter(|base| !indexes.contains_key(*base));
            if let Some(base) = base.map(str::to_owned) {
                main.name = base;
            }
        }
    }
    paired.into_iter().flatten().collect()
}

impl Draft {
    /// Adds a camera as the sub stream.
    fn add_sub(&mut self, sub: Self) {
        let names = (&self.name, &sub.name);
        if !is_link(names.0) && !is_link(names.1) {
            let note = if self.main.source == sub.main.source {
                format!("includes {}, which has the same link", printable(names.1, MAX_ID))
            } else {
                format!(
                    "consists of {} and {}",
                    printable(names.0, MAX_ID),
                    printable(names.1, MAX_ID)
                )
            };
            self.notes.add(note);
        }
        self.notes.extend(sub.notes);
        if self.main.source == sub.main.source {
            self.notes.extend(sub.main.notes);
        } else {
            self.sub = Some(sub.main);
        }
    }
}

/// Returns a name without control characters, which the API refuses, and limited to `length` characters.
fn printable(name: &str, length: usize) -> String {
    name.chars().take(length).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns the part of a name before one of these ends.
fn base<'a>(name: &'a str, ends: &[&str]) -> Option<&'a str> {
    let (base, end) = name.rsplit_once(SEPARATORS)?;
    let is_end = ends.iter().any(|known| end.eq_ignore_ascii_case(known));
    (is_end && !base.is_empty()).then_some(base)
}

/// Returns the names that the main stream of the sub stream `name` can have; none if `name` is not the name
/// of a sub stream.
fn main_names(name: &str) -> impl Iterator<Item = String> {
    base(name, &SUB).into_iter().flat_map(|base| {
        let mains = SEPARATORS
            .into_iter()
            .flat_map(move |separator| MAIN.map(|main| format!("{base}{separator}{main}")));
        std::iter::once(base.to_owned()).chain(mains)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::camera::options::{TransportOption, VideoOption};

    /// Returns id, name, main link and sub link of a camera, separated by spaces.
    pub(in crate::imports) fn summary(camera: &ImportedCamera) -> String {
        let fields = ["id", "name", "rtsp_link", "rtsp_link_sub"];
        let texts =
            fields.map(|field| camera.fields.get(field).and_then(Value::as_str).unwrap_or("-"));
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
            ("über die Tür", "uber-die-Tur"),
            ("Вход", "Vkhod"),
            ("\u{e000}", "camera"),
            ("a\tb", "a-b"),
            ("gate", "gate-2"),
            ("gate", "gate-3"),
            (long.as_str(), &long[..64]),
        ];
        for (name, expected) in table {
            assert_eq!(ids.unique(name), expected, "{name}");
        }
        assert_eq!(ids.unique(&long), format!("{}-2", &long[..62]));
        // If each call tried all lower numbers again, this would take minutes.
        let last = (0..100_000).map(|_| ids.unique("yard")).last();
        assert_eq!(last.as_deref(), Some("yard-100000"));
    }

    #[test]
    fn a_name_that_may_contain_a_password_is_not_used() {
        for name in ["rtsp://admin:secret@h/1", "admin:secret@192.0.2.7"] {
            let draft = Draft::new(name.to_owned(), Link::parse("rtsp://h/1").expect("a link"));
            let cameras = finished(vec![draft]);
            assert_eq!(summary(&cameras[0]), "camera - rtsp://h/1 -");
        }
    }

    fn draft(name: &str, link: &str) -> Draft {
        Draft::new(name.to_owned(), Link::parse(link).expect("a link"))
    }

    #[test]
    fn a_name_that_is_a_valid_id_becomes_the_id() {
        let drafts = ["cams gate", "cams-gate", "tab\tbed"].map(|name| draft(name, "rtsp://h/1"));
        let cameras: Vec<_> = finished(drafts.into()).iter().map(summary).collect();
        let expected = [
            "cams-gate-2 cams gate rtsp://h/1 -",
            "cams-gate cams-gate rtsp://h/1 -",
            "tab-bed tab bed rtsp://h/1 -",
        ];
        assert_eq!(cameras, expected);
    }

    #[test]
    fn a_camera_gets_only_the_options_of_its_main_stream() {
        let options = |transport, video| LinkOptions { transport, video, audio: None };
        let (tcp, udp) = (Some(TransportOption::Tcp), Some(TransportOption::Udp));
        let h264 = Some(VideoOption::H264);
        let table = [
            (options(udp, None), options(udp, None), None, ""),
            (
                options(None, h264),
                options(udp, h264),
                Some("h264"),
                "transport: udp of the sub stream is left out",
            ),
            (
                options(tcp, None),
                options(udp, None),
                None,
                "transport: udp of the sub stream is left out",
            ),
            (
                options(None, h264),
                options(None, None),
                Some("h264"),
                "video: h264 also applies to the sub stream",
            ),
        ];
        for (main, sub, video, note) in table {
            let link = |options| Link { options, ..Link::parse("rtsp://h/1").expect("a link") };
            let draft = Draft { sub: Some(link(sub)), ..Draft::new("gate".into(), link(main)) };
            let camera = &finished(vec![draft])[0];
            let transport = main.transport.map(|option| serde_json::json!(option));
            assert_eq!(camera.fields.get("transport"), transport.as_ref());
            assert_eq!(camera.fields.get("video").and_then(Value::as_str), video);
            assert!(camera.notes.join("; ").starts_with(note), "{:?}", camera.notes);
            assert_eq!(camera.notes.len(), usize::from(!note.is_empty()), "{:?}", camera.notes);
        }
    }

    #[test]
    fn a_pair_gets_the_common_part_of_the_names_unless_another_camera_has_that_name() {
        let drafts = vec![
            draft("gate_main", "rtsp://h1/1"),
            draft("gate_sub", "rtsp://h1/2"),
            draft("yard_hd", "rtsp://h2/1"),
            draft("yard_sd", "rtsp://h2/2"),
            draft("yard", "rtsp://h3/1"),
            draft("shed-main", "rtsp://h4/1"),
            draft("shed-sub", "rtsp://h4/1"),
        ];
        let cameras = finished(paired(drafts));
        let summaries: Vec<_> = cameras.iter().map(summary).collect();
        let expected = [
            "gate gate rtsp://h1/1 rtsp://h1/2",
            "yard_hd yard_hd rtsp://h2/1 rtsp://h2/2",
            "yard yard rtsp://h3/1 -",
            "shed shed rtsp://h4/1 -",
        ];
        assert_eq!(summaries, expected);
        assert_eq!(cameras[0].notes, ["consists of gate_main and gate_sub"]);
        assert_eq!(cameras[3].notes, ["includes shed-sub, which has the same link"]);
    }

    #[test]
    fn main_and_sub_streams_are_paired_by_name_and_host() {
        let draft = |name: &str, host: &str| draft(name, &format!("rtsp://{host}/{name}"));
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
            ("yard", true),
            ("shed", false),
            ("shed_sub", false),
            ("sub", false),
            ("attic_sub", true),
        ];
        assert_eq!(pairs, expected.map(|(name, has_sub)| (name.to_owned(), has_sub)));
    }
}
