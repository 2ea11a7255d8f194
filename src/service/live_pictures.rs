//! Use case of a viewer who gets continuous pictures of a camera.
//!
//! Decoding costs by far the most, so small pictures come from the sub stream if the camera has one that is large enough.
//! `search` looks for pictures of the sub stream, and `source` has the pictures of one stream.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};

use self::search::Search;
use self::source::{FIRST_WITHIN, Found, Source, too_late};
use super::core::Core;
use super::live::{self, LiveView, Liveness, ViewRequest};
use super::watching::Visitor;
use crate::base::error::Error;
use crate::camera::id::StreamId;
use crate::pictures::live::PictureSpec;
use crate::pictures::picture::Picture;
use crate::stream::output::WantedOutput;

mod search;
mod source;

pub(super) use search::{has_failed_to_start, is_failure_of_stream};

/// If the sub stream has no picture within this time, the main stream is opened as well.
const SUB_FIRST_WITHIN: Duration = Duration::from_secs(1);
/// The time after a change of the stream in which older pictures are left out.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// A request for a view of pictures that is permitted.
pub(crate) struct PictureRequest {
    main: ViewRequest,
    spec: PictureSpec,
}

/// A viewer's view of the pictures of a camera. While it exists, the stream keeps running.
pub(crate) struct PictureView {
    spec: PictureSpec,
    /// The number of pictures per second that the viewer can take.
    rate: f64,
    source: Source,
    /// The first picture of the source, if it was already read.
    first: Option<Arc<Picture>>,
    /// The time at which the camera took the last picture; `None` before the first picture.
    last_taken_at: Option<SystemTime>,
    /// The time at which the source has changed; `None` if it has not.
    changed_at: Option<Instant>,
    /// The search for a source that costs less.
    search: Search,
}

/// What a viewer learns next.
pub(crate) enum News {
    /// A picture.
    Picture(Arc<Picture>),
    /// The camera is away or is back.
    State(Liveness),
}

/// Returns a request for a view of the pictures of a stream. Fails if the visitor is not permitted to watch, or if the
/// camera is unknown.
pub(crate) async fn request(
    core: &Core,
    id: &StreamId,
    visitor: Visitor<'_>,
    spec: PictureSpec,
) -> Result<PictureRequest, Error> {
    Ok(PictureRequest { main: live::request(core, id, visitor).await?, spec })
}

impl PictureRequest {
    /// Creates a request for the pictures of a stream that is permitted.
    pub(crate) fn new(main: ViewRequest, spec: PictureSpec) -> Self {
        Self { main, spec }
    }

    /// Returns a view of the pictures. Starts the stream if it is not running. Small pictures of the main stream come from
    /// the sub stream if possible; the viewer gets the pictures of the main stream until the sub stream has one. Fails if the
    /// stream cannot start, or if it has reached its viewer limit.
    pub(crate) async fn open(self, core: &Arc<Core>) -> Result<PictureView, Error> {
        let Self { main, spec } = self;
        let is_live = |id| core.registry.get(id).is_some_and(|it| it.is_live(WantedOutput::None));
        let mut search = Search::of(core, &main, spec).await?;
        // The first picture of the main stream is available at once if only the main stream is running.
        let prefers_main = is_live(main.id()) && !search.sub().is_some_and(is_live);
        if !prefers_main
            && search.is_running()
            && let Ok(Some(found)) = timeout(SUB_FIRST_WITHIN, search.next()).await
        {
            return Ok(PictureView::of_better(found, spec));
        }
        let opening = main.open(core);
        tokio::pin!(opening);
        let opened = tokio::select! {
            opened = &mut opening => opened,
            Some(found) = search.next() => return Ok(PictureView::of_better(found, spec)),
        };
        match opened.and_then(|view| PictureView::new(core, view, spec)) {
            Ok(view) => Ok(PictureView { search, ..view }),
            Err(error) => {
                let found = if search.is_running() { search.next().await } else { None };
                found.map(|found| PictureView::of_better(found, spec)).ok_or(error)
            }
        }
    }
}

impl PictureView {
    fn new(core: &Arc<Core>, view: LiveView, spec: PictureSpec) -> Result<Self, Error> {
        let source = Source::new(core, view, spec)?;
        Ok(Self::of_source(source, None, spec))
    }

    fn of_better((source, first): Found, spec: PictureSpec) -> Self {
        Self::of_source(source, Some(first), spec)
    }

    fn of_source(source: Source, first: Option<Arc<Picture>>, spec: PictureSpec) -> Self {
        let (rate, search) = (spec.rate, Search::default());
        Self { spec, rate, source, first, last_taken_at: None, changed_at: None, search }
    }

    /// Waits for the first picture, for a limited time.
    pub(crate) async fn first(&mut self) -> Result<Arc<Picture>, Error> {
        timeout(FIRST_WITHIN, self.next()).await.unwrap_or_else(|_| Err(too_late()))
    }

    /// Waits for the next picture, and returns it: the newest one, so that a viewer who is slow gets fewer pictures.
    /// Fails when the view must end: the permission or the stream has ended, or there are no pictures. Can be cancelled
    /// and called again.
    pub(crate) async fn next(&mut self) -> Result<Arc<Picture>, Error> {
        loop {
            if let Some(picture) = self.step().await? {
                return Ok(picture);
            }
        }
    }

    /// Waits for the next picture, and returns it; `None` if the picture is left out, or if the source may have changed. A
    /// step that is cancelled has not changed the source.
    async fn step(&mut self) -> Result<Option<Arc<Picture>>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let error = tokio::select! {
            error = &mut self.source.end => return Err(error),
            picture = self.source.reader.next() => match picture {
                Ok(picture) if self.is_too_old(&picture) => return Ok(None),
                Ok(picture) => {
                    self.last_taken_at = Some(picture.taken_at);
                    return Ok(Some(picture));
                }
                Err(error) => error,
            },
            found = self.search.next() => {
                if let Some(found) = found {
                    self.change_over(found);
                }
                return Ok(None);
            }
        };
        // There are no pictures of the main stream, but there may be some of the sub stream.
        if !self.search.is_running() {
            return Err(error);
        }
        let found = tokio::select! {
            error = &mut self.source.end => return Err(error),
            found = self.search.next() => found,
        };
        self.change_over(found.ok_or(error)?);
        Ok(None)
    }

    /// Returns whether a picture is older than the last one, shortly after the source has changed. The times of two streams
    /// are estimated independently of each other.
    fn is_too_old(&self, picture: &Picture) -> bool {
        let is_recent = self.changed_at.is_some_and(|at| at.elapsed() < SETTLES_WITHIN);
        is_recent && self.last_taken_at.is_some_and(|last| picture.taken_at <= last)
    }

    /// Changes over to a better source.
    fn change_over(&mut self, (mut source, picture): Found) {
        // The rate may have changed since the search began.
        source.reader.set_rate(self.rate);
        source.liveness = source.liveness.continuing(&self.source.liveness);
        (self.source, self.search) = (source, Search::default());
        self.changed_at = Some(Instant::now());
        // A decoder's first picture can be older than the last picture of the other stream.
        self.first = (!self.is_too_old(&picture)).then_some(picture);
    }

    /// Waits until the view must end, and returns the reason.
    pub(crate) async fn end(&mut self) -> Error {
        (&mut self.source.end).await
    }

    /// Waits for the next picture as [`PictureView::next`] does, or until the camera is away or is back.
    pub(crate) async fn news(&mut self) -> Result<News, Error> {
        loop {
            let mut liveness = self.source.liveness.clone();
            tokio::select! {
                picture = self.step() => {
                    if let Some(picture) = picture? {
                        return Ok(News::Picture(picture));
                    }
                }
                now = liveness.next() => {
                    self.source.liveness = liveness;
                    return Ok(News::State(now));
                }
            }
        }
    }

    /// Returns the number of pictures per second that the viewer gets at most. It is lower than the wanted rate while
    /// the machine is too busy.
    pub(crate) fn rate(&self) -> f64 {
        self.source.reader.rate()
    }

    /// Returns the wanted number of pictures per second.
    pub(crate) fn wanted_rate(&self) -> f64 {
        self.spec.rate
    }

    /// Changes the number of pictures per second that the viewer can take.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.source.reader.set_rate(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::live::testing::TestStream;
    use super::search::Attempt;
    use super::*;
    use crate::pictures::live::form::Form;
    use crate::pictures::live::reader::testing::TestBoard;
    use crate::pictures::picture::testing;

    const SPEC: PictureSpec = PictureSpec { form: Form::Jpeg(Some(320)), rate: 25.0 };

    /// Returns a source with the pictures of this board, which never ends.
    fn source(board: &TestBoard) -> Source {
        let (reader, end) = (board.reader(SPEC.rate), Box::pin(std::future::pending()));
        Source { liveness: live::testing::always_live(), reader, end }
    }

    #[tokio::test]
    async fn a_change_to_the_sub_stream_keeps_the_rate_that_the_viewer_can_take() {
        let (main, sub) = (TestBoard::new(), TestBoard::new());
        let mut view = PictureView::of_source(source(&main), None, SPEC);
        let found = Attempt::Found((source(&sub), Arc::new(testing::picture(Duration::ZERO))));
        view.search.attempt.spawn(async move { found });
        view.set_rate(2.0);
        view.next().await.expect("the picture of the sub stream");
        assert!((view.rate() - 2.0).abs() < 0.01, "{}", view.rate());
        assert!((view.wanted_rate() - 25.0).abs() < 0.01);
    }

    #[tokio::test]
    async fn a_viewer_gets_the_first_pictures_from_the_stream_that_has_them() {
        let (main, sub) = (TestBoard::new(), TestBoard::new());
        let mut view = PictureView::of_source(source(&main), None, SPEC);
        let (find, found) = tokio::sync::oneshot::channel::<Found>();
        view.search.attempt.spawn(async move { Attempt::Found(found.await.expect("a result")) });
        main.show(Duration::from_millis(40));
        let picture = view.next().await.expect("a picture of the main stream");
        assert_eq!(picture.position.time, Duration::from_millis(40));
        // The main stream has no more pictures.
        drop(find.send((source(&sub), Arc::new(testing::picture(Duration::from_secs(9))))));
        let picture = view.next().await.expect("a picture of the sub stream");
        assert_eq!(picture.position.time, Duration::from_secs(9));
        sub.show(Duration::from_secs(10));
        view.next().await.expect("another picture of the sub stream");

        let mut view = PictureView::of_source(source(&main), None, SPEC);
        main.show(Duration::from_secs(1));
        view.next().await.expect("a picture of the main stream");
        let old = (source(&sub), Arc::new(testing::picture(Duration::from_millis(900))));
        view.search.attempt.spawn(async move { Attempt::Found(old) });
        let picture = view.next().await.expect("a picture of the sub stream");
        assert_eq!(picture.position.time, Duration::from_secs(10), "no older picture");

        let mut view = PictureView::of_source(source(&main), None, SPEC);
        view.search.attempt.spawn(async { panic!("a fault of the search") });
        main.show(Duration::from_secs(1));
        view.next().await.expect("the main stream is not affected");
        main.show(Duration::from_secs(2));
        view.next().await.expect("the main stream is not affected");
    }

    /// Returns a view of the main stream that has shown a picture of 1 s, both streams, and what finds a picture of the sub
    /// stream that is older, so that it is left out.
    async fn before_change() -> (PictureView, [TestStream; 2], impl FnOnce()) {
        let (main, sub) = (TestBoard::new(), TestBoard::new());
        let (main_stream, liveness) = live::testing::stream();
        let main_source = Source { liveness, ..source(&main) };
        let mut view = PictureView::of_source(main_source, None, SPEC);
        main.show(Duration::from_secs(1));
        view.news().await.expect("a picture of the main stream");
        let (sub_stream, liveness) = live::testing::stream();
        let picture = Arc::new(testing::picture(Duration::from_millis(900)));
        let better = (Source { liveness, ..source(&sub) }, picture);
        let (find, found) = tokio::sync::oneshot::channel::<()>();
        view.search.attempt.spawn(async move {
            found.await.expect("a result");
            Attempt::Found(better)
        });
        let find = || find.send(()).expect("a search");
        (view, [main_stream, sub_stream], find)
    }

    /// Returns the next state that the viewer learns.
    async fn state(view: &mut PictureView) -> Liveness {
        let news = timeout(Duration::from_secs(5), view.news()).await.expect("news");
        let News::State(state) = news.expect("a view") else { panic!("a picture") };
        state
    }

    fn away(detail: &str) -> Liveness {
        Liveness::Reconnecting(detail.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_of_a_stream_that_is_away_learns_that_the_other_stream_is_live() {
        let (mut view, [main, sub], find) = before_change().await;
        main.set(Some("main"));
        assert_eq!(state(&mut view).await, away("main"));
        find();
        assert_eq!(state(&mut view).await, Liveness::Live);
        sub.set(Some("sub"));
        assert_eq!(state(&mut view).await, away("sub"));
        sub.set(None);
        assert_eq!(state(&mut view).await, Liveness::Live);
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_learns_only_the_state_of_the_stream_that_has_the_pictures() {
        let (mut view, [main, sub], find) = before_change().await;
        let (learned, ()) = tokio::join!(state(&mut view), async {
            find();
            // The view changes over, and waits for the next picture.
            tokio::time::sleep(Duration::from_secs(1)).await;
            main.set(Some("main"));
            tokio::time::sleep(Duration::from_secs(1)).await;
            sub.set(Some("sub"));
        });
        assert_eq!(learned, away("sub"));
        sub.set(None);
        assert_eq!(state(&mut view).await, Liveness::Live);
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_gets_the_pictures_of_a_sub_stream_that_is_found_late() {
        let (main, sub) = (TestBoard::new(), TestBoard::new());
        let mut view = PictureView::of_source(source(&main), None, SPEC);
        view.search.attempt.spawn(async { Attempt::Later(Duration::from_mins(3)) });
        main.show(Duration::from_secs(1));
        view.next().await.expect("a picture of the main stream");
        let waiting = timeout(Duration::from_mins(2), view.next()).await;
        assert!(waiting.is_err(), "there is no picture");
        assert!(view.search.next_at.is_some() && !view.search.is_running());
        let found = (source(&sub), Arc::new(testing::picture(Duration::from_secs(9))));
        view.search.attempt.spawn(async move { Attempt::Found(found) });
        let picture = view.next().await.expect("a picture of the sub stream");
        assert_eq!(picture.position.time, Duration::from_secs(9));
        assert!(view.search.next_at.is_none(), "the search has ended");
    }
}
