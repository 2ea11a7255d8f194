//! The init segment: `ftyp` and `moov`.

use bytes::Bytes;
use mp4_atom::{
    Audio, Avc1, Avcc, AvccExt, Codec, Dinf, Dops, Dref, Encode as _, Esds, FourCC, Ftyp, Hdlr,
    Hvc1, HvcCArray, Mdhd, Mdia, Minf, Moov, Mp4a, Mvex, Mvhd, Opus, Pasp, Smhd, Stbl, Stco, Stsd,
    Tkhd, Trak, Trex, Url, Visual, Vmhd,
};

use super::track::{AUDIO, Mp4Error, OTHER_SAMPLE, SYNC_SAMPLE, VIDEO, VIDEO_TIMESCALE};
use crate::media::aac::AacConfig;
use crate::media::codec::VideoCodec;
use crate::media::nal::SetKind;
use crate::media::opus::OpusConfig;
use crate::media::parameter_set::picture::PictureParameters;
use crate::media::parameter_set::sets::ParameterSets;
use crate::media::parameter_set::{h264, h265};

/// Ticks per second of the movie. They have no effect, because the movie states no duration.
const MOVIE_TIMESCALE: u32 = 1000;

/// The audio of an init segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioConfig {
    /// AAC.
    Aac(AacConfig),
    /// Opus.
    Opus(OpusConfig),
}

impl AudioConfig {
    /// Returns the RFC 6381 codec.
    pub fn codec(&self) -> String {
        match self {
            Self::Aac(config) => config.codec(),
            Self::Opus(_) => OpusConfig::CODEC.to_owned(),
        }
    }

    /// Returns the ticks per second of the audio track.
    pub fn timescale(&self) -> u32 {
        match self {
            Self::Aac(config) => config.sample_rate,
            Self::Opus(_) => OpusConfig::SAMPLE_RATE,
        }
    }
}

/// Returns the init segment of a stream with video, audio, or both.
pub fn init_segment(
    video: Option<&ParameterSets>,
    audio: Option<&AudioConfig>,
) -> Result<Bytes, Mp4Error> {
    let mut moov = Moov {
        mvhd: Mvhd {
            timescale: MOVIE_TIMESCALE,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: AUDIO + 1,
            ..Mvhd::default()
        },
        ..Moov::default()
    };
    let mut mvex = Mvex::default();
    if let Some(sets) = video {
        moov.trak.push(video_track(sets)?);
        mvex.trex.push(defaults(VIDEO, OTHER_SAMPLE));
    }
    if let Some(config) = audio {
        moov.trak.push(audio_track(config));
        mvex.trex.push(defaults(AUDIO, SYNC_SAMPLE));
    }
    if moov.trak.is_empty() {
        return Err(Mp4Error::NoTrack);
    }
    moov.mvex = Some(mvex);
    let mut bytes = Vec::new();
    file_type().encode(&mut bytes)?;
    moov.encode(&mut bytes)?;
    Ok(bytes.into())
}

/// Returns `ftyp`. Brand `iso6` permits negative composition offsets. Brand `iso5` permits data offsets
/// that count from the beginning of the `moof`.
fn file_type() -> Ftyp {
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso5", b"iso6", b"mp41"].map(FourCC::new).to_vec(),
    }
}

fn defaults(track_id: u32, flags: u32) -> Trex {
    Trex {
        track_id,
        default_sample_description_index: 1,
        default_sample_flags: flags,
        ..Trex::default()
    }
}

fn video_track(sets: &ParameterSets) -> Result<Trak, Mp4Error> {
    let (picture, entry) = sample_entry(sets).ok_or(Mp4Error::NoParameterSets)?;
    let minf = Minf { vmhd: Some(Vmhd::default()), ..media_information(entry) };
    let tkhd = Tkhd {
        width: display_width(&picture).into(),
        height: picture.height.into(),
        ..track_header(VIDEO)
    };
    Ok(track(tkhd, VIDEO_TIMESCALE, (b"vide", "VideoHandler"), minf))
}

/// Returns the width in square pixels; the width in the picture's own pixels if the result does not fit into
/// 16 bits.
fn display_width(picture: &PictureParameters) -> u16 {
    let (width, height) = picture.pixel_aspect;
    let pixels = u32::from(picture.width) * u32::from(width) / u32::from(height).max(1);
    u16::try_from(pixels).unwrap_or(picture.width)
}

fn audio_track(config: &AudioConfig) -> Trak {
    let entry = match config {
        AudioConfig::Aac(aac) => Codec::Mp4a(mp4a(aac)),
        AudioConfig::Opus(opus) => Codec::Opus(opus_entry(*opus)),
    };
    let minf = Minf { smhd: Some(Smhd::default()), ..media_information(entry) };
    let tkhd = Tkhd { volume: 1.into(), alternate_group: 1, ..track_header(AUDIO) };
    track(tkhd, config.timescale(), (b"soun", "SoundHandler"), minf)
}

fn track_header(track_id: u32) -> Tkhd {
    Tkhd { track_id, enabled: true, in_movie: true, ..Tkhd::default() }
}

fn track(tkhd: Tkhd, timescale: u32, (handler, name): (&[u8; 4], &str), minf: Minf) -> Trak {
    let mdia = Mdia {
        mdhd: Mdhd { timescale, language: "und".to_owned(), ..Mdhd::default() },
        hdlr: Hdlr { handler: FourCC::new(handler), name: name.to_owned() },
        minf,
    };
    Trak { tkhd, mdia, ..Trak::default() }
}

/// Returns the description of a track. Its tables have no samples, because the samples are in fragments.
fn media_information(entry: Codec) -> Minf {
    let here = Url::default();
    Minf {
        dinf: Dinf { dref: Dref { entries: vec![here.into()] } },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![entry] },
            stco: Some(Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    }
}

/// Returns the picture's parameters and the sample entry; `None` if sets are missing or damaged, and for Motion
/// JPEG.
fn sample_entry(sets: &ParameterSets) -> Option<(PictureParameters, Codec)> {
    let lists = |kind| sets.of_kind(kind).map(|unit| unit.to_vec()).collect::<Vec<_>>();
    let sequence_sets = lists(SetKind::Sequence);
    let picture_sets = Some(lists(SetKind::Picture)).filter(|sets| !sets.is_empty())?;
    let first = sequence_sets.first()?;
    Some(match sets.codec() {
        VideoCodec::H264 => {
            let picture = h264::parse(first)?;
            let avcc = avcc(&picture, sequence_sets, picture_sets)?;
            let (visual, pasp) = (visual(&picture), Some(pasp(&picture)));
            (picture, Codec::Avc1(Avc1 { visual, avcc, pasp, ..Avc1::default() }))
        }
        VideoCodec::H265 => {
            let (picture, mut hvcc) = h265::parse(first)?;
            let video_sets = Some(lists(SetKind::Video)).filter(|sets| !sets.is_empty())?;
            let arrays = [(32, video_sets), (33, sequence_sets), (34, picture_sets)];
            hvcc.arrays = arrays.map(|(kind, sets)| hvcc_array(kind, sets)).to_vec();
            let (visual, pasp) = (visual(&picture), Some(pasp(&picture)));
            (picture, Codec::Hvc1(Hvc1 { visual, hvcc, pasp, ..Hvc1::default() }))
        }
        VideoCodec::Mjpeg => return None,
    })
}

fn visual(picture: &PictureParameters) -> Visual {
    let (width, height) = (picture.width, picture.height);
    Visual { data_reference_index: 1, width, height, ..Visual::default() }
}

fn pasp(picture: &PictureParameters) -> Pasp {
    let (width, height) = picture.pixel_aspect;
    Pasp { h_spacing: width.into(), v_spacing: height.into() }
}

fn avcc(
    picture: &PictureParameters,
    sequence_sets: Vec<Vec<u8>>,
    picture_sets: Vec<Vec<u8>>,
) -> Option<Avcc> {
    let [_, profile, compatibility, level] = *sequence_sets.first()?.first_chunk()?;
    let ext = h264::is_high_profile(profile).then(|| AvccExt {
        chroma_format: picture.chroma_format,
        bit_depth_luma: picture.luma_bit_depth,
        bit_depth_chroma: picture.chroma_bit_depth,
        sequence_parameter_sets_ext: Vec::new(),
    });
    Some(Avcc {
        configuration_version: 1,
        avc_profile_indication: profile,
        profile_compatibility: compatibility,
        avc_level_indication: level,
        length_size: 4,
        sequence_parameter_sets: sequence_sets,
        picture_parameter_sets: picture_sets,
        ext,
    })
}

/// Returns an array of sets. It is marked as complete, because with `hvc1` the samples must not contain sets.
fn hvcc_array(nal_unit_type: u8, nalus: Vec<Vec<u8>>) -> HvcCArray {
    HvcCArray { completeness: true, nal_unit_type, nalus }
}

fn mp4a(config: &AacConfig) -> Mp4a {
    use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor};
    const MPEG_4_AUDIO: u8 = 0x40;
    const AUDIO_STREAM: u8 = 5;
    let dec_specific = DecoderSpecific { raw: config.bytes.clone(), ..DecoderSpecific::default() };
    let dec_config = DecoderConfig {
        object_type_indication: MPEG_4_AUDIO,
        stream_type: AUDIO_STREAM,
        dec_specific: Some(dec_specific),
        ..DecoderConfig::default()
    };
    let es_desc = EsDescriptor { es_id: 2, dec_config, ..EsDescriptor::default() };
    let audio = audio_entry(config.channels, config.sample_rate);
    Mp4a { audio, esds: Esds { es_desc }, btrt: None, taic: None }
}

fn opus_entry(config: OpusConfig) -> Opus {
    let dops = Dops {
        output_channel_count: config.channels,
        pre_skip: config.pre_skip,
        input_sample_rate: config.input_sample_rate,
        output_gain: config.gain,
        channel_mapping: None,
    };
    Opus { audio: audio_entry(config.channels, OpusConfig::SAMPLE_RATE), dops, btrt: None }
}

/// Returns the fields that all sample entries of audio share. A sample rate above 65535 Hz does not fit and is
/// written as 0, because the codec's configuration has the rate.
fn audio_entry(channels: u8, sample_rate: u32) -> Audio {
    Audio {
        data_reference_index: 1,
        channel_count: channels.into(),
        sample_size: 16,
        sample_rate: u16::try_from(sample_rate).unwrap_or(0).into(),
    }
}
