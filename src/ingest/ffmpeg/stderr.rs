//! FFmpeg's messages on stderr. All messages are read, and the last lines are kept without secrets. The messages
//! are searched for facts about the camera, and for the cause of FFmpeg's end, which the exit code does not reveal.
//! The module `verdict` contains the possible causes.

use std::collections::VecDeque;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tracing::debug;

use crate::base::error::ErrorKind;
use crate::camera::link;
use crate::camera::plan::{Audio, Lesson, Plan, ProbeSize, VideoChoice};
use crate::camera::source::{self, Source};
use crate::child::log::Writer;
use crate::ingest::ffmpeg::login::Login;
use crate::ingest::ffmpeg::redirect::MAX_REDIRECTS;
use crate::ingest::ffmpeg::repeats::{self, Repeats};
use crate::ingest::ffmpeg::tracks::Tracks;
use crate::ingest::ffmpeg::verdict::Verdict;

/// The number of lines that are kept.
const MAX_LINES: usize = 60;
/// The number of bytes of a line that are kept until secrets are removed. It is more than the longest
/// URL and FFmpeg's text around the URL, so that such a line is not cut inside a secret.
const MAX_RAW_LINE: usize = 8 * 1024;
/// The length at which FFmpeg cuts its messages, in bytes.
const FFMPEG_LINE: usize = 1023;
/// The number of characters of a line that are kept after secrets are removed.
const MAX_LINE: usize = 400;

/// The last lines of FFmpeg's stderr, and the facts about the camera that all lines have shown. The `Debug` format
/// contains only the lines, without secrets.
#[derive(Default)]
pub(crate) struct Tail {
    lines: VecDeque<Line>,
    repeats: Repeats,
    tracks: Tracks,
    /// The target of a redirect that FFmpeg has not followed. It may contain secrets.
    redirect: Option<String>,
    /// The number of redirects that FFmpeg has followed.
    redirects: usize,
    login: Option<Login>,
}

/// A fact about the camera that FFmpeg prints while it runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The tracks of the camera.
    Tracks(Tracks),
    /// FFmpeg can use no packet of the audio.
    UnusableAudio,
    /// FFmpeg has followed more than [`MAX_REDIRECTS`] redirects.
    TooManyRedirects,
}

/// The largest number of findings that have not been read. A run has at most one of each kind.
pub(crate) const MAX_FINDINGS: usize = 3;

/// The message about a packet of AAC that cannot be used because the camera did not describe its AAC, or described
/// it with a wrong payload type.
const UNUSABLE_PACKET: &str = "Error parsing AU headers";
/// After this number of such messages, all packets of the audio count as unusable.
const UNUSABLE_PACKETS: u64 = 5;

/// A part of the message with which FFmpeg ends after SIGTERM or SIGINT.
const SIGNAL: &str = "received signal";

/// A line without secrets, and its meaning. The meaning is determined before the secrets are removed,
/// because a secret may be equal to a word in FFmpeg's messages.
struct Line {
    shown: String,
    /// The rank of the strongest verdict.
    verdict: Option<usize>,
    /// The description of a stream, if the line contains one.
    stream: Option<String>,
    /// True if the camera has probably refused to set up a track, for another reason than the transport.
    is_track_refused: bool,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lines.iter().map(|line| &line.shown)).finish()
    }
}

impl Line {
    fn new(raw: &str, shown: String, tracks: &Tracks) -> Self {
        let verdict = Verdict::rank(raw, tracks);
        let stream = raw.split_once("Stream #").map(|(_, facts)| facts);
        let stream = stream.map(|facts| facts.chars().take(MAX_LINE).collect());
        let is_transport = raw.contains("461 Unsupported");
        // FFmpeg does not log which request the camera rejected with 400, so every 400 counts as a refusal.
        let is_refusal = raw.contains("method SETUP failed") || raw.contains("400 Bad Request");
        let is_track_refused = is_refusal && !is_transport;
        Self { shown, verdict, stream, is_track_refused }
    }
}

impl Tail {
    /// Reads `stderr` to its end, and returns the last lines. Also writes each line to `log`, except repetitions
    /// that are left out. If FFmpeg opens a `source`, the lines do not contain the secrets of this source. Sends the
    /// facts that FFmpeg prints about the camera to `findings`, as long as the channel has space.
    pub(crate) async fn collect(
        mut stderr: impl AsyncRead + Unpin,
        source: Option<Source>,
        log: Writer,
        findings: mpsc::Sender<Finding>,
    ) -> Self {
        let mut tail = Self::default();
        let mut line = Vec::new();
        let mut chunk = [0; 4096];
        // A read error also ends the loop.
        while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
            for &byte in &chunk[..count] {
                if byte == b'\n' {
                    tail.push(&line, source.as_ref(), &log, &findings);
                    line.clear();
                } else if line.len() < MAX_RAW_LINE {
                    line.push(byte);
                }
            }
        }
        tail.push(&line, source.as_ref(), &log, &findings);
        tail
    }

    fn push(
        &mut self,
        raw: &[u8],
        source: Option<&Source>,
        log: &Writer,
        findings: &mpsc::Sender<Finding>,
    ) {
        let shown = readable(raw, source);
        if shown.is_empty() {
            return;
        }
        let raw = String::from_utf8_lossy(raw);
        let count = if shown.contains("[info]") { 1 } else { self.repeats.count(&shown) };
        if let Some(finding) = self.finding(&raw, count) {
            // The run may have ended in the meantime.
            let _ = findings.try_send(finding);
        }
        let Some(shown) = repeats::kept(&shown, count) else { return };
        let shown: String = shown.chars().take(MAX_LINE).collect();
        debug!(line = %shown, "FFmpeg message");
        log.note(&shown);
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Line::new(&raw, shown, &self.tracks));
    }

    /// Returns the finding in a line that was printed for the `count`th time, if there is one. Records the redirects
    /// and logins that the line reports.
    fn finding(&mut self, raw: &str, count: u64) -> Option<Finding> {
        if let Some((_, target)) = raw.split_once(link::UNFOLLOWED_REDIRECT) {
            self.redirect = Some(target.trim().to_owned());
        }
        if let Some(login) = Login::in_line(raw)
            && (self.login.is_none() || login != Login::Required)
        {
            self.login = Some(login);
        }
        if raw.contains(link::FOLLOWED_REDIRECT) {
            self.redirects += 1;
            return (self.redirects == MAX_REDIRECTS + 1).then_some(Finding::TooManyRedirects);
        }
        if self.tracks.read(raw) {
            return Some(Finding::Tracks(self.tracks.clone()));
        }
        let is_unusable = raw.contains(UNUSABLE_PACKET) && count == UNUSABLE_PACKETS;
        is_unusable.then_some(Finding::UnusableAudio)
    }

    /// Returns [`Lesson::VideoIsRare`] if a probe has not shown the size of the only video track, whose frames may be
    /// rare. Returns [`Lesson::VideoIsSilent`] if even a large probe has not shown the size of the first of several
    /// video tracks, because this track then sends nothing. Otherwise returns `lesson`.
    pub(crate) fn explain(&self, lesson: Lesson, plan: Plan) -> Lesson {
        let is_first = plan.video_track == VideoChoice::First && self.tracks.video.len() > 1;
        match lesson {
            Lesson::ProbedTooLittle if is_first && plan.probe == ProbeSize::Large => {
                Lesson::VideoIsSilent
            }
            Lesson::ProbedTooLittle if self.tracks.video.len() == 1 => Lesson::VideoIsRare,
            _ => lesson,
        }
    }

    /// Returns the target of a redirect that FFmpeg has not followed. It may contain secrets.
    pub(crate) fn redirect(&self) -> Option<&str> {
        self.redirect.as_deref()
    }

    /// Returns the meaning of FFmpeg's message about a rejected login; `None` if there was no such message.
    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Returns whether FFmpeg has followed more than [`MAX_REDIRECTS`] redirects.
    pub(crate) fn has_too_many_redirects(&self) -> bool {
        self.redirects > MAX_REDIRECTS
    }

    /// Returns the cause of FFmpeg's end; `None` if the lines contain none.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let strongest = self.lines.iter().filter_map(|line| line.verdict).min();
        strongest.and_then(Verdict::with_rank)
    }

    /// Returns true if the camera has too many connections.
    pub(crate) fn is_camera_busy(&self) -> bool {
        matches!(self.verdict(), Some(Verdict::Camera(ErrorKind::SourceBusy, _)))
    }

    /// Returns [`Lesson::TrackRefused`] if the camera has probably refused to set up a track and is not merely busy.
    /// Returns `None` if the plan has no audio that could be left out.
    pub(crate) fn track_lesson(&self, plan: Plan) -> Option<Lesson> {
        let is_refused = self.lines.iter().any(|line| line.is_track_refused);
        let has_lesson = is_refused && plan.audio != Audio::Off && !self.is_camera_busy();
        has_lesson.then_some(Lesson::TrackRefused)
    }

    /// Returns FFmpeg's description of a stream, by its kind (`Video` or `Audio`) and its index among the streams
    /// of this kind. FFmpeg also describes the streams of its outputs, but after the streams of its input.
    pub(crate) fn stream(&self, kind: &str, index: usize) -> Option<&str> {
        let streams = self.lines.iter().filter_map(|line| line.stream.as_deref());
        let words = format!(" {kind}: ");
        let mut found = streams.filter_map(|line| line.split_once(words.as_str()));
        found.nth(index).map(|(_, facts)| facts)
    }

    /// Returns a description of FFmpeg's end for a run without a verdict: the exit `status` and FFmpeg's last
    /// message. If FFmpeg was killed, the last message does not explain the end, and is left out.
    pub(crate) fn end(&self, status: Option<ExitStatus>) -> String {
        let shown = status.map_or("no exit status".into(), |status| status.to_string());
        if is_killed(status) {
            return format!(
                "FFmpeg was killed ({shown}); if the machine ran out of memory, the log of its kernel shows this"
            );
        }
        let message = self.received_signal().or_else(|| self.last_complaint());
        format!("FFmpeg ended ({shown}): {}", message.unwrap_or("no message on stderr"))
    }

    /// Returns the line in which FFmpeg reports that a signal ended it.
    fn received_signal(&self) -> Option<&str> {
        let mut lines = self.lines.iter().map(|line| line.shown.as_str());
        lines.rfind(|line| line.contains(SIGNAL))
    }

    /// Returns the last line that is not merely informative; `None` if there is no such line.
    pub(crate) fn last_complaint(&self) -> Option<&str> {
        let mut lines = self.lines.iter().map(|line| line.shown.as_str());
        lines.rfind(|line| !line.contains("[info]"))
    }
}

/// Returns whether a signal ended FFmpeg, so that FFmpeg's last message does not explain the end. SIGABRT does not
/// count, because FFmpeg sends this signal to itself after it has printed an error.
pub(super) fn is_killed(status: Option<ExitStatus>) -> bool {
    let signal = status.and_then(|status| status.signal());
    signal.is_some_and(|signal| signal != Signal::SIGABRT as i32)
}

/// Returns a line in the form in which it is shown, without secrets. Control characters are removed
/// before secrets are searched for, because removing them later could join the two halves of a secret.
fn readable(raw: &[u8], source: Option<&Source>) -> String {
    let is_cut = raw.len() >= MAX_RAW_LINE;
    let mut text: String =
        String::from_utf8_lossy(raw).chars().filter(|c| !c.is_control()).collect();
    if raw.len() >= FFMPEG_LINE {
        // A link at the end may have lost the @ that shows where its credentials end, so an @ is added.
        text.push('@');
    }
    let text = source.map_or_else(|| source::redact_links(&text), |source| source.redact(&text));
    // A line that was cut may end in the middle of a secret.
    let unsafe_end = if is_cut { source::MAX_SECRET_LENGTH } else { 0 };
    let end = text.floor_char_boundary(text.len().saturating_sub(unsafe_end));
    text[..end].trim().chars().take(MAX_LINE).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::child::log::ProcessLog;
    use crate::ingest::ffmpeg::verdict::OUT_OF_MEMORY;

    async fn tail(stderr: &[u8]) -> Tail {
        tail_and_log(stderr).await.0
    }

    async fn tail_and_log(stderr: &[u8]) -> (Tail, Arc<ProcessLog>) {
        let source = Source::parse("rtsp://admin:s3cretpw@cam/x").expect("a link");
        let (findings, _) = mpsc::channel(1);
        let log = Arc::<ProcessLog>::default();
        let tail = Tail::collect(stderr, Some(source), Arc::clone(&log).writer(7), findings).await;
        (tail, log)
    }

    #[tokio::test]
    async fn each_message_leads_to_its_verdict() {
        use ErrorKind::{
            SourceBusy, SourceNotFound, SourceTimeout, SourceUnauthorized, SourceUnreachable,
            SourceUnsupported,
        };
        let table = [
            ("[rtsp @ 0x1] [error] method DESCRIBE failed: 401 Unauthorized", SourceUnauthorized),
            ("[rtsp @ 0x1] [error] method DESCRIBE failed: 403 Forbidden", SourceUnauthorized),
            (
                "[rtsp @ 0x1] [error] method DESCRIBE failed: 404 Not Found\nServer returned 404 Not Found",
                SourceNotFound,
            ),
            (
                "[tcp @ 0x1] [error] Connection to tcp://127.0.0.1:1?timeout=0 failed: Connection refused",
                SourceUnreachable,
            ),
            (
                "[tcp @ 0x1] [error] Failed to resolve hostname nowhere.invalid: Name or service not known",
                SourceUnreachable,
            ),
            (
                "[rtsp @ 0x1] [error] method SETUP failed: 453 Not Enough Bandwidth\n\
                 Server returned 4XX Client Error, but not one of 40{0,1,3,4}",
                SourceBusy,
            ),
            ("pipe:0: No route to host", SourceUnreachable),
            ("pipe:0: Connection timed out", SourceTimeout),
            ("Stream map '0:v:0' matches no streams.", SourceUnsupported),
            (
                "[tls @ 0x1] [error] error:0A00010B:SSL routines::wrong version number\n\
                 [error] pipe:0: Input/output error",
                SourceUnsupported,
            ),
            (
                "[tls @ 0x1] [error] An unexpected TLS packet was received.\n\
                 [error] pipe:0: Input/output error",
                SourceUnsupported,
            ),
        ];
        for (message, expected) in table {
            match tail(message.as_bytes()).await.verdict() {
                Some(Verdict::Camera(kind, _)) => assert_eq!(kind, expected, "{message}"),
                other => panic!("{message}: {other:?}"),
            }
        }
        let cannot = |codec: &str| {
            format!(
                "Could not find tag for codec {codec}, codec not currently supported in container"
            )
        };
        let audio = tail(cannot("pcm_alaw in stream #1").as_bytes()).await;
        assert_eq!(audio.verdict(), Some(Verdict::Lesson(Lesson::AudioCannotBeCopied)));
        let video = tail(cannot("vp8 in stream #0").as_bytes()).await;
        assert_eq!(video.verdict(), Some(Verdict::Lesson(Lesson::VideoCannotBeCopied)));
        let not_rtsp = tail(b"pipe:0: Invalid data found when processing input").await;
        assert_eq!(not_rtsp.verdict(), Some(Verdict::NoRtspResponse));
        assert_eq!(tail(b"all is well\n").await.verdict(), None);
        assert_eq!(tail(b"").await.verdict(), None);
    }

    #[tokio::test]
    async fn a_fault_of_the_audio_is_not_blamed_on_the_video_or_the_memory() {
        let input =
            "  Stream #0:0: Audio: aac, 16000 Hz\n  Stream #0:1: Video: h264 (Main), yuv420p\n";
        let audio = Some(Verdict::Lesson(Lesson::AudioCannotBeCopied));
        let table = [
            (
                "[error] Error initializing output stream 2:0 -- Error while opening encoder for output \
              stream #2:0 - maybe incorrect parameters such as bit_rate",
                audio,
            ),
            (
                "[aost#2:0/aac @ 0x1] [error] Error while opening encoder - maybe incorrect parameters",
                audio,
            ),
            (
                "[error] Could not write header for output file #1 (incorrect codec parameters ?)",
                audio,
            ),
            (
                "[out#1/nut @ 0x1] [error] Could not write header (incorrect codec parameters ?)",
                audio,
            ),
            (
                "[error] Error while opening decoder for input stream #0:0 : Invalid data found",
                audio,
            ),
            ("[error] Error while opening encoder for output stream #0:0", Some(OUT_OF_MEMORY)),
            (
                "[aost#2:0/aac @ 0x1] [error] Error while opening encoder: Cannot allocate memory",
                Some(OUT_OF_MEMORY),
            ),
            (
                "[error] Error while decoding stream #0:0: Invalid data found when processing input",
                None,
            ),
        ];
        for (message, expected) in table {
            let tail = tail(format!("{input}{message}\n").as_bytes()).await;
            assert_eq!(tail.verdict(), expected, "{message}");
        }
    }

    #[tokio::test]
    async fn packets_of_audio_that_cannot_be_used_are_reported_once() {
        let stderr = format!("[rtsp @ 0x1] [error] {UNUSABLE_PACKET}\n").repeat(10_000);
        let (send, mut findings) = mpsc::channel(2);
        let log = Arc::<ProcessLog>::default();
        Tail::collect(stderr.as_bytes(), None, Arc::clone(&log).writer(7), send).await;
        assert_eq!(findings.recv().await, Some(Finding::UnusableAudio));
        assert_eq!(findings.recv().await, None);
        assert!(log.lines().len() < 10, "{:?}", log.lines());
    }

    #[tokio::test]
    async fn a_warning_does_not_explain_that_ffmpeg_was_killed() {
        let stderr = "[h264 @ 0x1] [warning] a broken frame\n";
        let ended = tail(stderr.as_bytes()).await;
        let status = |raw| Some(ExitStatus::from_raw(raw));
        for signal in [Signal::SIGKILL, Signal::SIGSEGV] {
            let detail = ended.end(status(signal as i32));
            assert!(detail.contains(signal.as_str()) && !detail.contains("broken"), "{detail}");
        }
        for raw in [Signal::SIGABRT as i32, 1 << 8] {
            assert!(ended.end(status(raw)).ends_with("a broken frame"), "{raw}");
        }
        let stderr = stderr.to_owned() + "[info] Exiting normally, received signal 15.\n" + stderr;
        let detail = tail(stderr.as_bytes()).await.end(status(255 << 8));
        assert!(detail.ends_with("received signal 15."), "{detail}");
    }

    #[tokio::test]
    async fn the_tail_is_limited_and_contains_no_secrets() {
        let link = "rtsp://admin:s3cretpw@cam/x";
        let words = (b'g'..=b'z').flat_map(|a| (b'g'..=b'z').map(move |b| [a, b].map(char::from)));
        let message =
            |word: [char; 2]| format!("Impossible to open '{link}' {}\n", String::from_iter(word));
        let mut stderr: Vec<u8> = words.flat_map(|word| message(word).into_bytes()).collect();
        stderr.extend(b"s3cr\x07etpw and s3cretpw\n");
        stderr.extend(vec![b'x'; 1_000_000]);
        let (tail, log) = tail_and_log(&stderr).await;
        assert_eq!(tail.lines.len(), MAX_LINES);
        let lines: Vec<_> = tail.lines.into_iter().map(|line| line.shown).collect();
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE && !line.contains("s3cretpw")));
        assert!(lines[0].starts_with("Impossible to open 'rtsp://***@cam/x' "), "{lines:?}");
        assert_eq!(lines[MAX_LINES - 2], "*** and ***");
        assert_eq!(lines[MAX_LINES - 1], "x".repeat(MAX_LINE));
        let kept: Vec<_> = log.lines().into_iter().map(|line| line.text).collect();
        assert!(kept.ends_with(&lines), "{kept:?}");
    }

    #[tokio::test]
    async fn a_secret_that_equals_a_word_in_a_message_does_not_change_the_verdict() {
        let source = Source::parse("rtsp://admin:404@cam/x?pass=h264").expect("a link");
        let (send, mut findings) = mpsc::channel(1);
        let stderr = "  Stream #0:0: Video: h264 (Main), yuv420p\nServer returned 404 Not Found\n";
        let writer = Arc::<ProcessLog>::default().writer(7);
        let tail = Tail::collect(stderr.as_bytes(), Some(source), writer, send).await;
        assert_eq!(findings.recv().await, None);
        assert_eq!(tail.tracks.video, ["h264"]);
        assert_eq!(tail.stream("Video", 0), Some("h264 (Main), yuv420p"));
        assert!(matches!(tail.verdict(), Some(Verdict::Camera(ErrorKind::SourceNotFound, _))));
        assert_eq!(tail.last_complaint(), Some("Server returned *** Not Found"));
    }

    #[tokio::test]
    async fn a_secret_is_in_no_line_and_not_in_the_debug_format() {
        let source = Source::parse("rtsp://admin:%20s3cretpw@cam/x").expect("a link");
        let (findings, _) = mpsc::channel(1);
        let writer = Arc::<ProcessLog>::default().writer(7);
        let stderr: &[u8] = b" s3cretpw\n Stream #0:0: Video: h264, s3cretpw\n s3cret\x07pw \n";
        let tail = Tail::collect(stderr, Some(source), writer, findings).await;
        assert_eq!(format!("{tail:?}"), r#"["***", "Stream #0:0: Video: h264,***", "***"]"#);
    }

    #[test]
    fn a_line_that_is_cut_inside_a_secret_ends_before_it() {
        let source = Source::parse("rtsp://admin:s3cretpw@cam/x").expect("a link");
        for length in MAX_RAW_LINE - 40..MAX_RAW_LINE {
            // After redaction, the beginning of the line is so short that the end of the line would be shown.
            let mut raw = b"rtsp://admin:s3cretpw@cam/x".repeat(length / 27);
            raw.resize(length, b' ');
            raw.extend(b"rtsp://admin:s3cretpw@cam/x");
            raw.truncate(MAX_RAW_LINE);
            let shown = readable(&raw, Some(&source));
            assert!(!shown.contains("s3c"), "{shown}");
        }
    }
}
