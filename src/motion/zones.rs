//! Zones: polygons in which motion is watched or ignored.

use std::fmt;

use super::shrink::{HEIGHT, PIXELS, WIDTH};

/// The largest number of zones of a camera.
pub(crate) const MAX_ZONES: usize = 16;
/// The largest number of corners of a zone.
pub(crate) const MAX_CORNERS: usize = 32;

/// A polygon on a camera's picture. The edges can cross; the inside follows the even-odd rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// The effect of the zone.
    pub effect: ZoneEffect,
    /// The corners in parts of the picture's width and height: (0, 0) is the upper left corner, (1, 1) the lower right one.
    pub corners: Vec<(f32, f32)>,
}

/// The effect of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneEffect {
    /// Motion counts inside. If a camera has such zones, motion outside of them does not count.
    Watch,
    /// Motion does not count inside, even if another zone is watched there.
    Ignore,
}

/// The reason why zones are invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneError {
    /// There are more than [`MAX_ZONES`] zones.
    TooMany,
    /// A zone has fewer than three corners, or more than [`MAX_CORNERS`].
    Corners,
    /// A corner is outside of the picture, or not a number.
    Outside,
    /// No pixel is watched.
    Empty,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "there are more than {MAX_ZONES} zones"),
            Self::Corners => write!(f, "a zone needs 3 to {MAX_CORNERS} corners"),
            Self::Outside => f.write_str("the corners of a zone must be between 0 and 1"),
            Self::Empty => f.write_str("the zones leave no part of the picture to watch"),
        }
    }
}

impl std::error::Error for ZoneError {}

/// The pixels that are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneMask {
    /// For each pixel, 1 if it is watched and 0 if not.
    watched: Vec<u8>,
}

impl ZoneMask {
    /// Returns a mask with which the whole picture is watched.
    pub fn whole() -> Self {
        Self { watched: vec![1; PIXELS] }
    }

    /// Draws the zones.
    pub fn new(zones: &[Zone]) -> Result<Self, ZoneError> {
        if zones.len() > MAX_ZONES {
            return Err(ZoneError::TooMany);
        }
        let is_all = zones.iter().all(|zone| zone.effect == ZoneEffect::Ignore);
        let mut mask = Self { watched: vec![u8::from(is_all); PIXELS] };
        for zone in zones {
            if !(3..=MAX_CORNERS).contains(&zone.corners.len()) {
                return Err(ZoneError::Corners);
            }
            let is_inside = |(x, y): &(f32, f32)| [x, y].iter().all(|c| (0.0..=1.0).contains(*c));
            if !zone.corners.iter().all(is_inside) {
                return Err(ZoneError::Outside);
            }
        }
        for effect in [ZoneEffect::Watch, ZoneEffect::Ignore] {
            for zone in zones.iter().filter(|zone| zone.effect == effect) {
                mask.fill(&zone.corners, u8::from(effect == ZoneEffect::Watch));
            }
        }
        if mask.watched.iter().all(|&pixel| pixel == 0) {
            return Err(ZoneError::Empty);
        }
        Ok(mask)
    }

    /// Returns the mask, with a byte for each pixel.
    pub(super) fn pixels(&self) -> &[u8] {
        &self.watched
    }

    /// Sets the pixels whose centre is inside of the polygon.
    fn fill(&mut self, corners: &[(f32, f32)], value: u8) {
        for (y, row) in self.watched.chunks_exact_mut(WIDTH).enumerate() {
            let crossings = crossings(corners, centre(y, HEIGHT));
            for pair in crossings.chunks_exact(2) {
                let &[from, to] = pair else { continue };
                for (x, pixel) in row.iter_mut().enumerate() {
                    if (from..to).contains(&centre(x, WIDTH)) {
                        *pixel = value;
                    }
                }
            }
        }
    }
}

impl Default for ZoneMask {
    fn default() -> Self {
        Self::whole()
    }
}

/// Returns the centre of a pixel in parts of the picture.
fn centre(index: usize, size: usize) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 160")]
    let centre = (index as f32 + 0.5) / size as f32;
    centre
}

/// Returns the places at which a horizontal line crosses the edges, from left to right.
fn crossings(corners: &[(f32, f32)], y: f32) -> Vec<f32> {
    let next = corners.iter().cycle().skip(1);
    let mut crossings: Vec<_> = corners
        .iter()
        .zip(next)
        .filter(|((_, y0), (_, y1))| (*y0 <= y) != (*y1 <= y))
        .map(|((x0, y0), (x1, y1))| x0 + (y - y0) / (y1 - y0) * (x1 - x0))
        .collect();
    crossings.sort_by(f32::total_cmp);
    crossings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(effect: ZoneEffect, corners: &[(f32, f32)]) -> Zone {
        Zone { effect, corners: corners.to_vec() }
    }

    fn right_half(effect: ZoneEffect) -> Zone {
        zone(effect, &[(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)])
    }

    fn count(zones: &[Zone]) -> usize {
        let mask = ZoneMask::new(zones).expect("zones");
        mask.watched.iter().map(|&pixel| usize::from(pixel)).sum()
    }

    #[test]
    fn watched_and_ignored_zones_are_combined() {
        let corner = zone(ZoneEffect::Ignore, &[(0.75, 0.0), (1.0, 0.0), (1.0, 0.5), (0.75, 0.5)]);
        assert_eq!(count(&[]), PIXELS);
        assert_eq!(count(&[right_half(ZoneEffect::Watch)]), PIXELS / 2);
        assert_eq!(count(&[right_half(ZoneEffect::Ignore)]), PIXELS / 2);
        assert_eq!(count(std::slice::from_ref(&corner)), PIXELS * 7 / 8);
        // The order does not matter.
        assert_eq!(count(&[corner.clone(), right_half(ZoneEffect::Watch)]), PIXELS * 3 / 8);
        assert_eq!(count(&[right_half(ZoneEffect::Watch), corner]), PIXELS * 3 / 8);
    }

    #[test]
    fn crossing_edges_follow_the_even_odd_rule() {
        let bow = zone(ZoneEffect::Watch, &[(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]);
        let pixels = count(&[bow]);
        assert!(pixels.abs_diff(PIXELS / 2) < 100, "{pixels}");
    }

    #[test]
    fn invalid_zones_are_refused() {
        let whole = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        for (zones, error) in [
            (vec![right_half(ZoneEffect::Watch); MAX_ZONES + 1], ZoneError::TooMany),
            (vec![zone(ZoneEffect::Watch, &[(0.0, 0.0), (1.0, 1.0)])], ZoneError::Corners),
            (vec![zone(ZoneEffect::Watch, &[(0.5, 0.5); MAX_CORNERS + 1])], ZoneError::Corners),
            (
                vec![zone(ZoneEffect::Watch, &[(0.0, 0.0), (1.1, 1.0), (0.0, 1.0)])],
                ZoneError::Outside,
            ),
            (
                vec![zone(ZoneEffect::Watch, &[(0.0, 0.0), (f32::NAN, 1.0), (0.0, 1.0)])],
                ZoneError::Outside,
            ),
            (vec![zone(ZoneEffect::Watch, &[(0.5, 0.5); 3])], ZoneError::Empty),
            (vec![zone(ZoneEffect::Ignore, &whole)], ZoneError::Empty),
        ] {
            assert_eq!(ZoneMask::new(&zones), Err(error), "{zones:?}");
        }
    }
}
