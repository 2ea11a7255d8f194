//! What is needed to continue a stream's playlist after HLS has ended, even if the manager was killed: the file
//! `continuation.json` in the stream's directory.
//!
//! The packager writes the file whenever a segment begins, with all finished segments and the beginning of the growing
//! one. If the manager is killed, the next manager reads the parts of the growing segment from the segment's own file.
//! So no number of a segment or a part is used twice with different content.
//!
//! The file contains numbers, a digest of the stream's origin, and the id of the machine's last start, but no secret.
//! A file that cannot be used is ignored: the stream then begins a new playlist.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::camera::origin::Origin;
use crate::media::mp4::track::VIDEO_TIMESCALE;
use crate::media::mp4::written::{WrittenFragment, WrittenRun, audio_timescale, read_fragment};
use crate::output::hls::fragment::{InitId, MediaEnd};
use crate::output::hls::layout::{StreamDir, StreamFile};
use crate::output::hls::segment::{Part, PartStart, Segment};

/// The version of the file's format. Files of other versions are ignored.
const VERSION: u32 = 1;
/// The longest time between the end of HLS and its next start after which the playlist continues. Players that get no
/// playlist for longer have given up. A new playlist then has an advantage: players that join cannot begin
/// with old pictures.
pub(super) const MAX_PAUSE: Duration = Duration::from_mins(1);
/// The longest time between the end of the video and the end of the audio. If the audio ended first, the next fragment
/// fills this time with silence. If the video ended first, no audio is written until the video is as far as the audio.
const MAX_AUDIO_GAP: Duration = Duration::from_secs(10);
/// The largest file that is read, in bytes. The file of the longest playlist, which lasts for two minutes, needs less
/// than a tenth of this.
const MAX_BYTES: u64 = 1024 * 1024;
/// The largest segment that is read to find out how far it was written. This is half a minute at 64 Mbit/s.
const MAX_SEGMENT: u64 = 256 * 1024 * 1024;
/// The latest date of a segment, in microseconds since 1970: the year 9999, the last one that playlists can contain.
const LATEST: u64 = 253_402_300_799_000_000;

/// What is needed to continue a stream's playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Continuation {
    /// The origin of all segments.
    pub(super) origin: Origin,
    /// The configured duration of a segment. With another one, the playlist cannot continue.
    pub(super) configured: Duration,
    /// The wanted duration of a segment, which is longer than the configured one if the camera sends few frames.
    pub(super) segment_time: Duration,
    /// The number of discontinuities before the first segment.
    pub(super) discontinuity_sequence: u64,
    /// The epoch of the last fragment.
    pub(super) epoch: u64,
    /// The finished segments, oldest first, which are not empty.
    pub(super) segments: Vec<Arc<Segment>>,
    /// The segment that was growing when the file was written, without parts; `None` if HLS has ended.
    growing: Option<Segment>,
    /// The end of the last finished segment.
    pub(super) end: MediaEnd,
    /// The time at which HLS ended. If the last run of HLS has finished no segment, the end of the run before it.
    pub(super) written: Moment,
}

impl Continuation {
    /// Creates a continuation after the last segment; `None` if there are no segments.
    pub(super) fn new(
        origin: Origin,
        (configured, segment_time): (Duration, Duration),
        discontinuity_sequence: u64,
        epoch: u64,
        segments: Vec<Arc<Segment>>,
        end: MediaEnd,
        written: Moment,
    ) -> Option<Self> {
        let growing = None;
        (!segments.is_empty()).then_some(Self {
            origin,
            configured,
            segment_time,
            discontinuity_sequence,
            epoch,
            segments,
            growing,
            end,
            written,
        })
    }

    /// Returns the continuation with a segment that has just begun to grow.
    pub(super) fn with_growing(self, growing: &Segment) -> Self {
        Self { growing: Some(Segment { parts: Vec::new(), ..growing.clone() }), ..self }
    }

    /// Returns the number of the segment after the last one.
    pub(super) fn next_sequence(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.sequence + 1)
    }

    /// Returns the time since the last media was written.
    pub(super) fn age(&self) -> Duration {
        self.written.elapsed()
    }

    /// Returns whether HLS has ended, so that the file describes the stream exactly.
    pub(super) fn is_complete(&self) -> bool {
        self.growing.is_none()
    }

    /// Returns the bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length()).sum()
    }

    /// Returns the highest epoch of an init segment.
    pub(super) fn last_init_epoch(&self) -> u64 {
        self.segments.iter().map(|segment| segment.init.epoch).max().unwrap_or_default()
    }

    /// Returns whether the stream needs this file to continue.
    pub(super) fn needs(&self, file: StreamFile) -> bool {
        match file {
            StreamFile::Segment(sequence) => {
                self.segments.iter().any(|segment| segment.sequence == sequence)
            }
            StreamFile::Init(id) => self.segments.iter().any(|segment| segment.init == id),
            StreamFile::Continuation => true,
            StreamFile::NextContinuation | StreamFile::NextInit | StreamFile::Older => false,
        }
    }

    /// Fails if a file that the playlist needs is missing or has another length.
    pub(super) fn check_files(&self, dir: &StreamDir) -> Result<(), Unusable> {
        for segment in &self.segments {
            let length = fs::metadata(dir.segment(segment.sequence)).map(|file| file.len());
            if length.ok() != Some(segment.length()) {
                return Err(Unusable::Files);
            }
            let init = fs::metadata(dir.init(segment.init)).map(|file| file.len());
            if init.unwrap_or_default() == 0 {
                return Err(Unusable::Files);
            }
        }
        Ok(())
    }

    /// Writes the file, and returns its length in bytes. It gets its name when it is complete. `parts_from` is the index
    /// of the first segment whose parts a playlist can name.
    pub(super) fn write(&self, dir: &StreamDir, parts_from: usize) -> io::Result<usize> {
        let text = serde_json::to_vec(&self.stored(parts_from)?)?;
        fs::write(dir.next_continuation(), &text)?;
        fs::rename(dir.next_continuation(), dir.continuation())?;
        Ok(text.len())
    }

    /// Overwrites the file, which has `length` bytes, and returns its new length. This costs less than
    /// [`write`](Self::write). If the manager is killed at this moment, the file may be a mixture of both versions. The
    /// checks of [`read`](Self::read) detect this, and the stream begins a new playlist.
    pub(super) fn overwrite(
        &self,
        dir: &StreamDir,
        parts_from: usize,
        length: usize,
    ) -> io::Result<usize> {
        let mut text = serde_json::to_vec(&self.stored(parts_from)?)?;
        // Blanks at the end of a JSON text have no meaning.
        text.resize(text.len().max(length), b' ');
        File::options().write(true).open(dir.continuation())?.write_all(&text)?;
        Ok(text.len())
    }

    /// Reads the file that an earlier manager has written to `dir`, and the growing segment. Cuts an incomplete
    /// fragment off that segment's file. Returns the continuation, and its age. Returns `None` if there is no file.
    pub(super) fn read(dir: &StreamDir) -> Result<Option<(Self, Duration)>, Unusable> {
        let Some(text) = read_at_most(&dir.continuation(), MAX_BYTES)? else { return Ok(None) };
        let damaged = |_| Unusable::Damaged;
        let Version { version } = serde_json::from_slice(&text).map_err(damaged)?;
        if version != VERSION {
            return Err(Unusable::Version);
        }
        let stored: Stored = serde_json::from_slice(&text).map_err(damaged)?;
        let age = stored.written.age().filter(|age| *age <= MAX_PAUSE).ok_or(Unusable::Old)?;
        let mut read = stored.open(dir)?;
        if let Some(growing) = read.growing.clone() {
            read.recover(dir, growing)?;
        }
        read.check_times()?;
        read.check_numbers(dir)?;
        read.check_files(dir)?;
        Ok(Some((read, age)))
    }

    /// Adds the segment that was growing when the manager was killed, as far as it was written. If no fragment is
    /// complete, no player knows the segment. Its file is then deleted, and no segment is added.
    fn recover(&mut self, dir: &StreamDir, mut segment: Segment) -> Result<(), Unusable> {
        let path = dir.segment(segment.sequence);
        let Some(bytes) = read_at_most(&path, MAX_SEGMENT)? else { return Ok(()) };
        let mut end = self.end.clone();
        if segment.init != end.init {
            // The known end of the audio is a time on the time line of the other init segment, so it is not used.
            let init_bytes = init_bytes(dir, segment.init)?;
            end = MediaEnd { init: segment.init, init_bytes, video: end.video, audio: None };
        }
        let timescale = audio_timescale(&end.init_bytes);
        let mut length = 0;
        while let Some(fragment) = bytes.get(length..).and_then(read_fragment) {
            length += fragment.length;
            add_part(&mut segment, &fragment);
            note_end(&mut end, &fragment, timescale);
        }
        if length == 0 {
            return Ok(StreamDir::remove_file(&path)?);
        }
        if length < bytes.len() {
            File::options().write(true).open(&path)?.set_len(segment.length())?;
        }
        self.segments.push(Arc::new(segment));
        self.end = end;
        Ok(())
    }

    /// Fails if the ends of video and audio are too far apart.
    fn check_times(&self) -> Result<(), Unusable> {
        match self.end.audio {
            Some(audio) if self.end.video.abs_diff(audio) > MAX_AUDIO_GAP => Err(Unusable::Damaged),
            _ => Ok(()),
        }
    }

    /// Fails if the numbers of the segments have gaps, or if the directory contains a higher number.
    fn check_numbers(&self, dir: &StreamDir) -> Result<(), Unusable> {
        let mut pairs = self.segments.iter().zip(self.segments.iter().skip(1));
        if !pairs.all(|(one, next)| one.sequence.checked_add(1) == Some(next.sequence)) {
            return Err(Unusable::Damaged);
        }
        // continuation.json describes all segments, unless the packager could not write it.
        for entry in fs::read_dir(dir.path())? {
            let name = entry?.file_name();
            if let Some(StreamFile::Segment(sequence)) = name.to_str().and_then(StreamFile::parse)
                && sequence >= self.next_sequence()
            {
                return Err(Unusable::Outdated);
            }
        }
        Ok(())
    }

    fn stored(&self, parts_from: usize) -> io::Result<Stored> {
        let segments = self.segments.iter().enumerate();
        Ok(Stored {
            version: VERSION,
            written: if self.is_complete() { self.written.clone() } else { Moment::now()? },
            origin: self.origin.to_string(),
            configured: nanos(self.configured),
            segment_time: nanos(self.segment_time),
            discontinuity_sequence: self.discontinuity_sequence,
            generation: self.epoch,
            segments: segments
                .map(|(index, segment)| StoredSegment::new(segment, index >= parts_from))
                .collect(),
            growing: self.growing.as_ref().map(|growing| StoredSegment::new(growing, true)),
            video_end: nanos(self.end.video),
            audio_end: self.end.audio.map(nanos),
        })
    }
}

/// The reason why a playlist cannot continue.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("continuation.json is damaged")]
    Damaged,
    #[error("another version of the manager has written continuation.json")]
    Version,
    #[error("HLS ended too long ago")]
    Old,
    #[error("continuation.json is older than the segments")]
    Outdated,
    #[error("segments or init segments are missing or damaged")]
    Files,
    #[error("the camera or its owner has changed")]
    Origin,
    #[error("HLS_SEGMENT_TIME has changed")]
    Setting,
    #[error("the next numbers of the stream do not follow the numbers in continuation.json")]
    Numbers,
    #[error("cannot read the files: {0}")]
    Io(#[from] io::Error),
}

/// The beginning of every version of the file.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The content of the file. Durations and positions are in nanoseconds.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    written: Moment,
    origin: String,
    configured: u64,
    segment_time: u64,
    discontinuity_sequence: u64,
    generation: u64,
    segments: Vec<StoredSegment>,
    growing: Option<StoredSegment>,
    video_end: u64,
    audio_end: Option<u64>,
}

impl Stored {
    fn open(self, dir: &StreamDir) -> Result<Continuation, Unusable> {
        let segments: Option<Vec<_>> =
            self.segments.into_iter().map(|segment| segment.open().map(Arc::new)).collect();
        let segments = segments.ok_or(Unusable::Damaged)?;
        let Some(last) = segments.last() else { return Err(Unusable::Damaged) };
        if segments.iter().any(|segment| segment.parts.is_empty()) {
            return Err(Unusable::Damaged);
        }
        let growing = match self.growing {
            Some(growing) => Some(growing.open().ok_or(Unusable::Damaged)?),
            None => None,
        };
        let follows = |growing: &Segment| last.sequence.checked_add(1) == Some(growing.sequence);
        if !growing.as_ref().is_none_or(follows) {
            return Err(Unusable::Damaged);
        }
        Ok(Continuation {
            origin: self.origin.parse().map_err(|()| Unusable::Damaged)?,
            configured: Duration::from_nanos(self.configured),
            segment_time: Duration::from_nanos(self.segment_time),
            discontinuity_sequence: self.discontinuity_sequence,
            epoch: self.generation,
            end: MediaEnd {
                init: last.init,
                init_bytes: init_bytes(dir, last.init)?,
                video: Duration::from_nanos(self.video_end),
                audio: self.audio_end.map(Duration::from_nanos),
            },
            segments,
            growing,
            written: self.written,
        })
    }
}

/// A segment in the file.
#[derive(Serialize, Deserialize)]
struct StoredSegment {
    sequence: u64,
    /// The date, in microseconds since 1970.
    begins_at: u64,
    /// Epoch and version of the init segment.
    init: (u64, u32),
    is_discontinuity: bool,
    undeclared: u64,
    /// Duration, length and beginning of each part. If no playlist can name the parts any more, they are stored as one
    /// part.
    parts: Vec<(u64, u64, StoredStart)>,
}

#[derive(Serialize, Deserialize)]
enum StoredStart {
    Between,
    Unmarked,
    Keyframe,
}

impl StoredSegment {
    fn new(segment: &Segment, has_parts: bool) -> Self {
        let begin = |begin| match begin {
            PartStart::Between => StoredStart::Between,
            PartStart::Unmarked => StoredStart::Unmarked,
            PartStart::Keyframe => StoredStart::Keyframe,
        };
        let parts = segment.parts.iter();
        let since_1970 = segment.begins_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            sequence: segment.sequence,
            begins_at: u64::try_from(since_1970.as_micros()).unwrap_or(LATEST),
            init: (segment.init.epoch, segment.init.version),
            is_discontinuity: segment.is_discontinuity,
            undeclared: nanos(segment.undeclared),
            parts: if has_parts {
                parts.map(|part| (nanos(part.duration), part.length, begin(part.begin))).collect()
            } else {
                let whole = |first| (nanos(segment.duration()), segment.length(), begin(first));
                segment.begin().map(whole).into_iter().collect()
            },
        }
    }

    /// Returns the segment; `None` if a value cannot be right.
    fn open(self) -> Option<Segment> {
        let mut segment = Segment {
            sequence: self.sequence,
            begins_at: date(self.begins_at)?,
            init: InitId { epoch: self.init.0, version: self.init.1 },
            is_discontinuity: self.is_discontinuity,
            parts: Vec::with_capacity(self.parts.len()),
            undeclared: Duration::from_nanos(self.undeclared),
        };
        for (duration, length, begin) in self.parts {
            let begin = match begin {
                StoredStart::Between => PartStart::Between,
                StoredStart::Unmarked => PartStart::Unmarked,
                StoredStart::Keyframe => PartStart::Keyframe,
            };
            let (duration, offset) = (Duration::from_nanos(duration), segment.length());
            offset.checked_add(length)?;
            segment.parts.push(Part { duration, offset, length, begin });
        }
        Some(segment)
    }
}

/// A moment on a clock that cannot be set, and that continues while the machine sleeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// The random id that Linux chose when the machine was started; empty if the id cannot be read.
    boot: String,
    /// The milliseconds since the machine was started.
    millis: u64,
}

impl Moment {
    /// Returns the time since this moment, which must be later than the machine's last start. Returns
    /// [`Duration::MAX`] if the time is unknown.
    pub(super) fn elapsed(&self) -> Duration {
        let since = |now: Self| now.millis.checked_sub(self.millis);
        Self::now().ok().and_then(since).map_or(Duration::MAX, Duration::from_millis)
    }

    /// Returns the moment `time` before this one.
    #[cfg(test)]
    pub(super) fn earlier_by(&self, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        Self { millis: self.millis.saturating_sub(millis), ..self.clone() }
    }

    /// Returns the present moment.
    pub(super) fn now() -> io::Result<Self> {
        let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { boot: boot_id().to_owned(), millis })
    }

    /// Returns the time since this moment; `None` if the machine has restarted, or if the time is unknown.
    fn age(&self) -> Option<Duration> {
        self.age_at(&Self::now().ok()?)
    }

    /// Returns the time from this moment to `now`; `None` if the machine has restarted, or if that is unknown.
    fn age_at(&self, now: &Self) -> Option<Duration> {
        if self.boot.is_empty() || now.boot != self.boot {
            return None;
        }
        Some(Duration::from_millis(now.millis.checked_sub(self.millis)?))
    }
}

fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.unwrap_or_default().trim().to_owned()
    })
}

/// Adds a part for a fragment. The playlist will not mark the part as independent, because it is unknown whether
/// earlier playlists marked it.
fn add_part(segment: &mut Segment, fragment: &WrittenFragment) {
    let ticks = |run: &WrittenRun| time(run.end - run.begin, VIDEO_TIMESCALE);
    let (offset, length) = (segment.length(), fragment.length as u64);
    let video = fragment.video.as_ref();
    let is_keyframe = video.is_some_and(|run| run.is_keyframe);
    let duration = video.map_or(Duration::ZERO, ticks);
    match segment.parts.last_mut() {
        Some(last) if duration.is_zero() => last.length += length,
        _ => {
            let begin = if is_keyframe { PartStart::Unmarked } else { PartStart::Between };
            segment.parts.push(Part { duration, offset, length, begin });
        }
    }
}

/// Moves the end of the media to the end of a fragment, whose audio has this time scale.
fn note_end(end: &mut MediaEnd, fragment: &WrittenFragment, audio_timescale: Option<u32>) {
    if let Some(run) = &fragment.video {
        end.video = time(run.end, VIDEO_TIMESCALE);
    }
    if let (Some(run), Some(timescale)) = (&fragment.audio, audio_timescale) {
        end.audio = Some(time(run.end, timescale));
    }
}

/// Returns a number of ticks as a duration, rounded to nanoseconds.
fn time(ticks: u64, timescale: u32) -> Duration {
    let timescale = u128::from(timescale.max(1));
    let nanos = (u128::from(ticks) * 1_000_000_000 + timescale / 2) / timescale;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Reads an init segment. Fails if it is missing or larger than an init segment can be.
fn init_bytes(dir: &StreamDir, id: InitId) -> Result<Bytes, Unusable> {
    Ok(read_at_most(&dir.init(id), MAX_BYTES)?.ok_or(Unusable::Files)?.into())
}

/// Reads a file of at most `max` bytes; `None` if it does not exist.
fn read_at_most(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Unusable> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(Unusable::Damaged) } else { Ok(Some(bytes)) }
}

fn date(micros: u64) -> Option<SystemTime> {
    (micros <= LATEST).then(|| UNIX_EPOCH + Duration::from_micros(micros))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
