//! Tests the fragment reader with real output of FFmpeg: complete, truncated and damaged.

use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use stream_manager::parts::{Fragment, FragmentReader, MediaError};

/// Five seconds of video at 25 frames per second with a keyframe every two seconds, and audio. The
/// fragments last 200 ms, and have the same format as those of the ingest.
static FFMPEG_OUTPUT: LazyLock<Vec<u8>> = LazyLock::new(|| {
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

/// Reads all fragments until the end of the stream or the first error.
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
fn the_fragments_contain_every_byte_of_ffmpegs_output() {
    let (fragments, result) = read(&FFMPEG_OUTPUT);
    result.expect("a valid stream");
    let init = &fragments[0].init;
    let mut bytes = init.bytes.to_vec();
    for fragment in &fragments {
        bytes.extend_from_slice(&fragment.bytes);
    }
    // The index after the last fragment (mfra) is meant for files.
    assert!(
        FFMPEG_OUTPUT.starts_with(&bytes) && FFMPEG_OUTPUT[bytes.len() + 4..].starts_with(b"mfra")
    );
    assert_eq!((init.epoch, init.video.width, init.video.height), (7, 160, 120));
    assert!(init.video.codec.starts_with("avc1.42"), "{}", init.video.codec);
    assert_eq!(init.audio_codec.as_deref(), Some("mp4a.40.2"));
}

#[test]
fn fragments_have_the_right_times_durations_and_keyframes() {
    let (fragments, _) = read(&FFMPEG_OUTPUT);
    let frames: u32 = fragments.iter().map(|fragment| fragment.frames).sum();
    assert_eq!(frames, 125);
    let keyframes: Vec<_> = fragments.iter().filter(|fragment| fragment.is_keyframe).collect();
    let mut end = Duration::ZERO;
    for (keyframe, seconds) in keyframes.iter().zip([0, 2, 4]) {
        // The video starts one AAC frame late, because of the delay of the audio encoder.
        let deviation = keyframe.decode_time.abs_diff(Duration::from_secs(seconds));
        assert!(deviation <= Duration::from_millis(22), "keyframe at {seconds} s: {deviation:?}");
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
fn a_box_with_an_excessive_size_is_rejected_before_it_is_read() {
    let (fragments, _) = read(&FFMPEG_OUTPUT);
    let mdat_of = |size: u32| {
        let mut bytes = fragments[0].init.bytes.to_vec();
        let moof_size = u32::from_be_bytes(fragments[0].bytes[..4].try_into().expect("four bytes"));
        bytes.extend_from_slice(&fragments[0].bytes[..moof_size as usize]);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(b"mdat");
        bytes
    };
    for size in [u32::MAX, 64 * 1024 * 1024] {
        let (_, result) = read(&mdat_of(size));
        assert!(matches!(result, Err(MediaError::TooLarge { .. })), "{result:?}");
    }
    let (_, result) = read(&mdat_of(4));
    assert!(matches!(result, Err(MediaError::Unexpected(_))), "{result:?}");
    // Size 0 means that the box extends to the end of the file, which a stream does not have.
    let (_, result) = read(&mdat_of(0));
    assert!(matches!(result, Err(MediaError::Unexpected(_))), "{result:?}");
}

proptest! {
    #[test]
    fn a_truncated_stream_yields_all_complete_fragments(length in 0..FFMPEG_OUTPUT.len()) {
        let (all, _) = read(&FFMPEG_OUTPUT);
        let (fragments, result) = read(&FFMPEG_OUTPUT[..length]);
        let mut boundaries = vec![all[0].init.bytes.len()];
        for fragment in &all {
            boundaries.push(boundaries[boundaries.len() - 1] + fragment.bytes.len());
        }
        let complete = boundaries.iter().filter(|boundary| **boundary <= length).count();
        prop_assert_eq!(fragments.len(), complete.saturating_sub(1));
        // A stream can only end between two fragments. Any other end is an error.
        prop_assert_eq!(result.is_ok(), length == 0 || boundaries.contains(&length));
    }

    #[test]
    fn damaged_streams_yield_fragments_or_an_error_but_never_panic(
        damage in prop::collection::vec((0..FFMPEG_OUTPUT.len(), any::<u8>()), 1..40)
    ) {
        let mut bytes = FFMPEG_OUTPUT.clone();
        for (at, value) in damage {
            bytes[at] = value;
        }
        let (fragments, _) = read(&bytes);
        prop_assert!(fragments.len() <= 40);
    }

    #[test]
    fn damaged_header_boxes_never_panic(
        damage in prop::collection::vec((0..2000_usize, any::<u8>()), 1..10)
    ) {
        let mut bytes = FFMPEG_OUTPUT.clone();
        for (at, value) in damage {
            bytes[at] = value;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn random_bytes_are_rejected(noise in prop::collection::vec(any::<u8>(), 1..4096)) {
        let (fragments, result) = read(&noise);
        prop_assert!(fragments.is_empty());
        prop_assert!(result.is_err());
    }
}
