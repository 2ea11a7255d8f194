//! The streams of another system, whose sources can lead to other streams of the same system.

use std::collections::HashMap;

use super::link::{Link, LinkOptions};
use super::notes::{Notes, summary};
use super::placeholders::Missing;

/// The largest number of streams through which a source can lead to a camera's link.
const MAX_HOPS: usize = 8;
/// The largest number of sources of a stream that are read. Without this limit, a file in which many streams lead to
/// one stream with many sources could cause very much work: the sources would be read again for each of the streams.
pub(super) const MAX_SOURCES: usize = 32;
/// The longest name in a reason, in bytes.
const MAX_NAME: usize = 64;

/// A source of a stream.
pub(super) enum StreamSource {
    /// An RTSP link.
    Link {
        /// The link.
        link: Link,
        /// True if messages can show the link. False if it contains the value of a variable.
        is_shown: bool,
    },
    /// Another stream.
    Stream {
        /// The name of the other stream.
        name: String,
        /// True if messages can show the name. False if it contains the value of a variable.
        is_shown: bool,
        /// The options that take precedence over the options of the other stream.
        options: LinkOptions,
        /// The options that an imported camera does not have any more.
        notes: Notes,
    },
    /// A source with variables that have no value.
    Missing(Missing),
    /// A source that cannot be imported, for this reason.
    Other(String),
}

/// A stream of another system.
pub(super) struct Stream {
    /// The name.
    pub(super) name: String,
    /// The sources, in the order of the file.
    pub(super) sources: Vec<StreamSource>,
}

/// All streams of a file.
pub(super) struct Streams {
    /// The word for a stream in the other system.
    word: &'static str,
    all: Vec<Stream>,
    indexes: HashMap<String, usize>,
}

/// The reason why a source leads to no link.
#[derive(Debug)]
pub(super) struct Failure {
    /// The reason, for people.
    pub(super) reason: String,
    /// The names of variables that have no value.
    pub(super) missing: Vec<String>,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, missing: Vec::new() }
    }
}

impl From<&Missing> for Failure {
    fn from(missing: &Missing) -> Self {
        Self { reason: missing.to_string(), missing: missing.0.clone() }
    }
}

/// The RTSP links of a stream, and the reasons why its other sources are left out.
#[derive(Default)]
pub(super) struct Resolved {
    /// The different links, in the order of the file, each with a text that names its source.
    pub(super) links: Vec<(Link, String)>,
    /// The reasons.
    pub(super) left_out: Vec<String>,
    /// The names of variables that have no value.
    pub(super) missing: Vec<String>,
}

impl Streams {
    /// Creates the streams of a file. `word` is the word for a stream in the other system. Only the first
    /// [`MAX_SOURCES`] sources of each stream are kept. If there are more, one [`StreamSource::Other`] replaces them.
    pub(super) fn new(word: &'static str, mut streams: Vec<Stream>) -> Self {
        for Stream { sources, .. } in &mut streams {
            if sources.len() > MAX_SOURCES {
                sources.truncate(MAX_SOURCES);
                sources.push(StreamSource::Other(format!(
                    "is left out, as are all later sources, because only the first {MAX_SOURCES} sources of a {word} \
                     are read; move the camera's RTSP link to the beginning"
                )));
            }
        }
        let indexes = streams.iter().enumerate();
        let indexes = indexes.map(|(index, stream)| (stream.name.clone(), index)).collect();
        Self { word, all: streams, indexes }
    }

    /// Returns the names, in the order of the file.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|stream| stream.name.as_str())
    }

    /// Returns whether a stream has this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.indexes.contains_key(name)
    }

    /// Returns the RTSP links of a stream. A source that leads to another stream is replaced with the link of
    /// that stream.
    pub(super) fn links(&self, name: &str) -> Resolved {
        let mut found = Resolved::default();
        let Some(&index) = self.indexes.get(name) else { return found };
        let stream = &self.all[index];
        let number_of = |number: usize| match stream.sources.len() {
            1 => "the source".to_owned(),
            _ => format!("source {number}"),
        };
        let mut not_needed = Vec::new();
        for (number, source) in (1..).zip(&stream.sources) {
            let number = number_of(number);
            let link = match source {
                StreamSource::Link { link, is_shown } => {
                    let shown =
                        if *is_shown { format!(" ({})", link.source) } else { String::new() };
                    Ok((link.clone(), format!("{number}{shown}")))
                }
                // A stream is its own source if the other system is to convert it to another codec. The manager
                // needs no such source.
                StreamSource::Stream { name, .. }
                    if *name == stream.name && stream.sources.len() > 1 =>
                {
                    not_needed.push(number);
                    continue;
                }
                source @ StreamSource::Stream { .. } => {
                    self.follow(index, source).map(|link| (link, number.clone()))
                }
                StreamSource::Missing(missing) => Err(missing.into()),
                StreamSource::Other(reason) => Err(reason.clone().into()),
            };
            match link {
                // A second source with the same link only adds a codec.
                Ok((link, _))
                    if found.links.iter().any(|(known, _)| known.source == link.source) =>
                {
                    not_needed.push(number);
                }
                Ok(link) => found.links.push(link),
                Err(Failure { reason, missing }) => {
                    found.left_out.push(format!("{number}: {reason}"));
                    found.missing.extend(missing);
                }
            }
        }
        if let Some((link, _)) = found.links.first_mut()
            && !not_needed.is_empty()
        {
            link.notes.add(format!(
                "not needed: {}; the manager converts video and audio itself",
                summary(&not_needed)
            ));
        }
        found
    }

    /// Returns the link to which the stream `name` leads.
    pub(super) fn link_of(&self, name: &str, is_shown: bool) -> Result<Link, Failure> {
        let (options, notes) = (LinkOptions::default(), Notes::default());
        let source = StreamSource::Stream { name: name.to_owned(), is_shown, options, notes };
        self.follow(usize::MAX, &source)
    }

    /// Returns the link to which a source of the stream with the index `from` leads. A source that is another
    /// stream leads to the first link of that stream. If that stream has no link, the search continues with the
    /// first of its sources that is a further stream.
    fn follow(&self, from: usize, source: &StreamSource) -> Result<Link, Failure> {
        let word = self.word;
        let (mut visited, mut options, mut notes) =
            (vec![from], LinkOptions::default(), Notes::default());
        let mut source = source;
        let mut first_name = None;
        loop {
            let (name, is_shown) = match source {
                StreamSource::Link { link, .. } => {
                    let mut link = link.clone();
                    link.options = options.or(link.options);
                    notes.extend(std::mem::take(&mut link.notes));
                    if let Some(name) = first_name {
                        notes.add(format!(
                            "the link comes from the {word}{} of the file",
                            shown(name)
                        ));
                    }
                    link.notes = notes;
                    return Ok(link);
                }
                StreamSource::Stream { name, is_shown, options: own, notes: own_notes } => {
                    // This transport is for the connection to the other system, and not to the camera.
                    options = options.or(LinkOptions { transport: None, ..*own });
                    notes.extend(own_notes.clone());
                    (name, *is_shown)
                }
                StreamSource::Missing(missing) => return Err(missing.into()),
                StreamSource::Other(reason) => return Err(reason.clone().into()),
            };
            let shown = if is_shown { shown(name) } else { String::new() };
            let Some(&index) = self.indexes.get(name) else {
                return Err(format!(
                    "leads to the {word}{shown}, which the file does not contain; add the camera's own RTSP link"
                )
                .into());
            };
            if visited.contains(&index) {
                return Err(format!(
                    "leads in a circle through the {word}{shown}; add the camera's own RTSP link"
                )
                .into());
            }
            if visited.len() > MAX_HOPS {
                return Err(format!(
                    "leads through more than {MAX_HOPS} {word}s; add the camera's own RTSP link"
                )
                .into());
            }
            visited.push(index);
            first_name = first_name.or(Some(&self.all[index].name));
            let next = self.next(index).map_err(|reason| {
                format!("leads to the {word}{shown}, which has no RTSP link ({reason})")
            })?;
            for (number, reason) in self.unusable_before(index, next) {
                notes.add(format!("source {number} of the {word}{shown} is left out: {reason}"));
            }
            source = &self.all[index].sources[next];
        }
    }

    /// Checks the sources of a stream before the index `end`. Returns the numbers of the sources that cannot be
    /// imported, and the reasons.
    fn unusable_before(&self, index: usize, end: usize) -> impl Iterator<Item = (usize, &str)> {
        let sources = (1..).zip(&self.all[index].sources[..end]);
        sources.filter_map(|(number, source)| match source {
            StreamSource::Other(reason) => Some((number, reason.as_str())),
            _ => None,
        })
    }

    /// Returns the index of the first source of a stream that is a link, even if variables in the link have no
    /// value. If there is no link, returns the index of the first source that is another stream. Error: the reason
    /// why there is neither.
    fn next(&self, index: usize) -> Result<usize, String> {
        let Stream { name, sources } = &self.all[index];
        let is_link = |source: &StreamSource| {
            matches!(source, StreamSource::Link { .. } | StreamSource::Missing(_))
        };
        let is_other = |it: &StreamSource| matches!(it, StreamSource::Stream { name: other, .. } if other != name);
        let link = sources.iter().position(is_link);
        link.or_else(|| sources.iter().position(is_other)).ok_or_else(|| match sources.first() {
            None => "it has no source".to_owned(),
            Some(StreamSource::Other(reason)) => reason.clone(),
            Some(_) => "it leads to itself".to_owned(),
        })
    }
}

/// Returns a blank and the name; an empty text if the name is too long, or may contain a password.
fn shown(name: &str) -> String {
    let is_allowed = |c: char| c.is_alphanumeric() || " _-./".contains(c);
    let is_name = !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_allowed);
    if is_name { format!(" {name}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::options::{TransportOption, VideoOption};

    fn link(text: &str) -> StreamSource {
        StreamSource::Link { link: Link::parse(text).expect(text), is_shown: true }
    }

    fn other(name: &str) -> StreamSource {
        let options = LinkOptions {
            video: (name == "main").then_some(VideoOption::H264),
            audio: None,
            transport: Some(TransportOption::Udp),
        };
        StreamSource::Stream {
            name: name.to_owned(),
            is_shown: true,
            options,
            notes: Notes::default(),
        }
    }

    fn streams(streams: Vec<(&str, Vec<StreamSource>)>) -> Streams {
        let streams = streams.into_iter();
        let streams = streams.map(|(name, sources)| Stream { name: name.to_owned(), sources });
        Streams::new("stream", streams.collect())
    }

    fn reasons(streams: &Streams, name: &str) -> String {
        streams.links(name).left_out.join("; ")
    }

    #[test]
    fn a_source_that_is_another_stream_gets_the_link_of_that_stream() {
        let streams = streams(vec![
            ("copy", vec![other("middle")]),
            ("middle", vec![other("main")]),
            (
                "main",
                vec![
                    StreamSource::Other("no".into()),
                    other("copy"),
                    link("rtsp://h/1"),
                    link("rtsp://h/2"),
                ],
            ),
        ]);
        let found = streams.links("copy");
        assert!(found.left_out.is_empty());
        let (link, _) = &found.links[0];
        assert_eq!(link.source.expose(), "rtsp://h/1");
        // The options of the outer streams apply, except for the transport.
        assert_eq!((link.options.video, link.options.transport), (Some(VideoOption::H264), None));
        let expected = [
            "source 1 of the stream main is left out: no",
            "the link comes from the stream middle of the file",
        ];
        assert_eq!(link.notes.clone().lines(), expected);
        assert_eq!(streams.link_of("main", true).expect("a link").source.expose(), "rtsp://h/1");
    }

    #[test]
    fn circles_and_unknown_streams_are_named() {
        let mut all = vec![
            ("a", vec![other("b")]),
            ("b", vec![other("c")]),
            ("c", vec![other("a")]),
            ("self", vec![other("self")]),
            ("lost", vec![other("nowhere")]),
            ("hidden", vec![other("rtsp://u:secret@h")]),
            ("empty", vec![]),
            ("to-empty", vec![other("empty")]),
        ];
        let long: Vec<_> =
            (0..12).map(|number| (format!("n{number}"), format!("n{}", number + 1))).collect();
        all.extend(long.iter().map(|(name, next)| (name.as_str(), vec![other(next)])));
        let streams = streams(all);
        let table = [
            ("a", "the source: leads in a circle through the stream a;"),
            ("self", "leads in a circle through the stream self;"),
            ("lost", "leads to the stream nowhere, which the file does not contain"),
            ("hidden", "leads to the stream, which the file does not contain"),
            ("to-empty", "leads to the stream empty, which has no RTSP link (it has no source)"),
            ("n0", "leads through more than 8 streams"),
        ];
        for (name, expected) in table {
            let reason = reasons(&streams, name);
            assert!(reason.contains(expected), "{name}: {reason}");
        }
    }

    #[test]
    fn sources_that_only_add_a_codec_are_noted() {
        let streams = streams(vec![(
            "gate",
            vec![link("rtsp://h/1"), other("gate"), link("rtsp://h:554/1")],
        )]);
        let found = streams.links("gate");
        assert_eq!((found.links.len(), found.left_out.len()), (1, 0));
        let expected =
            "not needed: source 2, source 3; the manager converts video and audio itself";
        assert_eq!(found.links[0].0.notes.clone().lines(), [expected]);
    }
}
