//! Presets: RTSP ports and paths of cameras, by vendor. The data file names the origin of each preset, except the
//! generic presets (`generic-…`), which are for cameras of any vendor.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The RTSP port and paths of a vendor's cameras.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// The identifier, for the field `vendor` of a camera.
    pub vendor: String,
    /// The name to display.
    pub name: String,
    /// Path and query of the main stream.
    pub main: String,
    /// Path and query of the sub stream.
    pub sub: Option<String>,
    /// The RTSP port.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// Hints for the operator.
    pub notes: Option<String>,
    /// The web page from which the paths were taken. Generic presets have none.
    pub source: Option<String>,
}

/// The default port of RTSP.
pub(crate) const fn usual_port() -> u16 {
    554
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "an invalid file fails the tests of the presets")]
    serde_json::from_str(include_str!("presets.json")).expect("presets")
});

/// Returns all presets, in the order of the file.
pub(crate) fn all() -> &'static [Preset] {
    &PRESETS
}

/// Returns the preset of a vendor; `None` if the vendor is unknown.
pub(crate) fn find(vendor: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.vendor == vendor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::source::Source;

    #[test]
    fn every_preset_has_valid_paths_and_an_origin_unless_it_is_generic() {
        for preset in all() {
            for path in std::iter::once(&preset.main).chain(&preset.sub) {
                assert!(path.starts_with('/'), "{}: {path}", preset.vendor);
                let link = format!("rtsp://user:pw@cam:{}{path}", preset.port);
                Source::parse(&link).unwrap_or_else(|error| panic!("{link}: {error}"));
            }
            let is_generic = preset.vendor.starts_with("generic-");
            assert!(preset.source.is_some() || is_generic, "{}", preset.vendor);
            assert_eq!(all().iter().filter(|other| other.vendor == preset.vendor).count(), 1);
        }
        for vendor in [
            "hikvision",
            "dahua",
            "axis",
            "reolink",
            "uniview",
            "tapo",
            "vigi",
            "foscam",
            "amcrest",
            "hanwha",
            "bosch",
        ] {
            assert!(find(vendor).is_some(), "{vendor}");
        }
    }
}
