//! The widths of pictures. Pure.

/// The greatest width of pictures, in pixels; `None` for the width of the camera's picture.
pub(super) type Width = Option<u32>;

/// Returns the width of the pictures that FFmpeg makes for a wanted width, if the camera's picture has `full` pixels. Two
/// wanted widths with the same result are one size. Sizes are even, as 4:2:0 requires.
pub(super) fn made(wanted: Width, full: u32) -> Width {
    wanted.filter(|wanted| *wanted < full).map(|wanted| wanted / 2 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_wishes_can_be_one_size() {
        for (wanted, expected) in [
            (None, None),
            (Some(640), None),
            (Some(3000), None),
            (Some(639), Some(638)),
            (Some(321), Some(320)),
            (Some(320), Some(320)),
        ] {
            assert_eq!(made(wanted, 640), expected, "{wanted:?}");
        }
    }
}
