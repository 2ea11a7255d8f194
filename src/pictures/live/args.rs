//! The arguments of an FFmpeg that decodes pictures continuously.

use super::selection;
use super::width::Width;
use crate::child::spawner::output_pipe;
use crate::pictures::args;

/// Quality of a JPEG, from 1 (best) to 31.
const QUALITY: &str = "5";

/// Returns FFmpeg's arguments, without the program's name. There is one output for each of `widths`, which are the
/// greatest widths of the pictures in pixels; `None` is the full width. Each output is a separate pipe, because one
/// pipe with several sizes would hold back the pictures of all sizes but one. `skips_loop_filter` is true if the loop
/// filter is left out. `kept_size` is the full size of the pictures, in pixels, if it stays the same when the size of the
/// camera's picture changes.
pub(super) fn arguments(
    widths: &[Width],
    skips_loop_filter: bool,
    kept_size: Option<(u32, u32)>,
) -> Vec<String> {
    // The loop filter takes a third of the time. Without the filter, small errors add up from frame to frame. The
    // errors are invisible in the first seconds after a keyframe, and become visible later.
    let skipped = if skips_loop_filter { "all" } else { "none" };
    let mut arguments: Vec<_> = args::input(skipped).into_iter().map(str::to_owned).collect();
    for (index, width) in widths.iter().enumerate() {
        let select = format!("select='{}'", selection::expression(index));
        // Sizes are even, as 4:2:0 requires.
        let filter = match (width, kept_size) {
            (_, Some(full)) => format!("{select},{}", fitted(*width, full)),
            (Some(width), None) => {
                format!("{select},scale='trunc(min(iw,{width})/2)*2':-2:flags=fast_bilinear")
            }
            (None, None) => select,
        };
        let pipe = output_pipe(index);
        let output = [
            ["-map", "0:v:0", "-fps_mode", "passthrough"].as_slice(),
            &["-enc_time_base", "-1", "-vf", &filter],
            &["-c:v", "mjpeg", "-threads", "1", "-pix_fmt", "yuvj420p", "-q:v", QUALITY],
            // For an index, FFmpeg would keep the position of every picture in memory.
            &["-f", "nut", "-write_index", "0", "-flush_packets", "1", &pipe],
        ];
        arguments.extend(output.concat().into_iter().map(str::to_owned));
    }
    arguments
}

/// Returns the filters that fit pictures of any size into pictures of this width, with the aspect ratio of the full size.
/// The encoder accepts only one size.
fn fitted(width: Width, (full_width, full_height): (u32, u32)) -> String {
    let width = width.unwrap_or(full_width).max(2) / 2 * 2;
    let height = (width * full_height / full_width.max(1)).max(2) / 2 * 2;
    format!(
        "scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=fast_bilinear,\
         pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_width_has_an_output_with_its_own_marks() {
        let text = arguments(&[None, Some(320)], true, None).join(" ");
        let full = "-vf select='mod(floor(pts/1)\\,2)' -c:v mjpeg";
        let small = "-vf select='mod(floor(pts/2)\\,2)',scale='trunc(min(iw,320)/2)*2':-2:flags=fast_bilinear";
        assert!(text.contains(full) && text.contains(small), "{text}");
        assert!(text.contains("pipe:+0") && text.ends_with("pipe:+1"), "{text}");
    }

    #[test]
    fn pictures_that_keep_their_size_have_even_sizes() {
        let text = arguments(&[None, Some(320)], true, Some((1279, 721))).join(" ");
        for size in ["1278:720:", "320:180:"] {
            let (scaled, padded) = (format!(",scale={size}"), format!(",pad={size}"));
            assert!(text.contains(&scaled) && text.contains(&padded), "{text}");
        }
    }
}
