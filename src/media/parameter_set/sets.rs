//! The parameter sets of an epoch.

use bytes::Bytes;
use mp4_atom::{Atom as _, Avcc, Hvcc};

use super::picture::PictureParameters;
use super::{h264, h265};
use crate::media::bits::BitReader;
use crate::media::codec::VideoCodec;
use crate::media::nal::{Framing, SetKind, UnitKind};

/// The largest number of sets of one kind that are kept. `avcC` cannot list more sequence parameter sets.
const MAX_SETS: usize = 31;
/// The longest set, in bytes. Real sets have fewer than 100 bytes, or fewer than 2000 with scaling lists.
const MAX_SIZE: usize = 4096;

/// The parameter sets of an epoch: the sets from the container or the SDP, and the sets in access units. A
/// set replaces an earlier one with the same kind and id. All sets together need at most 400 kB, usually 100 bytes.
///
/// Two collections are equal if they contain the same sets. Their versions may differ.
#[derive(Debug, Clone)]
pub struct ParameterSets {
    codec: VideoCodec,
    video: Vec<Set>,
    sequence: Vec<Set>,
    picture: Vec<Set>,
    version: u32,
}

/// A set, and the id by which pictures and other sets refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    id: u32,
    unit: Bytes,
}

impl PartialEq for ParameterSets {
    fn eq(&self, other: &Self) -> bool {
        self.codec == other.codec
            && self.video == other.video
            && self.sequence == other.sequence
            && self.picture == other.picture
    }
}

impl Eq for ParameterSets {}

impl ParameterSets {
    /// Creates an empty collection of version 0.
    pub fn new(codec: VideoCodec) -> Self {
        let (video, sequence, picture) = (Vec::new(), Vec::new(), Vec::new());
        Self { codec, video, sequence, picture, version: 0 }
    }

    /// Reads what FFmpeg calls extradata: an `avcC` or `hvcC` record, or units with start codes.
    /// Sets without a valid id are left out, and so are all sets of a damaged record. The version is 0.
    pub fn from_extradata(codec: VideoCodec, mut extradata: &[u8]) -> Self {
        let mut sets = Self::new(codec);
        match Framing::of_extradata(codec, extradata) {
            Framing::StartCodes => sets.add_all(Framing::StartCodes.units(extradata)),
            Framing::Lengths(_) => match codec {
                VideoCodec::H264 => {
                    let avcc = Avcc::decode_body(&mut extradata).unwrap_or_default();
                    let units = [avcc.sequence_parameter_sets, avcc.picture_parameter_sets];
                    sets.add_all(units.iter().flatten().map(Vec::as_slice));
                }
                VideoCodec::H265 => {
                    let hvcc = Hvcc::decode_body(&mut extradata).unwrap_or_default();
                    let units = hvcc.arrays.iter().flat_map(|array| &array.nalus);
                    sets.add_all(units.map(Vec::as_slice));
                }
                VideoCodec::Mjpeg => {}
            },
        }
        sets
    }

    /// Returns the codec of the sets.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Returns a number that rises by one with each access unit that adds or changes a set.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns the sets, video parameter sets first and picture parameter sets last: the order in
    /// which a decoder needs them.
    pub fn units(&self) -> impl Iterator<Item = &Bytes> {
        [&self.video, &self.sequence, &self.picture].into_iter().flatten().map(|set| &set.unit)
    }

    /// Returns the sets of one kind, in the order of their ids.
    pub(crate) fn of_kind(&self, kind: SetKind) -> impl Iterator<Item = &Bytes> {
        let sets = match kind {
            SetKind::Video => &self.video,
            SetKind::Sequence => &self.sequence,
            SetKind::Picture => &self.picture,
        };
        sets.iter().map(|set| &set.unit)
    }

    /// Returns the properties of pictures in the first sequence parameter set; `None` if the set is
    /// missing or damaged, and for Motion JPEG.
    pub fn picture(&self) -> Option<PictureParameters> {
        let unit = &self.sequence.first()?.unit;
        match self.codec {
            VideoCodec::H264 => h264::parse(unit),
            VideoCodec::H265 => h265::parse(unit).map(|(picture, _)| picture),
            VideoCodec::Mjpeg => None,
        }
    }

    /// Adds the sets of an access unit. They replace sets of the same kind and id.
    pub(crate) fn update(&mut self, in_band: &[(SetKind, &[u8])]) {
        if in_band.is_empty() {
            return;
        }
        let before = self.clone();
        for (kind, unit) in in_band {
            self.add(*kind, unit);
        }
        self.version = self.version.saturating_add(u32::from(*self != before));
    }

    fn add_all<'a>(&mut self, units: impl Iterator<Item = &'a [u8]>) {
        for unit in units {
            if let UnitKind::ParameterSet(kind) = UnitKind::of(self.codec, unit) {
                self.add(kind, unit);
            }
        }
    }

    /// Adds a set. Ignores a set without a valid id, a set of more than [`MAX_SIZE`] bytes, and a set with a new
    /// id if [`MAX_SETS`] sets of this kind are kept already.
    fn add(&mut self, kind: SetKind, unit: &[u8]) {
        let id = id(self.codec, kind, unit).filter(|_| unit.len() <= MAX_SIZE);
        let Some(id) = id else { return };
        let sets = match kind {
            SetKind::Video => &mut self.video,
            SetKind::Sequence => &mut self.sequence,
            SetKind::Picture => &mut self.picture,
        };
        // Copied, because a slice would keep the whole access unit alive.
        let copy = || Bytes::copy_from_slice(unit);
        match sets.binary_search_by_key(&id, |set| set.id) {
            Ok(at) if sets[at].unit == unit => {}
            Ok(at) => sets[at].unit = copy(),
            Err(at) if sets.len() < MAX_SETS => sets.insert(at, Set { id, unit: copy() }),
            Err(_) => {}
        }
    }
}

/// Returns the id of a set; `None` if it is missing or higher than the standards permit.
fn id(codec: VideoCodec, kind: SetKind, unit: &[u8]) -> Option<u32> {
    let mut bits = BitReader::new(unit);
    match (codec, kind) {
        (VideoCodec::H264, SetKind::Video) | (VideoCodec::Mjpeg, _) => None,
        (VideoCodec::H264, SetKind::Sequence) => {
            bits.skip(8 + 24)?; // the header, profile and level
            bits.unsigned(31)
        }
        (VideoCodec::H264, SetKind::Picture) => {
            bits.skip(8)?;
            bits.unsigned(255)
        }
        (VideoCodec::H265, SetKind::Video) => {
            bits.skip(16)?;
            bits.bits(4)
        }
        (VideoCodec::H265, SetKind::Sequence) => {
            h265::start(&mut bits)?;
            bits.unsigned(15)
        }
        (VideoCodec::H265, SetKind::Picture) => {
            bits.skip(16)?;
            bits.unsigned(63)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sequence parameter sets of libx264: 640×360 at 25 frames per second, and 320×180.
    const LARGE: &[u8] = b"\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xca\x3c\x58\xba\x80";
    const SMALL: &[u8] = b"\x67\x42\xc0\x0c\xda\x05\x06\x7e\x7c\x04\x40\x00\x00\x03\x00\x40\x00\x00\x0c\xa3\xc5\x0a\xa8";
    const PICTURE_SET: &[u8] = b"\x68\xce\x0f\xc8";

    fn sizes(sets: &ParameterSets) -> Option<(u16, u16)> {
        sets.picture().map(|picture| (picture.width, picture.height))
    }

    #[test]
    fn the_version_rises_with_each_change() {
        let mut sets = ParameterSets::new(VideoCodec::H264);
        assert_eq!((sets.version(), sizes(&sets)), (0, None));
        let large = [(SetKind::Sequence, LARGE), (SetKind::Picture, PICTURE_SET)];
        let small = [(SetKind::Picture, PICTURE_SET), (SetKind::Sequence, SMALL)];
        for (in_band, version, size) in [
            (&large[..], 1, (640, 360)),
            (&large[..], 1, (640, 360)),
            (&small[..], 2, (320, 180)),
            (&large[..], 3, (640, 360)),
            // If two sets have the same id, the last one counts. The collection contains this set already.
            (&[small[1], large[0]], 3, (640, 360)),
            (&[], 3, (640, 360)),
        ] {
            sets.update(in_band);
            assert_eq!((sets.version(), sizes(&sets)), (version, Some(size)));
        }
        let mut same = ParameterSets::new(VideoCodec::H264);
        same.update(&large);
        assert_eq!(same, sets);
        same.update(&small);
        assert_ne!(same, sets);
    }

    #[test]
    fn extradata_of_each_form_is_read() {
        let start_codes = [b"\0\0\0\x01", LARGE, b"\0\0\x01", PICTURE_SET].concat();
        let expected = ParameterSets::from_extradata(VideoCodec::H264, &start_codes);
        assert_eq!(expected.units().collect::<Vec<_>>(), [LARGE, PICTURE_SET]);
        let size = |unit: &[u8]| u16::try_from(unit.len()).expect("a short set").to_be_bytes();
        let head = b"\x01\x42\xc0\x1e\xff\xe1".as_slice();
        let avcc = [head, &size(LARGE), LARGE, b"\x01", &size(PICTURE_SET), PICTURE_SET].concat();
        assert_eq!(ParameterSets::from_extradata(VideoCodec::H264, &avcc), expected);
        assert_eq!(expected.version(), 0);
        let empty = ParameterSets::new(VideoCodec::H264);
        assert_eq!(ParameterSets::from_extradata(VideoCodec::H264, &avcc[..20]), empty);
    }

    #[test]
    fn excessive_sets_are_ignored() {
        let mut sets = ParameterSets::new(VideoCodec::H264);
        let long = [LARGE, &[1; MAX_SIZE]].concat();
        sets.update(&[(SetKind::Sequence, &long), (SetKind::Video, LARGE)]);
        assert_eq!((sets.units().count(), sets.version()), (0, 0));
        // Picture sets with the ids 0 to 254.
        for id in 1_u16..256 {
            let code = id << (15 - 2 * id.ilog2());
            let unit = [[0x68].as_slice(), &code.to_be_bytes(), b"\xff"].concat();
            sets.update(&[(SetKind::Picture, &unit)]);
        }
        assert_eq!(sets.units().count(), MAX_SETS);
    }

    proptest! {
        #[test]
        fn no_set_describes_an_empty_picture(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            damage in prop::collection::vec((1..LARGE.len(), any::<u8>()), 0..4),
        ) {
            let mut damaged = LARGE.to_vec();
            for (at, value) in damage {
                damaged[at] = value;
            }
            for codec in [VideoCodec::H264, VideoCodec::H265] {
                for unit in [&bytes, &damaged] {
                    let mut sets = ParameterSets::from_extradata(codec, unit);
                    for kind in [SetKind::Video, SetKind::Sequence, SetKind::Picture] {
                        sets.update(&[(kind, unit)]);
                    }
                    if let Some((width, height)) = sizes(&sets) {
                        prop_assert!(width > 0 && height > 0);
                    }
                }
            }
        }
    }
}
