//! Use case of a viewer who gets continuous pictures of a camera.
//!
//! Decoding costs by far the most, so small pictures come from the sub stream if the camera has one that is large enough.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use super::core::Core;
use super::live::{self, LiveView};
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

/// A viewer's view of the pictures of a camera. While it exists, the stream keeps running.
pub(crate) struct PictureView {
    core: Arc<Core>,
    spec: PictureSpec,
    source: Source,
    /// The pictures of the sub stream, which replace the ones of the main stream as soon as there is one; `None` if the
    /// view does not change.
    better: Option<Pending<Option<(Source, Arc<Picture>)>>>,
}

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The pictures of one stream.
struct Source {
    view: Arc<LiveView>,
    reader: PictureReader,
    /// Resolves with the reason when the view must end.
    end: Pending<Error>,
}

/// Returns a view of the pictures of a stream. Starts the stream if it is not running. Small pictures of the main stream
/// come from the sub stream if possible. Fails if the visitor is not permitted to watch, if the stream cannot start, or if
/// it has reached its viewer limit.
pub(crate) async fn watch(
    core: &Arc<Core>,
    id: &StreamId,
    visitor: Visitor<'_>,
    spec: PictureSpec,
) -> Result<PictureView, Error> {
    if let Some(sub) = sub_stream(core, id, spec).await? {
        let is_live = |id| core.registry.get(id).is_some_and(|it| it.is_live(WantedOutput::None));
        // The first picture of the main stream is available at once if only the main stream is running.
        if is_live(&sub) || !is_live(id) {
            match live::watch(core, &sub, visitor).await {
                Ok(view) if has_width(core, view.stream(), spec) => {
                    return PictureView::new(core, view, spec);
                }
                Ok(_) => debug!(camera = %id, "the sub stream is too small"),
                Err(error) => debug!(camera = %id, %error, "the sub stream cannot be used"),
            }
        } else {
            let view = live::watch(core, id, visitor).await?;
            let mut view = PictureView::new(core, view, spec)?;
            view.look_for_better();
            return Ok(view);
        }
    }
    PictureView::new(core, live::watch(core, id, visitor).await?, spec)
}

/// Returns the name of the camera's sub stream if it can have the pictures; `None` if there is no such stream.
async fn sub_stream(
    core: &Core,
    id: &StreamId,
    spec: PictureSpec,
) -> Result<Option<StreamId>, Error> {
    let Some(width) = spec.width.filter(|_| id.profile() == Profile::Main) else { return Ok(None) };
    let sub = StreamId::new(id.camera().clone(), Profile::Sub);
    if core.pictures.known_width(&sub).is_some_and(|known| known < width) {
        return Ok(None);
    }
    Ok(core.cameras.camera_of(&sub).await?.map(|_| sub))
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
    fn look_for_better(&mut self) {
        let (core, spec) = (Arc::clone(&self.core), self.spec);
        let view = Arc::clone(&self.source.view);
        let look = async move {
            let view = view.of_profile(&core, Profile::Sub).await?;
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
        let view = Arc::new(view);
        let (core, watched) = (Arc::clone(core), Arc::clone(&view));
        let end = Box::pin(async move { watched.end(&core).await });
        Ok(Self { view, reader, end })
    }
}
