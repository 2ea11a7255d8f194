use bytes::Bytes;

use super::*;
use crate::media::aac::AacConfig;
use crate::media::frame::testing;
use crate::media::mp4::init::{AudioConfig, init_segment};

/// Ticks of a frame of video at 25 frames per second.
const FRAME: u64 = 3600;

fn init(has_audio: bool) -> Bytes {
    let aac = AacConfig::low_complexity(48_000, 1).map(AudioConfig::Aac);
    let audio = aac.filter(|_| has_audio);
    init_segment(Some(&testing::format(1).parameter_sets), audio.as_ref()).expect("an init segment")
}

/// Returns `count` frames of video from the decode time `begin` on, with a keyframe every 50 frames. A fragment has 25
/// frames of 1000 bytes, and the data of other tracks and boxes of 500 bytes.
fn video(begin: u64, count: u64) -> FramesOfTrack {
    let frame = |n| TableFrame {
        offset: 900 + n * 1000 + n / 25 * 500,
        size: 1000,
        decode_time: begin + n * FRAME,
        duration: 3600,
        composition_offset: 0,
        is_keyframe: n % 50 == 0,
    };
    FramesOfTrack { track_id: VIDEO, timescale: 90_000, frames: (0..count).map(frame).collect() }
}

/// Returns frames of audio for the same time. They follow the 25 frames of video of the fragment.
fn audio(begin: u64, count: u64) -> FramesOfTrack {
    let frame = |n: u64| {
        let time = begin * 48 / 90 + n * 1024;
        let fragment = n * 1024 / 48_000;
        let first = (fragment * 48_000).div_ceil(1024);
        TableFrame {
            offset: 900 + (fragment + 1) * 25_000 + fragment * 500 + (n - first) * 10,
            size: 10,
            decode_time: time,
            duration: 1024,
            composition_offset: 0,
            is_keyframe: true,
        }
    };
    let count = count * FRAME * 48 / 90 / 1024;
    FramesOfTrack { track_id: AUDIO, timescale: 48_000, frames: (0..count).map(frame).collect() }
}

fn movie_of(init: &[u8], from: i64, to: i64, files: &[FileFrames<'_>]) -> Option<Movie> {
    let span = TimeSpan { from, to };
    let mut writer = MovieWriter::new(init, span).expect("an init segment");
    for file in files {
        writer.add(file);
    }
    writer.finish().expect("a movie")
}

fn movie(init: &[u8], files: &[FileFrames<'_>]) -> Option<Movie> {
    movie_of(init, 0, i64::MAX, files)
}

fn parse(movie: &Movie) -> Moov {
    let mut head = movie.head.as_slice();
    Ftyp::decode(&mut head).expect("ftyp");
    Moov::decode(&mut head).expect("moov")
}

fn edits(track: &Trak) -> Vec<(u64, Option<u64>)> {
    let edits = track.edts.as_ref().and_then(|edts| edts.elst.as_ref()).expect("an edit list");
    edits.entries.iter().map(|it| (it.segment_duration, it.media_time)).collect()
}

/// Returns the positions and sizes in the movie of all frames of a track.
fn places(track: &Trak) -> Vec<(u64, u32)> {
    let tables = &track.mdia.minf.stbl;
    let StszSamples::Different { sizes } = &tables.stsz.samples else { panic!("no sizes") };
    let chunks: Vec<u64> = match (&tables.stco, &tables.co64) {
        (Some(small), None) => small.entries.iter().map(|it| (*it).into()).collect(),
        (None, Some(large)) => large.entries.clone(),
        _ => panic!("no positions, or positions of two kinds"),
    };
    let mut sizes = sizes.iter();
    let mut places = Vec::new();
    for (number, chunk) in (1_u32..).zip(chunks) {
        let lengths = tables.stsc.entries.iter().rev();
        let length =
            lengths.filter(|it| it.first_chunk <= number).map(|it| it.samples_per_chunk).next();
        let mut position = chunk;
        for size in sizes.by_ref().take(length.expect("a length") as usize) {
            places.push((position, *size));
            position += u64::from(*size);
        }
    }
    assert_eq!(sizes.next(), None, "every frame is in a chunk");
    places
}

/// Returns the texts of the text track.
fn text(movie: &Movie) -> String {
    let moov = parse(movie);
    let track = moov.trak.iter().find(|track| track.tkhd.track_id == TEXT).expect("a text track");
    let StszSamples::Identical { count, size } = track.mdia.minf.stbl.stsz.samples else {
        panic!("texts of different sizes")
    };
    let begin = movie.head.len() - (count * size) as usize;
    String::from_utf8_lossy(&movie.head[begin..]).into_owned()
}

/// Returns the file and the position in the file of a position in the movie.
fn source(movie: &Movie, position: u64) -> (usize, u64) {
    let mut at = movie.head.len() as u64;
    for piece in &movie.pieces {
        if (at..at + piece.size).contains(&position) {
            return (piece.file, piece.offset + position - at);
        }
        at += piece.size;
    }
    panic!("the position {position} is not in a piece");
}

/// Returns a file whose dates are its decode times.
fn whole(tracks: &[FramesOfTrack]) -> FileFrames<'_> {
    let decode_time = tracks[0].frames[0].decode_time;
    let start_at = i64::try_from(decode_time / 90).expect("a time");
    FileFrames { file: 0, tracks, decode_time, start_at, is_continuous: false }
}

#[test]
fn the_data_of_every_frame_is_where_the_tables_say() {
    let tracks = [video(90_000, 150), audio(90_000, 150)];
    let movie = movie(&init(true), &[whole(&tracks)]).expect("a movie");
    let moov = parse(&movie);
    assert_eq!(moov.trak.len(), 3);
    for (track, frames) in moov.trak.iter().zip(&tracks) {
        let places = places(track);
        assert_eq!(places.len(), frames.frames.len(), "track {}", frames.track_id);
        for ((position, size), frame) in places.into_iter().zip(&frames.frames) {
            assert_eq!((source(&movie, position), size), ((0, frame.offset), frame.size));
        }
    }
    let text = text(&movie);
    assert!(
        text[2..].starts_with("1970-01-01 00:00:01 UTC") && text.contains("00:00:06 UTC"),
        "{text}"
    );
    let data = text.len() as u64 + movie.pieces.iter().map(|piece| piece.size).sum::<u64>();
    // Between the fragments are boxes that are not part of the movie.
    assert!(movie.pieces.len() >= 6, "{:?}", movie.pieces);
    let head = movie.head.len() - text.len() - 8;
    let size = movie.head[head..head + 4].first_chunk().expect("the size of a box");
    assert_eq!(u64::from(u32::from_be_bytes(*size)), data + 8);
    assert!(moov.mvex.is_none());
    assert_eq!(moov.mvhd.creation_time - MP4_EPOCH, 0);
}

#[test]
fn an_edit_list_hides_what_is_before_the_first_frame() {
    let tracks = [video(90_000, 150)];
    let frame = |n: i64| 1000 + n * 40;
    // From the middle of a frame to the middle of another one: both are shown completely.
    let (from, to) = (frame(63) + 20, frame(120) + 20);
    let movie = movie_of(&init(false), from, to, &[whole(&tracks)]).expect("a movie");
    let moov = parse(&movie);
    let track = &moov.trak[0];
    assert_eq!(edits(track), [(58 * FRAME, Some(13 * FRAME))]);
    assert_eq!(places(track).len(), 71);
    assert_eq!((track.tkhd.duration, movie.duration), (58 * FRAME, 58 * FRAME));
    let tables = &track.mdia.minf.stbl;
    assert_eq!(tables.stss.as_ref().map(|it| it.entries.clone()), Some(vec![1, 51]));
    assert_eq!(tables.stts.entries.len(), 1);
    assert_eq!(source(&movie, places(track)[0].0).1, 900 + 50 * 1000 + 2 * 500);
}

#[test]
fn frames_that_are_shown_in_another_order_are_exact() {
    // I P B B P B B: the time of presentation minus the time of decoding, in frames.
    let mut track = video(0, 100);
    for (n, frame) in track.frames.iter_mut().enumerate() {
        let offset = match n % 50 {
            0 => 1,
            n if n % 3 == 1 => 3,
            _ => 0,
        };
        frame.composition_offset = offset * 3600;
    }
    let shown =
        |frame: &TableFrame| frame.decode_time.cast_signed() + i64::from(frame.composition_offset);
    for (from, to) in [(10, 20), (51, 80), (49, 52), (0, 2), (52, 53)] {
        let tracks = [track.clone()];
        let movie = movie_of(&init(false), from * 40, to * 40, &[whole(&tracks)]);
        let movie = movie.unwrap_or_else(|| panic!("{from} to {to}"));
        let (from, to) = (from * 3600, to * 3600);
        let moov = parse(&movie);
        let included = places(&moov.trak[0]).len();
        let first = movie.pieces[0].offset;
        let start = track.frames.iter().position(|it| it.offset == first).expect("a frame");
        assert!(track.frames[start].is_keyframe);
        let frames = &track.frames[start..start + included];
        let is_shown = |it: &&TableFrame| shown(it) + 3600 > from && shown(it) < to;
        let expected: Vec<_> = track.frames.iter().filter(is_shown).map(shown).collect();
        for time in &expected {
            assert!(frames.iter().any(|it| shown(it) == *time), "{time} is missing");
        }
        let earliest = *expected.iter().min().expect("a frame");
        let latest = *expected.iter().max().expect("a frame");
        let hidden = (earliest - frames[0].decode_time.cast_signed()).cast_unsigned();
        assert_eq!(
            edits(&moov.trak[0]),
            [((latest + 3600 - earliest).cast_unsigned(), Some(hidden))]
        );
    }
}

#[test]
fn continuous_files_are_joined_and_gaps_are_closed() {
    let [first, second, third] = [
        [video(90_000, 100), audio(90_000, 100)],
        [video(90_000 + 100 * FRAME, 50), audio(90_000 + 100 * FRAME, 50)],
        [video(7_200_000, 50), audio(7_200_000, 50)],
    ];
    let files = [
        whole(&first),
        FileFrames { file: 1, is_continuous: true, ..whole(&second) },
        FileFrames { file: 2, ..whole(&third) },
    ];
    let movie = movie_of(&init(true), 1400, 81_000, &files).expect("a movie");
    let moov = parse(&movie);
    let [video, audio, _] = &moov.trak[..] else { panic!("three tracks") };
    assert_eq!(places(video).len(), 175);
    assert_eq!(edits(video), [(165 * FRAME, Some(10 * FRAME))]);
    assert_eq!(
        video.mdia.minf.stbl.stts.entries,
        [SttsEntry { sample_count: 175, sample_delta: 3600 }]
    );
    assert!(movie.pieces.iter().any(|piece| piece.file == 2));
    // Audio stays with the video: after the gap, it begins at the same time as the video.
    let entries = &audio.mdia.minf.stbl.stts.entries;
    let before_gap: u64 = entries.iter().map(|it| u64::from(it.sample_count)).sum();
    assert_eq!(before_gap, places(audio).len() as u64);
    let duration: u64 =
        entries.iter().map(|it| u64::from(it.sample_count) * u64::from(it.sample_delta)).sum();
    let begin = 175 * FRAME * 48 / 90 - duration;
    assert!(begin < 20_000, "audio of {duration} ticks");
    let [(shown, Some(hidden))] = edits(audio)[..] else { panic!("{:?}", edits(audio)) };
    assert!(shown == 165 * FRAME && hidden <= 2 * 1024, "{hidden}");
}

#[test]
fn audio_that_begins_late_is_shifted() {
    let mut sound = audio(0, 100);
    sound.frames.drain(..50);
    let tracks = [video(0, 100), sound];
    let movie = movie(&init(true), &[whole(&tracks)]).expect("a movie");
    let moov = parse(&movie);
    let late = 50 * 1024 * 90 / 48;
    assert_eq!(edits(&moov.trak[1]), [(late, None), (100 * FRAME - late, Some(0))]);
    // A track without frames is left out.
    let silent = [tracks[0].clone()];
    let movie = self::movie(&init(true), &[whole(&silent)]).expect("a movie");
    assert_eq!(parse(&movie).trak.len(), 2);
}

#[test]
fn a_movie_can_be_larger_than_4_gib() {
    let mut track = video(0, 100);
    for (n, frame) in (0_u64..).zip(&mut track.frames) {
        (frame.offset, frame.size) = (900 + n * 100_000_000, 100_000_000);
    }
    let tracks = [track.clone()];
    let movie = movie(&init(false), &[whole(&tracks)]).expect("a movie");
    let moov = parse(&movie);
    assert!(moov.trak[0].mdia.minf.stbl.co64.is_some());
    assert_eq!(movie.pieces.iter().map(|piece| piece.size).sum::<u64>(), 10_000_000_000);
    let text = text(&movie).len();
    let end = &movie.head[movie.head.len() - text - 16..];
    assert_eq!(end[..8], *b"\0\0\0\x01mdat");
    assert_eq!(end[8..16], (10_000_000_016 + text as u64).to_be_bytes());
    for (place, frame) in places(&moov.trak[0]).into_iter().zip(&track.frames) {
        assert_eq!(source(&movie, place.0), (0, frame.offset));
    }
}

#[test]
fn there_is_no_movie_without_frames() {
    assert!(movie(&init(true), &[]).is_none());
    let tracks = [video(90_000, 50)];
    assert!(movie_of(&init(false), 100_000, 200_000, &[whole(&tracks)]).is_none());
    assert!(movie_of(&init(false), 0, 1000, &[whole(&tracks)]).is_none());
    let span = TimeSpan { from: 0, to: 1 };
    assert!(MovieWriter::new(b"no init segment", span).is_none());
}
