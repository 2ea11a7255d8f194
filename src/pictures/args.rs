//! The arguments of an FFmpeg that decodes one picture.

/// Quality of a JPEG, from 1 (best) to 31.
const QUALITY: &str = "4";
/// Qualities of the alternatives for a small picture whose JPEG would have too many bytes.
const LOWER_QUALITIES: [&str; 2] = ["10", "31"];
/// The largest number of frames that are decoded without the loop filter.
const FEW_FRAMES: usize = 64;

/// Returns FFmpeg's arguments, without the program's name, for a JPEG of the frame whose time is
/// `newest`, in ticks. The JPEG is at most `width` pixels wide. With `has_alternatives`, the output is
/// three JPEGs of the same frame, one after the other, from the best quality to the lowest. Encoding takes
/// little time compared with decoding.
///
/// All frames since the keyframe are decoded, because each frame builds on earlier ones; `frames` is
/// their number. Only the frame with the time `newest` is scaled and encoded.
pub(super) fn arguments(
    frames: usize,
    newest: u64,
    width: Option<u32>,
    has_alternatives: bool,
) -> Vec<String> {
    let select = format!("select='gte(pts,{newest})'");
    let filter = match width {
        // Sizes are even, as 4:2:0 requires.
        Some(width) => format!("{select},scale='trunc(min(iw,{width})/2)*2':-2"),
        None => select,
    };
    // The loop filter takes a third of the time. Without the filter, small errors add up from frame to
    // frame. The errors are invisible in the first seconds after a keyframe, and become visible later.
    let skipped = if frames <= FEW_FRAMES { "all" } else { "none" };
    let [medium, low] = LOWER_QUALITIES;
    // The other options apply to all three outputs.
    let alternatives: &[&str] = if has_alternatives {
        &["-map", "0:v:0", "-map", "0:v:0", "-q:v:1", medium, "-q:v:2", low]
    } else {
        &[]
    };
    let input = input(skipped);
    let arguments = [
        input.as_slice(),
        &["-map", "0:v:0", "-frames:v", "1", "-fps_mode", "passthrough", "-vf", &filter],
        &["-c:v", "mjpeg", "-threads", "1", "-pix_fmt", "yuvj420p", "-q:v", QUALITY],
        alternatives,
        &["-f", "image2pipe", "pipe:1"],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}

/// Returns the arguments with which FFmpeg decodes frames of video from its standard input. `skipped` names the frames for
/// which the loop filter is skipped.
pub(super) fn input(skipped: &str) -> Vec<&str> {
    let arguments = [
        ["-hide_banner", "-nostats"].as_slice(),
        &["-nostdin", "-loglevel", "level+error"],
        // FFmpeg keeps the times of its input, because the times mark the frames that become pictures.
        &["-copyts"],
        // The headers and the first frame contain all parameters, so FFmpeg need not probe further frames.
        &["-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0"],
        // Some cameras send keyframes that are not complete pictures according to the standard.
        &["-flags", "+output_corrupt", "-flags2", "+showall"],
        // Each further thread uses more memory and delays the pictures by a frame, and saves no processor time.
        &["-threads", "1", "-filter_threads", "1", "-skip_loop_filter", skipped],
        &["-f", "nut", "-protocol_whitelist", "pipe", "-i", "pipe:0"],
    ];
    arguments.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_frame_is_scaled() {
        let filter = |width| {
            let arguments = arguments(50, 1_960_000, width, false);
            let place = arguments.iter().position(|argument| argument == "-vf").expect("a filter");
            arguments[place + 1].clone()
        };
        assert_eq!(filter(None), "select='gte(pts,1960000)'");
        assert_eq!(
            filter(Some(640)),
            "select='gte(pts,1960000)',scale='trunc(min(iw,640)/2)*2':-2"
        );
    }

    #[test]
    fn the_lean_ffmpeg_includes_all_components_that_the_arguments_require() {
        let lines = include_str!("../../deploy/ffmpeg/components").lines();
        let built_in: Vec<_> = lines
            .filter_map(|line| line.split_once(' '))
            .flat_map(|(kind, names)| names.split_whitespace().map(move |name| (kind, name)))
            .collect();
        let needed = [
            ("demuxer", "nut"),
            ("decoder", "h264"),
            ("decoder", "hevc"),
            ("decoder", "mjpeg"),
            ("filter", "select"),
            ("filter", "scale"),
            ("filter", "format"),
            ("encoder", "mjpeg"),
            ("encoder", "rawvideo"),
            ("muxer", "image2pipe"),
            ("muxer", "nut"),
            ("protocol", "pipe"),
        ];
        for component in needed {
            assert!(built_in.contains(&component), "{component:?} is not built in");
        }
    }
}
