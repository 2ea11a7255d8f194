//! Renditions: H.264 that every player can play, which an FFmpeg makes of the frames in the stream's hub.
//! The camera is not involved.
//!
//! A run starts an FFmpeg with the first keyframe, and another FFmpeg when the epoch or the codec changes.
//! An FFmpeg that gets no frames for some time is ended, and the next keyframe starts another one. A separate
//! hub publishes the frames that FFmpeg writes, with the times and dates of the original frames, and with the
//! stream's audio.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::info;

use crate::base::error::{Error, ErrorKind};
use crate::child::log::{ProcessLog, Work};
use crate::child::spawner::{self, Spawner};
use crate::ingest::ffmpeg::args::{self, Shape};
use crate::ingest::{RunOutcome, RunningIngest, StopRequests};
use crate::media::frame::{Format, Frame};
use crate::media::hub::{FrameHub, HubReader};
use conversion::{Conversion, End};

mod conversion;

/// The parameters of one run.
#[derive(Debug)]
pub struct RenditionRequest {
    /// The frames of the stream.
    pub frames: HubReader,
    /// The hub in which the frames of the rendition are published.
    pub hub: FrameHub,
    /// The log that keeps FFmpeg's messages and resource usage.
    pub process_log: Arc<ProcessLog>,
}

/// Starts runs of renditions. Tests use other implementations.
pub trait Transcoder: Send + Sync + 'static {
    /// Starts a run, which lasts until the frames end, FFmpeg fails, or a stop is requested. Every failure
    /// is reported as the run's outcome.
    fn start(&self, request: RenditionRequest) -> RunningIngest;
}

/// FFmpeg as a transcoder. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FfmpegTranscoder {
    program: PathBuf,
    shape: Shape,
    spawner: Spawner,
}

impl FfmpegTranscoder {
    /// Creates a transcoder that starts `program` with `spawner`, and encodes as `shape` specifies.
    pub(crate) fn new(program: PathBuf, shape: Shape, spawner: Spawner) -> Self {
        Self { program, shape, spawner }
    }

    /// Converts the frames until they end, FFmpeg fails, or a stop is requested.
    async fn run(self, request: RenditionRequest, mut stops: StopRequests) -> RunOutcome {
        let RenditionRequest { mut frames, hub, process_log } = request;
        let mut first = None;
        loop {
            let next = if first.is_some() {
                first.take()
            } else {
                tokio::select! {
                    frame = next_keyframe(&mut frames) => frame,
                    _ = stops.next() => None,
                }
            };
            let Some(frame) = next else { return stopped() };
            let conversion = match self.start(&frame, &hub, &process_log).await {
                Ok(conversion) => conversion,
                Err(error) => {
                    return RunOutcome::Refused(spawner::cannot_run(&self.program, error));
                }
            };
            let watching = process_log.watch(conversion.pid(), Work::Stream);
            let end = tokio::select! {
                end = conversion.run(&frame, &mut frames, &hub, &mut stops) => end,
                never = watching => match never {},
            };
            match end {
                End::Ended(keyframe) => first = keyframe,
                End::Stopped => return stopped(),
                End::Failed(failure) => return failure.outcome(&self.program),
            }
        }
    }

    /// Starts an FFmpeg for frames from `first` on.
    async fn start(
        &self,
        first: &Frame,
        hub: &FrameHub,
        log: &Arc<ProcessLog>,
    ) -> std::io::Result<Conversion> {
        let format = &first.format;
        let arguments = args::rendition_arguments(&format.picture, &self.shape);
        let process = self.spawner.spawn(&self.program, arguments, 0).await?;
        let pid = process.pid().as_raw();
        info!(pid, generation = format.epoch, "FFmpeg started to convert the video to H.264");
        let version = next_version(hub, format);
        Conversion::begin(process, first, version, log.writer(format.epoch))
    }
}

impl Transcoder for FfmpegTranscoder {
    fn start(&self, request: RenditionRequest) -> RunningIngest {
        RunningIngest::spawn(|stops| self.clone().run(request, stops))
    }
}

/// Waits for the next keyframe of the video, and returns it; `None` if the frames end first.
async fn next_keyframe(frames: &mut HubReader) -> Option<Arc<Frame>> {
    loop {
        match frames.next().await {
            Ok(Some(frame)) if frame.is_entry_point() => return Some(frame),
            Ok(None) => return None,
            // Other frames are skipped. A gap needs no other treatment, because a keyframe follows it.
            Ok(Some(_)) | Err(_) => {}
        }
    }
}

/// Returns the version of the next format in the hub of a rendition of `source`. This version is higher than the
/// versions of all formats in the hub during this epoch. It also differs from the versions of the stream itself,
/// and of earlier renditions with another source, because the name of an init segment consists only of epoch and
/// version.
fn next_version(hub: &FrameHub, source: &Format) -> u32 {
    let last = hub.flow().filter(|flow| flow.format.epoch == source.epoch);
    let next = last.map_or(0, |flow| flow.format.version.saturating_add(1));
    next.max(first_version(source.version))
}

/// Returns the lowest version of a rendition whose source has this version. Each version of the source has its own
/// block of 65,536 versions for renditions. The versions below the first block are the stream's own. Neither a
/// stream nor a rendition needs so many versions in one epoch.
fn first_version(source: u32) -> u32 {
    const STREAM_VERSIONS: u32 = 1 << 16;
    source.saturating_add(1).saturating_mul(STREAM_VERSIONS)
}

fn stopped() -> RunOutcome {
    RunOutcome::Dropped(Error::new(ErrorKind::Stopped, "the rendition is no longer needed"))
}

/// A transcoder for tests of streams that need no rendition.
#[cfg(test)]
pub(crate) mod testing {
    use super::{RenditionRequest, Transcoder, stopped};
    use crate::ingest::RunningIngest;

    /// A transcoder that makes no frames.
    pub(crate) struct NoTranscoder;

    impl Transcoder for NoTranscoder {
        fn start(&self, _request: RenditionRequest) -> RunningIngest {
            RunningIngest::spawn(|mut stops| async move {
                stops.next().await;
                stopped()
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendition_has_other_versions_than_its_stream_and_earlier_renditions() {
        let versions = [first_version(0), first_version(1), first_version(2)];
        assert!(versions[0] > 1000 && versions.is_sorted_by(|one, next| next - one > 1000));
        first_version(u32::MAX);
    }
}
