//! One FFmpeg that converts AAC to Opus.

use std::future::Future;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use nix::unistd::Pid;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::packet::{OpusPacket, PACKET, is_sound};
use crate::base::error::{Error, ErrorKind};
use crate::child::pipes::{PipeReader, first_of, write_some};
use crate::child::spawner::{self, Process, Spawner};
use crate::ingest::ffmpeg::pipes::NutPipe;
use crate::media::aac::AacConfig;
use crate::media::frame::{Frame, Track};
use crate::media::hub::HubReader;
use crate::media::muxer::{aac_headers, write_aac};
use crate::media::nut::stream::{NutItem, TimeBase};
use crate::output::webrtc::timeline::Arrival;

/// The longest time from the moment at which FFmpeg gets a frame until FFmpeg writes a packet.
const RESPONDS_WITHIN: Duration = Duration::from_secs(5);
/// An FFmpeg that gets no frame for this time is ended, because the camera may be unreachable for hours.
const ENDS_AFTER: Duration = Duration::from_secs(30);
/// The time that FFmpeg has to end after it has closed its output.
const EXITS_WITHIN: Duration = Duration::from_secs(1);
/// The largest number of bytes of FFmpeg's messages that are logged.
pub(super) const MAX_MESSAGES: u64 = 2048;
/// The size of a block of memory for packets, in bytes: about half a second.
const BLOCK: usize = 4 * 1024;

/// A running FFmpeg.
pub(super) struct OpusChild {
    program: PathBuf,
    process: Process,
    /// FFmpeg's input; `None` once FFmpeg has closed it.
    stdin: Option<ChildStdin>,
    output: NutPipe<ChildStdout>,
    stderr: PipeReader<Vec<u8>>,
    /// The track, the epoch and the configuration of the AAC.
    source: (Track, u64, AacConfig),
    time_base: Option<TimeBase>,
    /// The bytes that have to be written to FFmpeg.
    pending: Cursor<Vec<u8>>,
    fed_at: Instant,
    /// The time at which FFmpeg got its first frame after it last wrote a packet.
    waiting_since: Option<Instant>,
}

/// How an FFmpeg ended. It has been reaped.
pub(super) enum End {
    /// Another FFmpeg is needed, which begins with this frame; `None` if it begins with the next frame.
    Ended(Option<Arc<Frame>>),
    /// The sound is not needed any more, or the stream has ended.
    Stopped,
    /// FFmpeg has failed.
    Failed(Error),
}

/// The reason to stop an FFmpeg.
enum Stop {
    Changed(Arc<Frame>),
    Idle,
    Requested,
    /// FFmpeg has closed its output, or has to be killed for this reason.
    Failed(Option<String>),
}

impl OpusChild {
    /// Starts an FFmpeg for frames of AAC from `first` on.
    pub(super) async fn start(
        program: &Path,
        spawner: &Spawner,
        first: &Frame,
    ) -> Result<Self, Error> {
        let (_, config) = first.format.hls_audio().ok_or_else(|| failure("there is no AAC"))?;
        let source = (first.track, first.format.epoch, config.clone());
        let process = spawner.spawn(program, arguments(), 0).await;
        let mut process = process.map_err(|error| spawner::cannot_run(program, error))?;
        let pipes = process.take_pipes();
        let (stdin, stdout, stderr) = pipes.map_err(|error| spawner::cannot_run(program, error))?;
        Ok(Self {
            program: program.to_owned(),
            process,
            stdin: Some(stdin),
            output: NutPipe::new(stdout, BLOCK),
            stderr: PipeReader::spawn(first_of(stderr, MAX_MESSAGES)),
            pending: Cursor::new(aac_headers(config)),
            source,
            time_base: None,
            fed_at: Instant::now(),
            waiting_since: None,
        })
    }

    /// Returns FFmpeg's process id.
    pub(super) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Converts the frame `first` and the frames that follow it in `frames`, until `stopped` completes.
    pub(super) async fn run(
        mut self,
        first: &Frame,
        frames: &mut HubReader,
        packets: &broadcast::Sender<OpusPacket>,
        stopped: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> End {
        self.feed(first);
        let stop = self.convert(frames, packets, stopped).await;
        if let Stop::Failed(fault) = stop {
            return End::Failed(self.fail(fault).await);
        }
        self.process.kill();
        let _ = self.process.wait().await;
        match stop {
            Stop::Changed(frame) => End::Ended(Some(frame)),
            Stop::Idle => End::Ended(None),
            Stop::Requested | Stop::Failed(_) => End::Stopped,
        }
    }

    async fn convert(
        &mut self,
        frames: &mut HubReader,
        packets: &broadcast::Sender<OpusPacket>,
        stopped: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> Stop {
        loop {
            let is_written = !self.pending.has_remaining();
            let idle_at = self.fed_at + ENDS_AFTER;
            let deadline = self.waiting_since.map_or(idle_at, |since| since + RESPONDS_WITHIN);
            tokio::select! {
                () = &mut *stopped => return Stop::Requested,
                read = self.output.read() => match read {
                    Ok(1..) => {
                        if let Err(fault) = self.publish(packets) {
                            return Stop::Failed(Some(fault));
                        }
                    }
                    _ => return Stop::Failed(None),
                },
                () = write_some(&mut self.stdin, &mut self.pending), if !is_written => {}
                next = frames.next(), if is_written => match next {
                    Ok(Some(frame)) if !is_sound(&frame) => {}
                    Ok(Some(frame)) if !self.converts(&frame) => return Stop::Changed(frame),
                    Ok(Some(frame)) => self.feed(&frame),
                    Ok(None) => return Stop::Requested,
                    Err(_) => debug!("the conversion to Opus is too slow, so sound was skipped"),
                },
                () = sleep_until(deadline) => {
                    if self.waiting_since.is_none() {
                        return Stop::Idle;
                    }
                    let seconds = RESPONDS_WITHIN.as_secs();
                    return Stop::Failed(Some(format!("FFmpeg wrote no sound within {seconds} s")));
                }
            }
        }
    }

    /// Returns whether an FFmpeg that was started for this source converts the frame.
    fn converts(&self, frame: &Frame) -> bool {
        let (track, epoch, config) = &self.source;
        let given = frame.format.hls_audio().map(|(_, config)| config);
        (*track, *epoch) == (frame.track, frame.format.epoch)
            && given.is_some_and(|given| given.is_compatible(config))
    }

    fn feed(&mut self, frame: &Frame) {
        if !self.pending.has_remaining() {
            self.pending.get_mut().clear();
            self.pending.set_position(0);
        }
        write_aac(frame.presentation_time, &frame.data, self.pending.get_mut());
        self.fed_at = Instant::now();
        self.waiting_since.get_or_insert(self.fed_at);
    }

    /// Passes on the packets that are complete.
    fn publish(&mut self, packets: &broadcast::Sender<OpusPacket>) -> Result<(), String> {
        let item = |error| format!("FFmpeg's output cannot be read: {error}");
        while let Some(item) = self.output.next_item().map_err(item)? {
            match item {
                NutItem::Streams(streams) => {
                    self.time_base = streams.first().map(|stream| stream.time_base);
                }
                NutItem::Packet(packet) => {
                    let Some(time_base) = self.time_base else { continue };
                    self.waiting_since = None;
                    let (_, epoch, _) = self.source;
                    let received_at = std::time::Instant::now();
                    let arrival = Arrival { epoch, time: time_base.time(packet.pts), received_at };
                    // Fails if there are no readers, which end this FFmpeg soon.
                    let _ = packets.send(OpusPacket { arrival, data: packet.data.freeze() });
                }
            }
        }
        Ok(())
    }

    /// Ends FFmpeg, and returns the error: `fault`, or else the reason why FFmpeg has ended.
    async fn fail(mut self, fault: Option<String>) -> Error {
        self.stdin = None;
        if fault.is_some() {
            self.process.kill();
        }
        let (status, _) = self.process.wait_or_kill(EXITS_WITHIN).await;
        let status = status.ok();
        let messages = self.stderr.finish().await.unwrap_or_default();
        let text = String::from_utf8_lossy(&messages);
        debug!(?status, ?fault, messages = %text, "the FFmpeg that converts sound to Opus has failed");
        if let (None, Some(reason)) = (&fault, spawner::exec_failure(status)) {
            return spawner::cannot_run(&self.program, reason);
        }
        let error = failure(fault.as_deref().unwrap_or("FFmpeg ended unexpectedly"));
        // FFmpeg reads from a pipe, so its messages contain no link of a camera.
        match last_message(&messages) {
            Some(message) => error.caused_by(io::Error::other(message)),
            None => error,
        }
    }
}

fn failure(reason: &str) -> Error {
    Error::new(ErrorKind::FfmpegUnavailable, reason)
}

/// Returns the last of FFmpeg's messages; `None` without messages.
pub(super) fn last_message(messages: &[u8]) -> Option<String> {
    let messages = String::from_utf8_lossy(messages);
    let last = messages.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map(str::to_owned)
}

/// Returns FFmpeg's arguments, without the program's name.
pub(super) fn arguments() -> Vec<String> {
    let duration = PACKET.as_millis().to_string();
    let arguments = [
        ["-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+error"].as_slice(),
        // The headers contain all parameters, so FFmpeg need not probe the stream.
        &["-copyts", "-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0"],
        &["-threads", "1", "-filter_threads", "1"],
        &["-f", "nut", "-protocol_whitelist", "pipe", "-i", "pipe:0", "-map", "0:a:0"],
        &["-af", "aformat=channel_layouts=mono|stereo:sample_rates=48000"],
        &["-c:a", "libopus", "-application", "lowdelay", "-frame_duration", &duration],
        &["-b:a", "64k", "-threads", "1"],
        // For an index, FFmpeg would keep the position of every packet in memory.
        &["-f", "nut", "-write_index", "0", "-flush_packets", "1", "pipe:1"],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}
