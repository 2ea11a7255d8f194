//! The destination of the pictures that one FFmpeg writes: finds the frame of each picture, and puts the picture on the
//! board.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::board::{Board, Width};
use crate::base::counters::Counters;
use crate::base::lock::lock;
use crate::media::frame::Frame;
use crate::pictures::picture::Picture;

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
    /// The wanted widths that each output of FFmpeg serves.
    outputs: Vec<Vec<Width>>,
    waiting: Mutex<VecDeque<Waiting>>,
    /// True once there was a picture.
    has_shown: watch::Sender<bool>,
    counters: Counters,
}

/// A frame whose pictures FFmpeg has not written yet.
#[derive(Debug)]
struct Waiting {
    /// Time in the stream to FFmpeg.
    time: Duration,
    /// One bit for each output that has not written its picture.
    outputs: u64,
    full_width: u32,
    received_at: Instant,
    taken_at: SystemTime,
    fed_at: Instant,
    /// True if the age of the picture shows how busy the machine is. The age does not show it while FFmpeg decodes the
    /// frames since the last keyframe.
    shows_load: bool,
}

impl Sink {
    /// Creates the destination of an FFmpeg whose outputs serve these wanted widths.
    pub(super) fn new(board: Arc<Board>, outputs: Vec<Vec<Width>>, counters: Counters) -> Self {
        let has_shown = watch::Sender::new(false);
        Self { board, outputs, waiting: Mutex::default(), has_shown, counters }
    }

    /// Returns a receiver whose value becomes true with the first picture.
    pub(super) fn has_shown(&self) -> watch::Receiver<bool> {
        self.has_shown.subscribe()
    }

    /// Notes a frame that FFmpeg is about to get, with its time in the stream to FFmpeg, and with one bit for each
    /// output that makes a picture of it.
    pub(super) fn expect(&self, frame: &Frame, time: Duration, outputs: u64, shows_load: bool) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() == MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(Waiting {
            time,
            outputs,
            full_width: frame.format.picture.width.into(),
            received_at: frame.received_at,
            taken_at: frame.taken_at,
            fed_at: Instant::now(),
            shows_load,
        });
    }

    /// Returns the time at which FFmpeg was to get the oldest frame whose pictures it has not written; `None` if it has
    /// written all pictures.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        lock(&self.waiting).iter().map(|waiting| waiting.fed_at).min()
    }

    /// Takes a picture from the output with this index. `time` is its time in the stream to FFmpeg, as far as FFmpeg's
    /// time base is precise. Returns false if it is not a JPEG.
    pub(super) fn take(&self, output: usize, time: Duration, jpeg: Bytes) -> bool {
        if !jpeg.starts_with(&JPEG_START) || !jpeg.ends_with(&JPEG_END) {
            return false;
        }
        let Some(frame) = self.frame_of(output, time) else { return true };
        let picture = Picture {
            jpeg,
            full_width: frame.full_width,
            received_at: frame.received_at,
            taken_at: frame.taken_at,
        };
        if frame.shows_load {
            self.board.note_age(picture.age());
        }
        self.show(output, picture);
        true
    }

    /// Puts a picture of the output with this index on the board.
    pub(super) fn show(&self, output: usize, picture: Picture) {
        let widths = self.outputs.get(output).map_or(&[][..], Vec::as_slice);
        self.board.show(widths, &Arc::new(picture));
        self.counters.live_picture();
        self.has_shown.send_if_modified(|has_shown| !std::mem::replace(has_shown, true));
    }

    /// Returns the frame of a picture. FFmpeg does not write pictures of earlier frames any more.
    fn frame_of(&self, output: usize, time: Duration) -> Option<Waiting> {
        let bit = 1_u64.checked_shl(u32::try_from(output).ok()?)?;
        let mut waiting = lock(&self.waiting);
        let candidates = waiting.iter().filter(|it| it.outputs & bit != 0);
        let frame = candidates.min_by_key(|it| it.time.abs_diff(time))?;
        let found = Waiting { outputs: bit, ..*frame };
        for earlier in waiting.iter_mut().filter(|it| it.time <= found.time) {
            earlier.outputs &= !bit;
        }
        waiting.retain(|it| it.outputs != 0);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;

    const JPEG: &[u8] = &[0xff, 0xd8, 0, 0xff, 0xd9];

    fn millis(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[tokio::test]
    async fn a_picture_gets_the_dates_of_its_frame() {
        let board = Arc::new(Board::new());
        let (_entry, newest) =
            board.join(None, millis(100)).expect("an open board").expect("an entry");
        let sink =
            Sink::new(Arc::clone(&board), vec![vec![None], vec![Some(9)]], Counters::default());
        let format = testing::format(7);
        for time in [0, 40, 80] {
            sink.expect(&testing::video(&format, time == 0, time, 40), millis(time), 0b11, true);
        }
        assert!(!sink.take(0, millis(40), Bytes::from_static(b"no JPEG")));
        assert!(!*sink.has_shown().borrow());
        assert!(sink.take(0, Duration::from_micros(39_990), JPEG.into()));
        assert!(*sink.has_shown().borrow());
        let shown = newest.borrow().clone().expect("a picture");
        assert_eq!(shown.taken_at, SystemTime::UNIX_EPOCH + millis(40));
        assert_eq!(lock(&sink.waiting).len(), 3, "the other output has no picture yet");
        assert!(sink.take(1, millis(80), JPEG.into()));
        assert_eq!(lock(&sink.waiting).len(), 1, "earlier frames have no pictures any more");
        assert!(sink.take(0, millis(80), JPEG.into()));
        assert_eq!(sink.waiting_since(), None);
        assert!(sink.take(0, millis(120), JPEG.into()), "a picture without a frame is dropped");
    }
}
