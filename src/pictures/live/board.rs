//! The board of one stream: readers note the sizes and rates that they want, and get the newest picture of their size.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::load::{Load, Reduction};
use super::selection::MAX_SIZES;
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::pictures::picture::Picture;

/// The time after which a client should repeat a request for a size that was refused.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The greatest width of pictures, in pixels; `None` for the width of the camera's picture.
pub(super) type Width = Option<u32>;

/// The newest picture of one size; `None` before the first picture.
pub(super) type Newest = watch::Receiver<Option<Arc<Picture>>>;

/// The board of one stream.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    /// Notifies the stream's decoder that the wanted sizes have changed.
    pub(super) changed: Notify,
    /// The last failure; `None` if there was a picture since then.
    failure: watch::Sender<Option<Failure>>,
    /// The reduction of all rates, because the machine is too busy.
    reduction: watch::Sender<Reduction>,
}

#[derive(Debug, Default)]
struct State {
    sizes: Vec<Size>,
    load: Load,
    last_reader: u64,
    /// True if no reader can join any more, because the stream's decoder has ended.
    is_closed: bool,
}

/// The reason why there are no pictures at the moment.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    error: Error,
    /// The time at which the decoder starts again.
    until: Instant,
}

/// The pictures of one size, and the readers that want them.
#[derive(Debug)]
struct Size {
    width: Width,
    newest: watch::Sender<Option<Arc<Picture>>>,
    readers: Vec<Wish>,
}

/// The distance between two pictures that a reader wants.
#[derive(Debug)]
struct Wish {
    reader: u64,
    interval: Duration,
}

/// A reader's entry on the board. Dropping it removes the entry.
#[derive(Debug)]
pub(super) struct Entry {
    board: Arc<Board>,
    width: Width,
    reader: u64,
}

impl Board {
    /// Creates a board without readers.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            failure: watch::Sender::new(None),
            reduction: watch::Sender::new(Reduction::default()),
        }
    }

    /// Adds a reader of pictures with this width and with this distance between two pictures. Returns `None` if the
    /// stream's decoder has ended. Fails if too many other sizes are wanted.
    pub(super) fn join(
        self: &Arc<Self>,
        width: Width,
        interval: Duration,
    ) -> Option<Result<(Entry, Newest), Error>> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return None;
        }
        state.last_reader += 1;
        let reader = state.last_reader;
        let wish = Wish { reader, interval };
        let newest = if let Some(size) = state.sizes.iter_mut().find(|size| size.width == width) {
            size.readers.push(wish);
            size.newest.subscribe()
        } else if state.sizes.len() == MAX_SIZES {
            return Some(Err(too_many_sizes(&state.sizes)));
        } else {
            let (newest, receiver) = watch::channel(None);
            state.sizes.push(Size { width, newest, readers: vec![wish] });
            receiver
        };
        drop(state);
        self.changed.notify_one();
        let entry = Entry { board: Arc::clone(self), width, reader };
        Some(Ok((entry, newest)))
    }

    /// Returns the widths that readers want.
    pub(super) fn widths(&self) -> Vec<Width> {
        lock(&self.state).sizes.iter().map(|size| size.width).collect()
    }

    /// Returns true, and refuses further readers, if there are no readers.
    pub(super) fn close_if_unused(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_closed |= state.sizes.is_empty();
        state.is_closed
    }

    /// Refuses further readers, and ends the pictures of all readers.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        state.sizes.clear();
    }

    /// Returns the shortest distance between two pictures that a reader of one of these widths wants, with the
    /// reduction; `None` without readers.
    pub(super) fn interval(&self, widths: &[Width]) -> Option<Duration> {
        let state = lock(&self.state);
        let sizes = state.sizes.iter().filter(|size| widths.contains(&size.width));
        let shortest = sizes.flat_map(|size| &size.readers).map(|wish| wish.interval).min()?;
        Some(shortest * state.load.reduction().divisor())
    }

    /// Passes a picture to the readers of these widths, unless they have got this picture or a newer one. Ends the
    /// failure.
    pub(super) fn show(&self, widths: &[Width], picture: &Arc<Picture>) {
        let state = lock(&self.state);
        for size in state.sizes.iter().filter(|size| widths.contains(&size.width)) {
            size.newest.send_if_modified(|newest| {
                let is_newer =
                    newest.as_ref().is_none_or(|last| last.received_at < picture.received_at);
                if is_newer {
                    *newest = Some(Arc::clone(picture));
                }
                is_newer
            });
        }
        drop(state);
        self.failure.send_if_modified(|failure| failure.take().is_some());
    }

    /// Reports a failure to all readers, and to readers that join until the decoder starts again.
    pub(super) fn fail(&self, error: Error, until: Instant) {
        self.failure.send_replace(Some(Failure { error, until }));
    }

    /// Returns a receiver of the failure.
    pub(super) fn failure(&self) -> watch::Receiver<Option<Failure>> {
        self.failure.subscribe()
    }

    /// Returns the reduction of all rates.
    pub(super) fn reduction(&self) -> Reduction {
        *self.reduction.borrow()
    }

    /// Notes the age that a picture had when FFmpeg wrote it.
    pub(super) fn note_age(&self, age: Duration) {
        self.note_load(|load| load.note(age, Instant::now()));
    }

    /// Notes that FFmpeg was too slow to take all frames.
    pub(super) fn note_loss(&self) {
        self.note_load(|load| load.note_loss(Instant::now()));
    }

    fn note_load(&self, note: impl FnOnce(&mut Load)) {
        let mut state = lock(&self.state);
        note(&mut state.load);
        let now = state.load.reduction();
        drop(state);
        self.reduction.send_if_modified(|last| std::mem::replace(last, now) != now);
    }
}

impl Failure {
    /// Returns the error, unless the decoder has started again by now.
    pub(super) fn current(&self) -> Option<Error> {
        (Instant::now() < self.until).then(|| self.error.clone())
    }
}

impl Entry {
    /// Returns the board.
    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// Changes the distance between two pictures that the reader wants.
    pub(super) fn set_interval(&self, interval: Duration) {
        let mut state = lock(&self.board.state);
        let mut wishes = state.sizes.iter_mut().flat_map(|size| &mut size.readers);
        if let Some(wish) = wishes.find(|wish| wish.reader == self.reader) {
            wish.interval = interval;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = lock(&self.board.state);
        if let Some(size) = state.sizes.iter_mut().find(|size| size.width == self.width) {
            size.readers.retain(|wish| wish.reader != self.reader);
        }
        state.sizes.retain(|size| !size.readers.is_empty());
        drop(state);
        self.board.changed.notify_one();
    }
}

fn too_many_sizes(sizes: &[Size]) -> Error {
    let width = |size: &Size| size.width.map_or_else(|| "none".to_owned(), |w| w.to_string());
    let widths = sizes.iter().map(width).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "pictures of this stream are requested in {MAX_SIZES} widths already; request one of these values of width: \
         {widths}"
    );
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;

    use super::*;

    const RATE: Duration = Duration::from_millis(100);

    fn join(
        board: &Arc<Board>,
        width: Width,
        interval: Duration,
    ) -> Result<(Entry, Newest), Error> {
        board.join(width, interval).expect("an open board")
    }

    fn picture(received_at: Instant) -> Arc<Picture> {
        let (jpeg, taken_at) = (Bytes::from_static(b"jpeg"), SystemTime::now());
        Arc::new(Picture { jpeg, full_width: 640, received_at, taken_at })
    }

    #[tokio::test]
    async fn readers_of_one_width_share_the_shortest_interval() {
        let board = Arc::new(Board::new());
        let (fast, _newest) = join(&board, Some(320), RATE).expect("an entry");
        let (slow, _other) = join(&board, Some(320), RATE * 10).expect("an entry");
        assert_eq!(board.widths(), [Some(320)]);
        assert_eq!(board.interval(&[Some(320)]), Some(RATE));
        fast.set_interval(RATE * 2);
        assert_eq!(board.interval(&[Some(320)]), Some(RATE * 2));
        board.note_loss();
        assert_eq!(board.interval(&[Some(320)]), Some(RATE * 4), "the machine is too busy");
        drop(fast);
        assert_eq!(board.interval(&[Some(320)]), Some(RATE * 20));
        assert!(!board.close_if_unused());
        drop(slow);
        assert_eq!(board.interval(&[Some(320)]), None);
        assert!(board.close_if_unused());
        assert!(board.join(None, RATE).is_none());
    }

    #[tokio::test]
    async fn the_number_of_widths_is_limited() {
        let board = Arc::new(Board::new());
        let width = |n: usize| u32::try_from(100 + n).ok();
        let entries: Vec<_> = (0..MAX_SIZES).map(|n| join(&board, width(n), RATE)).collect();
        let error = join(&board, None, RATE).expect_err("too many widths");
        assert!(error.detail.contains("width: 100, 101,"), "{error}");
        let (_same, _newest) = join(&board, width(0), RATE).expect("an entry");
        drop(entries);
        join(&board, None, RATE).expect("an entry");
    }

    #[tokio::test]
    async fn an_older_picture_never_replaces_a_newer_one() {
        let board = Arc::new(Board::new());
        let (_entry, newest) = join(&board, None, RATE).expect("an entry");
        let now = Instant::now();
        let error = || Error::new(ErrorKind::Internal, "a failure");
        board.fail(error(), now);
        let current = || board.failure().borrow().as_ref().and_then(Failure::current);
        assert!(current().is_none(), "the decoder has started again");
        board.fail(error(), now + RATE * 1000);
        assert!(current().is_some());
        for (age, expected) in [(2, 2), (3, 2), (1, 1)] {
            let at = |age: u64| now.checked_sub(Duration::from_secs(age)).expect("a time");
            board.show(&[None], &picture(at(age)));
            board.show(&[Some(99)], &picture(now));
            let shown = newest.borrow().as_ref().map(|picture| picture.received_at);
            assert_eq!(shown, Some(at(expected)));
        }
        assert!(board.failure().borrow().is_none(), "a picture ends the failure");
    }
}
