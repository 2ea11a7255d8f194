//! `stream-manager --help`.

use crate::config;

const USAGE: &str = "\
stream-manager turns IP cameras (RTSP) into video that a browser plays, on demand.

  stream-manager             runs the service
  stream-manager rotate-key  seals the cameras in the database with another key: that in
                             NEW_SOURCE_KEY, or a new one in the key's file
  stream-manager discover    searches the network for cameras, by ONVIF:
                             [--interface NAME] [--timeout SECONDS] [--address ADDRESS]
                             [--username NAME] [--json]; reads the password from
                             CAMERA_PASSWORD, or asks for it
  stream-manager --version

Settings, from the environment or from .env in the working directory:
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
    fn it_lists_every_setting() {
        let text = text();
        assert!(
            text.contains("\n  PORT (a port, 0 to 65535; 0 takes any free one; default 8088)\n")
        );
        assert!(text.contains("\n  SOURCE_KEY (32 bytes as base64 or hex)\n"));
    }
}
