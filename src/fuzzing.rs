//! One function for each parser of bytes that come from outside, for the fuzz targets in `fuzz/`.
//!
//! Each function gives arbitrary bytes to one parser and panics when the parser breaks a promise.
//! `cargo fuzz` calls them on a nightly toolchain, and `tests/fuzz.rs` calls them on stable Rust.
//! Nothing else uses this module; it is public only because both are crates of their own.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;

use crate::camera::plan::Plan;
use crate::camera::source::{self, Source};
use crate::child::log::ProcessLog;
use crate::ingest::clock_check::ClockCheck;
use crate::ingest::ffmpeg::args;
use crate::ingest::ffmpeg::probe::Facts;
use crate::ingest::ffmpeg::stderr::Tail;
use crate::media::fragment::Fragment;
use crate::media::hub::FragmentHub;
use crate::media::parameter_set::{Format, NalUnits};
use crate::media::reader::FragmentReader;

/// Reads `data` as fragmented MP4.
///
/// Fragments are consecutive pieces of the input, however it is cut into reads, and their times can
/// be added without an overflow.
pub fn fragment_reader(data: &[u8]) {
    let (fragments, error) = read_fragments(data);
    let (cut, cut_error) = read_fragments(SmallReads { data, turn: 0 });
    let bytes = |fragments: &[Fragment]| -> Vec<Bytes> {
        fragments.iter().map(|fragment| fragment.bytes.clone()).collect()
    };
    assert_eq!((bytes(&fragments), &error), (bytes(&cut), &cut_error), "reads of other sizes");
    let mut rest = data;
    if let Some(first) = fragments.first() {
        rest = after(rest, &first.init.bytes);
        let is_of_codec = |c: char| c.is_ascii_alphanumeric() || c == '.';
        // It becomes part of a quoted attribute of a playlist.
        assert!(first.init.video.codec.chars().all(is_of_codec), "{}", first.init.video.codec);
    }
    let (hub, mut clock) = (FragmentHub::default(), ClockCheck::default());
    for fragment in fragments {
        rest = after(rest, &fragment.bytes);
        assert!(fragment.duration <= Duration::from_mins(1));
        assert!(fragment.decode_time <= Duration::MAX / 2, "it is added to durations");
        clock.is_plausible(fragment.decode_time);
        hub.publish(fragment);
        let flow = hub.flow().expect("a flow");
        assert!(flow.bit_rate.is_finite() && flow.frame_rate.is_finite());
    }
}

/// Reads a keyframe's sample. The first byte of `data` decides how it is divided into NAL units.
///
/// What is not understood is passed on as it is.
pub fn parameter_set(data: &[u8]) {
    let Some((head, sample)) = data.split_first() else { return };
    let length_size = usize::from(head >> 1 & 3) + 1;
    let units = NalUnits { is_hevc: head & 1 == 1, length_size };
    match units.format(sample) {
        Some(Format::H264 { .. }) => assert!(!units.is_hevc),
        Some(Format::Other(set)) => drop(after(sample, &set)),
        None => {}
    }
}

/// Reads `data` as the link of a camera; if it has several lines, the first one as a password and
/// the second one as the path.
///
/// An accepted link cannot end a quotation in FFmpeg's script, means the same when it is read again,
/// and shows no secret.
pub fn source_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let link = match text.split_once('\n') {
        None => text.into_owned(),
        Some((password, path)) => {
            let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
            format!("rtsp://admin:{password}@camera/{path}")
        }
    };
    let Ok(source) = Source::parse(&link) else { return };
    let address = ([192, 0, 2, 7], 8554).into();
    let script = args::script(&source, address, Plan::default(), Duration::from_secs(5));
    assert_eq!((script.lines().count(), script.matches('\'').count()), (6, 2), "{script}");
    assert!(!script.contains(['"', '\\', '\r']), "{script}");

    assert_eq!(Source::parse(source.expose()).as_ref(), Ok(&source));
    let connected = source.expose_at(address);
    if connected.len() <= source::MAX_LENGTH {
        let again = Source::parse(&connected).expect("a link at an address");
        assert_eq!(again.credentials(), source.credentials());
        assert_eq!(again.path(), source.path());
    }

    let shown = source.to_string();
    assert_eq!(format!("{source:?}"), format!("Source({shown})"));
    let host_end = shown.find("://").map(|at| at + 3).expect("a scheme");
    let path = shown[host_end..].find(['/', '?']).map_or("", |at| &shown[host_end + at..]);
    let secrets = secrets(&link);
    let secrets = secrets.iter().filter_map(|secret| std::str::from_utf8(secret).ok());
    let said = secrets.clone().fold(format!("{link} {connected}"), |said, next| said + " " + next);
    let redacted = source.redact(&said);
    for secret in secrets {
        assert!(!path.contains(secret), "{link:?}: {shown:?} shows {secret:?}");
        assert!(!redacted.contains(secret), "{link:?}: {redacted:?} shows {secret:?}");
    }
}

/// Reads `data` as what FFmpeg prints. The first line is the link of the camera. In the other lines
/// the bytes 0 to 6 stand for the link and its secrets, so that they keep agreeing.
///
/// No line that is kept contains a secret, and the lines are bounded.
pub fn ffmpeg_stderr(data: &[u8]) {
    let line_end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (link, messages) = data.split_at(line_end);
    let link = String::from_utf8_lossy(link);
    let Ok(source) = Source::parse(&link) else { return };
    let secrets = secrets(&link);
    let mut printed = Vec::new();
    for &byte in messages {
        match usize::from(byte) {
            0 => printed.extend(link.bytes()),
            number @ 1..=6 => printed.extend(secrets.get(number - 1).into_iter().flatten()),
            _ => printed.push(byte),
        }
    }
    let (log, (codec, _)) = (Arc::<ProcessLog>::default(), oneshot::channel());
    let writer = Arc::clone(&log).writer(7);
    let tail = ready(Tail::collect(printed.as_slice(), source, writer, codec));
    for limit in [Duration::ZERO, Duration::MAX] {
        tail.verdict().map(|verdict| verdict.error(Duration::from_secs(1), limit));
    }
    assert!(tail.end(None).chars().count() < 500);
    for kind in ["Video", "Audio"] {
        tail.stream(kind).map(Facts::read);
    }
    let lines = log.lines();
    let kept = format!("{tail:?}");
    for secret in secrets {
        // A line break in a secret divides it.
        for secret in secret.split(|&byte| byte == b'\n') {
            let Ok(secret) = std::str::from_utf8(secret) else { continue };
            let secret: String = secret.chars().filter(|c| !c.is_control()).collect();
            if secret.len() < SHORTEST_SECRET {
                continue;
            }
            for line in &lines {
                assert!(!line.text.contains(&secret), "{link}: {:?} shows {secret:?}", line.text);
            }
            assert!(!kept.contains(&secret), "{link}: {kept} shows {secret:?}");
        }
    }
    assert!(lines.len() <= 200 && lines.iter().all(|line| line.text.chars().count() <= 400));
}

/// The shortest secret that is removed, in bytes.
const SHORTEST_SECRET: usize = 3;

/// Every form of what a link hides: user name and password, and the values of its parameters. Found
/// in another way than [`Source`] finds them, and only in links that it accepts.
fn secrets(link: &str) -> Vec<Vec<u8>> {
    const ENDS: [char; 5] = ['/', '?', '&', ';', '#'];
    let rest = link.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let mut found = Vec::new();
    if let Some((user, _)) = authority.rsplit_once('@') {
        found.push(user);
        found.extend(user.split_once(':').map(|(_, password)| password));
    }
    for name in ["password=", "pass=", "pwd=", "token="] {
        for (at, _) in path.match_indices(name) {
            let (before, value) = (&path[..at], &path[at + name.len()..]);
            if !before.ends_with(ENDS) {
                continue;
            }
            // Readers differ in where a value ends, but agree that a slash can be part of a query.
            let whole = value.split('&').next().unwrap_or_default();
            let is_in_query = before.contains(['?', '#']);
            found.extend(whole.split(if is_in_query { &ENDS[1..] } else { &ENDS }).next());
            found.extend(Some(whole).filter(|whole| is_in_query && !whole.contains('=')));
        }
    }
    let plain: Vec<Vec<u8>> = found.iter().map(|secret| secret.as_bytes().to_vec()).collect();
    let decoded = found.iter().map(|secret| percent_decode_str(secret).collect());
    let mut forms: Vec<Vec<u8>> = plain.into_iter().chain(decoded).collect();
    forms.extend(forms.clone().iter().map(|secret| BASE64.encode(secret).into_bytes()));
    // One with an asterisk can appear by chance beside a replacement, which is `***`.
    forms.retain(|form| form.len() >= SHORTEST_SECRET && !form.contains(&b'*'));
    forms
}

/// The part of `whole` that follows the first occurrence of `part`, which must occur.
fn after<'a>(whole: &'a [u8], part: &[u8]) -> &'a [u8] {
    let at = (0..=whole.len()).find(|&at| whole[at..].starts_with(part));
    &whole[at.expect("a part of the input") + part.len()..]
}

fn read_fragments(source: impl AsyncRead + Unpin) -> (Vec<Fragment>, Option<String>) {
    let mut reader = FragmentReader::new(source, 7);
    let mut fragments = Vec::new();
    loop {
        match ready(reader.next()) {
            Ok(Some(fragment)) => fragments.push(fragment),
            Ok(None) => return (fragments, None),
            Err(error) => return (fragments, Some(error.to_string())),
        }
    }
}

/// The output of a future that never waits.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the parser waits although all input is there"),
    }
}

/// Gives its bytes in reads of different small sizes.
struct SmallReads<'a> {
    data: &'a [u8],
    turn: usize,
}

impl AsyncRead for SmallReads<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        const SIZES: [usize; 5] = [7, 1, 64, 3, 1021];
        self.turn += 1;
        let size = SIZES[self.turn % SIZES.len()].min(buffer.remaining()).min(self.data.len());
        let (now, later) = self.data.split_at(size);
        buffer.put_slice(now);
        self.data = later;
        Poll::Ready(Ok(()))
    }
}
