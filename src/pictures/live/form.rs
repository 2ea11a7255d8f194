//! The forms of pictures: JPEGs of different widths, and grey pictures. Pure.

/// The greatest size of grey pictures, in pixels.
const GREY_SIZE: (u32, u32) = (640, 360);

/// The form of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// JPEGs with this greatest width in pixels; `None` for the width of the camera's picture.
    Jpeg(Option<u32>),
    /// Grey values, one byte for each pixel, row by row: the camera's picture, shrunk to fit into 640×360 pixels if it is
    /// larger.
    Grey,
}

impl Form {
    /// Returns the form of the pictures that FFmpeg makes for a wanted form, if the camera's picture is `full` pixels wide.
    /// Two wanted forms with the same result are one output. Sizes are even, as 4:2:0 requires.
    pub(super) fn made(self, full: u32) -> Self {
        match self {
            Self::Jpeg(wanted) => {
                Self::Jpeg(wanted.filter(|wanted| *wanted < full).map(|wanted| wanted / 2 * 2))
            }
            Self::Grey => Self::Grey,
        }
    }

    /// Returns whether pictures of this form are JPEGs.
    pub(super) fn is_jpeg(self) -> bool {
        matches!(self, Self::Jpeg(_))
    }

    /// Returns the width, in pixels, that a stream's pictures need to be large enough for this form; `None` if only the
    /// main stream is large enough, or if the consumer chooses the stream, as that of grey pictures does.
    pub(crate) fn needed_width(self) -> Option<u32> {
        match self {
            Self::Jpeg(width) => width,
            Self::Grey => None,
        }
    }
}

/// Returns the size of the grey pictures of a camera whose picture has this size, in pixels.
pub(crate) fn grey_size((width, height): (u32, u32)) -> (u32, u32) {
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    let (most_wide, most_high) = (u64::from(GREY_SIZE.0), u64::from(GREY_SIZE.1));
    // The picture is shrunk to the width or to the height, whichever is smaller.
    let (fits_width, fits_height) = (width <= most_wide, height <= most_high);
    let (width, height) = if fits_width && fits_height {
        (width, height)
    } else if width * most_high >= height * most_wide {
        (most_wide, height * most_wide / width)
    } else {
        (width * most_high / height, most_high)
    };
    let even = |size: u64| u32::try_from(size).unwrap_or(u32::MAX).max(2) / 2 * 2;
    (even(width), even(height))
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
            assert_eq!(Form::Jpeg(wanted).made(640), Form::Jpeg(expected), "{wanted:?}");
        }
        assert_eq!(Form::Grey.made(640), Form::Grey);
    }

    #[test]
    fn grey_pictures_keep_the_shape_and_are_never_enlarged() {
        for (full, expected) in [
            ((320, 180), (320, 180)),
            ((640, 360), (640, 360)),
            ((641, 361), (638, 360)),
            ((1920, 1080), (640, 360)),
            ((2560, 1920), (480, 360)),
            ((640, 480), (480, 360)),
            ((1080, 1920), (202, 360)),
            ((3840, 1080), (640, 180)),
            ((353, 289), (352, 288)),
            ((60_000, 2), (640, 2)),
            ((0, 0), (2, 2)),
        ] {
            assert_eq!(grey_size(full), expected, "{full:?}");
        }
    }
}
