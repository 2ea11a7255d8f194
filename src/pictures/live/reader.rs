//! A consumer's position in the pictures of a stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::board::{Entry, Newest};
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
    failure: watch::Receiver<Option<Error>>,
    interval: Duration,
    /// The time from which a picture is due, on the clock of the pictures' arrival; `None` before the first picture.
    due_at: Option<Instant>,
}

impl PictureReader {
    pub(super) fn new(entry: Entry, newest: Newest, interval: Duration) -> Self {
        let failure = entry.board().failure();
        Self { entry, newest, failure, interval, due_at: None }
    }

    /// Waits for the next picture, and returns it. Fails if FFmpeg cannot decode pictures at the moment, or if the
    /// stream has ended. Can be cancelled and called again.
    pub(crate) async fn next(&mut self) -> Result<Arc<Picture>, Error> {
        loop {
            if let Some(error) = self.failure.borrow_and_update().clone() {
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
        self.due_at.is_none_or(|due_at| picture.received_at + self.interval / 2 >= due_at)
    }

    fn note(&mut self, picture: &Picture) {
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
