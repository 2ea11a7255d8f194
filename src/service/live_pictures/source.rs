//! The pictures of one stream, as a view gets them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::base::error::{Error, ErrorKind};
use crate::pictures::live::PictureSpec;
use crate::pictures::live::reader::PictureReader;
use crate::pictures::picture::Picture;
use crate::service::core::Core;
use crate::service::live::{LiveView, LivenessChanges};

/// The longest time to wait for the first picture of a live stream. It is long enough for three decoders that do not
/// respond, so that the viewer learns why there are no pictures.
pub(super) const FIRST_WITHIN: Duration = Duration::from_secs(20);

/// A source with its first picture.
pub(super) type Found = (Source, Arc<Picture>);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The pictures of one stream.
pub(super) struct Source {
    pub(super) liveness: LivenessChanges,
    pub(super) reader: PictureReader,
    /// Resolves with the reason when the view must end.
    pub(super) end: Pending<Error>,
}

impl Source {
    /// Creates the source of a view of a stream. Fails as [`Pictures::read`](crate::pictures::live::Pictures::read) does.
    pub(super) fn new(core: &Arc<Core>, view: LiveView, spec: PictureSpec) -> Result<Self, Error> {
        let reader = core.pictures.read(view.stream(), spec)?;
        let (core, liveness) = (Arc::clone(core), view.liveness());
        let end = Box::pin(async move { view.end(&core).await });
        Ok(Self { liveness, reader, end })
    }
}

/// Waits for the first picture of a stream that is live, for a limited time.
pub(super) async fn first_picture(
    core: &Arc<Core>,
    view: LiveView,
    spec: PictureSpec,
) -> Result<Found, Error> {
    let mut source = Source::new(core, view, spec)?;
    let first = timeout(FIRST_WITHIN, source.reader.next()).await;
    let picture = first.unwrap_or_else(|_| Err(too_late()))?;
    Ok((source, picture))
}

/// Returns the error that a stream had no picture in time.
pub(super) fn too_late() -> Error {
    let seconds = FIRST_WITHIN.as_secs();
    let detail = format!("the camera's stream had no picture within {seconds} s");
    Error::new(ErrorKind::SourceTimeout, detail)
}
