//! Runs an FFmpeg that decodes one picture and then ends.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tracing::debug;

use super::args;
use crate::base::error::{Error, ErrorKind};
use crate::child::pipes::{PipeReader, first_of, read_up_to};
use crate::child::spawner::{self, Process, Spawner};
use crate::media::frame::Frame;
use crate::media::muxer::VideoMuxer;

/// The longest time that decoding can take.
const DECODE_WITHIN: Duration = Duration::from_secs(15);
/// The largest JPEG, in bytes. A JPEG of 3840×2160 pixels has about 2,000,000 bytes.
const MAX_JPEG: u64 = 16 * 1024 * 1024;
/// The greatest width of a small picture, in pixels.
const SMALL_WIDTH: u32 = 640;
/// The largest JPEG of a small picture, in bytes, so that small pictures load quickly on slow connections.
const MAX_SMALL_JPEG: usize = 60_000;
/// The first bytes of every JPEG.
const JPEG_START: [u8; 2] = [0xff, 0xd8];
/// The last bytes of every JPEG.
const JPEG_END: [u8; 2] = [0xff, 0xd9];
/// The largest number of bytes of FFmpeg's messages that are logged.
const MAX_MESSAGES: u64 = 2048;

/// Decodes pictures with FFmpeg. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    program: PathBuf,
    spawner: Spawner,
}

impl Decoder {
    /// Creates a decoder that runs `program`.
    pub(crate) fn new(program: PathBuf, spawner: Spawner) -> Self {
        Self { program, spawner }
    }

    /// Starts an FFmpeg with these arguments, which can write to `outputs` additional pipes.
    pub(super) async fn spawn(
        &self,
        arguments: Vec<String>,
        outputs: usize,
    ) -> Result<Process, Error> {
        let spawned = self.spawner.spawn(&self.program, arguments, outputs).await;
        spawned.map_err(|error| self.cannot_run(error))
    }

    /// Returns the error that FFmpeg cannot be run for this `reason`.
    pub(super) fn cannot_run(&self, reason: impl Display) -> Error {
        spawner::cannot_run(&self.program, reason)
    }

    /// Decodes the frame that is presented last, and returns its picture as a JPEG, at most `width` pixels
    /// wide. `full_width` is the width of the camera's picture. A JPEG that is at most `SMALL_WIDTH` pixels wide
    /// has at most `MAX_SMALL_JPEG` bytes, unless even the lowest quality needs more. The first of the frames
    /// must be a keyframe, and all frames must be of one epoch.
    ///
    /// The child is reaped if the future completes. If the future is dropped, the child is killed.
    pub(super) async fn decode(
        &self,
        frames: Vec<Arc<Frame>>,
        width: Option<u32>,
        full_width: u32,
    ) -> Result<Bytes, Error> {
        let last = frames.iter().map(|frame| frame.presentation_time).max();
        self.decode_frame(frames, last.unwrap_or_default(), width, full_width).await
    }

    /// Does the same as [`Decoder::decode`] for the frame with this time of presentation. Further frames may be needed for
    /// decoding it.
    pub(super) async fn decode_frame(
        &self,
        frames: Vec<Arc<Frame>>,
        shown_at: Duration,
        width: Option<u32>,
        full_width: u32,
    ) -> Result<Bytes, Error> {
        let Some(input) = Input::new(frames, shown_at) else {
            return Err(Error::new(ErrorKind::Internal, "there is no frame to decode"));
        };
        let is_small = width.unwrap_or(full_width) <= SMALL_WIDTH;
        let arguments = args::arguments(input.frames.len(), input.wanted, width, is_small);
        let mut process = self.spawn(arguments, 0).await?;
        let pipes = process.take_pipes().map_err(|error| self.cannot_run(error));
        let (stdin, stdout, stderr) = pipes?;
        let writer = PipeReader::spawn(input.write(stdin));
        let jpeg = PipeReader::spawn(read_up_to(stdout, MAX_JPEG));
        let messages = PipeReader::spawn(first_of(stderr, MAX_MESSAGES));
        let (status, is_late) = process.wait_or_kill(DECODE_WITHIN).await;
        drop(writer);
        let mut jpeg = jpeg.finish().await.unwrap_or_default();
        if is_small {
            jpeg = best_small(&jpeg).to_vec();
        }
        let messages = messages.finish().await.unwrap_or_default();
        debug!(
            ?status,
            is_late,
            bytes = jpeg.len(),
            messages = %String::from_utf8_lossy(&messages),
            "the FFmpeg that made a picture has ended"
        );
        self.diagnose(status.ok(), is_late, jpeg)
    }

    /// Returns the JPEG if it is complete, otherwise the reason why FFmpeg has written no complete JPEG.
    fn diagnose(
        &self,
        status: Option<ExitStatus>,
        is_late: bool,
        jpeg: Vec<u8>,
    ) -> Result<Bytes, Error> {
        if jpeg.starts_with(&JPEG_START) && jpeg.ends_with(&JPEG_END) {
            return Ok(jpeg.into());
        }
        if let Some(reason) = spawner::exec_failure(status) {
            return Err(self.cannot_run(reason));
        }
        if is_late {
            let seconds = DECODE_WITHIN.as_secs();
            let detail = format!("decoding the picture took longer than {seconds} s");
            return Err(Error::new(ErrorKind::RequestTimeout, detail));
        }
        Err(if status.is_some_and(|status| status.success()) {
            Error::new(ErrorKind::SourceUnsupported, "FFmpeg cannot decode the camera's video")
        } else {
            Error::new(ErrorKind::Internal, "FFmpeg failed while it decoded a picture")
        })
    }
}

/// Returns the first of the JPEGs that has at most `MAX_SMALL_JPEG` bytes, or the last JPEG. The JPEGs are
/// in one output, from the best quality to the lowest.
fn best_small(output: &[u8]) -> &[u8] {
    let boundary = [JPEG_END, JPEG_START].concat();
    let mut rest = output;
    loop {
        let next = rest.windows(boundary.len()).position(|bytes| bytes == boundary);
        let Some(next) = next else { return rest };
        let (jpeg, others) = rest.split_at(next + JPEG_END.len());
        if jpeg.len() <= MAX_SMALL_JPEG {
            return jpeg;
        }
        rest = others;
    }
}

/// The input of a decoder.
struct Input {
    frames: Vec<Arc<Frame>>,
    muxer: VideoMuxer,
    headers: Vec<u8>,
    /// Time of the frame that becomes the picture, in ticks.
    wanted: u64,
}

impl Input {
    /// Returns the input for these frames, of which the one with the time of presentation `shown_at` becomes the picture;
    /// `None` if there is no such frame.
    fn new(frames: Vec<Arc<Frame>>, shown_at: Duration) -> Option<Self> {
        let mut headers = Vec::new();
        let muxer = VideoMuxer::begin(frames.first()?, &mut headers);
        let wanted = frames.iter().find(|frame| frame.presentation_time == shown_at)?;
        let wanted = muxer.time(wanted);
        Some(Self { frames, muxer, headers, wanted })
    }

    /// Writes all frames to a decoder's standard input, and then closes the input. Frames are written one by
    /// one, so that only one frame at a time is copied.
    async fn write(mut self, mut stdin: ChildStdin) {
        let mut bytes = std::mem::take(&mut self.headers);
        for frame in std::mem::take(&mut self.frames) {
            self.muxer.write(&frame, &mut bytes);
            if stdin.write_all(&bytes).await.is_err() {
                // The decoder no longer reads, because it has ended after the picture or after an error.
                return;
            }
            bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(bytes: usize) -> Vec<u8> {
        [&JPEG_START[..], &vec![0; bytes - 4], &JPEG_END].concat()
    }

    #[test]
    fn a_small_picture_is_the_best_one_that_is_not_too_large() {
        for (sizes, expected) in [
            ([60_000, 30_000, 10_000], 60_000),
            ([60_001, 30_000, 10_000], 30_000),
            ([90_000, 60_001, 10_000], 10_000),
            ([90_000, 80_000, 70_000], 70_000),
        ] {
            let output = sizes.map(jpeg).concat();
            assert_eq!(best_small(&output), jpeg(expected), "{sizes:?}");
        }
    }

    #[test]
    fn incomplete_output_is_returned_as_it_is() {
        assert!(best_small(b"").is_empty());
        assert_eq!(best_small(&[0xff, 0xd8, 1]), [0xff, 0xd8, 1]);
    }
}
