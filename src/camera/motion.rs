//! The options of the detection of motion in front of a camera.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::motion::sensitivity::Sensitivity;
use crate::motion::zones::{Zone, ZoneEffect, ZoneError, ZoneMask};

/// The detection of motion in front of a camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MotionOptions {
    /// How motion is detected.
    pub source: MotionSource,
    /// The sensitivity, from 1 for large and clear motion only, to 100 for small and faint motion. An increase of 50 halves the
    /// contrast, and quarters the size, that motion needs.
    #[schema(minimum = 1, maximum = 100, default = 50)]
    pub sensitivity: u8,
    /// The zones in which motion counts or does not count, at most 16. Without zones, the whole picture is watched.
    #[schema(max_items = 16)]
    pub zones: Vec<MotionZone>,
}

/// How motion is detected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MotionSource {
    /// Not at all.
    #[default]
    Off,
    /// By comparing the camera's pictures.
    Pictures,
}

/// A polygon on the camera's picture. The edges can cross; the inside follows the even-odd rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MotionZone {
    /// The effect of the zone.
    pub effect: MotionZoneEffect,
    /// The corners, 3 to 32: `[x, y]` in parts of the picture's width and height. `[0, 0]` is the upper left corner of the
    /// picture, and `[1, 1]` the lower right one.
    #[schema(min_items = 3, max_items = 32, example = json!([[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]))]
    pub corners: Vec<[f32; 2]>,
}

/// The effect of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MotionZoneEffect {
    /// Motion counts inside. If a camera has such zones, motion outside of them does not count.
    Watch,
    /// Motion does not count inside, even if another zone is watched there.
    Ignore,
}

impl Default for MotionOptions {
    fn default() -> Self {
        let (source, zones) = (MotionSource::default(), Vec::new());
        Self { source, sensitivity: Sensitivity::default().percent(), zones }
    }
}

impl MotionOptions {
    /// Fails unless the options can be used.
    pub(crate) fn ensure_usable(&self) -> Result<(), Error> {
        let invalid = |detail: String| Err(Error::new(ErrorKind::InvalidRequest, detail));
        if Sensitivity::new(self.sensitivity).is_none() {
            return invalid("motion.sensitivity must be a number from 1 to 100".to_owned());
        }
        match self.mask() {
            Ok(_) => Ok(()),
            Err(error) => invalid(format!("motion.zones cannot be used: {error}")),
        }
    }

    /// Returns the sensitivity.
    pub(crate) fn sensitivity(&self) -> Sensitivity {
        Sensitivity::new(self.sensitivity).unwrap_or_default()
    }

    /// Returns the pixels that are watched.
    pub(crate) fn mask(&self) -> Result<ZoneMask, ZoneError> {
        let zone = |zone: &MotionZone| Zone {
            effect: match zone.effect {
                MotionZoneEffect::Watch => ZoneEffect::Watch,
                MotionZoneEffect::Ignore => ZoneEffect::Ignore,
            },
            corners: zone.corners.iter().map(|[x, y]| (*x, *y)).collect(),
        };
        let zones: Vec<_> = self.zones.iter().map(zone).collect();
        ZoneMask::new(&zones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: &str) -> MotionOptions {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn options_that_cannot_be_used_are_refused() {
        let zone = r#"{"effect": "watch", "corners": [[0, 0], [1, 0], [1, 1]]}"#;
        for json in ["{}", r#"{"source": "pictures"}"#, &format!(r#"{{"zones": [{zone}]}}"#)] {
            options(json).ensure_usable().expect(json);
        }
        let many = format!(r#"{{"zones": [{}]}}"#, [zone; 17].join(","));
        for (json, part) in [
            (r#"{"sensitivity": 0}"#, "1 to 100"),
            (r#"{"sensitivity": 101}"#, "1 to 100"),
            (r#"{"zones": [{"effect": "watch", "corners": [[0, 0], [1, 0]]}]}"#, "3 to 32"),
            (r#"{"zones": [{"effect": "watch", "corners": [[0, 0], [2, 0], [1, 1]]}]}"#, "0 and 1"),
            (r#"{"zones": [{"effect": "watch", "corners": [[0, 0], [0, 0], [0, 0]]}]}"#, "no part"),
            (&many, "more than 16"),
        ] {
            let error = options(json).ensure_usable().expect_err(json);
            assert!(error.detail.contains(part), "{error}");
        }
        for json in [r#"{"source": "onvif"}"#, r#"{"zone": []}"#, r#"{"sensitivity": 50.5}"#] {
            serde_json::from_str::<MotionOptions>(json).expect_err(json);
        }
    }

    #[test]
    fn options_stay_the_same_when_they_are_stored() {
        let json = r#"{"source":"pictures","sensitivity":70,"zones":[{"effect":"ignore","corners":[[0.1,0.2],[0.7,0.3],[0.5,0.9]]}]}"#;
        assert_eq!(serde_json::to_string(&options(json)).expect("JSON"), json);
    }
}
