//! The board of one stream: readers note the forms and rates that they want, and get the newest picture of their form.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::form::Form;
use super::load::{Load, Reduction};
use super::selection::MAX_SIZES;
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::pictures::picture::Picture;

/// The time after which a client should repeat a request for a size that was refused.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The board of one stream.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    /// Notifies the stream's decoder that the wanted forms have changed.
    pub(super) changed: Notify,
}

#[derive(Debug)]
struct State {
    /// The wanted forms. Several of them can be the same form of [`made`](Form::made) pictures.
    wanted: Vec<Wanted>,
    /// Width of the camera's picture in pixels; the largest number while it is not known.
    full_width: u32,
    /// The time between two keyframes, if it is known.
    keyframe_distance: Option<Duration>,
    load: Load,
    /// The last failures by the form of the made pictures, until the decoder tries again.
    failures: Vec<(Form, Failure)>,
    last_reader: u64,
    /// True if no reader can join any more, because the stream's decoder has ended.
    is_closed: bool,
}

/// What the readers of one form see.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// The newest picture; `None` before the first picture.
    pub(super) picture: Option<Arc<Picture>>,
    /// The number of pictures so far.
    pub(super) number: u64,
    /// The last failure; `None` if there was a picture since then.
    pub(super) failure: Option<Failure>,
}

/// The reason why there are no pictures of one form at the moment.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    error: Error,
    /// The time at which the decoder tries again.
    until: Instant,
}

/// The pictures of one wanted form, and the readers that want them.
#[derive(Debug)]
struct Wanted {
    form: Form,
    shown: watch::Sender<Shown>,
    readers: Vec<Wish>,
}

/// The distance between two pictures that a reader wants.
#[derive(Debug)]
struct Wish {
    reader: u64,
    /// The distance that was requested.
    requested: Duration,
    /// The distance that the reader's client can take.
    adapted: Duration,
}

/// A reader's entry on the board. Dropping it removes the entry.
#[derive(Debug)]
pub(super) struct Entry {
    board: Arc<Board>,
    form: Form,
    reader: u64,
}

impl Board {
    /// Creates a board without readers.
    pub(super) fn new() -> Self {
        let state = State {
            wanted: Vec::new(),
            full_width: u32::MAX,
            keyframe_distance: None,
            load: Load::default(),
            failures: Vec::new(),
            last_reader: 0,
            is_closed: false,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Adds a reader of pictures with this form and with this distance between two pictures. Returns `None` if the
    /// stream's decoder has ended. Fails if JPEGs of too many other sizes are wanted.
    pub(super) fn join(
        self: &Arc<Self>,
        form: Form,
        interval: Duration,
    ) -> Option<Result<(Entry, watch::Receiver<Shown>), Error>> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return None;
        }
        state.last_reader += 1;
        let reader = state.last_reader;
        let wish = Wish { reader, requested: interval, adapted: interval };
        let shown = if let Some(wanted) = state.wanted.iter_mut().find(|wanted| wanted.form == form)
        {
            wanted.readers.push(wish);
            wanted.shown.subscribe()
        } else {
            let first = match state.first_shown(form) {
                Ok(first) => first,
                Err(error) => return Some(Err(error)),
            };
            let (shown, receiver) = watch::channel(first);
            state.wanted.push(Wanted { form, shown, readers: vec![wish] });
            receiver
        };
        drop(state);
        self.changed.notify_one();
        let entry = Entry { board: Arc::clone(self), form, reader };
        Some(Ok((entry, shown)))
    }

    /// Notes the width of the camera's picture, in pixels.
    pub(super) fn note_full_width(&self, full_width: u32) {
        lock(&self.state).full_width = full_width;
    }

    /// Notes the time between two keyframes; `None` if it is not known.
    pub(super) fn note_keyframe_distance(&self, distance: Option<Duration>) {
        lock(&self.state).keyframe_distance = distance;
    }

    /// Returns the forms of the pictures to make for all readers, at most [`MAX_SIZES`] of them JPEGs. If the camera's
    /// picture has become larger, JPEGs of more sizes can be wanted. The readers of the other sizes get an error.
    pub(super) fn forms(&self) -> Vec<Form> {
        let mut jpegs = 0;
        let is_made = |form: &Form| {
            jpegs += usize::from(form.is_jpeg());
            !form.is_jpeg() || jpegs <= MAX_SIZES
        };
        let all = lock(&self.state).made_forms();
        let (forms, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(is_made);
        let until = Instant::now() + RETRY_AFTER;
        for form in refused {
            self.fail(form, &too_many_sizes(&forms), until);
        }
        forms
    }

    /// Returns whether a reader wants JPEGs.
    pub(super) fn has_jpegs(&self) -> bool {
        lock(&self.state).wanted.iter().any(|wanted| wanted.form.is_jpeg())
    }

    /// Returns true, and refuses further readers, if there are no readers.
    pub(super) fn close_if_unused(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_closed |= state.wanted.is_empty();
        state.is_closed
    }

    /// Refuses further readers, and ends the pictures of all readers.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        state.wanted.clear();
    }

    /// Returns the shortest distance between two pictures that a reader of pictures with this made form wants, with the
    /// reduction; `None` without readers. `full` is the width of the camera's picture.
    pub(super) fn interval(&self, form: Form, full: u32) -> Option<Duration> {
        lock(&self.state).interval(form, full)
    }

    /// Passes a picture to the readers of this made form, unless they have got this picture or a newer one. Ends their
    /// failure.
    pub(super) fn show(&self, form: Form, picture: &Arc<Picture>) {
        let mut state = lock(&self.state);
        state.failures.retain(|(failed, _)| *failed != form);
        for wanted in &state.wanted {
            if wanted.form.made(picture.full_size.0) != form {
                continue;
            }
            wanted.shown.send_if_modified(|shown| {
                let last = shown.picture.as_ref();
                let is_newer = last.is_none_or(|last| last.position < picture.position);
                if is_newer {
                    shown.picture = Some(Arc::clone(picture));
                    shown.number += 1;
                }
                shown.failure.take().is_some() || is_newer
            });
        }
    }

    /// Reports a failure to the readers of this made form, and to readers that join until the decoder tries again.
    pub(super) fn fail(&self, form: Form, error: &Error, until: Instant) {
        let failure = Failure { error: error.clone(), until };
        let mut state = lock(&self.state);
        let now = Instant::now();
        state.failures.retain(|(failed, failure)| *failed != form && failure.until > now);
        state.failures.push((form, failure.clone()));
        let full = state.full_width;
        for wanted in state.wanted.iter().filter(|wanted| wanted.form.made(full) == form) {
            wanted.shown.send_modify(|shown| shown.failure = Some(failure.clone()));
        }
    }

    /// Returns the reduction of all rates, because the machine is too busy.
    pub(super) fn reduction(&self) -> Reduction {
        lock(&self.state).load.reduction()
    }

    /// Notes how long FFmpeg took to write a picture.
    pub(super) fn note_delay(&self, delay: Duration) {
        lock(&self.state).load.note(delay, Instant::now());
    }

    /// Notes that FFmpeg was too slow to take all frames.
    pub(super) fn note_loss(&self) {
        lock(&self.state).load.note_loss(Instant::now());
    }
}

impl State {
    /// Returns the different forms of the pictures to make.
    fn made_forms(&self) -> Vec<Form> {
        let mut forms = Vec::new();
        for wanted in &self.wanted {
            let form = wanted.form.made(self.full_width);
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        forms
    }

    /// Returns what the first reader of a wanted form sees. Fails if it is a JPEG of one size too many.
    fn first_shown(&self, form: Form) -> Result<Shown, Error> {
        let full = self.full_width;
        let form = form.made(full);
        if let Some(same) = self.wanted.iter().find(|wanted| wanted.form.made(full) == form) {
            return Ok(same.shown.borrow().clone());
        }
        let forms = self.made_forms();
        if form.is_jpeg() && forms.iter().filter(|form| form.is_jpeg()).count() >= MAX_SIZES {
            return Err(too_many_sizes(&forms));
        }
        let failure = self.failures.iter().find(|(failed, _)| *failed == form);
        Ok(Shown { failure: failure.map(|(_, failure)| failure.clone()), ..Shown::default() })
    }

    fn interval(&self, form: Form, full: u32) -> Option<Duration> {
        let divisor = self.load.reduction().divisor();
        let wanted = self.wanted.iter().filter(|wanted| wanted.form.made(full) == form);
        let wishes = wanted.flat_map(|wanted| &wanted.readers);
        wishes.map(|wish| wish.adapted.max(wish.requested * divisor)).min()
    }
}

impl Failure {
    /// Returns the error, unless the decoder has tried again by now.
    pub(super) fn current(&self) -> Option<Error> {
        (Instant::now() < self.until).then(|| self.error.clone())
    }
}

impl Entry {
    /// Returns the distance between two pictures that the reader gets at the moment. It is longer than the wanted distance
    /// while the machine is too busy.
    pub(super) fn interval(&self) -> Duration {
        let state = lock(&self.board.state);
        let wishes = state.wanted.iter().flat_map(|wanted| &wanted.readers);
        let wish = wishes.into_iter().find(|wish| wish.reader == self.reader);
        let full = state.full_width;
        let of_form = state.interval(self.form.made(full), full);
        let of_keyframes = state.keyframe_distance.filter(|_| state.load.is_keyframes_only());
        let all = [wish.map(|wish| wish.adapted), of_form, of_keyframes];
        all.into_iter().flatten().max().unwrap_or_default()
    }

    /// Changes the distance between two pictures that the reader can take.
    pub(super) fn set_interval(&self, interval: Duration) {
        let mut state = lock(&self.board.state);
        let mut wishes = state.wanted.iter_mut().flat_map(|wanted| &mut wanted.readers);
        if let Some(wish) = wishes.find(|wish| wish.reader == self.reader) {
            wish.adapted = interval;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = lock(&self.board.state);
        if let Some(wanted) = state.wanted.iter_mut().find(|wanted| wanted.form == self.form) {
            wanted.readers.retain(|wish| wish.reader != self.reader);
        }
        state.wanted.retain(|wanted| !wanted.readers.is_empty());
        drop(state);
        self.board.changed.notify_one();
    }
}

fn too_many_sizes(forms: &[Form]) -> Error {
    let text = |form: &Form| match form {
        Form::Jpeg(width) => Some(width.map_or_else(|| "none".to_owned(), |w| w.to_string())),
        Form::Grey => None,
    };
    let widths = forms.iter().filter_map(text).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "pictures of this stream are requested in {MAX_SIZES} widths already; request one of these values of width: \
         {widths}"
    );
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::picture::{Position, testing};

    const RATE: Duration = Duration::from_millis(100);
    const FULL: u32 = 640;
    const FULL_SIZE: Form = Form::Jpeg(None);

    fn board() -> Arc<Board> {
        let board = Board::new();
        board.note_full_width(FULL);
        Arc::new(board)
    }

    fn join(
        board: &Arc<Board>,
        form: Form,
        interval: Duration,
    ) -> Result<(Entry, watch::Receiver<Shown>), Error> {
        board.join(form, interval).expect("an open board")
    }

    #[tokio::test]
    async fn readers_of_one_size_share_the_shortest_interval() {
        let board = board();
        let (fast, _shown) = join(&board, Form::Jpeg(Some(320)), RATE).expect("an entry");
        let (slow, _other) = join(&board, Form::Jpeg(Some(321)), RATE * 10).expect("an entry");
        let interval = || board.interval(Form::Jpeg(Some(320)), FULL);
        assert_eq!(board.forms(), [Form::Jpeg(Some(320))]);
        assert_eq!(interval(), Some(RATE));
        fast.set_interval(RATE * 2);
        assert_eq!(interval(), Some(RATE * 2));
        drop(fast);
        assert_eq!(interval(), Some(RATE * 10));
        assert!(!board.close_if_unused());
        drop(slow);
        assert_eq!(interval(), None);
        assert!(board.close_if_unused());
        assert!(board.join(FULL_SIZE, RATE).is_none());
    }

    #[tokio::test]
    async fn the_reported_interval_is_the_one_that_a_reader_gets() {
        let board = board();
        let (fast, _shown) = join(&board, FULL_SIZE, RATE).expect("an entry");
        let (slow, _other) = join(&board, FULL_SIZE, RATE * 10).expect("an entry");
        board.note_loss();
        board.note_loss();
        assert_eq!(board.interval(FULL_SIZE, FULL), Some(RATE * 4), "the machine is too busy");
        assert_eq!((fast.interval(), slow.interval()), (RATE * 4, RATE * 10));
        // The client can take fewer pictures than it gets: that is no reason for even fewer.
        fast.set_interval(RATE * 5);
        assert_eq!(board.interval(FULL_SIZE, FULL), Some(RATE * 5));
        assert_eq!((fast.interval(), slow.interval()), (RATE * 5, RATE * 10));
        board.note_loss();
        board.note_loss();
        board.note_keyframe_distance(Some(RATE * 20));
        assert_eq!((fast.interval(), slow.interval()), (RATE * 20, RATE * 20), "only keyframes");
    }

    #[tokio::test]
    async fn the_number_of_sizes_is_limited() {
        let board = board();
        let form = |n: usize| Form::Jpeg(u32::try_from(100 + 2 * n).ok());
        let entries: Vec<_> = (0..MAX_SIZES).map(|n| join(&board, form(n), RATE)).collect();
        let error = join(&board, FULL_SIZE, RATE).expect_err("too many sizes");
        assert!(error.detail.contains("width: 100, 102,"), "{error}");
        let (grey, _grey) = join(&board, Form::Grey, RATE).expect("a grey picture is no JPEG");
        assert_eq!(board.forms().len(), MAX_SIZES + 1);
        drop(grey);
        let same: Vec<_> = (0..MAX_SIZES).map(|n| join(&board, form(n), RATE)).collect();
        let (_same, _shown) =
            join(&board, Form::Jpeg(Some(101)), RATE).expect("it is the size of 100");
        drop((entries, same));

        let wide = [640, 660, 680, 700, 720, 740, 760]
            .map(|width| join(&board, Form::Jpeg(Some(width)), RATE));
        let mut shown = wide.map(|joined| joined.expect("one size"));
        assert_eq!(board.forms(), [Form::Jpeg(Some(100)), FULL_SIZE]);
        board.note_full_width(1280);
        assert_eq!(board.forms().len(), MAX_SIZES);
        let refused = |shown: &Shown| shown.failure.as_ref().and_then(Failure::current).is_some();
        let count = shown.iter_mut().filter(|(_, shown)| refused(&shown.borrow())).count();
        assert_eq!(count, 2, "the camera's picture is larger, and there are eight sizes now");
    }

    #[tokio::test]
    async fn a_failure_concerns_one_size_until_there_is_a_picture() {
        let board = board();
        let (_entry, shown) = join(&board, Form::Jpeg(Some(100)), RATE).expect("an entry");
        let (_other, other) = join(&board, Form::Jpeg(Some(200)), RATE).expect("an entry");
        let now = Instant::now();
        let error = Error::new(ErrorKind::Internal, "a failure");
        let failure = |shown: &watch::Receiver<Shown>| {
            shown.borrow().failure.as_ref().and_then(Failure::current)
        };
        board.fail(Form::Jpeg(Some(100)), &error, now);
        assert!(failure(&shown).is_none(), "the decoder has tried again");
        board.fail(Form::Jpeg(Some(100)), &error, now + RATE * 1000);
        board.fail(Form::Jpeg(Some(300)), &error, now + RATE * 1000);
        assert!(failure(&shown).is_some() && failure(&other).is_none());
        let (_late, late) = join(&board, Form::Jpeg(Some(300)), RATE).expect("an entry");
        assert!(failure(&late).is_some(), "a reader who joins gets the error as well");
        board.show(Form::Jpeg(Some(100)), &Arc::new(testing::picture(RATE)));
        assert!(failure(&shown).is_none() && failure(&late).is_some());
    }

    #[tokio::test]
    async fn an_older_picture_never_replaces_a_newer_one() {
        let board = board();
        let (_entry, shown) = join(&board, Form::Jpeg(Some(700)), RATE).expect("an entry");
        // The second picture was decoded before the first one, but is shown after it.
        for (epoch, time, expected) in
            [(1, 2, (1, 2)), (1, 3, (1, 3)), (1, 1, (1, 3)), (2, 1, (2, 1))]
        {
            let position = |(epoch, time)| Position { epoch, time: RATE * time };
            let picture = Picture { position: position((epoch, time)), ..testing::picture(RATE) };
            let received_at = picture.received_at - RATE * time;
            board.show(FULL_SIZE, &Arc::new(Picture { received_at, ..picture }));
            board.show(Form::Jpeg(Some(99)), &Arc::new(testing::picture(RATE * 100)));
            let last = shown.borrow().picture.as_ref().map(|picture| picture.position);
            assert_eq!(last, Some(position(expected)));
        }
    }
}
