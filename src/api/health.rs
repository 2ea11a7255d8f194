//! Health for back ends and orchestrators: is the process there, can it do its work.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::model::{HealthOutput, ProbeOutput};
use super::reply::{self, Reply};
use super::{Api, streams};
use crate::error::{Error, ErrorKind};
use crate::ffmpeg::process::keep_secrets_from;
use crate::hls::layout::Layout;

/// A good result holds this long: orchestrators ask every few seconds, and FFmpeg need not be run
/// for each of them.
const GOOD_HOLDS: Duration = Duration::from_secs(10);
/// A bad one is looked at again sooner, but not by every probe that waits in line.
const BAD_HOLDS: Duration = Duration::from_secs(1);
/// FFmpeg must tell its version within this time.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /api/health`.
pub fn health(api: &Api) -> Reply {
    let mut active_streams = 0;
    // Everybody may ask, as often as they like, so this is cheap with thousands of streams too.
    api.registry.for_each(|handle| {
        active_streams += usize::from(streams::is_active(handle.state()));
    });
    reply::json(&HealthOutput {
        status: if api.readiness.is_closing() { "shutting_down" } else { "healthy" },
        active_streams,
        uptime_seconds: api.started_at.elapsed().as_secs_f64().round(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// `GET /livez`: the process answers.
pub fn live() -> Reply {
    reply::json(&ProbeOutput { status: "alive" })
}

/// `GET /readyz`: FFmpeg runs, `STREAM_DIR` can be written, and the manager is not ending.
pub async fn ready(api: &Api) -> Result<Reply, Error> {
    api.readiness.check().await?;
    Ok(reply::json(&ProbeOutput { status: "ready" }))
}

/// Whether the service can do its work.
pub struct Readiness {
    ffmpeg: PathBuf,
    layout: Layout,
    is_closing: AtomicBool,
    last: Mutex<Option<(Instant, Result<(), Error>)>>,
}

impl Readiness {
    /// Of a manager that runs `ffmpeg` and writes to `layout`.
    pub fn new(ffmpeg: PathBuf, layout: Layout) -> Self {
        Self { ffmpeg, layout, is_closing: AtomicBool::new(false), last: Mutex::default() }
    }

    /// From now on the manager is not ready.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    /// Whether the manager is ending.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// What is wrong, if anything.
    pub async fn check(&self) -> Result<(), Error> {
        if self.is_closing() {
            return Err(Error::shutting_down());
        }
        // Held across the probe on purpose: many probes at once make one run of FFmpeg.
        let mut last = self.last.lock().await;
        if let Some((at, result)) = last.as_ref()
            && at.elapsed() < if result.is_ok() { GOOD_HOLDS } else { BAD_HOLDS }
        {
            return result.clone();
        }
        let result = self.probe().await;
        *last = Some((Instant::now(), result.clone()));
        result
    }

    async fn probe(&self) -> Result<(), Error> {
        self.probe_storage().await?;
        self.probe_ffmpeg().await
    }

    async fn probe_storage(&self) -> Result<(), Error> {
        let path = self.layout.ready_file();
        let written = async {
            tokio::fs::write(&path, b"ready").await?;
            tokio::fs::remove_file(&path).await
        };
        written.await.map_err(|error| {
            let directory = self.layout.root().display();
            let detail = format!("STREAM_DIR {directory} cannot be written: {error}");
            Error::new(ErrorKind::StorageUnavailable, detail)
        })
    }

    async fn probe_ffmpeg(&self) -> Result<(), Error> {
        let mut command = Command::new(&self.ffmpeg);
        keep_secrets_from(&mut command);
        let run = command
            .arg("-version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        let reason = match timeout(PROBE_TIMEOUT, run).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        let detail = format!("FFmpeg ({}) cannot be run: {reason}", self.ffmpeg.display());
        Err(Error::new(ErrorKind::FfmpegUnavailable, detail))
    }
}
