//! The last pictures of streams. Further requests get them without decoding.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::camera::id::{CameraId, StreamId};
use crate::camera::source::Source;
use crate::pictures::picture::Picture;

/// The largest total size of all kept pictures, in bytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// The largest number of widths in which pictures of one stream are kept.
const MAX_SIZES: usize = 4;

/// The stream and the width of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PictureKey {
    /// The stream that the picture shows.
    pub(super) id: StreamId,
    /// Greatest width in pixels; `None` for the full width.
    pub(super) width: Option<u32>,
}

/// The last picture of each stream and width. If the pictures exceed a limit, the pictures that were used
/// least recently are dropped.
#[derive(Debug, Default)]
pub(super) struct KeptPictures {
    /// The pictures of each stream: at least one, and at most [`MAX_SIZES`].
    streams: HashMap<StreamId, Vec<Kept>>,
    /// The total size of all pictures, in bytes.
    bytes: usize,
    /// The number of the last use. Each use of a picture, and each search for one, gets a higher number.
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    /// Greatest width that was requested; `None` for the full width.
    width: Option<u32>,
    picture: Arc<Picture>,
    /// The stream's source when the picture was taken. Pictures from an earlier source are not returned.
    source: Source,
    /// The number of the last use of this picture.
    used: u64,
}

impl Kept {
    /// Returns whether this picture serves requests for `width`. A picture of the full width serves
    /// requests for its own width and for any greater one.
    fn has_width(&self, width: Option<u32>) -> bool {
        let is_enough = |width| self.width.is_none() && self.picture.full_size.0 <= width;
        self.width == width || width.is_some_and(is_enough)
    }

    /// Returns the size of the JPEG in bytes.
    fn size(&self) -> usize {
        self.picture.data.len()
    }

    /// Returns the difference between the width of this picture and `width`, in pixels.
    fn distance(&self, width: Option<u32>) -> u32 {
        let pixels = |width: Option<u32>| width.unwrap_or(self.picture.full_size.0);
        pixels(self.width).abs_diff(pixels(width))
    }
}

impl KeptPictures {
    /// Keeps a picture, which replaces the last one of the same stream and width. If a limit is exceeded, drops the
    /// pictures that were used least recently.
    pub(super) fn put(&mut self, key: PictureKey, source: Source, picture: Arc<Picture>) {
        self.uses += 1;
        self.bytes += picture.data.len();
        let kept = self.streams.entry(key.id).or_default();
        if let Some(place) = kept.iter().position(|it| it.width == key.width) {
            self.bytes -= kept.remove(place).size();
        }
        kept.push(Kept { width: key.width, picture, source, used: self.uses });
        if kept.len() > MAX_SIZES {
            self.bytes -= remove_least_used(kept);
        }
        while self.bytes > MAX_BYTES {
            self.drop_least_used();
        }
    }

    /// Returns a kept picture of this stream and source that serves requests for this width; `None` if no
    /// picture does.
    pub(super) fn get(&mut self, key: &PictureKey, source: &Source) -> Option<Arc<Picture>> {
        self.uses += 1;
        let uses = self.uses;
        let kept = self.of(&key.id, source).find(|kept| kept.has_width(key.width))?;
        kept.used = uses;
        Some(Arc::clone(&kept.picture))
    }

    /// Returns the kept picture of this stream and source whose width is nearest to the width in `key`.
    pub(super) fn nearest(&mut self, key: &PictureKey, source: &Source) -> Option<Arc<Picture>> {
        self.uses += 1;
        let uses = self.uses;
        let kept = self.of(&key.id, source).min_by_key(|kept| kept.distance(key.width))?;
        kept.used = uses;
        Some(Arc::clone(&kept.picture))
    }

    /// Returns the time at which the camera took the newest kept picture of this stream and source.
    pub(super) fn taken_at(&self, id: &StreamId, source: &Source) -> Option<SystemTime> {
        let kept = self.streams.get(id)?.iter().filter(|kept| kept.source == *source);
        kept.map(|kept| kept.picture.taken_at).max()
    }

    /// Drops all pictures of a camera, including the pictures of its sub stream.
    pub(super) fn forget(&mut self, camera: &CameraId) {
        let forgotten = self.streams.extract_if(|id, _| id.camera() == camera);
        let bytes: usize = forgotten.flat_map(|(_, kept)| kept).map(|kept| kept.size()).sum();
        self.bytes -= bytes;
    }

    /// Returns the pictures of this stream and source.
    fn of(&mut self, id: &StreamId, source: &Source) -> impl Iterator<Item = &mut Kept> {
        let kept = self.streams.get_mut(id).into_iter().flatten();
        kept.filter(move |kept| kept.source == *source)
    }

    /// Drops the picture that was used least recently.
    fn drop_least_used(&mut self) {
        let last_use = |kept: &[Kept]| kept.iter().map(|kept| kept.used).min();
        let least = self.streams.iter_mut().min_by_key(|(_, kept)| last_use(kept));
        let Some((id, kept)) = least else { return };
        self.bytes -= remove_least_used(kept);
        if kept.is_empty() {
            let id = id.clone();
            self.streams.remove(&id);
        }
    }
}

/// Removes the picture that was used least recently, and returns its size in bytes.
fn remove_least_used(kept: &mut Vec<Kept>) -> usize {
    let least = kept.iter().enumerate().min_by_key(|(_, kept)| kept.used);
    least.map(|(place, _)| place).map_or(0, |place| kept.remove(place).size())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::pictures::picture::testing;

    fn key(camera: &str, width: Option<u32>) -> PictureKey {
        PictureKey { id: StreamId::parse(camera).expect("an id"), width }
    }

    fn source(link: &str) -> Source {
        Source::parse(link).expect("a link")
    }

    fn picture(bytes: usize) -> Arc<Picture> {
        let jpeg = vec![0; bytes].into();
        let taken_at = SystemTime::now();
        Arc::new(Picture {
            data: jpeg,
            taken_at,
            full_size: (1280, 720),
            ..testing::picture(Duration::ZERO)
        })
    }

    #[test]
    fn a_picture_belongs_to_its_source() {
        let (mut kept, key) = (KeptPictures::default(), key("cam", None));
        let [old, new] = ["rtsp://old/", "rtsp://new/"].map(source);
        kept.put(key.clone(), old.clone(), picture(10));
        assert!(kept.get(&key, &old).is_some() && kept.taken_at(&key.id, &old).is_some());
        assert!(kept.get(&key, &new).is_none() && kept.taken_at(&key.id, &new).is_none());
        assert!(kept.nearest(&key, &new).is_none());
        kept.forget(key.id.camera());
        assert!(kept.get(&key, &old).is_none());
        assert_eq!(kept.bytes, 0);
    }

    #[test]
    fn bytes_and_widths_of_kept_pictures_are_limited() {
        let (mut kept, source) = (KeptPictures::default(), source("rtsp://cam/"));
        for width in 16..100 {
            kept.put(key("a", Some(width)), source.clone(), picture(1));
            kept.put(key("a", Some(width)), source.clone(), picture(2));
        }
        assert_eq!((kept.streams[&key("a", None).id].len(), kept.bytes), (MAX_SIZES, 8));
        for camera in ["b", "c", "d"] {
            kept.put(key(camera, None), source.clone(), picture(MAX_BYTES / 3 - 10));
            // A picture that was used recently is kept.
            assert!(kept.get(&key("a", Some(99)), &source).is_some());
        }
        kept.put(key("e", None), source.clone(), picture(MAX_BYTES / 3));
        let mut has = |camera, width| kept.get(&key(camera, width), &source).is_some();
        assert!(!has("b", None) && has("c", None) && has("e", None));
        assert!(has("a", Some(99)) && !has("a", Some(98)));
        assert!(kept.bytes <= MAX_BYTES && kept.streams.len() == 4);
    }

    #[test]
    fn the_picture_of_the_nearest_width_is_found() {
        let (mut kept, source) = (KeptPictures::default(), source("rtsp://cam/"));
        for (width, bytes) in [(Some(100), 1), (Some(600), 2), (None, 3)] {
            kept.put(key("cam", width), source.clone(), picture(bytes));
        }
        for (width, exact, nearest) in [
            (Some(100), Some(1), 1),
            (Some(120), None, 1),
            (Some(900), None, 2),
            (Some(1280), Some(3), 3),
            (None, Some(3), 3),
        ] {
            let key = key("cam", width);
            let size = |picture: Option<Arc<Picture>>| picture.map(|it| it.data.len());
            assert_eq!(size(kept.get(&key, &source)), exact, "{width:?}");
            assert_eq!(size(kept.nearest(&key, &source)), Some(nearest), "{width:?}");
        }
        assert!(kept.nearest(&key("other", None), &source).is_none());
    }
}
