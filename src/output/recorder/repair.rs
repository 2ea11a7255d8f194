//! Reads a recorded file, and repairs it if an interrupted manager has not closed it. All functions can block.
//!
//! Only the heads of the fragments are read, not the media.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::base::dirs;
use crate::media::mp4::frame_table::{FrameTableWriter, FramesOfTrack, is_frame_table};
use crate::media::mp4::recorded::{
    BOX_HEAD, BoxHead, InitDescription, box_head, describe_init, fragment_frames,
};
use crate::store::db::fragment_list::RecordedFragment;

/// The largest head of a file or fragment that is read. A minute of video has a few kilobytes of them.
const MAX_HEAD: u64 = 16 * 1024 * 1024;
/// Bytes of a box's head that are enough to recognise the table of frames.
const TABLE_HEAD: usize = 24;
/// Bytes of a fragment's head that are enough to recognise it: the head of `moof`, and that of `mfhd` in it.
const FRAGMENT_HEAD: usize = 16;
/// A file that has not been changed for this time is not being written any more.
const GROWING: Duration = Duration::from_secs(10);
/// Bytes of the head of a box whose size has 32 bits.
const SHORT_HEAD: usize = 8;
/// The largest file in bytes that can be without a fragment. An init segment has about a kilobyte, and the description of the
/// first fragment less.
const MAX_EMPTY: u64 = 64 * 1024;

/// A recorded file that is complete.
#[derive(Debug)]
pub(crate) struct CompleteFile {
    /// The init segment.
    pub(crate) init: Bytes,
    /// The description of the init segment.
    pub(crate) description: InitDescription,
    /// Size of the file in bytes.
    pub(crate) bytes: u64,
    /// The decode time of the first frame of video, in ticks of the video track.
    pub(crate) decode_time: u64,
    /// The number of frames of video.
    pub(crate) frames: u32,
    /// The fragments. There is at least one.
    pub(crate) fragments: Vec<RecordedFragment>,
    /// The number of bytes that were cut off.
    pub(crate) cut: u64,
}

impl CompleteFile {
    /// Returns the playing time in milliseconds.
    pub(crate) fn duration_ms(&self) -> i64 {
        let last = self.fragments.last();
        last.map_or(0, |last| i64::from(last.begin_ms) + i64::from(last.duration_ms))
    }
}

/// A recorded file as it was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// At least one whole fragment.
    Recording(FoundFile),
    /// An interrupted manager has left the file before its first picture was complete: the file ends in its own init
    /// segment, or in its own first fragment.
    Empty,
}

/// A recorded file with at least one whole fragment, which is not changed yet.
#[derive(Debug)]
pub(crate) struct FoundFile {
    /// The content. Its size is that of the present file.
    pub(crate) content: CompleteFile,
    /// True if an interrupted manager has not closed the file.
    pub(crate) is_unfinished: bool,
    /// The time at which the file was last changed.
    modified: SystemTime,
    table: Vec<u8>,
}

/// Reads the file `path` below `root`. If an interrupted manager has not closed it, cuts it after its last whole fragment, and
/// adds the table of frames. Returns `None` if the file is [`Found::Empty`]. Fails in the cases in which [`read`] fails.
pub(crate) fn complete(root: &Path, path: &Path) -> io::Result<Option<CompleteFile>> {
    match read(root, path)? {
        Found::Recording(found) => found.close(root, path).map(Some),
        Found::Empty => Ok(None),
    }
}

/// Reads the file `path` below `root`, and changes nothing. Fails with `InvalidData` if no fragment can be read, and the file is
/// not [`Found::Empty`]. If a later part is damaged, the rest of the file does not count.
pub(crate) fn read(root: &Path, path: &Path) -> io::Result<Found> {
    let file = dirs::open(root, path)?;
    let metadata = file.metadata()?;
    let mut reader = Reader { size: metadata.len(), file, position: 0 };
    let Some((init, description)) = reader.init()? else { return reader.without_fragment() };
    let timescales = (description.video_timescale, description.audio_timescale);
    let mut table = FrameTableWriter::new(timescales.0, timescales.1);
    let mut times = Times::new(timescales.0);
    let mut fragments = Vec::new();
    while let Some(fragment) = reader.fragment(&mut times, &mut table)? {
        fragments.push(fragment);
    }
    let Some(decode_time) = times.first else { return reader.without_fragment() };
    let (bytes, frames) = (reader.size, times.frames);
    let content = CompleteFile { init, description, bytes, decode_time, frames, fragments, cut: 0 };
    let is_unfinished = !reader.has_table()? && reader.rest_is_unfinished()?;
    let (modified, table) = (metadata.modified()?, table.finish());
    Ok(Found::Recording(FoundFile { content, is_unfinished, modified, table }))
}

impl FoundFile {
    /// Returns true if the file is closed and has this size in bytes.
    pub(crate) fn is_unchanged(&self, bytes: u64) -> bool {
        let end = self.content.fragments.last().map(RecordedFragment::end);
        // A file that was closed on a full disk has no table, and ends with its last fragment.
        self.content.bytes == bytes && (!self.is_unfinished || end == Some(bytes))
    }

    /// Returns true if another program may be writing the file, for example while it is copied back.
    pub(crate) fn is_growing(&self) -> bool {
        // The clock of a file server can be ahead.
        let age = self.modified.elapsed().unwrap_or_else(|ahead| ahead.duration());
        self.is_unfinished && age < GROWING
    }

    /// Closes the file, unless it is closed.
    pub(crate) fn close(self, root: &Path, path: &Path) -> io::Result<CompleteFile> {
        let Self { mut content, is_unfinished, table, .. } = self;
        if is_unfinished {
            let file = dirs::open_to_change(root, path)?;
            let end = content.fragments.last().map_or(0, RecordedFragment::end);
            file.set_len(end)?;
            // Without free space for the table, the file can still be played.
            if file.write_all_at(&table, end).is_err() {
                file.set_len(end)?;
            }
            file.sync_data()?;
            content.cut = content.bytes - end;
            content.bytes = file.metadata()?.len();
        }
        Ok(content)
    }
}

/// A file that is read box by box.
struct Reader {
    file: File,
    size: u64,
    /// The end of the last box that belongs to a whole fragment or to the init segment.
    position: u64,
}

/// The times of the fragments so far.
struct Times {
    timescale: u64,
    /// Decode time of the first frame of video; `None` before the first fragment.
    first: Option<u64>,
    frames: u32,
}

impl Times {
    fn new(timescale: u32) -> Self {
        Self { timescale: u64::from(timescale).max(1), first: None, frames: 0 }
    }

    /// Converts a decode time to milliseconds since the beginning of the file.
    fn ms(&mut self, time: u64) -> u32 {
        let since = time.saturating_sub(*self.first.get_or_insert(time));
        let ms = since.saturating_mul(1000).saturating_add(self.timescale / 2) / self.timescale;
        u32::try_from(ms).unwrap_or(u32::MAX)
    }
}

impl Reader {
    /// Returns the head of the box at `position`; `None` at the end of the file, and if the box is not complete.
    fn head(&self, position: u64) -> io::Result<Option<BoxHead>> {
        let left = self.size.saturating_sub(position);
        let length = usize::try_from(left).unwrap_or(BOX_HEAD).min(BOX_HEAD);
        let mut bytes = [0; BOX_HEAD];
        let Some(bytes) = bytes.get_mut(..length) else { return Ok(None) };
        self.file.read_exact_at(bytes, position)?;
        Ok(box_head(bytes).filter(|head| head.size <= left))
    }

    /// Returns the bytes at a position; `None` if they are more than `most`.
    fn read(&self, position: u64, size: u64, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = usize::try_from(size).ok().filter(|_| size <= most) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(Some(bytes))
    }

    /// Returns all bytes from `position` on; `None` if they are more than an interrupted manager leaves there.
    fn rest(&self, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.read(self.position, self.size - self.position, most)
    }

    /// Returns true if what follows the last whole fragment is what an interrupted manager leaves there: a part of one
    /// fragment or of the table, or data that was not written before a power cut. If anything there can be another fragment,
    /// or if the fragment is whole but damaged, returns false.
    fn rest_is_unfinished(&self) -> io::Result<bool> {
        let Some(rest) = self.rest(MAX_HEAD)? else { return Ok(false) };
        let later = rest.get(1..).unwrap_or_default();
        if later.windows(FRAGMENT_HEAD).any(is_fragment_head)
            || later.windows(TABLE_HEAD).any(is_frame_table)
        {
            return Ok(false);
        }
        let moof =
            box_head(&rest).filter(|head| head.kind == *b"moof" && head.size <= rest.len() as u64);
        Ok(match moof {
            Some(moof) => self.unfinished_fragment(moof)?.is_some(),
            // The media of a fragment follow its description.
            None => !contains(&rest, *b"mdat"),
        })
    }

    /// Returns the frames of the fragment at `position`, whose description is whole, if its media are not: they are as long
    /// as the description says, and the file ends before their end.
    fn unfinished_fragment(&self, moof: BoxHead) -> io::Result<Option<Vec<FramesOfTrack>>> {
        let Some(bytes) = self.read(self.position, moof.size, MAX_HEAD)? else { return Ok(None) };
        let Some(tracks) = fragment_frames(&bytes, self.position) else { return Ok(None) };
        let media = self.position + moof.size;
        let end = end_of_frames(&tracks).filter(|end| *end > self.size && *end > media);
        let mut head = [0; BOX_HEAD];
        let length = usize::try_from(self.size - media).unwrap_or(BOX_HEAD).min(BOX_HEAD);
        let Some(head) = head.get_mut(..length) else { return Ok(None) };
        self.file.read_exact_at(head, media)?;
        let is_as_described = match box_head(head) {
            Some(mdat) => mdat.kind == *b"mdat" && end == media.checked_add(mdat.size),
            None => head.len() < BOX_HEAD,
        };
        Ok(end.filter(|_| is_as_described).map(|_| tracks))
    }

    /// Returns the result for a file without a readable fragment.
    fn without_fragment(&self) -> io::Result<Found> {
        let is_empty =
            if self.position > 0 { self.ends_in_first_fragment()? } else { self.ends_in_init()? };
        if is_empty {
            return Ok(Found::Empty);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "its beginning is damaged"))
    }

    /// Returns true if the file ends within its init segment, as far as it exists.
    fn ends_in_init(&self) -> io::Result<bool> {
        let Some(bytes) = self.rest(MAX_EMPTY)? else { return Ok(false) };
        if contains(&bytes, *b"moof") || contains(&bytes, *b"mdat") {
            return Ok(false);
        }
        // The last box is the one that is not whole.
        let mut rest = bytes.as_slice();
        for kind in [b"ftyp", b"moov"] {
            let Some(head) = box_head(rest) else { return Ok(rest.len() < SHORT_HEAD) };
            let size = usize::try_from(head.size).unwrap_or(usize::MAX);
            if head.kind != *kind || head.size > MAX_EMPTY {
                return Ok(false);
            }
            match rest.get(size..) {
                Some(next) => rest = next,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Returns true if the file ends after its init segment, or in its first fragment, before the first picture is complete.
    fn ends_in_first_fragment(&self) -> io::Result<bool> {
        if !self.rest_is_unfinished()? {
            return Ok(false);
        }
        let Some(moof) = self.head(self.position)?.filter(|head| head.kind == *b"moof") else {
            // The description of the fragment is not whole.
            let rest = self.rest(MAX_EMPTY)?;
            let is_moof = |rest: &[u8]| rest.len() < SHORT_HEAD || rest.get(4..8) == Some(b"moof");
            return Ok(rest.is_some_and(|rest| is_moof(&rest)));
        };
        let tracks = self.unfinished_fragment(moof)?.unwrap_or_default();
        let first = tracks.first().and_then(|video| video.frames.first());
        Ok(first.is_some_and(|first| first.offset.saturating_add(first.size.into()) > self.size))
    }

    fn init(&mut self) -> io::Result<Option<(Bytes, InitDescription)>> {
        let mut end = 0;
        for kind in [b"ftyp", b"moov"] {
            match self.head(end)? {
                Some(head) if head.kind == *kind => end += head.size,
                _ => return Ok(None),
            }
        }
        let Some(bytes) = self.read(0, end, MAX_HEAD)? else { return Ok(None) };
        let Some(description) = describe_init(&bytes) else { return Ok(None) };
        self.position = end;
        Ok(Some((bytes.into(), description)))
    }

    /// Reads the next fragment, and adds its frames to `table`. Returns `None` if there is no further whole fragment.
    fn fragment(
        &mut self,
        times: &mut Times,
        table: &mut FrameTableWriter,
    ) -> io::Result<Option<RecordedFragment>> {
        let offset = self.position;
        let Some(moof) = self.head(offset)?.filter(|head| head.kind == *b"moof") else {
            return Ok(None);
        };
        let media = offset + moof.size;
        let Some(mdat) = self.head(media)?.filter(|head| head.kind == *b"mdat") else {
            return Ok(None);
        };
        let Some(bytes) = self.read(offset, moof.size, MAX_HEAD)? else { return Ok(None) };
        let Some(tracks) = fragment_frames(&bytes, offset) else { return Ok(None) };
        let end = media + mdat.size;
        let is_inside = |frame: &crate::media::mp4::frame_table::TableFrame| {
            frame.offset >= media && frame.offset.saturating_add(frame.size.into()) <= end
        };
        let video = tracks.first().map(|track| track.frames.as_slice()).unwrap_or_default();
        let (Some(first), Some(last)) = (video.first(), video.last()) else { return Ok(None) };
        let Ok(size) = u32::try_from(end - offset) else { return Ok(None) };
        // The media end with a frame. Otherwise, their size is damaged, and may contain the next fragments.
        if !tracks.iter().flat_map(|track| &track.frames).all(is_inside)
            || end_of_frames(&tracks) != Some(end)
        {
            return Ok(None);
        }
        let begin_ms = times.ms(first.decode_time);
        let end_ms = times.ms(last.decode_time.saturating_add(last.duration.into()));
        let is_keyframe = first.is_keyframe && video.len() == 1;
        times.frames = times.frames.saturating_add(u32::try_from(video.len()).unwrap_or(u32::MAX));
        for track in &tracks {
            for frame in &track.frames {
                table.add(track.track_id, *frame);
            }
        }
        self.position = end;
        let duration_ms = end_ms.saturating_sub(begin_ms);
        Ok(Some(RecordedFragment { offset, size, begin_ms, duration_ms, is_keyframe }))
    }

    /// Returns true if the rest of the file is a table of frames.
    fn has_table(&self) -> io::Result<bool> {
        let Some(head) = self.head(self.position)? else { return Ok(false) };
        if head.size < TABLE_HEAD as u64 || self.position + head.size != self.size {
            return Ok(false);
        }
        let mut bytes = [0; TABLE_HEAD];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(is_frame_table(&bytes))
    }
}

/// Returns the position at which the last frame ends.
fn end_of_frames(tracks: &[FramesOfTrack]) -> Option<u64> {
    let frames = tracks.iter().flat_map(|track| &track.frames);
    frames.map(|frame| frame.offset.saturating_add(frame.size.into())).max()
}

fn is_fragment_head(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"moof") && bytes.get(12..16) == Some(b"mfhd")
}

fn contains(bytes: &[u8], name: [u8; 4]) -> bool {
    bytes.windows(name.len()).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::media::frame::testing;
    use crate::media::mp4::frame_table::read_frame_table;
    use crate::output::recorder::testing::write_file;

    const FILE: &str = "file.mp4";

    /// Returns a file of four seconds, and the positions of its fragments' ends.
    fn recorded(dir: &Path) -> (std::path::PathBuf, Vec<u64>) {
        let format = testing::format(7);
        let frames = (0..102).map(|n| Arc::new(testing::video(&format, n % 50 == 0, n * 40, 40)));
        let (path, fragments) = write_file(dir, frames);
        (path, fragments.iter().map(RecordedFragment::end).collect())
    }

    #[test]
    fn a_closed_file_is_not_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ends) = recorded(dir.path());
        let before = fs::read(&path).expect("a file");
        let read = complete(dir.path(), Path::new(FILE)).expect("a file").expect("fragments");
        assert_eq!(fs::read(&path).expect("a file"), before);
        let read_ends: Vec<_> = read.fragments.iter().map(RecordedFragment::end).collect();
        assert_eq!(read_ends, ends);
        assert_eq!((read.bytes, read.frames, read.cut), (before.len() as u64, 101, 0));
        assert_eq!(read.duration_ms(), 4040);
        let keyframes = read.fragments.iter().filter(|it| it.is_keyframe).count();
        assert_eq!(keyframes, 3);
    }

    #[test]
    fn a_file_that_is_cut_anywhere_keeps_its_whole_fragments() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ends) = recorded(dir.path());
        let whole = fs::read(&path).expect("a file");
        let media_end = usize::try_from(*ends.last().expect("a fragment")).expect("small");
        let first_end = usize::try_from(ends[0]).expect("small");
        let table = &whole[media_end..];
        let init =
            complete(dir.path(), Path::new(FILE)).expect("a file").expect("fragments").init.len();
        // Every byte of the first two fragments' heads, and some positions in the media and in the table.
        let heads = (0..init + 200).chain(first_end - 2..first_end + 900);
        let others = (0..whole.len()).step_by(997).chain(media_end - 2..whole.len());
        for length in heads.chain(others) {
            fs::write(&path, &whole[..length]).expect("a file");
            let kept = ends.iter().filter(|end| **end <= length as u64).count();
            match complete(dir.path(), Path::new(FILE)).expect("a file") {
                None => assert_eq!(kept, 0, "{length} bytes"),
                Some(read) => {
                    assert_eq!(read.fragments.len(), kept, "{length} bytes");
                    let repaired = fs::read(&path).expect("a file");
                    let end = usize::try_from(ends[kept - 1]).expect("small");
                    assert_eq!(repaired[..end], whole[..end]);
                    let frames = read_frame_table(&repaired[end..]).expect("a table");
                    assert_eq!(frames[0].frames.len(), read.frames as usize);
                    if kept == ends.len() {
                        assert_eq!(&repaired[end..], table, "{length} bytes");
                    }
                }
            }
        }
    }

    #[test]
    fn garbage_and_zeros_after_the_media_are_cut_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ends) = recorded(dir.path());
        let whole = fs::read(&path).expect("a file");
        let media_end = usize::try_from(*ends.last().expect("a fragment")).expect("small");
        for tail in [&[0; 5000][..], &[0xFF; 5000], b"\0\0\x01\x08moof"] {
            let damaged = [&whole[..media_end], tail].concat();
            fs::write(&path, damaged).expect("a file");
            let read = complete(dir.path(), Path::new(FILE)).expect("a file").expect("fragments");
            assert_eq!(read.cut, tail.len() as u64);
            assert_eq!(fs::read(&path).expect("a file"), whole);
        }
    }

    /// Returns damaged forms of a file: with other bits at each of the positions, and with zeros instead of its beginning.
    fn damaged(whole: &[u8], positions: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
        let flipped = positions.flat_map(|position| [(position, 1), (position, 0x80)]);
        let flipped = flipped.map(|(position, bits)| {
            let mut damaged = whole.to_vec();
            damaged[position] ^= bits;
            damaged
        });
        let zeroed = [16, 512, 4096].map(|size| {
            let mut damaged = whole.to_vec();
            damaged[..size.min(whole.len())].fill(0);
            damaged
        });
        flipped.chain(zeroed).collect()
    }

    #[test]
    fn no_part_of_a_damaged_file_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ends) = recorded(dir.path());
        let closed = fs::read(&path).expect("a file");
        let ends: Vec<_> = ends.iter().map(|end| usize::try_from(*end).expect("small")).collect();
        let last = ends[ends.len() - 1];
        // Parts of the init segment, and the beginnings and ends of the heads of all fragments.
        let media = closed.windows(4).enumerate().filter(|(_, name)| name == b"mdat");
        let media = media.flat_map(|(at, _)| at - 12..at + 4);
        let heads =
            ends.iter().flat_map(|end| (0..28).chain((28..200).step_by(9)).map(move |at| end + at));
        let init = (0..32).chain((32..1200).step_by(9));
        let positions: Vec<_> = init.chain(heads).chain(media).collect();
        // A closed file, and files that a manager was writing when it was killed.
        for (whole, media_end) in
            [(&closed[..], last), (&closed[..last], last), (&closed[..ends[0]], ends[0])]
        {
            let positions = positions.iter().copied().filter(|at| *at < media_end);
            for damaged in damaged(whole, positions) {
                fs::write(&path, &damaged).expect("a file");
                match complete(dir.path(), Path::new(FILE)) {
                    Ok(read) => assert!(!read.expect("not empty").fragments.is_empty()),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
                }
                let after = fs::read(&path).expect("a file");
                assert!(after.starts_with(&damaged[..media_end]), "{} bytes", after.len());
            }
        }
    }

    #[test]
    fn a_file_whose_init_segment_is_not_readable_is_not_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE);
        for bytes in [
            &[0; 3000][..],
            &[0xFF; 3000],
            b"a text",
            &[b"\0\0\0\x10ftyp", &vec![7; 70_000][..]].concat(),
        ] {
            fs::write(&path, bytes).expect("a file");
            let is_short = bytes.len() < SHORT_HEAD;
            match read(dir.path(), Path::new(FILE)) {
                Ok(Found::Empty) => assert!(is_short, "{} bytes", bytes.len()),
                Ok(Found::Recording(found)) => panic!("{found:?}"),
                Err(error) => {
                    assert!(!is_short && error.kind() == io::ErrorKind::InvalidData, "{error}");
                }
            }
        }
    }

    #[test]
    fn a_damaged_file_is_not_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ends) = recorded(dir.path());
        let whole = fs::read(&path).expect("a file");
        let init =
            complete(dir.path(), Path::new(FILE)).expect("a file").expect("fragments").init.len();
        let moov = whole.windows(4).position(|name| name == b"moov").expect("a box");
        let second_end = usize::try_from(ends[1]).expect("small");
        // A name of a box in the init segment, in the first fragment, and in the third one.
        for (position, kept) in [(moov + 8, 0), (init + 12, 0), (second_end + 12, 2)] {
            let mut damaged = whole.clone();
            damaged[position] ^= 0xFF;
            fs::write(&path, &damaged).expect("a file");
            match complete(dir.path(), Path::new(FILE)) {
                Ok(read) => {
                    let read = read.expect("fragments");
                    assert_eq!((read.fragments.len(), read.cut), (kept, 0));
                    assert_eq!(read.bytes, whole.len() as u64);
                }
                Err(error) => {
                    assert_eq!((error.kind(), kept), (io::ErrorKind::InvalidData, 0));
                }
            }
            assert_eq!(fs::read(&path).expect("a file"), damaged, "{position}");
        }
    }
}
