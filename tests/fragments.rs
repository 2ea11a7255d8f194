//! The fragment reader on what a real FFmpeg writes, whole, cut off and damaged.

use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use stream_manager::media::fragment::{Fragment, MediaError};
use stream_manager::media::reader::FragmentReader;

/// Five seconds at 25 frames a second with a keyframe every two, in fragments of 200 ms, made as
/// the ingest makes them.
static REAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "5"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "50"])
        .args(["-c:a", "aac", "-f", "mp4", "-movflags"])
        .args(["+frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "200000", "pipe:1"])
        .output()
        .expect("FFmpeg; install it with: apt-get install ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
});

fn read(bytes: &[u8]) -> (Vec<Fragment>, Result<(), MediaError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = FragmentReader::new(bytes, 7);
        let mut fragments = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(fragment)) => fragments.push(fragment),
                Ok(None) => return (fragments, Ok(())),
                Err(error) => return (fragments, Err(error)),
            }
        }
    })
}

#[test]
fn every_byte_of_ffmpegs_output_comes_out_again() {
    let (fragments, end) = read(&REAL);
    end.expect("a good stream");
    let init = &fragments[0].init;
    let mut bytes = init.bytes.to_vec();
    for fragment in &fragments {
        bytes.extend_from_slice(&fragment.bytes);
    }
    // What follows the last fragment is an index for files (mfra).
    assert!(REAL.starts_with(&bytes) && REAL[bytes.len() + 4..].starts_with(b"mfra"));
    assert_eq!((init.generation, init.video.width, init.video.height), (7, 160, 120));
    assert!(init.video.codec.starts_with("avc1.42"), "{}", init.video.codec);
    assert_eq!(init.audio_codec.as_deref(), Some("mp4a.40.2"));
}

#[test]
fn times_durations_and_keyframes_are_right() {
    let (fragments, _) = read(&REAL);
    let frames: u32 = fragments.iter().map(|fragment| fragment.frames).sum();
    assert_eq!(frames, 125);
    let keyframes: Vec<_> = fragments.iter().filter(|fragment| fragment.is_keyframe).collect();
    let mut end = Duration::ZERO;
    for (keyframe, seconds) in keyframes.iter().zip([0, 2, 4]) {
        // The video begins one AAC frame late, which is what the encoder needs to warm up.
        let off = keyframe.decode_time.abs_diff(Duration::from_secs(seconds));
        assert!(off <= Duration::from_millis(22), "keyframe {seconds} is {off:?} off");
    }
    for fragment in &fragments {
        assert!(fragment.decode_time.abs_diff(end) < Duration::from_millis(22));
        assert!(fragment.duration <= Duration::from_millis(262), "{:?}", fragment.duration);
        end = fragment.decode_time + fragment.duration;
    }
    assert!(end.abs_diff(Duration::from_secs(5)) < Duration::from_millis(22), "{end:?}");
    assert_eq!(keyframes.len(), 3);
}

#[test]
fn a_box_that_claims_too_much_is_refused_before_it_is_read() {
    let (fragments, _) = read(&REAL);
    let mdat_of = |size: u32| {
        let mut bytes = fragments[0].init.bytes.to_vec();
        let moof_size = u32::from_be_bytes(fragments[0].bytes[..4].try_into().expect("four bytes"));
        bytes.extend_from_slice(&fragments[0].bytes[..moof_size as usize]);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(b"mdat");
        bytes
    };
    for size in [u32::MAX, 64 * 1024 * 1024] {
        let (_, end) = read(&mdat_of(size));
        assert!(matches!(end, Err(MediaError::TooLarge { .. })), "{end:?}");
    }
    let (_, end) = read(&mdat_of(4));
    assert!(matches!(end, Err(MediaError::Unexpected(_))), "{end:?}");
    // A box that runs to the end of the file belongs in a file.
    let (_, end) = read(&mdat_of(0));
    assert!(matches!(end, Err(MediaError::Unexpected(_))), "{end:?}");
}

proptest! {
    #[test]
    fn a_stream_cut_off_anywhere_yields_what_was_whole(cut in 0..REAL.len()) {
        let (whole, _) = read(&REAL);
        let (fragments, end) = read(&REAL[..cut]);
        let mut boundaries = vec![whole[0].init.bytes.len()];
        for fragment in &whole {
            boundaries.push(boundaries[boundaries.len() - 1] + fragment.bytes.len());
        }
        let complete = boundaries.iter().filter(|boundary| **boundary <= cut).count();
        prop_assert_eq!(fragments.len(), complete.saturating_sub(1));
        // Only an end between two fragments is an end.
        prop_assert_eq!(end.is_ok(), cut == 0 || boundaries.contains(&cut));
    }

    #[test]
    fn damage_gives_an_error_or_fragments_and_never_a_panic(
        damage in prop::collection::vec((0..REAL.len(), any::<u8>()), 1..40)
    ) {
        let mut bytes = REAL.clone();
        for (at, value) in damage {
            bytes[at] = value;
        }
        let (fragments, _) = read(&bytes);
        prop_assert!(fragments.len() <= 40);
    }

    #[test]
    fn damage_to_the_header_boxes_never_panics(
        damage in prop::collection::vec((0..2000_usize, any::<u8>()), 1..10)
    ) {
        let mut bytes = REAL.clone();
        for (at, value) in damage {
            bytes[at] = value;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 1..4096)) {
        let (fragments, end) = read(&noise);
        prop_assert!(fragments.is_empty());
        prop_assert!(end.is_err());
    }
}
