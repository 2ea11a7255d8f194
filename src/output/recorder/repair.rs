//! Reads a recorded file, and repairs it if an interrupted manager has not closed it. All functions can block.
//!
//! Only the heads of the fragments are read, not the media.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;

use crate::media::mp4::frame_table::{FrameTableWriter, is_frame_table};
use crate::media::mp4::recorded::{
    BOX_HEAD, BoxHead, InitDescription, box_head, describe_init, fragment_frames,
};
use crate::store::db::fragment_list::RecordedFragment;

/// The largest head of a file or fragment that is read. A minute of video has a few kilobytes of them.
const MAX_HEAD: u64 = 16 * 1024 * 1024;
/// Bytes of a box's head that are enough to recognise the table of frames.
const TABLE_HEAD: usize = 24;

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

/// Reads a file. If the file ends without a table of frames, cuts it after its last whole fragment, and adds the table.
/// Returns `None` if the file ends before its first whole fragment. Fails with `InvalidData`, and changes nothing, if the
/// beginning of the file is damaged. If a later part is damaged, the rest of the file is left, but does not count.
pub(crate) fn complete(path: &Path) -> io::Result<Option<CompleteFile>> {
    let file = File::open(path)?;
    let mut reader = Reader { size: file.metadata()?.len(), file, position: 0 };
    let Some((init, description)) = reader.init()? else { return reader.without_fragment() };
    let timescales = (description.video_timescale, description.audio_timescale);
    let mut table = FrameTableWriter::new(timescales.0, timescales.1);
    let mut times = Times::new(timescales.0);
    let mut fragments = Vec::new();
    while let Some(fragment) = reader.fragment(&mut times, &mut table)? {
        fragments.push(fragment);
    }
    let Some(decode_time) = times.first else { return reader.without_fragment() };
    let end = reader.position;
    let mut bytes = reader.size;
    let mut cut = 0;
    if !reader.has_table()? && !reader.is_damaged()? {
        let (file, table) = (OpenOptions::new().write(true).open(path)?, table.finish());
        cut = reader.size - end;
        file.set_len(end)?;
        // Without free space for the table, the file can still be played.
        if file.write_all_at(&table, end).is_err() {
            file.set_len(end)?;
        }
        file.sync_data()?;
        bytes = file.metadata()?.len();
    }
    let frames = times.frames;
    Ok(Some(CompleteFile { init, description, bytes, decode_time, frames, fragments, cut }))
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
        let ms = (since.saturating_mul(1000) + self.timescale / 2) / self.timescale;
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

    /// Returns the bytes of a box.
    fn read(&self, position: u64, head: BoxHead) -> io::Result<Option<Vec<u8>>> {
        let Some(size) = usize::try_from(head.size).ok().filter(|_| head.size <= MAX_HEAD) else {
            return Ok(None);
        };
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(Some(bytes))
    }

    /// Returns true if whole fragments or a table follow after the end of the readable fragments. An interrupted manager
    /// leaves nothing there, so the file was damaged in another way.
    fn is_damaged(&self) -> io::Result<bool> {
        let mut rest = Self { file: self.file.try_clone()?, ..*self };
        while let Some(head) = rest.head(rest.position)? {
            rest.position += head.size;
            let is_moof = rest.head(rest.position)?.filter(|next| next.kind == *b"moof");
            let media = is_moof.map(|moof| rest.head(rest.position + moof.size)).transpose()?;
            if media.flatten().is_some() || rest.has_table()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the result for a file without a readable fragment.
    fn without_fragment(&self) -> io::Result<Option<CompleteFile>> {
        let is_damaged = if self.position > 0 {
            self.is_damaged()?
        } else {
            // An interrupted manager leaves nothing after an incomplete init segment.
            match self.head(0)? {
                Some(head) if head.kind == *b"ftyp" => self.head(head.size)?.is_some(),
                Some(_) => true,
                None => false,
            }
        };
        if is_damaged {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its beginning is damaged"));
        }
        Ok(None)
    }

    fn init(&mut self) -> io::Result<Option<(Bytes, InitDescription)>> {
        let mut end = 0;
        for kind in [b"ftyp", b"moov"] {
            match self.head(end)? {
                Some(head) if head.kind == *kind => end += head.size,
                _ => return Ok(None),
            }
        }
        let Some(bytes) = self.read(0, BoxHead { kind: *b"ftyp", size: end })? else {
            return Ok(None);
        };
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
        let Some(bytes) = self.read(offset, moof)? else { return Ok(None) };
        let Some(tracks) = fragment_frames(&bytes, offset) else { return Ok(None) };
        let end = media + mdat.size;
        let is_inside = |frame: &crate::media::mp4::frame_table::TableFrame| {
            frame.offset >= media && frame.offset.saturating_add(frame.size.into()) <= end
        };
        let video = tracks.first().map(|track| track.frames.as_slice()).unwrap_or_default();
        let (Some(first), Some(last)) = (video.first(), video.last()) else { return Ok(None) };
        let Ok(size) = u32::try_from(end - offset) else { return Ok(None) };
        if !tracks.iter().flat_map(|track| &track.frames).all(is_inside) {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::media::frame::testing;
    use crate::media::mp4::frame_table::read_frame_table;
    use crate::output::recorder::testing::write_file;

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
        let read = complete(&path).expect("a file").expect("fragments");
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
        let init = complete(&path).expect("a file").expect("fragments").init.len();
        // Every byte of the first two fragments' heads, and some positions in the media and in the table.
        let heads = (0..init + 200).chain(first_end - 2..first_end + 900);
        let others = (0..whole.len()).step_by(997).chain(media_end - 2..whole.len());
        for length in heads.chain(others) {
            fs::write(&path, &whole[..length]).expect("a file");
            let kept = ends.iter().filter(|end| **end <= length as u64).count();
            match complete(&path).expect("a file") {
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
        for tail in [&[0; 5000][..], &[0xFF; 5000], b"\0\0\0\x08moof", b"\0\0\0\x08mdat"] {
            let damaged = [&whole[..media_end], tail].concat();
            fs::write(&path, damaged).expect("a file");
            let read = complete(&path).expect("a file").expect("fragments");
            assert_eq!(read.cut, tail.len() as u64);
            assert_eq!(fs::read(&path).expect("a file"), whole);
        }
        fs::write(&path, [0; 3000]).expect("a file");
        assert!(complete(&path).expect("a file").is_none());
    }

    #[test]
    fn a_damaged_file_is_not_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ends) = recorded(dir.path());
        let whole = fs::read(&path).expect("a file");
        let init = complete(&path).expect("a file").expect("fragments").init.len();
        let moov = whole.windows(4).position(|name| name == b"moov").expect("a box");
        let second_end = usize::try_from(ends[1]).expect("small");
        // A name of a box in the init segment, in the first fragment, and in the third one.
        for (position, kept) in [(moov + 8, 0), (init + 12, 0), (second_end + 12, 2)] {
            let mut damaged = whole.clone();
            damaged[position] ^= 0xFF;
            fs::write(&path, &damaged).expect("a file");
            match complete(&path) {
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
