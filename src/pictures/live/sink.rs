//! The destination of the pictures that one FFmpeg writes: finds the frame of each picture, and puts the picture on the
//! board.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::board::Board;
use super::form::{Form, grey_size};
use super::reordering::Reordering;
use crate::base::counters::Counters;
use crate::base::lock::lock;
use crate::media::frame::Frame;
use crate::pictures::picture::{Picture, Position};

/// The first bytes of every JPEG.
const JPEG_START: [u8; 2] = [0xff, 0xd8];
/// The last bytes of every JPEG.
const JPEG_END: [u8; 2] = [0xff, 0xd9];
/// The largest number of frames that wait for their pictures. FFmpeg holds back only a few.
const MAX_WAITING: usize = 256;

/// The destination of the pictures that one FFmpeg writes.
#[derive(Debug)]
pub(super) struct Sink {
    board: Arc<Board>,
    /// The forms of FFmpeg's outputs.
    outputs: Vec<Form>,
    /// Size of the camera's picture in pixels.
    full_size: (u32, u32),
    state: Mutex<State>,
    /// True once each output that had to make a picture at first has made it.
    has_shown: watch::Sender<bool>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    reordering: Reordering,
    /// One bit for each output that has to make the first picture; `None` before FFmpeg gets the first such frame.
    awaited: Option<u64>,
    /// One bit for each output that has made a picture.
    shown: u64,
    /// The time at which FFmpeg got the last frame.
    fed_at: Option<Instant>,
}

/// A frame whose pictures FFmpeg has not written yet.
#[derive(Debug, Clone)]
struct Waiting {
    /// Time in the stream to FFmpeg.
    time: Duration,
    /// One bit for each output that has not written its picture.
    outputs: u64,
    position: Position,
    received_at: Instant,
    taken_at: SystemTime,
    /// The number of frames that FFmpeg got after this one and that are shown later.
    later: usize,
    /// The time at which the last frame arrived that FFmpeg needs before it can write the picture; `None` if FFmpeg needs
    /// further frames.
    complete_at: Option<Instant>,
    /// The time from which FFmpeg has to write the picture; `None` if FFmpeg may still wait for further frames.
    due_since: Option<Instant>,
    /// True if the delay of the picture shows how busy the machine is. The delay does not show it while FFmpeg decodes the
    /// frames since the last keyframe.
    shows_load: bool,
}

impl Sink {
    /// Creates the destination of an FFmpeg whose outputs have these forms. `full_size` is the size of the camera's
    /// picture.
    pub(super) fn new(
        board: Arc<Board>,
        outputs: Vec<Form>,
        full_size: (u32, u32),
        counters: Counters,
    ) -> Self {
        let has_shown = watch::Sender::new(false);
        Self { board, outputs, full_size, state: Mutex::default(), has_shown, counters }
    }

    /// Returns the number of FFmpeg's outputs.
    pub(super) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Returns a receiver whose value becomes true when each output has made its first picture. Pictures that need no FFmpeg
    /// do not count, unless there are no other ones.
    pub(super) fn has_shown(&self) -> watch::Receiver<bool> {
        self.has_shown.subscribe()
    }

    /// Returns the forms of the outputs that have made no picture.
    pub(super) fn without_picture(&self) -> Vec<Form> {
        let shown = lock(&self.state).shown;
        let is_missing = |index: usize| shown & bit(index) == 0;
        let outputs = self.outputs.iter().enumerate();
        outputs.filter(|(index, _)| is_missing(*index)).map(|(_, form)| *form).collect()
    }

    /// Notes a frame that FFmpeg is about to get, with its time in the stream to FFmpeg, and with one bit for each
    /// output that makes a picture of it.
    pub(super) fn expect(&self, frame: &Frame, time: Duration, outputs: u64, shows_load: bool) {
        let now = Instant::now();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.fed_at = Some(now);
        state.reordering.note(frame);
        let (usual, most) = (state.reordering.usual(), state.reordering.most());
        let note = |waiting: &mut Waiting| {
            if waiting.later >= usual {
                waiting.complete_at.get_or_insert(frame.received_at);
            }
            // Without B-frames, FFmpeg needs no further frame at all.
            if waiting.later > most || most == 0 {
                waiting.due_since.get_or_insert(now);
            }
        };
        for waiting in state.waiting.iter_mut().filter(|waiting| waiting.time < time) {
            waiting.later += 1;
            note(waiting);
        }
        if outputs == 0 {
            return;
        }
        state.awaited.get_or_insert(outputs);
        if state.waiting.len() == MAX_WAITING {
            state.waiting.pop_front();
        }
        let mut waiting = Waiting {
            time,
            outputs,
            position: Position::of(frame),
            received_at: frame.received_at,
            taken_at: frame.taken_at,
            later: 0,
            complete_at: None,
            due_since: None,
            shows_load,
        };
        note(&mut waiting);
        state.waiting.push_back(waiting);
    }

    /// Returns the time since which FFmpeg has not written a picture although it got all frames for it; `None` if there is
    /// no such picture.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        lock(&self.state).waiting.iter().filter_map(|waiting| waiting.due_since).min()
    }

    /// Takes a picture from the output with this index. `time` is its time in the stream to FFmpeg, as far as FFmpeg's
    /// time base is precise. Returns false if it does not have the output's form.
    pub(super) fn take(&self, output: usize, time: Duration, data: Bytes) -> bool {
        let Some(form) = self.outputs.get(output).copied() else { return false };
        let is_valid = match form {
            Form::Jpeg(_) => data.starts_with(&JPEG_START) && data.ends_with(&JPEG_END),
            Form::Grey => {
                let (width, height) = grey_size(self.full_size);
                u64::from(width) * u64::from(height) == data.len() as u64
            }
        };
        if !is_valid {
            return false;
        }
        let Some(frame) = self.frame_of(output, time) else { return true };
        if frame.shows_load {
            self.board.note_delay(self.delay(&frame));
        }
        let picture = Picture {
            data,
            full_size: self.full_size,
            position: frame.position,
            received_at: frame.received_at,
            taken_at: frame.taken_at,
        };
        self.show(form, picture);
        self.note_shown(bit(output));
        true
    }

    /// Returns how long FFmpeg took to write the picture of a frame that it has just written.
    fn delay(&self, frame: &Waiting) -> Duration {
        let delay = frame.complete_at.map_or(Duration::ZERO, |at| at.elapsed());
        if !self.board.reduction().is_keyframes_only() {
            return delay;
        }
        // FFmpeg takes the missing frames for reordered ones, and writes a keyframe only when it gets a later one. Only the
        // time since then shows how busy the machine is.
        let fed_at = lock(&self.state).fed_at;
        fed_at.map_or(delay, |at| delay.min(at.elapsed()))
    }

    /// Passes on a picture of this form that needs no FFmpeg.
    pub(super) fn copy(&self, form: Form, picture: Picture) {
        self.show(form, picture);
        if self.outputs.is_empty() {
            self.note_shown(0);
        }
    }

    fn show(&self, form: Form, picture: Picture) {
        self.board.show(form, &Arc::new(picture));
        if form.is_jpeg() {
            self.counters.live_picture();
        }
    }

    fn note_shown(&self, output: u64) {
        let mut state = lock(&self.state);
        state.shown |= output;
        let awaited = state.awaited.unwrap_or_default();
        let is_complete = state.shown & awaited == awaited;
        drop(state);
        if is_complete {
            self.has_shown.send_if_modified(|has_shown| !std::mem::replace(has_shown, true));
        }
    }

    /// Returns the frame of a picture. FFmpeg does not write pictures of earlier frames any more.
    fn frame_of(&self, output: usize, time: Duration) -> Option<Waiting> {
        let bit = bit(output);
        let waiting = &mut lock(&self.state).waiting;
        let candidates = waiting.iter().filter(|it| it.outputs & bit != 0);
        let found = candidates.min_by_key(|it| it.time.abs_diff(time))?.clone();
        for earlier in waiting.iter_mut().filter(|it| it.time <= found.time) {
            earlier.outputs &= !bit;
        }
        waiting.retain(|it| it.outputs != 0);
        Some(found)
    }
}

/// Returns the bit of the output with this index.
fn bit(output: usize) -> u64 {
    u32::try_from(output).ok().and_then(|output| 1_u64.checked_shl(output)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::media::frame::{Format, testing};
    use crate::media::parameter_set::picture::PictureParameters;

    const JPEG: &[u8] = &[0xff, 0xd8, 0, 0xff, 0xd9];
    const FULL: Form = Form::Jpeg(None);
    const SMALL: Form = Form::Jpeg(Some(8));

    fn millis(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn sink(board: &Arc<Board>, outputs: &[Form]) -> Sink {
        Sink::new(Arc::clone(board), outputs.to_vec(), (640, 360), Counters::default())
    }

    /// Returns the description of a stream that announces this number of reordered frames.
    fn format(max_reorder_frames: u8) -> Arc<Format> {
        let format = Arc::into_inner(testing::format(7)).expect("the only reference");
        let picture = PictureParameters {
            max_reorder_frames: Some(max_reorder_frames),
            may_reorder: max_reorder_frames > 0,
            ..format.picture
        };
        Arc::new(Format { picture, ..format })
    }

    /// Passes the frame that is shown at this time, in milliseconds, and that has just arrived.
    fn expect(sink: &Sink, format: &Arc<Format>, time: u64, outputs: u64) {
        let frame = testing::video(format, time == 0, time, 40);
        let frame = Frame { received_at: Instant::now(), ..frame };
        sink.expect(&frame, millis(time), outputs, true);
    }

    #[tokio::test(start_paused = true)]
    async fn a_decoder_that_holds_back_keyframes_is_not_too_slow() {
        let board = Arc::new(Board::new());
        let (sink, format) = (sink(&board, &[FULL]), format(0));
        for _ in 0..4 {
            board.note_loss();
        }
        assert!(board.reduction().is_keyframes_only());
        let mut number = 0;
        while board.reduction().is_keyframes_only() {
            assert!(number < 20, "the rate is not raised");
            let keyframe = testing::video(&format, true, number * 1600, 1600);
            sink.expect(&keyframe, millis(number * 1600), 1, true);
            advance(millis(50)).await;
            if let Some(written) = number.checked_sub(2) {
                assert!(sink.take(0, millis(written * 1600), JPEG.into()));
            }
            advance(millis(1550)).await;
            number += 1;
        }
    }

    #[tokio::test]
    async fn a_picture_gets_the_dates_of_its_frame() {
        let board = Arc::new(Board::new());
        let (_entry, newest) =
            board.join(FULL, millis(100)).expect("an open board").expect("an entry");
        let sink = sink(&board, &[FULL, SMALL]);
        let format = format(0);
        for time in [0, 40, 80] {
            expect(&sink, &format, time, 0b11);
        }
        assert!(!sink.take(0, millis(40), Bytes::from_static(b"no JPEG")));
        assert!(sink.take(0, Duration::from_micros(39_990), JPEG.into()));
        let shown = newest.borrow().picture.clone().expect("a picture");
        assert_eq!(shown.taken_at, SystemTime::UNIX_EPOCH + millis(40));
        assert_eq!(shown.position, Position { epoch: 7, time: millis(40) });
        assert_eq!(lock(&sink.state).waiting.len(), 3, "the other output has no picture yet");
        assert!(!*sink.has_shown().borrow(), "the other output has no picture yet");
        assert_eq!(sink.without_picture(), [SMALL]);
        assert!(sink.take(1, millis(80), JPEG.into()));
        assert!(*sink.has_shown().borrow());
        assert_eq!(lock(&sink.state).waiting.len(), 1, "earlier frames have no pictures any more");
        assert!(sink.take(0, millis(80), JPEG.into()));
        assert_eq!(sink.waiting_since(), None);
        assert!(sink.take(0, millis(120), JPEG.into()), "a picture without a frame is dropped");
    }

    #[tokio::test]
    async fn a_grey_picture_has_one_byte_for_each_pixel() {
        let board = Arc::new(Board::new());
        let sink = sink(&board, &[SMALL, Form::Grey]);
        expect(&sink, &format(0), 40, 0b10);
        assert!(!sink.take(1, millis(40), JPEG.into()));
        assert!(!sink.take(1, millis(40), vec![7; 640 * 359].into()));
        assert!(sink.take(1, millis(40), vec![7; 640 * 360].into()));
        assert!(!sink.take(2, millis(40), JPEG.into()), "there is no such output");
        assert_eq!(sink.without_picture(), [SMALL]);
    }

    #[tokio::test]
    async fn a_picture_that_needs_no_ffmpeg_proves_nothing_about_ffmpeg() {
        let board = Arc::new(Board::new());
        let picture = || crate::pictures::picture::testing::picture(millis(40));
        let both = sink(&board, &[SMALL]);
        both.copy(FULL, picture());
        expect(&both, &format(0), 40, 1);
        both.copy(FULL, picture());
        assert!(!*both.has_shown().borrow());
        assert_eq!(both.without_picture(), [SMALL]);
        assert!(both.take(0, millis(40), JPEG.into()));
        assert!(*both.has_shown().borrow());

        let copies = sink(&board, &[]);
        copies.copy(FULL, picture());
        assert!(*copies.has_shown().borrow(), "there is no FFmpeg");
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_ffmpeg_has_to_hold_back_is_not_due() {
        let board = Arc::new(Board::new());
        let (ordered, reordered) = (format(0), format(1));
        let plain = sink(&board, &[FULL]);
        let began_at = Instant::now();
        expect(&plain, &ordered, 0, 1);
        assert_eq!(plain.waiting_since(), Some(began_at));

        // I0 P120 B40 B80 P240 B160: FFmpeg writes P120 only after B80, and needs one more frame to be sure of that.
        let sink = sink(&board, &[FULL]);
        for (time, outputs, expected) in [
            (0, 0, None),
            (120, 1, None),
            (40, 0, None),
            (80, 0, None),
            (240, 0, None),
            (160, 0, Some(200)),
        ] {
            assert_eq!(sink.waiting_since(), None, "before {time}");
            expect(&sink, &reordered, time, outputs);
            let since = sink.waiting_since().map(|since| since - began_at);
            assert_eq!(since, expected.map(millis), "{time}");
            advance(millis(40)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_by_reordering_is_no_load() {
        let board = Arc::new(Board::new());
        let reordered = format(2);
        let sink = sink(&board, &[FULL]);
        // One frame per second: each picture is at least two seconds old when FFmpeg writes it.
        for second in 0..30 {
            expect(&sink, &reordered, second * 1000, 1);
            if let Some(written) = second.checked_sub(2) {
                assert!(sink.take(0, millis(written * 1000), JPEG.into()));
            }
            assert_eq!(board.reduction().divisor(), 1);
            advance(millis(1000)).await;
        }
        // FFmpeg is late by one more frame.
        expect(&sink, &reordered, 30_000, 1);
        for second in 31..40 {
            advance(millis(1000)).await;
            expect(&sink, &reordered, second * 1000, 1);
            assert!(sink.take(0, millis((second - 3) * 1000), JPEG.into()));
        }
        assert!(board.reduction().divisor() > 1);
    }
}
