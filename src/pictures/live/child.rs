//! One FFmpeg that decodes pictures continuously: feeding it, reading its pictures, and ending it.

use std::io::{self, Cursor};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument as _, debug};

use super::selection::marked_time;
use super::sink::Sink;
use crate::base::error::{Error, ErrorKind};
use crate::child::log::Writer;
use crate::child::pipes::{PipeReader, write_some};
use crate::child::spawner::{self, Process};
use crate::ingest::ffmpeg::pipes::{NutPipe, VIDEO_BLOCK};
use crate::ingest::ffmpeg::stderr::Tail;
use crate::media::frame::Frame;
use crate::media::muxer::VideoMuxer;
use crate::media::nut::stream::{NutItem, TimeBase};
use crate::pictures::decoder::Decoder;

/// The longest time from the moment at which FFmpeg gets a frame, and the later frames that B-frames make necessary, until
/// FFmpeg writes the frame's pictures.
const RESPONDS_WITHIN: Duration = Duration::from_secs(5);
/// The time that FFmpeg has to end after it has closed its outputs.
const EXITS_WITHIN: Duration = Duration::from_secs(1);
/// What FFmpeg has done.
pub(super) enum Progress {
    /// It has read some of the prepared bytes.
    Written,
    /// It has to be ended: for this reason, or because it has closed an output.
    Failed(Option<Error>),
}

/// A running FFmpeg.
pub(super) struct DecoderChild {
    decoder: Decoder,
    process: Process,
    /// FFmpeg's input; `None` once FFmpeg has closed it.
    stdin: Option<ChildStdin>,
    /// The tasks that read FFmpeg's outputs. A task ends with the output, or with a reason to kill FFmpeg.
    outputs: JoinSet<Option<Error>>,
    stderr: PipeReader<Tail>,
    muxer: VideoMuxer,
    /// The bytes that have to be written to FFmpeg.
    pending: Cursor<Vec<u8>>,
    /// The time at which FFmpeg was to get the bytes in `pending`.
    fed_at: Instant,
    sink: Arc<Sink>,
}

impl DecoderChild {
    /// Starts an FFmpeg with these arguments that writes to the outputs of `sink`, for frames from `first` on, a keyframe.
    /// FFmpeg's messages are written to `log`.
    pub(super) async fn start(
        decoder: &Decoder,
        arguments: Vec<String>,
        first: &Frame,
        sink: Arc<Sink>,
        log: Writer,
    ) -> Result<Self, Error> {
        let mut process = decoder.spawn(arguments, sink.outputs()).await?;
        let (stdin, _stdout, stderr) =
            process.take_pipes().map_err(|error| decoder.cannot_run(error))?;
        let mut outputs = JoinSet::new();
        for (index, pipe) in process.take_outputs().into_iter().enumerate() {
            outputs.spawn(read(pipe, index, Arc::clone(&sink)).in_current_span());
        }
        let (findings, _) = mpsc::channel(1);
        let mut headers = Vec::new();
        Ok(Self {
            decoder: decoder.clone(),
            process,
            stdin: Some(stdin),
            outputs,
            // FFmpeg does not know the camera's link, so it cannot print secrets.
            stderr: PipeReader::spawn(Tail::collect(stderr, None, log, findings)),
            muxer: VideoMuxer::begin(first, &mut headers),
            pending: Cursor::new(headers),
            fed_at: Instant::now(),
            sink,
        })
    }

    /// Returns FFmpeg's process id.
    pub(super) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Returns whether FFmpeg has to read more before it gets the next frame.
    pub(super) fn is_writing(&self) -> bool {
        self.pending.has_remaining()
    }

    /// Prepares a frame for writing. `marked` has one bit for each output that makes a picture of the frame, and
    /// `shows_load` is true if the picture's delay shows how busy the machine is.
    pub(super) fn feed(&mut self, frame: &Frame, marked: u64, shows_load: bool) {
        if !self.pending.has_remaining() {
            self.pending.get_mut().clear();
            self.pending.set_position(0);
        }
        let time = marked_time(self.muxer.time(frame), marked);
        self.sink.expect(frame, Duration::from_micros(time), marked, shows_load);
        self.muxer.write_at(frame, time, self.pending.get_mut());
        self.fed_at = Instant::now();
    }

    /// Waits until FFmpeg has read some of the prepared bytes, or until FFmpeg has to be ended: it has closed an output,
    /// has written something that is not a picture, or has not responded for [`RESPONDS_WITHIN`]. Can be cancelled
    /// without losing bytes.
    pub(super) async fn progress(&mut self) -> Progress {
        loop {
            let deadline = self.deadline();
            let is_writing = self.is_writing();
            tokio::select! {
                ended = self.outputs.join_next() => {
                    return Progress::Failed(ended.and_then(|ended| ended.unwrap_or_else(panicked)));
                }
                () = write_some(&mut self.stdin, &mut self.pending), if is_writing => {
                    return Progress::Written;
                }
                () = sleep_until(deadline) => {
                    // FFmpeg may have written pictures since the deadline was computed.
                    if self.deadline() <= Instant::now() {
                        return Progress::Failed(Some(self.too_slow()));
                    }
                }
            }
        }
    }

    /// Returns the time until which FFmpeg has to read its input or to write a picture. If FFmpeg has nothing to do,
    /// returns a later time, at which the deadline has to be computed again.
    fn deadline(&self) -> Instant {
        let blocked_since = self.is_writing().then_some(self.fed_at);
        let since = self.sink.waiting_since().into_iter().chain(blocked_since).min();
        since.unwrap_or_else(Instant::now) + RESPONDS_WITHIN
    }

    /// Returns the error for an FFmpeg that has missed its deadline.
    fn too_slow(&self) -> Error {
        let seconds = RESPONDS_WITHIN.as_secs();
        if self.is_writing() {
            return failure(&format!("FFmpeg did not respond within {seconds} s"));
        }
        let detail = format!(
            "FFmpeg made no picture of the camera's video within {seconds} s; it may not be able to decode the video"
        );
        Error::new(ErrorKind::SourceUnsupported, detail)
    }

    /// Kills FFmpeg and reaps it.
    pub(super) async fn kill(mut self) {
        self.process.kill();
        let _ = self.process.wait().await;
    }

    /// Ends FFmpeg, and returns the error: `fault`, or else the reason why FFmpeg has ended.
    pub(super) async fn fail(mut self, fault: Option<Error>) -> Error {
        self.stdin = None;
        if fault.is_some() {
            self.process.kill();
        }
        let (status, _) = self.process.wait_or_kill(EXITS_WITHIN).await;
        let status = status.ok();
        let tail = self.stderr.finish().await.unwrap_or_default();
        debug!(?status, ?fault, ?tail, "the FFmpeg that decodes pictures has failed");
        diagnose(&self.decoder, status, fault, &tail)
    }
}

/// Returns the error of an FFmpeg that was ended because of `fault`, or that has ended for another reason. FFmpeg's last
/// message is in the cause.
fn diagnose(
    decoder: &Decoder,
    status: Option<ExitStatus>,
    fault: Option<Error>,
    tail: &Tail,
) -> Error {
    match (fault, spawner::exec_failure(status)) {
        (Some(fault), _) if fault.source.is_some() => fault,
        // The manager may have killed FFmpeg, so the exit status explains nothing.
        (Some(fault), _) => match tail.last_complaint() {
            Some(message) => fault.caused_by(io::Error::other(message.to_owned())),
            None => fault,
        },
        (None, Some(reason)) => decoder.cannot_run(reason),
        (None, None) => {
            failure("FFmpeg ended unexpectedly").caused_by(io::Error::other(tail.end(status)))
        }
    }
}

/// Reads the pictures of one output, until FFmpeg closes the output. Returns the reason if FFmpeg has to be killed.
async fn read(pipe: pipe::Receiver, index: usize, sink: Arc<Sink>) -> Option<Error> {
    let mut pipe = NutPipe::new(pipe, VIDEO_BLOCK);
    let mut time_base = None;
    while let Ok(1..) = pipe.read().await {
        loop {
            match pipe.next_item() {
                Ok(Some(NutItem::Streams(streams))) => {
                    time_base = streams.first().map(|stream| stream.time_base);
                }
                Ok(Some(NutItem::Packet(packet))) => {
                    let time = time_base.map(|base: TimeBase| base.time(packet.pts));
                    // The buffer is shared by several pictures, so that a kept picture would keep all of them.
                    let picture = packet.data.to_vec().into();
                    if !time.is_some_and(|time| sink.take(index, time, picture)) {
                        return Some(failure("FFmpeg wrote an invalid picture"));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    return Some(failure(&format!("FFmpeg's output cannot be read: {error}")));
                }
            }
        }
    }
    None
}

/// Returns the reason why FFmpeg has to be killed if the task that reads one of its outputs has panicked.
#[expect(clippy::unnecessary_wraps, reason = "it takes the place of a task's result")]
fn panicked(panic: JoinError) -> Option<Error> {
    Some(failure("reading FFmpeg's output failed unexpectedly").caused_by(panic))
}

fn failure(reason: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("pictures cannot be decoded: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::base::error::chain;
    use crate::child::log::ProcessLog;
    use crate::child::spawner::{Bounds, Spawner};

    #[tokio::test]
    async fn the_last_message_of_ffmpeg_is_the_cause_of_its_failure() {
        let bounds = Bounds { nice: 0, memory: 1 << 30, open_files: 256 };
        let spawner = Spawner::start(bounds, &[]).expect("a thread");
        let decoder = Decoder::new("ffmpeg".into(), spawner);
        let stderr = "[error] one\n[error] no encoder; see rtsp://admin:s3cret@cam/\n[info] two\n";
        let (findings, _) = mpsc::channel(1);
        let log = Arc::<ProcessLog>::default().writer(7);
        let tail = Tail::collect(stderr.as_bytes(), None, log, findings).await;
        let status = Some(ExitStatus::from_raw(3 << 8));
        for fault in [None, Some(failure("a fault"))] {
            let error = diagnose(&decoder, status, fault, &tail);
            assert!(!error.detail.contains("encoder"), "only the log has the cause");
            let logged = chain(&error);
            assert!(logged.contains("[error] no encoder; see rtsp://"), "{logged}");
            assert!(!logged.contains("s3cret"), "{logged}");
        }
    }
}
