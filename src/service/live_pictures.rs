//! Use case of a viewer who gets continuous pictures of a camera.
//!
//! Decoding costs by far the most, so small pictures come from the sub stream if the camera has one that is large enough.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, debug, warn};

use super::core::Core;
use super::live::{self, LiveView, Liveness, LivenessChanges, ViewRequest};
use super::watching::Visitor;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{Profile, StreamId};
use crate::pictures::live::reader::PictureReader;
use crate::pictures::live::{PictureSpec, SubStream};
use crate::pictures::picture::Picture;
use crate::stream::handle::StreamHandle;
use crate::stream::output::WantedOutput;
use crate::stream::state::{After, State};

/// The longest time to wait for the first picture of a live stream. It is long enough for three decoders that do not
/// respond, so that the viewer learns why there are no pictures.
const FIRST_WITHIN: Duration = Duration::from_secs(20);
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
    /// The search for pictures of the sub stream, which replace the ones of the main stream as soon as there is one; empty
    /// if the view does not change.
    better: JoinSet<Better>,
}

/// What a viewer learns next.
pub(crate) enum News {
    /// A picture.
    Picture(Arc<Picture>),
    /// The camera is away or is back.
    State(Liveness),
}

/// A source with its first picture; `None` if it cannot be used.
type Better = Option<(Source, Arc<Picture>)>;

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The pictures of one stream.
struct Source {
    liveness: LivenessChanges,
    reader: PictureReader,
    /// Resolves with the reason when the view must end.
    end: Pending<Error>,
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
        let Some(sub) = sub_stream(core, &main, spec).await? else {
            return PictureView::new(core, main.open(core).await?, spec);
        };
        // The first picture of the main stream is available at once if only the main stream is running.
        let prefers_main = is_live(main.id()) && !is_live(sub.id());
        let mut better = JoinSet::new();
        better.spawn(look_for_better(Arc::clone(core), sub, spec).in_current_span());
        if !prefers_main
            && let Ok(Some(found)) = timeout(SUB_FIRST_WITHIN, better.join_next()).await
        {
            return match found_better(found) {
                Some(found) => Ok(PictureView::of_better(found, spec)),
                None => PictureView::new(core, main.open(core).await?, spec),
            };
        }
        let opening = main.open(core);
        tokio::pin!(opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                Some(found) = better.join_next() => {
                    if let Some(found) = found_better(found) {
                        return Ok(PictureView::of_better(found, spec));
                    }
                }
            }
        };
        match opened.and_then(|view| PictureView::new(core, view, spec)) {
            Ok(view) => Ok(PictureView { better, ..view }),
            Err(error) => {
                let found = better.join_next().await.and_then(found_better);
                found.map(|found| PictureView::of_better(found, spec)).ok_or(error)
            }
        }
    }
}

/// Returns the request for the camera's sub stream if that can have the pictures; `None` if there is no such stream.
async fn sub_stream(
    core: &Core,
    main: &ViewRequest,
    spec: PictureSpec,
) -> Result<Option<ViewRequest>, Error> {
    let is_main = main.id().profile() == Profile::Main;
    let Some(width) = spec.width.filter(|_| is_main) else { return Ok(None) };
    let sub = main.of_profile(Profile::Sub);
    let is_useless = |known| match known {
        SubStream::Width(known) => known < width,
        SubStream::Failed => true,
    };
    if core.pictures.known(sub.id()).is_some_and(is_useless) {
        return Ok(None);
    }
    Ok(core.cameras.camera_of(sub.id()).await?.map(|_| sub))
}

/// Opens the sub stream, and waits for its first picture, both for a limited time. Remembers a sub stream that cannot be
/// used.
async fn look_for_better(core: Arc<Core>, sub: ViewRequest, spec: PictureSpec) -> Better {
    let id = sub.id().clone();
    let opened = timeout(FIRST_WITHIN, sub.open(&core)).await.unwrap_or_else(|_| Err(too_late()));
    let (error, has_failed) = match opened {
        Ok(view) if !has_width(&core, view.stream(), spec) => {
            debug!(camera = %id, "the sub stream is too small for the pictures");
            return None;
        }
        Ok(view) => match first_picture(&core, view, spec).await {
            Ok(found) => return Some(found),
            Err(error) => (error, true),
        },
        Err(error) => {
            let stream = core.registry.get(&id);
            (error, stream.is_some_and(|stream| has_failed_to_start(stream.state())))
        }
    };
    debug!(camera = %id, %error, has_failed, "the sub stream cannot be used for pictures");
    if has_failed && is_failure_of_stream(error.kind) {
        core.pictures.learn(&id, SubStream::Failed);
    }
    None
}

/// Waits for the first picture of a stream that is live, for a limited time.
async fn first_picture(
    core: &Arc<Core>,
    view: LiveView,
    spec: PictureSpec,
) -> Result<(Source, Arc<Picture>), Error> {
    let mut source = Source::new(core, view, spec)?;
    let first = timeout(FIRST_WITHIN, source.reader.next()).await;
    let picture = first.unwrap_or_else(|_| Err(too_late()))?;
    Ok((source, picture))
}

/// Returns whether a stream in this state that could not be opened has failed. Otherwise, the stream may only need more
/// time: after a restart of the manager, for example, many streams wait to start.
fn has_failed_to_start(state: State) -> bool {
    matches!(state, State::Failed | State::Backoff | State::Stopping(After::Fail | After::Retry))
}

/// Returns whether an error is a failure of the stream, so that other viewers would get it as well.
fn is_failure_of_stream(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::TooManyViewers
            | ErrorKind::TooManyStreams
            | ErrorKind::TooManyStarts
            | ErrorKind::UnknownCamera
            | ErrorKind::ShuttingDown
            | ErrorKind::StreamEnded
            | ErrorKind::Busy
    )
}

/// Returns the result of the search for a better source.
fn found_better(found: Result<Better, JoinError>) -> Better {
    found.unwrap_or_else(|error| {
        warn!(%error, "the search for pictures of a sub stream failed unexpectedly");
        None
    })
}

/// Returns the error that a stream had no picture in time.
fn too_late() -> Error {
    let seconds = FIRST_WITHIN.as_secs();
    let detail = format!("the camera's stream had no picture within {seconds} s");
    Error::new(ErrorKind::SourceTimeout, detail)
}

/// Returns whether the stream's pictures are as wide as the pictures that the viewer wants. Remembers the width.
fn has_width(core: &Core, stream: &StreamHandle, spec: PictureSpec) -> bool {
    let flow = stream.shared().hub.flow();
    let Some(width) = flow.map(|flow| u32::from(flow.format.picture.width)) else { return false };
    core.pictures.learn(stream.id(), SubStream::Width(width));
    spec.width.is_some_and(|wanted| wanted <= width)
}

impl PictureView {
    fn new(core: &Arc<Core>, view: LiveView, spec: PictureSpec) -> Result<Self, Error> {
        let source = Source::new(core, view, spec)?;
        Ok(Self::of_source(source, None, spec))
    }

    fn of_better((source, first): (Source, Arc<Picture>), spec: PictureSpec) -> Self {
        Self::of_source(source, Some(first), spec)
    }

    fn of_source(source: Source, first: Option<Arc<Picture>>, spec: PictureSpec) -> Self {
        let (rate, better) = (spec.rate, JoinSet::new());
        Self { spec, rate, source, first, last_taken_at: None, changed_at: None, better }
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
            Some(found) = self.better.join_next() => {
                self.change_over(found);
                return Ok(None);
            }
        };
        // There are no pictures of the main stream, but there may be some of the sub stream.
        let found = tokio::select! {
            error = &mut self.source.end => return Err(error),
            found = self.better.join_next() => found,
        };
        if found.is_some_and(|found| self.change_over(found)) { Ok(None) } else { Err(error) }
    }

    /// Returns whether a picture is older than the last one, shortly after the source has changed. The times of two streams
    /// are estimated independently of each other.
    fn is_too_old(&self, picture: &Picture) -> bool {
        let is_recent = self.changed_at.is_some_and(|at| at.elapsed() < SETTLES_WITHIN);
        is_recent && self.last_taken_at.is_some_and(|last| picture.taken_at <= last)
    }

    /// Changes over to a better source. Returns false if it cannot be used.
    fn change_over(&mut self, found: Result<Better, JoinError>) -> bool {
        let Some((mut source, picture)) = found_better(found) else { return false };
        // The rate may have changed since the search began.
        source.reader.set_rate(self.rate);
        source.liveness = source.liveness.continuing(&self.source.liveness);
        self.source = source;
        self.changed_at = Some(Instant::now());
        // A decoder's first picture can be older than the last picture of the other stream.
        self.first = (!self.is_too_old(&picture)).then_some(picture);
        true
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

impl Source {
    fn new(core: &Arc<Core>, view: LiveView, spec: PictureSpec) -> Result<Self, Error> {
        let reader = core.pictures.read(view.stream(), spec)?;
        let (core, liveness) = (Arc::clone(core), view.liveness());
        let end = Box::pin(async move { view.end(&core).await });
        Ok(Self { liveness, reader, end })
    }
}

#[cfg(test)]
mod tests {
    use super::live::testing::TestStream;
    use super::*;
    use crate::pictures::live::reader::testing::TestBoard;
    use crate::pictures::picture::testing;

    const SPEC: PictureSpec = PictureSpec { width: Some(320), rate: 25.0 };

    /// Returns a source with the pictures of this board, which never ends.
    fn source(board: &TestBoard) -> Source {
        let (reader, end) = (board.reader(SPEC.rate), Box::pin(std::future::pending()));
        Source { liveness: live::testing::always_live(), reader, end }
    }

    #[tokio::test]
    async fn a_change_to_the_sub_stream_keeps_the_rate_that_the_viewer_can_take() {
        let (main, sub) = (TestBoard::new(), TestBoard::new());
        let mut view = PictureView::of_source(source(&main), None, SPEC);
        let found = Some((source(&sub), Arc::new(testing::picture(Duration::ZERO))));
        view.better.spawn(async move { found });
        view.set_rate(2.0);
        view.next().await.expect("the picture of the sub stream");
        assert!((view.rate() - 2.0).abs() < 0.01, "{}", view.rate());
        assert!((view.wanted_rate() - 25.0).abs() < 0.01);
    }

    #[tokio::test]
    async fn a_viewer_gets_the_first_pictures_from_the_stream_that_has_them() {
        let (main, sub) = (TestBoard::new(), TestBoard::new());
        let mut view = PictureView::of_source(source(&main), None, SPEC);
        let (find, found) = tokio::sync::oneshot::channel::<Better>();
        view.better.spawn(async move { found.await.expect("a result") });
        main.show(Duration::from_millis(40));
        let picture = view.next().await.expect("a picture of the main stream");
        assert_eq!(picture.position.time, Duration::from_millis(40));
        // The main stream has no more pictures.
        drop(find.send(Some((source(&sub), Arc::new(testing::picture(Duration::from_secs(9)))))));
        let picture = view.next().await.expect("a picture of the sub stream");
        assert_eq!(picture.position.time, Duration::from_secs(9));
        sub.show(Duration::from_secs(10));
        view.next().await.expect("another picture of the sub stream");

        let mut view = PictureView::of_source(source(&main), None, SPEC);
        main.show(Duration::from_secs(1));
        view.next().await.expect("a picture of the main stream");
        let old = Some((source(&sub), Arc::new(testing::picture(Duration::from_millis(900)))));
        view.better.spawn(async move { old });
        let picture = view.next().await.expect("a picture of the sub stream");
        assert_eq!(picture.position.time, Duration::from_secs(10), "no older picture");

        let mut view = PictureView::of_source(source(&main), None, SPEC);
        view.better.spawn(async { panic!("a fault of the search") });
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
        let better = Some((Source { liveness, ..source(&sub) }, picture));
        let (find, found) = tokio::sync::oneshot::channel::<()>();
        view.better.spawn(async move {
            found.await.expect("a result");
            better
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

    #[test]
    fn only_failures_that_all_viewers_would_get_are_remembered() {
        assert!(is_failure_of_stream(ErrorKind::SourceUnreachable));
        assert!(is_failure_of_stream(ErrorKind::Internal));
        assert!(!is_failure_of_stream(ErrorKind::Forbidden));
        assert!(!is_failure_of_stream(ErrorKind::TooManyViewers));
    }

    #[test]
    fn a_stream_that_only_starts_slowly_is_not_remembered_as_failed() {
        for state in [State::Failed, State::Backoff, State::Stopping(After::Fail)] {
            assert!(has_failed_to_start(state), "{state:?}");
        }
        for state in [State::Starting, State::Live, State::Stopping(After::Replace)] {
            assert!(!has_failed_to_start(state), "{state:?}");
        }
    }
}
