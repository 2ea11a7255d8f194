//! Decodes the pictures of a stream, from a keyframe until the properties of the video change. The JPEGs of a camera that
//! sends Motion JPEG need no FFmpeg, unless they have to be scaled.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::board::{Board, Width};
use super::child::{DecoderChild, Progress};
use super::selection::Selection;
use super::sink::Sink;
use crate::base::counters::Counters;
use crate::base::error::Error;
use crate::media::codec::VideoCodec;
use crate::media::frame::{Format, Frame, Track};
use crate::media::hub::{Gap, HubReader, ReadFrom};
use crate::pictures::decoder::Decoder;
use crate::pictures::picture::Picture;
use crate::stream::handle::StreamHandle;

/// The time after which a decoder without frames is ended, because the camera may be unreachable for hours.
const ENDS_AFTER: Duration = Duration::from_secs(30);
/// The largest amount of unread frames that the hub keeps for a decoder, in bytes.
const HELD_BACK: usize = 8 * 1024 * 1024;
/// A frame that is older than this does not become a picture if there is a newer frame. FFmpeg begins with the frames
/// since the last keyframe, and a viewer needs only the newest of them.
const FRESH: Duration = Duration::from_millis(250);
/// If all frames are older, one frame becomes a picture after this time, because FFmpeg is too slow, or has many frames
/// to decode.
const SHOWS_AFTER: Duration = Duration::from_secs(1);
/// The time that FFmpeg has to decode the frames since the last keyframe. After this time, the ages of pictures show how
/// busy the machine is.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(4);
/// The longest group of pictures that is decoded without the loop filter, in frames.
const SHORT_GOP: f64 = 64.0;

/// The reason why decoding has ended. FFmpeg has been reaped.
#[derive(Debug)]
pub(super) enum End {
    /// The stream has ended, or a stop was requested.
    Stopped,
    /// The properties of the video have changed, so that another FFmpeg is needed, which begins with the last keyframe.
    Changed,
    /// There were no frames for [`ENDS_AFTER`], or none that can be decoded. Another FFmpeg can begin with the next
    /// keyframe.
    AwaitsKeyframe,
    /// FFmpeg has failed.
    Failed(Error),
}

/// The stream whose pictures are decoded, and what is needed for it. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct DecodedStream {
    pub(super) stream: StreamHandle,
    pub(super) board: Arc<Board>,
    pub(super) decoder: Decoder,
    pub(super) counters: Counters,
}

/// The result of one step.
enum Step {
    Next,
    End(End),
    Failed(Option<Error>),
}

/// A frame, a gap, or the end of the stream.
type Read = Result<Option<Arc<Frame>>, Gap>;

struct Decoding {
    board: Arc<Board>,
    stream: StreamHandle,
    sink: Arc<Sink>,
    format: Arc<Format>,
    /// The wanted widths that each output serves, and the selection of the output's frames.
    outputs: Vec<(Vec<Width>, Selection)>,
    /// The index of the output whose pictures are the frames themselves; `None` if there is no such output.
    copied: Option<usize>,
    began_at: Instant,
    marked_at: Instant,
    has_caught_up: bool,
    /// True after frames were left out, until the next keyframe.
    awaits_keyframe: bool,
}

impl DecodedStream {
    /// Returns whether FFmpeg can leave out the loop filter for the present video: the distance of keyframes is known and
    /// short.
    pub(super) fn skips_loop_filter(&self) -> bool {
        let flow = self.stream.shared().hub.flow();
        let frames = flow.and_then(|flow| Some(flow.gop?.as_secs_f64() * flow.frame_rate));
        frames.is_some_and(|frames| frames <= SHORT_GOP)
    }

    /// Decodes pictures of these widths, until `ending` resolves or there is another reason to end. Calls `on_first` with
    /// the first picture.
    pub(super) async fn decode(
        self,
        from: ReadFrom,
        widths: Vec<Width>,
        skips_loop_filter: bool,
        mut ending: oneshot::Receiver<()>,
        on_first: impl FnOnce() + Send,
    ) -> End {
        let mut frames = self.stream.shared().hub.read(from, HELD_BACK);
        let first = tokio::select! {
            first = next_keyframe(&mut frames) => first,
            _ = &mut ending => None,
        };
        let Some(first) = first else { return End::Stopped };
        let (mut decoding, scaled) = Decoding::new(&self, &first, &widths);
        let mut child = None;
        if !scaled.is_empty() {
            let sink = Arc::clone(&decoding.sink);
            let (decoder, skips) = (&self.decoder, skips_loop_filter);
            match DecoderChild::start(decoder, &scaled, skips, &first, sink).await {
                Ok(started) => child = Some(started),
                Err(error) => return End::Failed(error),
            }
        }
        let _running = child.is_some().then(|| self.counters.picture_decoder_runs());
        let mut has_shown = decoding.sink.has_shown();
        let shown = async {
            if has_shown.wait_for(|has_shown| *has_shown).await.is_ok() {
                on_first();
            }
            std::future::pending().await
        };
        let log = &self.stream.shared().process_log;
        let pid = child.as_ref().map(DecoderChild::pid);
        let usage = async {
            match pid {
                Some(pid) => match log.watch(pid).await {},
                None => std::future::pending().await,
            }
        };
        let step = tokio::select! {
            step = decoding.run(&mut frames, first, &mut child) => step,
            _ = ending => Step::End(End::Stopped),
            step = shown => step,
            step = usage => step,
        };
        match (step, child) {
            (Step::Failed(fault), Some(child)) => End::Failed(child.fail(fault).await),
            (step, child) => {
                if let Some(child) = child {
                    child.kill().await;
                }
                if let Step::End(end) = step { end } else { End::Changed }
            }
        }
    }
}

/// Waits for the next keyframe of the video, and returns it; `None` if the frames end first.
async fn next_keyframe(frames: &mut HubReader) -> Option<Arc<Frame>> {
    loop {
        match frames.next().await {
            Ok(Some(frame)) if frame.is_entry_point() => return Some(frame),
            Ok(None) => return None,
            // Other frames are skipped. A gap needs no other treatment, because a keyframe follows it.
            Ok(Some(_)) | Err(_) => {}
        }
    }
}

impl Decoding {
    /// Prepares the decoding of a stream from `first` on. Also returns the widths of FFmpeg's outputs.
    fn new(of: &DecodedStream, first: &Frame, widths: &[Width]) -> (Self, Vec<Width>) {
        let full = u32::from(first.format.picture.width);
        let is_jpeg = first.format.codec() == VideoCodec::Mjpeg;
        let mut made: Vec<Width> = Vec::new();
        let mut served: Vec<Vec<Width>> = Vec::new();
        // The full width comes last, so that the output whose pictures are the frames follows FFmpeg's outputs.
        let mut sorted: Vec<_> = widths.iter().map(|&w| (w.filter(|w| *w < full), w)).collect();
        sorted.sort_unstable_by_key(|(made, _)| made.is_none());
        for (width, wanted) in sorted {
            if let Some(index) = made.iter().position(|it| *it == width) {
                served[index].push(wanted);
            } else {
                made.push(width);
                served.push(vec![wanted]);
            }
        }
        let copied = (is_jpeg && made.last() == Some(&None)).then(|| made.len() - 1);
        made.truncate(copied.unwrap_or(made.len()));
        let sink = Sink::new(Arc::clone(&of.board), served.clone(), of.counters.clone());
        let decoding = Self {
            board: Arc::clone(&of.board),
            stream: of.stream.clone(),
            sink: Arc::new(sink),
            format: Arc::clone(&first.format),
            outputs: served.into_iter().map(|widths| (widths, Selection::default())).collect(),
            copied,
            began_at: Instant::now(),
            marked_at: Instant::now(),
            has_caught_up: false,
            awaits_keyframe: false,
        };
        (decoding, made)
    }

    /// Takes frames, beginning with `first`, until there is a reason to end.
    async fn run(
        &mut self,
        frames: &mut HubReader,
        first: Arc<Frame>,
        child: &mut Option<DecoderChild>,
    ) -> Step {
        let mut next: Option<Read> = Some(Ok(Some(first)));
        let mut taken_at = Instant::now();
        loop {
            let is_writing = child.as_ref().is_some_and(DecoderChild::is_writing);
            if !is_writing && let Some(read) = next.take() {
                taken_at = Instant::now();
                next = frames.next().now_or_never();
                match self.take(read, next.is_none(), child.as_mut()) {
                    Step::Next => continue,
                    step => return step,
                }
            }
            tokio::select! {
                progress = progress(child.as_mut()) => {
                    if let Progress::Failed(fault) = progress {
                        return Step::Failed(fault);
                    }
                }
                read = frames.next(), if !is_writing => next = Some(read),
                () = sleep_until(taken_at + ENDS_AFTER) => return Step::End(End::AwaitsKeyframe),
            }
        }
    }

    /// Takes the result of one read. `is_newest` is true if nothing else can be read at the moment.
    fn take(&mut self, read: Read, is_newest: bool, child: Option<&mut DecoderChild>) -> Step {
        let frame = match read {
            Ok(Some(frame)) if frame.track == Track::Video => frame,
            Ok(Some(_)) => return Step::Next,
            Ok(None) => return Step::End(End::Stopped),
            Err(Gap(missed)) => {
                debug!(missed, "the decoder of pictures is too slow, so frames were skipped");
                self.board.note_loss();
                return Step::Next;
            }
        };
        if !is_same_video(&self.format, &frame.format) {
            return Step::End(if frame.is_keyframe { End::Changed } else { End::AwaitsKeyframe });
        }
        if frame.is_keyframe {
            self.awaits_keyframe = false;
        } else if self.awaits_keyframe || self.board.reduction().is_keyframes_only() {
            self.awaits_keyframe = true;
            return Step::Next;
        }
        let marked = self.select(&frame, is_newest);
        let copied = self.copied.filter(|index| marked & 1 << index != 0);
        if let Some(index) = copied {
            self.sink.show(index, picture_of(&frame));
        }
        if let Some(child) = child {
            let shows_load = self.has_caught_up || self.began_at.elapsed() > CATCHES_UP_WITHIN;
            let marked = copied.map_or(marked, |index| marked & !(1 << index));
            child.feed(&frame, marked, shows_load);
        }
        Step::Next
    }

    /// Returns one bit for each output that makes a picture of the frame.
    fn select(&mut self, frame: &Frame, is_newest: bool) -> u64 {
        let is_fresh = frame.received_at.elapsed() <= FRESH;
        self.has_caught_up |= is_fresh;
        if !is_newest && !is_fresh && self.marked_at.elapsed() < SHOWS_AFTER {
            return 0;
        }
        let frame_distance = self.stream.shared().hub.frame_distance();
        let mut marked = 0;
        for (index, (widths, selection)) in self.outputs.iter_mut().enumerate() {
            let interval = self.board.interval(widths);
            let takes =
                |interval| selection.takes(frame.presentation_time, interval, frame_distance);
            if interval.is_some_and(takes) {
                marked |= 1 << index;
            }
        }
        if marked != 0 {
            self.marked_at = Instant::now();
        }
        marked
    }
}

/// Waits for the progress of FFmpeg; forever without an FFmpeg.
async fn progress(child: Option<&mut DecoderChild>) -> Progress {
    match child {
        Some(child) => child.progress().await,
        None => std::future::pending().await,
    }
}

/// Returns whether one FFmpeg can decode both: the epoch, the codec and the size are the same. FFmpeg adapts to other
/// parameters.
fn is_same_video(one: &Format, other: &Format) -> bool {
    let facts = |format: &Format| {
        (format.epoch, format.codec(), format.picture.width, format.picture.height)
    };
    facts(one) == facts(other)
}

/// Returns the picture of a frame that is a JPEG.
fn picture_of(frame: &Frame) -> Picture {
    Picture {
        jpeg: frame.data.clone(),
        full_width: frame.format.picture.width.into(),
        received_at: frame.received_at,
        taken_at: frame.taken_at,
    }
}
