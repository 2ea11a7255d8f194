//! The file `continuation.json`: writes a continuation, reads it, and checks it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::recovery::recover;
use super::stored::Stored;
use super::{Continuation, MAX_PAUSE, Unusable, left_files};
use crate::output::hls::layout::{StreamDir, StreamFile};

/// The longest time between the end of the video and the end of the audio. If the audio ended first, the next fragment
/// fills this time with silence. If the video ended first, no audio is written until the video is as far as the audio.
const MAX_AUDIO_GAP: Duration = Duration::from_secs(10);

impl Continuation {
    /// Writes the file, and returns its length in bytes. The file gets its name when it is complete. `parts_from` is the
    /// index of the first segment whose parts a playlist can name.
    pub(in crate::output::hls) fn write(
        &self,
        dir: &StreamDir,
        parts_from: usize,
    ) -> io::Result<usize> {
        let text = Stored::new(self, parts_from)?.to_text()?;
        fs::write(dir.next_continuation(), &text)?;
        fs::rename(dir.next_continuation(), dir.continuation())?;
        Ok(text.len())
    }

    /// Overwrites the file, which has `length` bytes, and returns its new length. This costs less than
    /// [`write`](Self::write). If the manager is killed at this moment, the file may be a mixture of both versions. The
    /// checks of [`read`](Self::read) detect this, and the stream begins a new playlist.
    pub(in crate::output::hls) fn overwrite(
        &self,
        dir: &StreamDir,
        parts_from: usize,
        length: usize,
    ) -> io::Result<usize> {
        let mut text = Stored::new(self, parts_from)?.to_text()?;
        // Blanks at the end of a JSON text have no meaning.
        text.resize(text.len().max(length), b' ');
        File::options().write(true).open(dir.continuation())?.write_all(&text)?;
        Ok(text.len())
    }

    /// Reads the file that an earlier manager has written to `dir`, and the growing segment. Cuts an incomplete
    /// fragment off that segment's file. Returns the continuation, and its age. Returns `None` if there is no file.
    pub(in crate::output::hls) fn read(
        dir: &StreamDir,
    ) -> Result<Option<(Self, Duration)>, Unusable> {
        let Some(text) = left_files::continuation(dir)? else { return Ok(None) };
        let stored = Stored::parse(&text)?;
        let age = stored.age().filter(|age| *age <= MAX_PAUSE).ok_or(Unusable::Old)?;
        let mut read = stored.open(dir)?;
        if let Some(growing) = read.growing.clone()
            && let Some((segment, end)) = recover(dir, growing, &read.end)?
        {
            read.segments.push(Arc::new(segment));
            read.end = end;
        }
        read.check_times()?;
        read.check_numbers(dir)?;
        read.check_files(dir)?;
        Ok(Some((read, age)))
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
}
