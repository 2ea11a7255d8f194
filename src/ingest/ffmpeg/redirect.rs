//! Redirects by cameras. The lean FFmpeg reports the target of a redirect and ends. The manager then checks the
//! target like any other address, and starts FFmpeg there. Debian's FFmpeg follows redirects itself, so the
//! manager can only end a run that is redirected too often.

use crate::base::error::{Error, ErrorKind};
use crate::camera::source::Source;

/// The largest number of redirects in a row that are followed.
pub(super) const MAX_REDIRECTS: usize = 5;

/// Returns the source to which `source` is redirected. Error: `SourceUnsupported`, if the target is not an RTSP
/// link that FFmpeg supports.
pub(super) fn target(source: &Source, target: &str) -> Result<Source, Error> {
    let target = source.redirected_to(target);
    let target = target.and_then(|target| target.ensure_usable().map(|()| target));
    target.map_err(|_| {
        let detail = "the camera redirects to an address that is not an RTSP link, or that FFmpeg does not \
                      support; check the path of the link";
        Error::new(ErrorKind::SourceUnsupported, detail)
    })
}

/// Returns the error of a run at the target of a redirect that has failed with `error`.
pub(super) fn failed(error: Error) -> Error {
    let detail = error.detail;
    let detail =
        format!("the camera redirects to another address, and that address failed: {detail}");
    Error { detail, ..error }
}

/// Creates the error of a camera that redirects too often.
pub(super) fn too_many() -> Error {
    let detail = format!(
        "the camera has redirected more than {MAX_REDIRECTS} times; check the path of the link"
    );
    Error::new(ErrorKind::SourceUnsupported, detail)
}
