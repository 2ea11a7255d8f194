//! The frames that a hub keeps: the frames since the last keyframe, and the frames that its readers have not
//! read yet. Pure. The only times that the module uses are the times at which frames arrived.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::media::frame::{Frame, Track};

/// The longest group of pictures that is kept. If a group is longer or larger, the hub keeps only the keyframe and
/// the frames that readers still need.
pub(super) const MAX_GOP: Duration = Duration::from_secs(12);
/// The largest group of pictures that is kept, in bytes: about eight seconds at 32 Mbit/s.
pub(super) const MAX_GOP_BYTES: u64 = 32 * 1024 * 1024;
/// The longest time by which a reader can be behind. In addition, each reader has a limit in bytes.
pub(super) const MAX_LAG: Duration = Duration::from_secs(6);

/// The frame with which a new reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The last keyframe, so that the reader has a picture at once. If the hub does not keep the frames after this
    /// keyframe, the reader gets the keyframe, and continues with the next keyframe. Before the first keyframe, this
    /// is the same as [`ReadFrom::NextKeyframe`].
    LastKeyframe,
    /// The next keyframe that is published.
    NextKeyframe,
    /// The next frame that is published, keyframe or not.
    Now,
}

/// The number of a frame, counted from the first one that was published.
type Number = u64;

#[derive(Debug, Default)]
pub(super) struct KeptFrames {
    frames: VecDeque<Kept>,
    /// Number of the oldest frame in `frames`, or the number of the next frame if `frames` is empty.
    first: Number,
    /// Bytes of all frames that have been published so far.
    bytes: u64,
    keyframe: Option<Keyframe>,
    readers: Vec<Reader>,
}

#[derive(Debug)]
struct Kept {
    frame: Arc<Frame>,
    /// Bytes of all frames before this one.
    bytes_before: u64,
}

/// The last keyframe, with which a new reader can begin.
#[derive(Debug)]
struct Keyframe {
    number: Number,
    frame: Arc<Frame>,
    bytes_before: u64,
    /// True if all frames from this one on are kept.
    is_gop_kept: bool,
}

#[derive(Debug)]
struct Reader {
    id: u64,
    max_bytes: u64,
    state: ReaderState,
    /// The first frame of a gap that has not been reported to the reader.
    missed_from: Option<Number>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderState {
    /// The reader takes this frame next.
    At(Number),
    /// The reader takes the keyframe next, although the frames after the keyframe are not kept.
    AtLoneKeyframe,
    /// The reader waits for the next keyframe.
    AwaitsKeyframe,
}

/// The result of a read.
#[derive(Debug)]
pub(super) enum Next {
    /// The next frame.
    Frame(Arc<Frame>),
    /// The number of frames that the reader missed before the next frame, which is a keyframe.
    Gap(u64),
    /// The reader must wait until more frames are published.
    Wait,
}

impl KeptFrames {
    /// Returns the number that the next frame will get.
    pub(super) fn end(&self) -> Number {
        self.first + self.frames.len() as u64
    }

    /// Returns the number of frames that are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Returns the last keyframe and the later video of the same epoch. Returns only the keyframe if not
    /// all of this video is kept.
    pub(super) fn last_pictures(&self) -> Vec<Arc<Frame>> {
        let Some(keyframe) = &self.keyframe else { return Vec::new() };
        let place = keyframe.number.checked_sub(self.first).filter(|_| keyframe.is_gop_kept);
        let Some(place) = place.and_then(|place| usize::try_from(place).ok()) else {
            return vec![Arc::clone(&keyframe.frame)];
        };
        let epoch = keyframe.frame.format.epoch;
        let frames = self.frames.iter().skip(place).map(|kept| &kept.frame);
        let is_picture =
            |frame: &&Arc<Frame>| frame.track == Track::Video && frame.format.epoch == epoch;
        frames.filter(is_picture).cloned().collect()
    }

    /// Returns the size of the frames that are kept, in bytes. A keyframe does not count if the frames
    /// after it are not kept.
    pub(super) fn bytes_kept(&self) -> u64 {
        self.frames.front().map_or(0, |oldest| self.bytes - oldest.bytes_before)
    }

    /// Stops keeping the group of pictures, except for its keyframe and the frames that readers need.
    pub(super) fn keep_only_keyframe(&mut self) {
        if let Some(keyframe) = &mut self.keyframe {
            keyframe.is_gop_kept = false;
        }
        self.drop_unneeded();
    }

    /// Adds a reader.
    pub(super) fn join(&mut self, id: u64, from: ReadFrom, max_bytes: usize) {
        let state = match (from, &self.keyframe) {
            (ReadFrom::Now, _) => ReaderState::At(self.end()),
            (ReadFrom::LastKeyframe, Some(keyframe)) if keyframe.is_gop_kept => {
                ReaderState::At(keyframe.number)
            }
            (ReadFrom::LastKeyframe, Some(_)) => ReaderState::AtLoneKeyframe,
            (ReadFrom::LastKeyframe | ReadFrom::NextKeyframe, _) => ReaderState::AwaitsKeyframe,
        };
        let max_bytes = max_bytes as u64;
        self.readers.push(Reader { id, max_bytes, state, missed_from: None });
    }

    /// Removes a reader.
    pub(super) fn leave(&mut self, id: u64) {
        self.readers.retain(|reader| reader.id != id);
        self.drop_unneeded();
    }

    /// Adds the newest frame, and drops the frames that are not needed any more.
    pub(super) fn push(&mut self, frame: Arc<Frame>) {
        let (number, bytes_before) = (self.end(), self.bytes);
        self.bytes += frame.data.len() as u64;
        if frame.is_entry_point() {
            let frame = Arc::clone(&frame);
            self.keyframe = Some(Keyframe { number, frame, bytes_before, is_gop_kept: true });
            for reader in &mut self.readers {
                if reader.state == ReaderState::AwaitsKeyframe {
                    reader.state = ReaderState::At(number);
                }
            }
        }
        self.limit_gop(&frame);
        self.frames.push_back(Kept { frame, bytes_before });
        self.let_slow_readers_miss();
        self.drop_unneeded();
    }

    /// Returns the next frame or gap of a reader, if any, and advances the reader.
    pub(super) fn next(&mut self, id: u64) -> Next {
        let (first, end) = (self.first, self.end());
        let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) else {
            return Next::Wait;
        };
        match reader.state {
            ReaderState::AwaitsKeyframe => Next::Wait,
            ReaderState::AtLoneKeyframe => {
                reader.state = ReaderState::AwaitsKeyframe;
                let keyframe = self.keyframe.as_ref();
                keyframe.map_or(Next::Wait, |keyframe| Next::Frame(Arc::clone(&keyframe.frame)))
            }
            ReaderState::At(number) => {
                if let Some(missed_from) = reader.missed_from.take() {
                    return Next::Gap(number - missed_from);
                }
                if number == end {
                    return Next::Wait;
                }
                let place = usize::try_from(number - first).unwrap_or(usize::MAX);
                let Some(kept) = self.frames.get(place) else { return Next::Wait };
                let frame = Arc::clone(&kept.frame);
                reader.state = ReaderState::At(number + 1);
                // A frame that only this reader needed is dropped at once, to save memory.
                if number == first {
                    self.drop_unneeded();
                }
                Next::Frame(frame)
            }
        }
    }

    /// Stops keeping a group of pictures that became too long or too large.
    fn limit_gop(&mut self, newest: &Frame) {
        let Some(keyframe) = &mut self.keyframe else { return };
        let age = newest.received_at.saturating_duration_since(keyframe.frame.received_at);
        if age > MAX_GOP || self.bytes - keyframe.bytes_before > MAX_GOP_BYTES {
            keyframe.is_gop_kept = false;
        }
    }

    /// Makes each reader miss frames if the reader is too far behind. The reader continues with the last keyframe
    /// if this keyframe is ahead of the reader and within the reader's limits, or else with the next keyframe.
    fn let_slow_readers_miss(&mut self) {
        let Some(newest) = self.frames.back() else { return };
        let newest_at = newest.frame.received_at;
        let is_too_far_behind = |kept: &Kept, max_bytes: u64| {
            let lag = newest_at.saturating_duration_since(kept.frame.received_at);
            lag > MAX_LAG || self.bytes - kept.bytes_before > max_bytes
        };
        for reader in &mut self.readers {
            let ReaderState::At(number) = reader.state else { continue };
            let place = usize::try_from(number - self.first).unwrap_or(usize::MAX);
            let Some(kept) = self.frames.get(place) else { continue };
            // The newest frame is always offered, however large it is.
            if number + 1 == self.first + self.frames.len() as u64
                || !is_too_far_behind(kept, reader.max_bytes)
            {
                continue;
            }
            reader.missed_from.get_or_insert(number);
            let resumes_at = self.keyframe.as_ref().filter(|keyframe| {
                let place = keyframe.number.checked_sub(self.first);
                let kept = place.and_then(|place| self.frames.get(usize::try_from(place).ok()?));
                keyframe.number > number
                    && kept.is_some_and(|kept| !is_too_far_behind(kept, reader.max_bytes))
            });
            reader.state = resumes_at
                .map_or(ReaderState::AwaitsKeyframe, |keyframe| ReaderState::At(keyframe.number));
        }
    }

    fn drop_unneeded(&mut self) {
        let gop = self.keyframe.as_ref().filter(|keyframe| keyframe.is_gop_kept);
        let readers = self.readers.iter().filter_map(|reader| match reader.state {
            ReaderState::At(number) => Some(number),
            ReaderState::AtLoneKeyframe | ReaderState::AwaitsKeyframe => None,
        });
        let needed = readers.chain(gop.map(|keyframe| keyframe.number)).min();
        let needed = needed.unwrap_or_else(|| self.end());
        while self.first < needed && self.frames.pop_front().is_some() {
            self.first += 1;
        }
    }
}
