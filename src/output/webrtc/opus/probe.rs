//! A test whether FFmpeg can convert AAC to Opus. Some builds of FFmpeg have no encoder for Opus.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::child::{MAX_MESSAGES, arguments, last_message};
use crate::child::pipes::{PipeReader, first_of};
use crate::child::spawner::{Spawner, exec_failure};
use crate::media::aac::{AacConfig, CONVERTED_RATE};
use crate::media::muxer::{aac_headers, write_aac};

/// The longest time that FFmpeg has.
const WITHIN: Duration = Duration::from_secs(5);
/// The number of frames of AAC that are converted: a quarter of a second, which is more than the encoder holds back.
const FRAMES: u32 = 8;

/// Converts a moment of silence in the same way as the sound of a camera. Returns the reason if FFmpeg (`program`) cannot
/// do that; `None` if FFmpeg can, or if FFmpeg is too slow to tell. Error: FFmpeg cannot be run, or was killed.
pub(super) async fn probe(program: &Path, spawner: &Spawner) -> io::Result<Option<String>> {
    let mut process = spawner.spawn(program, arguments(), 0).await?;
    let (mut stdin, stdout, stderr) = process.take_pipes()?;
    let converted = PipeReader::spawn(first_of(stdout, 1));
    let messages = PipeReader::spawn(first_of(stderr, MAX_MESSAGES));
    // This never waits, because the silence fits into the buffer of the pipe. It fails if FFmpeg has ended already.
    let _ = stdin.write_all(&silence()).await;
    drop(stdin);
    let (status, is_late) = process.wait_or_kill(WITHIN).await;
    let status = status?;
    if is_late {
        return Ok(None);
    }
    if let Some(reason) = exec_failure(Some(status)) {
        return Err(io::Error::other(reason));
    }
    if status.code().is_none() {
        return Err(io::Error::other(status.to_string()));
    }
    let converted = converted.finish().await.unwrap_or_default();
    if status.success() && !converted.is_empty() {
        return Ok(None);
    }
    let messages = messages.finish().await.unwrap_or_default();
    Ok(Some(last_message(&messages).unwrap_or_else(|| status.to_string())))
}

/// Returns silence as AAC in NUT.
fn silence() -> Vec<u8> {
    let Some(config) = AacConfig::low_complexity(CONVERTED_RATE, 1) else { return Vec::new() };
    let mut nut = aac_headers(&config);
    for number in 0..FRAMES {
        let data = config.silent_frame().unwrap_or_default();
        write_aac(config.frame_duration() * number, data, &mut nut);
    }
    nut
}
