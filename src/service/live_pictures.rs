//! Use case of a viewer who gets continuous pictures of a camera.
//!
//! Decoding costs by far the most, so small pictures come from the sub stream if the camera has one that is large enough.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use super::core::Core;
use super::live::{self, LiveView, Liveness, LivenessChanges, ViewRequest};
use super::watching::Visitor;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{Profile, StreamId};
use crate::pictures::live::PictureSpec;
use crate::pictures::live::reader::PictureReader;
use crate::pictures::picture::Picture;
use crate::stream::handle::StreamHandle;
use crate::stream::output::WantedOutput;

/// The longest time to wait for the first picture of a live stream. It is long enough for three decoders that do not
/// respond, so that the viewer learns why there are no pictures.
const FIRST_WITHIN: Duration = Duration::from_secs(20);

/// A request for a view of pictures that is permitted.
pub(crate) struct PictureRequest {
    main: ViewRequest,
    spec: PictureSpec,
}

/// A viewer's view of the pictures of a camera. While it exists, the stream keeps running.
pub(crate) struct PictureView {
    core: Arc<Core>,
    spec: PictureSpec,
    source: Source,
    /// The pictures of the sub stream, which replace the ones of the main stream as soon as there is one; `None` if the
    /// view does not change.
    better: Option<Pending<Better>>,
}

/// What a viewer learns next.
pub(crate) enum News {
    /// A picture.
    Picture(Arc<Picture>),
    /// The camera is away or is back.
    State(Liveness),
}

/// The source that replaces another one, and its first picture; `None` if it cannot be used.
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
    /// the sub stream if possible. Fails if the stream cannot start, or if it has reached its viewer limit.
    pub(crate) async fn open(self, core: &Arc<Core>) -> Result<PictureView, Error> {
        let Self { main, spec } = self;
        let is_live = |id| core.registry.get(id).is_some_and(|it| it.is_live(WantedOutput::None));
        let Some(sub) = sub_stream(core, &main, spec).await? else {
            return PictureView::new(core, main.open(core).await?, spec);
        };
        // The first picture of the main stream is available at once if only the main stream is running.
        if is_live(main.id()) && !is_live(sub.id()) {
            let mut view = PictureView::new(core, main.open(core).await?, spec)?;
            view.look_for_better(sub);
            return Ok(view);
        }
        match sub.open(core).await {
            Ok(view) if has_width(core, view.stream(), spec) => {
                return PictureView::new(core, view, spec);
            }
            Ok(_) => debug!(camera = %main.id(), "the sub stream is too small"),
            Err(error) => debug!(camera = %main.id(), %error, "the sub stream cannot be used"),
        }
        PictureView::new(core, main.open(core).await?, spec)
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
    if core.pictures.known_width(sub.id()).is_some_and(|known| known < width) {
        return Ok(None);
    }
    Ok(core.cameras.camera_of(sub.id()).await?.map(|_| sub))
}

/// Returns whether the stream's pictures are as wide as the pictures that the viewer wants. Remembers the width.
fn has_width(core: &Core, stream: &StreamHandle, spec: PictureSpec) -> bool {
    let flow = stream.shared().hub.flow();
    let Some(width) = flow.map(|flow| u32::from(flow.format.picture.width)) else { return false };
    core.pictures.note_width(stream.id(), width);
    spec.width.is_some_and(|wanted| wanted <= width)
}

impl PictureView {
    fn new(core: &Arc<Core>, view: LiveView, spec: PictureSpec) -> Result<Self, Error> {
        let source = Source::new(core, view, spec)?;
        Ok(Self { core: Arc::clone(core), spec, source, better: None })
    }

    /// Waits for the first picture, for a limited time.
    pub(crate) async fn first(&mut self) -> Result<Arc<Picture>, Error> {
        let seconds = FIRST_WITHIN.as_secs();
        let detail = format!("the camera's stream had no picture within {seconds} s");
        let too_late = |_| Err(Error::new(ErrorKind::SourceTimeout, detail));
        timeout(FIRST_WITHIN, self.next()).await.unwrap_or_else(too_late)
    }

    /// Waits for the next picture, and returns it: the newest one, so that a viewer who is slow gets fewer pictures.
    /// Fails when the view must end: the permission or the stream has ended, or there are no pictures. Can be cancelled
    /// and called again.
    pub(crate) async fn next(&mut self) -> Result<Arc<Picture>, Error> {
        loop {
            let better = async {
                match &mut self.better {
                    Some(better) => better.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                error = &mut self.source.end => return Err(error),
                picture = self.source.reader.next() => return picture,
                better = better => {
                    self.better = None;
                    if let Some((source, picture)) = better {
                        self.source = source;
                        return Ok(picture);
                    }
                }
            }
        }
    }

    /// Waits until the view must end, and returns the reason.
    pub(crate) async fn end(&mut self) -> Error {
        (&mut self.source.end).await
    }

    /// Waits for the next picture as [`PictureView::next`] does, or until the camera is away or is back.
    pub(crate) async fn news(&mut self) -> Result<News, Error> {
        let mut liveness = self.source.liveness.clone();
        let news = tokio::select! {
            picture = self.next() => return picture.map(News::Picture),
            now = liveness.next() => now,
        };
        self.source.liveness = liveness;
        Ok(News::State(news))
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

    /// Changes the wanted number of pictures per second.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.spec.rate = rate;
        self.source.reader.set_rate(rate);
    }

    /// Starts the sub stream, whose pictures will replace the ones of the main stream.
    fn look_for_better(&mut self, sub: ViewRequest) {
        let (core, spec) = (Arc::clone(&self.core), self.spec);
        let look = async move {
            let view = sub.open(&core).await?;
            if !has_width(&core, view.stream(), spec) {
                return Ok(None);
            }
            let mut source = Source::new(&core, view, spec)?;
            let picture = source.reader.next().await?;
            Ok(Some((source, picture)))
        };
        let look = look.in_current_span();
        self.better = Some(Box::pin(async move {
            look.await.unwrap_or_else(|error: Error| {
                debug!(%error, "the sub stream cannot be used for pictures");
                None
            })
        }));
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
