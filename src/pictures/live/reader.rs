//! A consumer's position in the pictures of a stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::board::{Entry, Failure, Newest};
use crate::base::error::{Error, ErrorKind};
use crate::pictures::picture::Picture;

/// The time after which a client should repeat a request whose pictures have ended.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reads the pictures of one stream in one size. Every read returns the newest picture, so a reader that is slow gets
/// fewer pictures. The stream's decoder runs until the last reader is dropped, and for a short time afterwards.
#[derive(Debug)]
pub(crate) struct PictureReader {
    entry: Entry,
    newest: Newest,
    failure: watch::Receiver<Option<Failure>>,
    interval: Duration,
    /// The time at which the last picture arrived; `None` before the first picture.
    last_at: Option<Instant>,
    /// The time from which a picture is due, on the clock of the pictures' arrival; `None` if any picture is due.
    due_at: Option<Instant>,
}

impl PictureReader {
    pub(super) fn new(entry: Entry, newest: Newest, interval: Duration) -> Self {
        let failure = entry.board().failure();
        Self { entry, newest, failure, interval, last_at: None, due_at: None }
    }

    /// Waits for the next picture, and returns it. Fails if FFmpeg cannot decode pictures at the moment, or if the
    /// stream has ended. Can be cancelled and called again.
    pub(crate) async fn next(&mut self) -> Result<Arc<Picture>, Error> {
        loop {
            let failure = self.failure.borrow_and_update().as_ref().and_then(Failure::current);
            if let Some(error) = failure {
                return Err(error);
            }
            let newest = self.newest.borrow_and_update().clone();
            if let Some(picture) = newest.filter(|picture| self.is_due(picture)) {
                self.note(&picture);
                return Ok(picture);
            }
            tokio::select! {
                changed = self.newest.changed() => changed.map_err(|_| ended())?,
                _ = self.failure.changed() => {}
            }
        }
    }

    /// Returns the number of pictures per second that the reader gets at most. It is lower than the wanted rate while
    /// the machine is too busy.
    pub(crate) fn rate(&self) -> f64 {
        let divisor = self.entry.board().reduction().divisor();
        1.0 / (self.interval * divisor).as_secs_f64()
    }

    /// Changes the wanted number of pictures per second.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.interval = interval_of(rate);
        self.entry.set_interval(self.interval);
        self.due_at = None;
    }

    /// Returns whether a picture is due. Half of the interval is tolerated, because the times of arrival
    /// vary.
    fn is_due(&self, picture: &Picture) -> bool {
        let received_at = picture.received_at;
        self.last_at.is_none_or(|last_at| received_at > last_at)
            && self.due_at.is_none_or(|due_at| received_at + self.interval / 2 >= due_at)
    }

    fn note(&mut self, picture: &Picture) {
        self.last_at = Some(picture.received_at);
        let next = self.due_at.map_or(picture.received_at, |due_at| due_at) + self.interval;
        // After a pause, pictures are due at the rate from then on.
        self.due_at = Some(next.max(picture.received_at + self.interval / 2));
    }
}

/// Returns the distance between two pictures, for a number of pictures per second.
pub(super) fn interval_of(rate: f64) -> Duration {
    Duration::from_secs(1).div_f64(rate.clamp(0.1, 100.0))
}

/// Returns the error for a stream that has ended.
pub(super) fn ended() -> Error {
    let detail = "the stream has ended; try again in a second";
    Error::new(ErrorKind::StreamEnded, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::super::board::Board;
    use super::*;

    fn reader(board: &Arc<Board>, rate: f64) -> PictureReader {
        let interval = interval_of(rate);
        let joined = board.join(None, interval).expect("an open board");
        let (entry, newest) = joined.expect("an entry");
        PictureReader::new(entry, newest, interval)
    }

    #[tokio::test(start_paused = true)]
    async fn each_reader_gets_pictures_at_its_own_rate_and_never_an_old_one() {
        let board = Arc::new(Board::new());
        let mut readers = [25.0, 10.0, 3.0].map(|rate| (reader(&board, rate), 0));
        let mut slow = reader(&board, 25.0);
        for number in 0..500_u64 {
            // The times of arrival vary by up to 24 ms, and there is a pause.
            if number == 100 {
                tokio::time::advance(Duration::from_millis(950)).await;
            }
            let received_at = Instant::now() + Duration::from_millis(number * 7 % 25);
            let (jpeg, taken_at) = (Bytes::from(vec![0; 1]), SystemTime::now());
            board.show(&[None], &Arc::new(Picture { jpeg, full_width: 9, received_at, taken_at }));
            for (reader, count) in &mut readers {
                *count += u32::from(reader.next().now_or_never().is_some());
                assert!(reader.next().now_or_never().is_none(), "the picture was read twice");
            }
            tokio::time::advance(Duration::from_millis(40)).await;
        }
        let counts = readers.map(|(_, count)| count);
        for (count, expected) in counts.into_iter().zip([500_u32, 200, 60]) {
            assert!(count.abs_diff(expected) <= expected / 20, "{counts:?}");
        }
        let picture = slow.next().now_or_never().expect("a picture").expect("a picture");
        assert!(picture.age() < Duration::from_millis(50), "{:?}", picture.age());
        assert!(slow.next().now_or_never().is_none());
    }
}
