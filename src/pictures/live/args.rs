//! The arguments of an FFmpeg that decodes pictures continuously.

use super::form::{Form, grey_size};
use super::selection;
use crate::child::spawner::output_pipe;
use crate::pictures::args;

/// Quality of a JPEG, from 1 (best) to 31.
const QUALITY: &str = "5";

/// The manner in which pictures are decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// True if the loop filter is left out.
    pub(super) skips_loop_filter: bool,
    /// True if the pictures keep their size when the camera changes the size of its picture.
    pub(super) keeps_size: bool,
}

/// Returns FFmpeg's arguments, without the program's name. There is one output for each of `forms`. Each output is a
/// separate pipe, because one pipe with several forms would hold back the pictures of all forms but one. `full` is the size
/// of the camera's picture in pixels.
pub(super) fn arguments(forms: &[Form], manner: Manner, full: (u32, u32)) -> Vec<String> {
    // The loop filter takes a third of the time. Without the filter, small errors add up from frame to frame. The
    // errors are invisible in the first seconds after a keyframe, and become visible later.
    let skipped = if manner.skips_loop_filter { "all" } else { "none" };
    let mut arguments: Vec<_> = args::input(skipped).into_iter().map(str::to_owned).collect();
    for (index, form) in forms.iter().enumerate() {
        let select = format!("select='{}'", selection::expression(index));
        // Sizes are even, as 4:2:0 requires.
        let filter = match (form, manner.keeps_size) {
            (Form::Jpeg(width), true) => format!("{select},{}", fitted(*width, full)),
            (Form::Jpeg(Some(width)), false) => {
                format!("{select},scale='trunc(min(iw,{width})/2)*2':-2:flags=fast_bilinear")
            }
            (Form::Jpeg(None), false) => select,
            // The mean of each area has less noise than other methods.
            (Form::Grey, _) => {
                let (width, height) = grey_size(full);
                format!("{select},scale={width}:{height}:flags=area")
            }
        };
        let encoder: &[&str] = match form {
            Form::Jpeg(_) => &["mjpeg", "-pix_fmt", "yuvj420p", "-q:v", QUALITY],
            Form::Grey => &["rawvideo", "-pix_fmt", "gray"],
        };
        let pipe = output_pipe(index);
        let output = [
            ["-map", "0:v:0", "-fps_mode", "passthrough"].as_slice(),
            &["-enc_time_base", "-1", "-vf", &filter],
            // With several threads, an encoder holds back a picture for each thread but one.
            &["-threads:v", "1", "-c:v"],
            encoder,
            // For an index, FFmpeg would keep the position of every picture in memory.
            &["-f", "nut", "-write_index", "0", "-flush_packets", "1", &pipe],
        ];
        arguments.extend(output.concat().into_iter().map(str::to_owned));
    }
    arguments
}

/// Returns the filters that fit pictures of any size into pictures of this width, with the aspect ratio of the full size.
/// The encoder accepts only one size.
fn fitted(width: Option<u32>, (full_width, full_height): (u32, u32)) -> String {
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

    const BOTH: [Form; 2] = [Form::Jpeg(None), Form::Jpeg(Some(320))];

    fn text(forms: &[Form], keeps_size: bool, full: (u32, u32)) -> String {
        arguments(forms, Manner { skips_loop_filter: true, keeps_size }, full).join(" ")
    }

    #[test]
    fn each_form_has_an_output_with_its_own_marks() {
        let text = text(&BOTH, false, (1280, 720));
        let full = "-vf select='mod(floor(pts/1)\\,2)' -threads:v 1 -c:v mjpeg";
        let small = "-vf select='mod(floor(pts/2)\\,2)',scale='trunc(min(iw,320)/2)*2':-2:flags=fast_bilinear";
        assert!(text.contains(full) && text.contains(small), "{text}");
        assert!(text.contains("pipe:+0") && text.ends_with("pipe:+1"), "{text}");
    }

    #[test]
    fn grey_pictures_are_not_encoded() {
        let text = text(&[BOTH[1], Form::Grey], false, (2560, 1920));
        let grey = "-vf select='mod(floor(pts/2)\\,2)',scale=480:360:flags=area -threads:v 1 -c:v rawvideo -pix_fmt gray -f nut";
        assert!(text.contains(grey) && text.contains("-c:v mjpeg"), "{text}");
    }

    #[test]
    fn pictures_that_keep_their_size_have_even_sizes() {
        let text = text(&BOTH, true, (1279, 721));
        for size in ["1278:720:", "320:180:"] {
            let (scaled, padded) = (format!(",scale={size}"), format!(",pad={size}"));
            assert!(text.contains(&scaled) && text.contains(&padded), "{text}");
        }
    }
}
