//! `stream-manager --help`.

use crate::config;

const USAGE: &str = "\
stream-manager streams IP cameras (RTSP) to browsers on demand.

  stream-manager             runs the service
  stream-manager rotate-key  re-encrypts the cameras' links and passwords in the database with
                             the key in NEW_SOURCE_KEY. If neither NEW_SOURCE_KEY nor
                             SOURCE_KEY is set, generates a key and saves it in the .key file
  stream-manager discover    searches the network for cameras, using ONVIF; options:
                             [--interface NAME] [--timeout SECONDS] [--address ADDRESS]
                             [--certificate FINGERPRINT] [--username NAME] [--json]; with
                             --username, reads the password from CAMERA_PASSWORD, or from the
                             terminal
  stream-manager import FILE shows which cameras the running service would import from FILE, and
                             what would be left out; with --apply, imports them. FILE is a JSON
                             export, CSV, mediamtx.yml, go2rtc.yaml or Frigate's config.yml, or -
                             for standard input; options: [--apply] [--format FORMAT] [--url URL];
                             reads an API key with the role admin from API_KEY; without API_KEY
                             and --url, uses the key that the service has created
  stream-manager --version   prints the version

Settings, from the environment or from .env in the working directory or the nearest directory
above it:
";

/// Renders the help text.
pub(super) fn text() -> String {
    let settings = config::descriptions().into_iter().map(|setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!("; default {default}"),
        };
        format!("\n  {} ({}{default})\n      {}", setting.name, setting.allowed, setting.help)
    });
    USAGE.to_owned() + &settings.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_listed_with_its_allowed_values_and_default() {
        let text = text();
        assert!(
            text.contains("\n  PORT (a port, 0 to 65535; 0 selects a free port; default 8088)\n")
        );
        assert!(text.contains("\n  SOURCE_KEY (32 bytes as base64 or hex)\n"));
    }
}
