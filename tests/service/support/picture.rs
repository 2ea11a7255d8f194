//! Snapshots, as viewers receive them.

use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Number of squares of the test camera's clock (see tests/camera/README.md).
const CLOCK_BITS: usize = 32;

/// A complete JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jpeg(Vec<u8>);

impl Jpeg {
    /// Wraps the bytes of a JPEG. Panics if the JPEG is incomplete.
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let is_complete = bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9]);
        assert!(is_complete, "an incomplete JPEG of {} bytes", bytes.len());
        Self(bytes)
    }

    /// Returns whether the JPEG contains these bytes.
    pub(crate) fn contains(&self, bytes: &[u8]) -> bool {
        self.0.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Returns width and height, from the frame header.
    pub(crate) fn size(&self) -> (u16, u16) {
        let number = |at: usize| u16::from_be_bytes([self.0[at], self.0[at + 1]]);
        let mut at = 2;
        while self.0[at + 1] != 0xc0 {
            at += 2 + usize::from(number(at + 2));
        }
        (number(at + 7), number(at + 5))
    }

    /// Returns the age that the picture has at `now`, in milliseconds, according to the clock in the
    /// picture.
    pub(crate) async fn age_by_clock(&self, now: SystemTime) -> i64 {
        let now = now.duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis();
        let now = u32::try_from(now % (1 << CLOCK_BITS)).expect("32 bits");
        let age = now.wrapping_sub(self.clock().await);
        i64::from(age.cast_signed())
    }

    /// Returns the lower bits of the Unix time in milliseconds that the picture shows.
    pub(crate) async fn clock(&self) -> u32 {
        let width = usize::from(self.size().0);
        let luma = self.luma().await;
        let side = width / CLOCK_BITS;
        (0..CLOCK_BITS).fold(0, |time, square| {
            let middle = luma[side / 2 * width + square * side + side / 2];
            time << 1 | u32::from(middle > 127)
        })
    }

    /// Returns the brightness of each pixel, decoded by the system's FFmpeg.
    async fn luma(&self) -> Vec<u8> {
        let mut decoder = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "mjpeg", "-i", "-"])
            .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("ffmpeg");
        let mut stdin = decoder.stdin.take().expect("a pipe");
        // The decoder reads the whole picture before it writes.
        stdin.write_all(&self.0).await.expect("a decoder that reads");
        drop(stdin);
        decoder.wait_with_output().await.expect("a picture").stdout
    }
}
