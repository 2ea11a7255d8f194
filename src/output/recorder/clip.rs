//! Records given frames, faster than time passes. For tests and benchmarks of playback: they need no manager and no camera
//! to get hours of recordings.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::copies::Copies;
use super::cutter::Clocks;
use super::layout::RecordingKey;
use super::shared::Recorder;
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_spec::SourceSpec;
use crate::events::bus::Bus;
use crate::media::frame::Frame;
use crate::store::Cameras;

/// Frames that are recorded again and again.
#[derive(Debug)]
pub struct Clip<'a> {
    /// The URL of the database. No manager may use it at the same time.
    pub database_url: &'a str,
    /// The directory for recordings.
    pub dir: &'a Path,
    /// The camera's id. The camera is added if it is unknown.
    pub camera: &'a str,
    /// The camera's RTSP link, if the camera is added.
    pub link: &'a str,
    /// True for the sub stream.
    pub is_sub: bool,
    /// The time at which the first frame was taken.
    pub start_at: SystemTime,
    /// The frames of one epoch, beginning with a keyframe.
    pub frames: &'a [Frame],
    /// How often the frames are recorded.
    pub times: u32,
}

/// Records a clip: writes the files and their entries in the database. Must be called within a runtime.
pub async fn record_clip(clip: &Clip<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let cameras = Cameras::open(clip.database_url, None).await?;
    let (id, source) = (CameraId::parse(clip.camera)?, Source::parse(clip.link)?);
    let profile = if clip.is_sub { Profile::Sub } else { Profile::Main };
    let add = |known: Option<Record>| {
        let spec = SourceSpec::from_link(profile, source);
        Ok(known.unwrap_or_else(|| Record::new(id.clone(), spec)))
    };
    let (record, _) = cameras.change(&id, add).await?;
    let database = cameras.database().clone();
    let clock = Arc::new(SystemTime::now);
    let paths = [clip.dir.to_owned()];
    let recorder =
        Recorder::start(database.clone(), &paths, 0, Bus::default(), Copies::default(), clock)?;
    recorder.directories().check(&database).await?;
    let identity = IdentityTag::of(&record.identity());
    let key = RecordingKey { camera: id.clone(), identity, profile };
    let mut session = recorder.session(&key).await?;
    let began = Instant::now();
    let first = clip.frames.first().map_or(Duration::ZERO, |frame| frame.decode_time);
    let end = clip.frames.iter().map(|frame| frame.decode_time + frame.duration).max();
    let length = end.unwrap_or_default().saturating_sub(first);
    let mut clocks = Clocks { system: clip.start_at, monotonic: began };
    for number in 0..clip.times {
        let shift = |time: Duration| time.saturating_sub(first) + length * number;
        for frame in clip.frames {
            let since = shift(frame.decode_time);
            clocks = Clocks { system: clip.start_at + since, monotonic: began + since };
            let frame = Frame {
                decode_time: since,
                presentation_time: shift(frame.presentation_time),
                received_at: clocks.monotonic,
                taken_at: clip.start_at + shift(frame.presentation_time),
                ..frame.clone()
            };
            session.push(&Arc::new(frame), clocks).await?;
        }
    }
    session.finish(clocks).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::output::recorder::layout::FileName;
    use crate::output::recorder::repair;
    use crate::output::recorder::testing::recorded;

    #[tokio::test]
    async fn files_and_index_agree() {
        let start_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_986_123);
        let setup = recorded(start_at).await;
        let stream = &setup.stream().await;
        let files = setup.database.recorded_fragments(stream.id, 0, i64::MAX).await;
        let files = files.expect("files");
        assert_eq!(files.len(), 5);
        let mut end = 1_795_986_123_000;
        for (file, fragments) in &files {
            assert_eq!((file.start_at, file.is_open), (end, false));
            end = file.end_at;
            let name = FileName::of(stream, file).path();
            let path = setup.dir().join(&name);
            let before = fs::read(&path).expect("a file");
            let read = repair::complete(&setup.dir(), &name).expect("a file").expect("fragments");
            assert_eq!(fs::read(&path).expect("a file"), before, "the file was complete");
            assert_eq!(&read.fragments, fragments);
            assert_eq!((read.bytes, read.frames), (file.bytes, file.frames));
            assert_eq!(read.decode_time, file.decode_time);
            let keyframes = fragments.iter().filter(|fragment| fragment.is_keyframe).count();
            assert_eq!((file.frames, keyframes), (60, 6));
        }
        // The last frame has the duration of the frame before.
        assert_eq!(end, 1_795_986_123_000 + 300_000);
        assert!(files.windows(2).all(|pair| pair[0].0.is_continued_by(&pair[1].0)));
        let bytes: u64 = files.iter().map(|(file, _)| file.bytes).sum();
        assert_eq!(setup.database.recorded_bytes().await.expect("a sum"), bytes);
    }
}
