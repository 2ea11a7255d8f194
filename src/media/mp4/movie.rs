//! Progressive MP4 of recorded frames: the description of all frames comes first, and their data follows unchanged. Pure:
//! the data itself is not read here.
//!
//! The first frame that is shown is rarely a keyframe. So the movie begins with the keyframe before it, and an edit list
//! hides the frames that are only needed for decoding. Gaps between recordings are closed. A text track has the date of
//! each second.

use mp4_atom::{
    Atom as _, Co64, Ctts, CttsEntry, Decode as _, Edts, Elst, ElstEntry, Encode as _, FourCC,
    Ftyp, Mdat, Moov, Stbl, Stco, Stsc, StscEntry, Stss, Stsz, StszSamples, Stts, SttsEntry, Trak,
};

use self::clock_text::{ClockSamples, ClockText, TEXT};
use super::frame_table::{FramesOfTrack, TableFrame};
use super::track::{AUDIO, Mp4Error, TICKS_PER_MS, VIDEO, VIDEO_TIMESCALE};
use crate::base::time_span::TimeSpan;

mod clock_text;

/// Seconds between the beginning of 1904, from which MP4 counts dates, and the beginning of 1970.
const MP4_EPOCH: u64 = 2_082_844_800;
/// Bytes of the head of a small and of a large box.
const BOX_HEADS: (u64, u64) = (8, 16);

/// A range of bytes of a recorded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The number of the file.
    pub(crate) file: usize,
    /// Position in the file, in bytes.
    pub(crate) offset: u64,
    /// Size in bytes.
    pub(crate) size: u64,
}

/// A movie, of which the data of the frames is in recorded files.
#[derive(Debug)]
pub(crate) struct Movie {
    /// The bytes before the data of the frames.
    pub(crate) head: Vec<u8>,
    /// The data of the frames, which follows the head.
    pub(crate) pieces: Vec<Piece>,
    /// The playing time in ticks of the video track.
    pub(crate) duration: u64,
}

/// The frames of a recorded file.
#[derive(Debug)]
pub(crate) struct FileFrames<'a> {
    /// The number of the file.
    pub(crate) file: usize,
    /// All frames of the file.
    pub(crate) tracks: &'a [FramesOfTrack],
    /// The decode time of the first frame of video, in ticks of the video track.
    pub(crate) decode_time: u64,
    /// The date of this time, in UTC milliseconds.
    pub(crate) start_at: i64,
    /// True if the file continues the previous one: without a gap, and on the same clock.
    pub(crate) is_continuous: bool,
}

impl FileFrames<'_> {
    /// Converts a date to a time on the clock of the file, in ticks of the video track.
    fn on_clock(&self, date: i64) -> i64 {
        let ticks = date.saturating_sub(self.start_at).saturating_mul(TICKS_PER_MS);
        ticks.saturating_add(i64::try_from(self.decode_time).unwrap_or(i64::MAX))
    }
}

/// Makes a movie from the frames of recorded files, which must have the same init segment.
#[derive(Debug)]
pub(crate) struct MovieWriter {
    moov: Moov,
    /// The dates that are shown.
    span: TimeSpan,
    video: TrackWriter,
    audio: TrackWriter,
    text: ClockText,
    pieces: Vec<Piece>,
    /// The size of all pieces.
    size: u64,
    clock: Option<Clock>,
    /// The time of the movie at which the first frame is shown, in ticks of the video track.
    shown_from: i64,
    /// The time of the movie at which the last frame ends, in ticks of the video track.
    shown_until: i64,
}

/// The relation between the clock of consecutive files and the time of the movie.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// A time on the clock of the files, in ticks of the video track.
    of_files: i64,
    /// The same time in the movie, in the same unit.
    of_movie: i64,
}

impl Clock {
    /// Converts a time on the clock of the files to the time of the movie, both in ticks of a track.
    fn convert(self, time: u64, timescale: u32) -> i64 {
        let time = i64::try_from(time).unwrap_or(i64::MAX);
        let ticks = |video_ticks| rescale(video_ticks, timescale);
        time.saturating_sub(ticks(self.of_files)).saturating_add(ticks(self.of_movie))
    }
}

/// Converts ticks of the video track to ticks of another track.
fn rescale(ticks: i64, timescale: u32) -> i64 {
    let scaled = i128::from(ticks) * i128::from(timescale) / i128::from(VIDEO_TIMESCALE);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// The tables of a track.
#[derive(Debug, Default)]
struct TrackWriter {
    timescale: u32,
    /// The time of the first frame in the movie, in ticks of the track.
    begin: i64,
    /// The time and the duration of the last frame, in the same unit.
    last: Option<(i64, u32)>,
    sizes: Vec<u32>,
    times: Vec<SttsEntry>,
    offsets: Vec<CttsEntry>,
    keyframes: Vec<u32>,
    /// The positions of the chunks in the data of the movie.
    chunks: Vec<u64>,
    chunk_lengths: Vec<StscEntry>,
    /// The number of frames in the last chunk.
    in_chunk: u32,
}

impl TrackWriter {
    /// Adds a frame, which begins at the time `time` of the movie, and whose data is at `position`.
    fn add(&mut self, frame: &TableFrame, time: i64, position: u64, is_new_chunk: bool) {
        match self.last {
            Some((before, _)) => self.end_last(time.saturating_sub(before)),
            None => self.begin = time,
        }
        self.last = Some((time, frame.duration));
        self.sizes.push(frame.size);
        let offset = i64::from(frame.composition_offset);
        match self.offsets.last_mut().filter(|entry| entry.sample_offset == offset) {
            Some(entry) => entry.sample_count = entry.sample_count.saturating_add(1),
            None => self.offsets.push(CttsEntry { sample_count: 1, sample_offset: offset }),
        }
        if frame.is_keyframe {
            self.keyframes.push(u32::try_from(self.sizes.len()).unwrap_or(u32::MAX));
        }
        if is_new_chunk || self.chunks.is_empty() {
            self.end_chunk();
            self.chunks.push(position);
        }
        self.in_chunk = self.in_chunk.saturating_add(1);
    }

    /// Sets the duration of the last frame.
    fn end_last(&mut self, duration: i64) {
        let delta = u32::try_from(duration.max(0)).unwrap_or(u32::MAX);
        match self.times.last_mut().filter(|entry| entry.sample_delta == delta) {
            Some(entry) => entry.sample_count = entry.sample_count.saturating_add(1),
            None => self.times.push(SttsEntry { sample_count: 1, sample_delta: delta }),
        }
    }

    fn end_chunk(&mut self) {
        let samples = std::mem::take(&mut self.in_chunk);
        let is_same = self.chunk_lengths.last().is_some_and(|it| it.samples_per_chunk == samples);
        if samples > 0 && !is_same {
            let first_chunk = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
            let (samples_per_chunk, sample_description_index) = (samples, 1);
            self.chunk_lengths.push(StscEntry {
                first_chunk,
                samples_per_chunk,
                sample_description_index,
            });
        }
    }

    /// Completes the tables.
    fn finish(&mut self) {
        if let Some((_, duration)) = self.last.take() {
            self.end_last(duration.into());
        }
        self.end_chunk();
    }

    /// Returns the time at which the last frame ends, in ticks of the track.
    fn end(&self) -> i64 {
        self.last.map_or(i64::MIN, |(time, duration)| time.saturating_add(duration.into()))
    }

    /// Returns the duration of all frames, in ticks of the track.
    fn duration(&self) -> u64 {
        let of_entry = |it: &SttsEntry| u64::from(it.sample_count) * u64::from(it.sample_delta);
        self.times.iter().map(of_entry).fold(0, u64::saturating_add)
    }

    /// Returns the tables. The data of the movie begins at the position `data`.
    fn tables(&self, before: &Stbl, data: u64, is_large: bool) -> Stbl {
        let position = |chunk: &u64| chunk.saturating_add(data);
        let small = || self.chunks.iter().map(|it| u32::try_from(position(it)).unwrap_or(u32::MAX));
        let has_offsets = self.offsets.iter().any(|entry| entry.sample_offset != 0);
        let has_other_frames = self.keyframes.len() < self.sizes.len();
        Stbl {
            stsd: before.stsd.clone(),
            stts: Stts { entries: self.times.clone() },
            ctts: has_offsets.then(|| Ctts { entries: self.offsets.clone() }),
            stss: has_other_frames.then(|| Stss { entries: self.keyframes.clone() }),
            stsc: Stsc { entries: self.chunk_lengths.clone() },
            stsz: Stsz { samples: StszSamples::Different { sizes: self.sizes.clone() } },
            stco: (!is_large).then(|| Stco { entries: small().collect() }),
            co64: is_large.then(|| Co64 { entries: self.chunks.iter().map(position).collect() }),
            ..Stbl::default()
        }
    }
}

impl MovieWriter {
    /// Creates a movie of what was recorded in `span`. All frames belong to the init segment. Returns `None` if the init
    /// segment is damaged.
    pub(crate) fn new(mut init: &[u8], span: TimeSpan) -> Option<Self> {
        Ftyp::decode(&mut init).ok()?;
        let moov = Moov::decode(&mut init).ok()?;
        let track = |id| {
            let track = moov.trak.iter().find(|track| track.tkhd.track_id == id);
            let timescale = track.map_or(0, |track| track.mdia.mdhd.timescale);
            TrackWriter { timescale, ..TrackWriter::default() }
        };
        let (video, audio) = (track(VIDEO), track(AUDIO));
        (video.timescale == VIDEO_TIMESCALE).then_some(())?;
        Some(Self {
            moov,
            span,
            video,
            audio,
            text: ClockText::default(),
            pieces: Vec::new(),
            size: 0,
            clock: None,
            shown_from: 0,
            shown_until: 0,
        })
    }

    /// Adds the frames of the next file.
    pub(crate) fn add(&mut self, file: &FileFrames<'_>) {
        let track = |id| file.tracks.iter().find(|track| track.track_id == id);
        let frames = |id| track(id).map(|track| track.frames.as_slice()).unwrap_or_default();
        let is_first = self.video.sizes.is_empty();
        let all = frames(VIDEO);
        let (from, to) = (file.on_clock(self.span.from), file.on_clock(self.span.to));
        // If the clock was set back, a file after a gap can also begin before the movie.
        let has_begin = is_first || !file.is_continuous;
        let Some(selected) = select(all, from, to, has_begin) else { return };
        let Some(first) = selected.frames.first() else { return };
        let decode_time = i64::try_from(first.decode_time).unwrap_or(i64::MAX);
        let clock = match self.clock {
            Some(clock) if file.is_continuous => clock,
            // A gap is closed: the next frame begins where the last one ends.
            Some(_) => Clock { of_files: decode_time, of_movie: self.video.end() },
            None => Clock { of_files: decode_time, of_movie: 0 },
        };
        self.clock = Some(clock);
        let in_movie =
            |time: i64| time.saturating_sub(clock.of_files).saturating_add(clock.of_movie);
        if is_first {
            self.shown_from = in_movie(selected.shown_from);
        }
        self.shown_until = self.shown_until.max(in_movie(selected.shown_until));
        self.text.begin(
            in_movie(file.on_clock(file.start_at)),
            in_movie(selected.shown_from),
            file.start_at,
        );
        let sound = self.select_sound(frames(AUDIO), clock);
        self.add_in_order(file.file, clock, selected.frames, sound);
    }

    /// Returns the frames of audio that are heard in the movie, and one more, with which decoding begins.
    fn select_sound<'a>(&self, frames: &'a [TableFrame], clock: Clock) -> &'a [TableFrame] {
        let scale = self.audio.timescale;
        if scale == 0 {
            return &[];
        }
        let (from, until) = (rescale(self.shown_from, scale), rescale(self.shown_until, scale));
        let time = |frame: &TableFrame| clock.convert(frame.decode_time, scale);
        let is_before = |frame: &TableFrame| {
            let (begin, length) = (time(frame), i64::from(frame.duration));
            // Times are rounded, so a frame can begin slightly before the last one ends.
            let is_repeated = begin.saturating_add(length / 2) < self.audio.end();
            begin.saturating_add(length * 2) <= from || is_repeated
        };
        let start = frames.partition_point(is_before);
        let end = frames.partition_point(|frame| time(frame) < until);
        frames.get(start..end).unwrap_or_default()
    }

    /// Adds frames in the order in which they are in the file.
    fn add_in_order(
        &mut self,
        file: usize,
        clock: Clock,
        mut video: &[TableFrame],
        mut audio: &[TableFrame],
    ) {
        let mut last_track = None;
        loop {
            let (id, frame) = match (video.split_first(), audio.split_first()) {
                (Some((picture, rest)), sound)
                    if sound.is_none_or(|(sound, _)| picture.offset < sound.offset) =>
                {
                    video = rest;
                    (VIDEO, picture)
                }
                (_, Some((sound, rest))) => {
                    audio = rest;
                    (AUDIO, sound)
                }
                (_, None) => return,
            };
            let position = self.size;
            let before = self.pieces.last_mut();
            let adjacent = before.filter(|it| {
                it.file == file && it.offset.checked_add(it.size) == Some(frame.offset)
            });
            let is_adjacent = adjacent.is_some();
            let size = u64::from(frame.size);
            match adjacent {
                Some(piece) => piece.size = piece.size.saturating_add(size),
                None => self.pieces.push(Piece { file, offset: frame.offset, size }),
            }
            self.size = self.size.saturating_add(size);
            let is_new_chunk = !is_adjacent || last_track.replace(id) != Some(id);
            last_track = Some(id);
            let track = if id == VIDEO { &mut self.video } else { &mut self.audio };
            let time = clock.convert(frame.decode_time, track.timescale);
            track.add(frame, time, position, is_new_chunk);
        }
    }

    /// Returns the movie; `None` without frames.
    pub(crate) fn finish(mut self) -> Result<Option<Movie>, Mp4Error> {
        if self.video.sizes.is_empty() {
            return Ok(None);
        }
        self.video.finish();
        self.audio.finish();
        let text = self.text.samples(self.shown_from, self.shown_until);
        let duration = u64::try_from(self.shown_until.saturating_sub(self.shown_from)).unwrap_or(0);
        let size = self.size.saturating_add(text.data.len() as u64);
        let head = |data, is_large| self.head(data, duration, &text, is_large);
        // The positions do not change the size of the tables.
        let length = head(0, false)?.len() as u64;
        let is_large = size.saturating_add(length * 2) > u64::from(u32::MAX);
        let (small, large) = BOX_HEADS;
        let box_head = if is_large { large } else { small };
        let data = head(0, is_large)?.len() as u64 + box_head;
        let mut head = head(data, is_large)?;
        let whole = size.saturating_add(box_head);
        let short = if is_large { 1 } else { u32::try_from(whole).unwrap_or(1) };
        head.extend_from_slice(&short.to_be_bytes());
        head.extend_from_slice(Mdat::KIND.as_ref());
        if is_large {
            head.extend_from_slice(&whole.to_be_bytes());
        }
        head.extend_from_slice(&text.data);
        Ok(Some(Movie { head, pieces: self.pieces, duration }))
    }

    /// Returns `ftyp` and `moov`.
    ///
    /// The data, which begins with the text, is at the position `data`.
    fn head(
        &self,
        data: u64,
        duration: u64,
        text: &ClockSamples,
        is_large: bool,
    ) -> Result<Vec<u8>, Mp4Error> {
        let began_at = u64::try_from(self.span.from / 1000).unwrap_or(0);
        let frames = data.saturating_add(text.data.len() as u64);
        let mut moov = self.moov.clone();
        moov.mvex = None;
        moov.mvhd.timescale = VIDEO_TIMESCALE;
        moov.mvhd.duration = duration;
        moov.mvhd.creation_time = began_at.saturating_add(MP4_EPOCH);
        let writer = |track: &Trak| {
            if track.tkhd.track_id == VIDEO { &self.video } else { &self.audio }
        };
        moov.trak.retain(|track| !writer(track).sizes.is_empty());
        for track in &mut moov.trak {
            let writer = writer(track);
            track.tkhd.duration = duration;
            track.tkhd.creation_time = moov.mvhd.creation_time;
            track.edts = Some(Edts { elst: Some(self.edits(writer, duration)) });
            track.mdia.mdhd.duration = writer.duration();
            let tables = &mut track.mdia.minf.stbl;
            *tables = writer.tables(tables, frames, is_large);
        }
        moov.trak.push(text.track(duration, data, is_large));
        moov.mvhd.next_track_id = TEXT + 1;
        let mut bytes = Vec::new();
        let compatible_brands = [b"isom", b"iso2", b"iso4", b"mp41"].map(FourCC::new).to_vec();
        let brand = FourCC::new(b"isom");
        Ftyp { major_brand: brand, minor_version: 512, compatible_brands }.encode(&mut bytes)?;
        moov.encode(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the edit list of a track, which is shown for `duration` ticks of the video track.
    fn edits(&self, track: &TrackWriter, duration: u64) -> Elst {
        let shown_from = rescale(self.shown_from, track.timescale);
        let hidden = shown_from.saturating_sub(track.begin);
        let edit = |segment_duration, media_time| ElstEntry {
            segment_duration,
            media_time,
            media_rate: 1.into(),
        };
        let Ok(hidden) = u64::try_from(hidden) else {
            // The track begins later than the movie.
            let late = u64::try_from(rescale_to_video(hidden.saturating_neg(), track.timescale));
            let late = late.unwrap_or(0).min(duration);
            return Elst { entries: vec![edit(late, None), edit(duration - late, Some(0))] };
        };
        Elst { entries: vec![edit(duration, Some(hidden))] }
    }
}

/// Converts ticks of a track to ticks of the video track.
fn rescale_to_video(ticks: i64, timescale: u32) -> i64 {
    let scaled = i128::from(ticks) * i128::from(VIDEO_TIMESCALE);
    i64::try_from(scaled / i128::from(timescale.max(1))).unwrap_or(i64::MAX)
}

/// The frames of video of a file that belong to a movie.
struct Selected<'a> {
    /// The frames in the order of decoding.
    frames: &'a [TableFrame],
    /// The time at which the first frame that is shown begins.
    shown_from: i64,
    /// The time at which the last frame that is shown ends.
    shown_until: i64,
}

/// Selects the frames that are shown from `from` to `to`, and the frames that are needed for decoding them. Without
/// `has_begin`, all frames before `to` are selected. Returns `None` if no frame is shown in this time.
fn select(frames: &[TableFrame], from: i64, to: i64, has_begin: bool) -> Option<Selected<'_>> {
    let shown_at = |frame: &TableFrame| {
        let decode_time = i64::try_from(frame.decode_time).unwrap_or(i64::MAX);
        decode_time.saturating_add(frame.composition_offset.into())
    };
    let end_of = |frame: &TableFrame| shown_at(frame).saturating_add(frame.duration.into());
    let end = frames.iter().rposition(|frame| shown_at(frame) < to)? + 1;
    let until_end = frames.get(..end)?;
    let shown_until = until_end.iter().filter(|frame| shown_at(frame) < to).map(end_of).max()?;
    if !has_begin {
        let shown_from = until_end.iter().map(shown_at).min()?;
        return Some(Selected { frames: until_end, shown_from, shown_until });
    }
    let is_shown = |frame: &&TableFrame| end_of(frame) > from && shown_at(frame) < to;
    let shown_from = until_end.iter().filter(is_shown).map(shown_at).min()?;
    let first = until_end.iter().position(|frame| shown_at(frame) == shown_from)?;
    let until_first = until_end.get(..=first)?;
    // Frames before a keyframe in the order of presentation may need earlier frames.
    let keyframe = until_first
        .iter()
        .rposition(|frame| frame.is_keyframe && shown_at(frame) <= shown_from)
        .unwrap_or(0);
    Some(Selected { frames: until_end.get(keyframe..)?, shown_from, shown_until })
}

#[cfg(test)]
mod tests;
