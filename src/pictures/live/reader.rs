//! A consumer's position in the pictures of a stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::board::{Entry, Failure, Shown};
use crate::base::error::{Error, ErrorKind};
use crate::pictures::picture::{Picture, Position};

/// The time after which a client should repeat a request whose pictures have ended.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reads the pictures of one stream in one form. Every read returns the newest picture, so a reader that is slow gets
/// fewer pictures. The stream's decoder runs until the last reader is dropped, and for a short time afterwards.
#[derive(Debug)]
pub(crate) struct PictureReader {
    entry: Entry,
    shown: watch::Receiver<Shown>,
    interval: Duration,
    /// The position of the last picture; `None` before the first picture.
    last: Option<Position>,
    /// The time from which a picture is due, on the clock of the last picture's epoch; `None` if any picture is due.
    due_at: Option<Duration>,
    /// The number of the last picture that the reader has looked at.
    seen: u64,
    skipped: u64,
}

impl PictureReader {
    pub(super) fn new(entry: Entry, shown: watch::Receiver<Shown>, interval: Duration) -> Self {
        let seen = shown.borrow().number.saturating_sub(1);
        Self { entry, shown, interval, last: None, due_at: None, seen, skipped: 0 }
    }

    /// Waits for the next picture, and returns it. Fails if FFmpeg cannot decode pictures at the moment, or if the
    /// stream has ended. Can be cancelled and called again.
    pub(crate) async fn next(&mut self) -> Result<Arc<Picture>, Error> {
        loop {
            let Shown { picture, number, failure } = self.shown.borrow_and_update().clone();
            self.skipped += number.saturating_sub(self.seen + 1);
            self.seen = number;
            if let Some(error) = failure.as_ref().and_then(Failure::current) {
                return Err(error);
            }
            if let Some(picture) = picture.filter(|picture| self.is_due(picture.position)) {
                self.note(picture.position);
                return Ok(picture);
            }
            self.shown.changed().await.map_err(|_| ended())?;
        }
    }

    /// Returns the number of pictures that newer ones have replaced before the reader looked at them.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns the number of pictures per second that the reader gets at most. It is lower than the wanted rate while
    /// the machine is too busy.
    pub(crate) fn rate(&self) -> f64 {
        1.0 / self.entry.interval().max(LEAST_INTERVAL).as_secs_f64()
    }

    /// Changes the number of pictures per second that the reader can take.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.interval = interval_of(rate);
        self.entry.set_interval(self.interval);
        self.due_at = None;
    }

    /// Returns whether a picture is due. Half of the interval is tolerated, because the distances of frames vary.
    fn is_due(&self, picture: Position) -> bool {
        let Some(last) = self.last else { return true };
        let due_at = self.due_at.filter(|_| last.epoch == picture.epoch);
        picture > last && due_at.is_none_or(|due_at| picture.time + self.interval / 2 >= due_at)
    }

    fn note(&mut self, picture: Position) {
        let last = self.last.replace(picture);
        let due_at = self.due_at.filter(|_| last.is_some_and(|last| last.epoch == picture.epoch));
        let next = due_at.unwrap_or(picture.time) + self.interval;
        // After a pause, pictures are due at the rate from then on.
        self.due_at = Some(next.max(picture.time + self.interval / 2));
    }
}

/// The shortest distance between two pictures.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);
/// The lowest number of pictures per second.
const LEAST_RATE: f64 = 0.1;

/// Returns the distance between two pictures, for a number of pictures per second.
pub(super) fn interval_of(rate: f64) -> Duration {
    Duration::from_secs(1).div_f64(rate.max(LEAST_RATE)).max(LEAST_INTERVAL)
}

/// Returns the error for a stream that has ended.
pub(crate) fn ended() -> Error {
    let detail = "the stream has ended; try again in a second";
    Error::new(ErrorKind::StreamEnded, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::super::board::Board;
    use super::super::form::Form;
    use super::*;
    use crate::pictures::picture::testing::picture;

    /// A board without a decoder.
    #[derive(Debug)]
    pub(crate) struct TestBoard(pub(in crate::pictures::live) Arc<Board>);

    impl TestBoard {
        /// Creates a board of a camera with 640 pixels.
        pub(crate) fn new() -> Self {
            let board = Arc::new(Board::new());
            board.note_full_width(640);
            Self(board)
        }

        /// Returns a reader of pictures with the full width.
        pub(crate) fn reader(&self, rate: f64) -> PictureReader {
            let interval = interval_of(rate);
            let joined = self.0.join(Form::Jpeg(None), interval).expect("an open board");
            let (entry, shown) = joined.expect("an entry");
            PictureReader::new(entry, shown, interval)
        }

        /// Shows a picture with this time of presentation.
        pub(crate) fn show(&self, time: Duration) {
            self.0.show(Form::Jpeg(None), &Arc::new(picture(time)));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::form::Form;
    use super::testing::TestBoard;
    use super::*;
    use crate::pictures::picture;

    /// Returns how many pictures readers with these rates get, of pictures that are written in this order, 25 a second.
    fn counts(rates: &[f64], order: impl Iterator<Item = u64>) -> Vec<u32> {
        let board = TestBoard::new();
        let mut readers: Vec<_> = rates.iter().map(|rate| (board.reader(*rate), 0)).collect();
        for number in order {
            board.show(Duration::from_millis(number * 40));
            for (reader, count) in &mut readers {
                *count += u32::from(reader.next().now_or_never().is_some());
                assert!(reader.next().now_or_never().is_none(), "the picture was read twice");
            }
        }
        readers.into_iter().map(|(_, count)| count).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_reader_gets_pictures_at_its_own_rate() {
        // There is a pause.
        let times = (0..500).map(|number| if number < 100 { number } else { number + 24 });
        let counts = counts(&[30.0, 25.0, 10.0, 3.0], times);
        for (count, expected) in counts.iter().zip([500_u32, 500, 200, 60]) {
            assert!(count.abs_diff(expected) <= expected / 20, "{counts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_pictures_are_read_if_b_frames_arrive_later_than_the_frames_that_follow_them() {
        let board = TestBoard::new();
        let mut reader = board.reader(30.0);
        let arrival = |number: u64| match number % 3 {
            0 => number.saturating_sub(2),
            _ => number + 1,
        };
        let began_at = tokio::time::Instant::now();
        for number in 0..100 {
            let received_at = began_at + Duration::from_millis(arrival(number) * 40);
            let picture = picture::testing::picture(Duration::from_millis(number * 40));
            board.0.show(Form::Jpeg(None), &Arc::new(Picture { received_at, ..picture }));
            let read = reader.next().now_or_never().map(|read| read.expect("a picture").position);
            assert_eq!(read, Some(picture.position), "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_epoch_has_another_clock() {
        let board = TestBoard::new();
        let mut reader = board.reader(10.0);
        let show = |epoch, millis| {
            let position = Position { epoch, time: Duration::from_millis(millis) };
            let picture = picture::testing::picture(position.time);
            board.0.show(Form::Jpeg(None), &Arc::new(Picture { position, ..picture }));
        };
        for (epoch, millis, is_due) in [
            (1, 90_000, true),
            (1, 90_040, false),
            (2, 1000, true),
            (2, 1040, false),
            (2, 1100, true),
        ] {
            show(epoch, millis);
            assert_eq!(reader.next().now_or_never().is_some(), is_due, "{epoch} {millis}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gets_the_newest_picture() {
        let board = TestBoard::new();
        let mut slow = board.reader(25.0);
        (0..100).for_each(|number| board.show(Duration::from_millis(number * 40)));
        let picture = slow.next().now_or_never().expect("a picture").expect("a picture");
        assert_eq!(picture.position.time, Duration::from_millis(99 * 40));
        assert!(slow.next().now_or_never().is_none());
        assert_eq!(slow.skipped(), 99);
        board.show(Duration::from_secs(4));
        assert!(slow.next().now_or_never().is_some());
        assert_eq!(slow.skipped(), 99);
    }
}
