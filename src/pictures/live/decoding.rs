//! Decodes the pictures of a stream, from a keyframe until the properties of the video change. If a camera changes the
//! size of its picture again and again, decoding continues, and the pictures keep their size. The JPEGs of a camera that
//! sends Motion JPEG need no FFmpeg, unless they have to be scaled or converted to grey pictures.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use nix::unistd::Pid;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use super::args::{self, Manner};
use super::board::Board;
use super::child::{DecoderChild, Progress};
use super::form::Form;
use super::selection::Selection;
use super::sink::Sink;
use crate::base::counters::{Counters, RunningDecoder};
use crate::base::error::Error;
use crate::base::proc;
use crate::child::log::Work;
use crate::media::codec::VideoCodec;
use crate::media::frame::{Format, Frame, Track};
use crate::media::hub::{Gap, HubReader, ReadFrom};
use crate::media::jpeg;
use crate::pictures::decoder::Decoder;
use crate::pictures::picture::{Picture, Position};
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

/// If decoding keeps the size of the pictures, the time after which another size of the camera's picture replaces it.
const SETTLES_AFTER: Duration = Duration::from_mins(1);

/// The time after which the CPU time of a decoder is counted.
const COUNTS_AFTER: Duration = Duration::from_secs(5);

/// The form of the pictures that a camera with Motion JPEG sends itself.
const COPIED: Form = Form::Jpeg(None);

/// The reason why decoding has ended. FFmpeg has been reaped.
#[derive(Debug)]
pub(super) enum End {
    /// The stream has ended, or a stop was requested.
    Stopped,
    /// The properties of the video have changed, so that another FFmpeg is needed, which begins with this keyframe.
    /// `is_resized` is true if only the size of the picture has changed.
    Changed { from: ReadFrom, is_resized: bool },
    /// There were no frames for [`ENDS_AFTER`], or none that can be decoded. Another FFmpeg can begin with the next
    /// keyframe.
    AwaitsKeyframe,
    /// FFmpeg has failed.
    Failed {
        error: Error,
        /// The forms of which FFmpeg has made no picture.
        without: Vec<Form>,
    },
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
    /// The form of each output, and the selection of the output's frames.
    outputs: Vec<(Form, Selection)>,
    /// Width of the camera's picture in pixels.
    full_width: u32,
    keeps_size: bool,
    /// The time since which the camera's picture has another size; `None` if it has the size of the first picture.
    differs_since: Option<Instant>,
    /// The index of the output whose pictures are the frames themselves; `None` if there is no such output.
    copied: Option<usize>,
    began_at: Instant,
    marked_at: Instant,
    has_caught_up: bool,
    /// True after frames were left out, until the next keyframe.
    awaits_keyframe: bool,
}

impl DecodedStream {
    /// Returns the number of frames from one keyframe to the next; `None` if it is not known.
    pub(super) fn gop(&self) -> Option<f64> {
        let flow = self.stream.shared().hub.flow()?;
        Some(flow.gop?.as_secs_f64() * flow.frame_rate)
    }

    /// Notes the present width of the camera's picture on the board, if it is known.
    pub(super) fn note_full_width(&self) {
        if let Some(flow) = self.stream.shared().hub.flow() {
            self.board.note_full_width(flow.format.picture.width.into());
        }
    }

    /// Decodes pictures of these forms, until `ending` resolves or there is another reason to end. Calls `on_first` when
    /// each form has a picture.
    pub(super) async fn decode(
        self,
        from: ReadFrom,
        forms: Vec<Form>,
        manner: Manner,
        mut ending: oneshot::Receiver<()>,
        on_first: impl FnOnce() + Send,
    ) -> End {
        let mut frames = self.stream.shared().hub.read(from, HELD_BACK);
        let first = tokio::select! {
            first = next_keyframe(&mut frames) => first,
            _ = &mut ending => None,
        };
        let Some(first) = first else { return End::Stopped };
        let (mut decoding, scaled) = Decoding::new(&self, &first, &forms, manner.keeps_size);
        let log = &self.stream.shared().process_log;
        let mut child = None;
        if !scaled.is_empty() {
            let sink = Arc::clone(&decoding.sink);
            let log = Arc::clone(log).writer(first.format.epoch);
            let arguments = args::arguments(&scaled, manner, decoding.full_size());
            match DecoderChild::start(&self.decoder, arguments, &first, sink, log).await {
                Ok(started) => child = Some(started),
                Err(error) => return End::Failed { error, without: scaled },
            }
        }
        let mut running = child.is_some().then(|| self.counters.picture_decoder_runs());
        let mut has_shown = decoding.sink.has_shown();
        let shown = async {
            if has_shown.wait_for(|has_shown| *has_shown).await.is_ok() {
                on_first();
            }
            std::future::pending().await
        };
        let pid = child.as_ref().map(DecoderChild::pid);
        let usage = async {
            match pid.zip(running.as_mut()) {
                Some((pid, running)) => tokio::select! {
                    never = log.watch(pid, Work::Pictures) => match never {},
                    never = count_cpu_time(pid, running) => match never {},
                },
                None => std::future::pending().await,
            }
        };
        let step = tokio::select! {
            step = decoding.run(&mut frames, first, &mut child) => step,
            _ = ending => Step::End(End::Stopped),
            step = shown => step,
            step = usage => step,
        };
        if let Some((time, running)) = pid.and_then(proc::cpu_time).zip(running.as_mut()) {
            running.note_cpu_time(time);
        }
        match (step, child) {
            (Step::Failed(fault), Some(child)) => {
                let error = child.fail(fault).await;
                End::Failed { error, without: decoding.sink.without_picture() }
            }
            (step, child) => {
                if let Some(child) = child {
                    child.kill().await;
                }
                let from = ReadFrom::LastKeyframe;
                if let Step::End(end) = step {
                    end
                } else {
                    End::Changed { from, is_resized: false }
                }
            }
        }
    }
}

/// Counts the CPU time of a decoder at intervals.
async fn count_cpu_time(pid: Pid, running: &mut RunningDecoder) -> Infallible {
    loop {
        sleep(COUNTS_AFTER).await;
        if let Some(time) = proc::cpu_time(pid) {
            running.note_cpu_time(time);
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
    /// Prepares the decoding of a stream from `first` on. Also returns the forms of FFmpeg's outputs.
    fn new(
        of: &DecodedStream,
        first: &Frame,
        forms: &[Form],
        keeps_size: bool,
    ) -> (Self, Vec<Form>) {
        let full_width = u32::from(first.format.picture.width);
        if keeps_size {
            of.board.note_full_width(full_width);
        }
        let is_jpeg = first.format.codec() == VideoCodec::Mjpeg;
        let mut all: Vec<Form> = Vec::new();
        // The full width comes last, so that the output whose pictures are the frames follows FFmpeg's outputs.
        let mut sorted: Vec<_> = forms.iter().map(|form| form.made(full_width)).collect();
        sorted.sort_by_key(|form| *form == COPIED);
        for form in sorted {
            if !all.contains(&form) {
                all.push(form);
            }
        }
        let is_copied = is_jpeg && !keeps_size && all.last() == Some(&COPIED);
        let copied = is_copied.then(|| all.len() - 1);
        let outputs = all.iter().map(|form| (*form, Selection::default())).collect();
        all.truncate(copied.unwrap_or(all.len()));
        let full_size = (full_width, first.format.picture.height.into());
        let sink = Sink::new(Arc::clone(&of.board), all.clone(), full_size, of.counters.clone());
        let decoding = Self {
            board: Arc::clone(&of.board),
            stream: of.stream.clone(),
            sink: Arc::new(sink),
            format: Arc::clone(&first.format),
            outputs,
            full_width,
            keeps_size,
            differs_since: None,
            copied,
            began_at: Instant::now(),
            marked_at: Instant::now(),
            has_caught_up: false,
            awaits_keyframe: false,
        };
        (decoding, all)
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
        if let Some(is_resized) = self.change(&frame) {
            let is_keyframe = frame.is_keyframe;
            let from = if is_keyframe { ReadFrom::LastKeyframe } else { ReadFrom::NextKeyframe };
            return Step::End(End::Changed { from, is_resized });
        }
        if frame.is_keyframe {
            let flow = self.stream.shared().hub.flow();
            self.board.note_keyframe_distance(flow.and_then(|flow| flow.gop));
            self.awaits_keyframe = false;
        } else if self.awaits_keyframe || self.board.reduction().is_keyframes_only() {
            self.awaits_keyframe = true;
            return Step::Next;
        }
        let marked = self.select(&frame, is_newest);
        let copied = self.copied.filter(|index| marked & 1 << index != 0);
        if copied.is_some()
            && let Some(picture) = picture_of(&frame, self.full_size())
        {
            self.sink.copy(COPIED, picture);
        }
        if let Some(child) = child {
            let shows_load = self.has_caught_up || self.began_at.elapsed() > CATCHES_UP_WITHIN;
            let marked = copied.map_or(marked, |index| marked & !(1 << index));
            child.feed(&frame, marked, shows_load);
        }
        Step::Next
    }

    /// Returns the size of the pictures with the full width, in pixels.
    fn full_size(&self) -> (u32, u32) {
        (self.full_width, self.format.picture.height.into())
    }

    /// Returns whether the frame needs another FFmpeg: `Some(true)` if only the size of the picture is the reason. FFmpeg
    /// adapts to other parameters.
    fn change(&mut self, frame: &Frame) -> Option<bool> {
        let (before, after) = (&self.format, &frame.format);
        let facts = |format: &Format| (format.epoch, format.codec());
        let size = |format: &Format| (format.picture.width, format.picture.height);
        if facts(before) != facts(after) {
            return Some(false);
        }
        if size(before) == size(after) {
            self.differs_since = None;
            return None;
        }
        let since = self.differs_since.get_or_insert_with(Instant::now);
        let is_kept = self.keeps_size && since.elapsed() < SETTLES_AFTER;
        (!is_kept).then_some(true)
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
        for (index, (form, selection)) in self.outputs.iter_mut().enumerate() {
            let interval = self.board.interval(*form, self.full_width);
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

/// Returns the picture of a frame that is a JPEG; `None` if its end is missing, because the camera or the network has lost
/// a part of it.
fn picture_of(frame: &Frame, full_size: (u32, u32)) -> Option<Picture> {
    jpeg::is_complete(&frame.data).then(|| Picture {
        data: frame.data.clone(),
        full_size,
        position: Position::of(frame),
        received_at: frame.received_at,
        taken_at: frame.taken_at,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::frame::testing;

    #[test]
    fn only_complete_jpegs_are_passed_on() {
        let frame = testing::video(&testing::format(7), true, 40, 40);
        let picture = |data: &'static [u8]| {
            picture_of(&Frame { data: Bytes::from_static(data), ..frame.clone() }, (640, 360))
        };
        let complete = picture(b"\xff\xd8\xff\xda\x00\x02data\xff\xd9").expect("a picture");
        assert_eq!((complete.data.len(), complete.full_size), (12, (640, 360)));
        assert_eq!(complete.position, Position { epoch: 7, time: Duration::from_millis(40) });
        assert!(picture(b"\xff\xd8\xff\xda\x00\x02data").is_none());
    }
}
