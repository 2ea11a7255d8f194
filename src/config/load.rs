//! Reads the settings from the environment and from `.env`.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;

use super::declare::{Problem, Variables};
use super::settings::{Config, Tls, descriptions};
use crate::base::host::is_this_machine;
use crate::base::secret::Secret;
use crate::camera::networks::CameraNetworks;

/// The name of the file with settings.
const DOTENV: &str = ".env";
/// The environment variable from which the command `discover` reads the cameras' password.
const CAMERA_PASSWORD: &str = "CAMERA_PASSWORD";
/// The environment variable from which the command `import` reads its API key.
const API_KEY: &str = "API_KEY";

/// The error of settings that cannot be used. The message has one line for each problem, and contains no
/// secrets.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(Vec<Problem>);

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Config {
    /// Reads the settings from the environment and from `.env`, which is in the working directory or in the
    /// nearest directory above it that has such a file. The environment takes precedence.
    pub fn load() -> Result<Self, ConfigError> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            // Variables that are not valid UTF-8 are ignored.
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::from_vars(dotenv_file()?.into_iter().chain(environment))
    }

    /// Reads the settings from names and values. If a name occurs several times, the last value is used. A
    /// setting with an empty value counts as unset, because Docker Compose passes unset variables as empty
    /// ones.
    pub(crate) fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables = envy::from_iter(vars).map(Variables).map_err(Problem::Environment)?;
        let mut problems = Vec::new();
        let Some(config) = Self::read(&variables, &mut problems) else {
            return Err(ConfigError(problems));
        };
        problems.extend(config.exposure());
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    /// Returns the networks in which cameras are permitted.
    pub(crate) fn camera_nets(&self) -> CameraNetworks {
        CameraNetworks::new(self.camera_allow_nets.clone(), self.camera_deny_nets.clone())
    }

    /// Returns whether nginx encrypts its connections.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls == Tls::SelfSigned || self.tls_cert.is_some()
    }

    /// Returns whether no key is needed: `ALLOW_ANONYMOUS` is true, and `API_KEYS` is unset.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.allow_anonymous && self.api_keys.is_none()
    }

    /// Fails if systemd passes a socket with an `address` that other machines can reach, although no key is
    /// needed.
    pub(crate) fn ensure_not_exposed(&self, address: SocketAddr) -> Result<(), ConfigError> {
        if self.is_anonymous() && !is_this_machine(&address.ip().to_string()) {
            let what = format!("the TCP socket {address} that systemd passes (ListenStream)");
            return Err(Problem::Exposed(what).into());
        }
        Ok(())
    }

    /// Returns a problem if other machines can reach the manager or nginx although no key is needed.
    fn exposure(&self) -> Option<Problem> {
        let addresses = [
            ("BIND_ADDR", self.bind_addr.to_string()),
            ("NGINX_BIND_ADDR", self.nginx_bind_addr.clone()),
        ];
        let (name, address) =
            addresses.into_iter().find(|(_, address)| !is_this_machine(address))?;
        self.is_anonymous().then(|| Problem::Exposed(format!("{name}={address}")))
    }
}

/// Returns the variables in `.env`; none if neither the working directory nor a directory above it has such
/// a file.
fn dotenv_file() -> Result<HashMap<String, String>, Problem> {
    let directory = std::env::current_dir().unwrap_or_default();
    let mut paths = directory.ancestors().map(|directory| directory.join(DOTENV));
    let Some(path) = paths.find(|path| path.is_file()) else { return Ok(HashMap::new()) };
    match std::fs::read(&path) {
        Ok(bytes) => parse_dotenv(&bytes).map_err(|(line, reason)| Problem::DotenvLine {
            path,
            line,
            reason,
        }),
        Err(source) => Err(Problem::Dotenv { path, source }),
    }
}

/// Returns the variables in the text of `.env`. Error: the number of the first line that cannot be used, and the
/// reason.
fn parse_dotenv(bytes: &[u8]) -> Result<HashMap<String, String>, (usize, &'static str)> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        (line, "the line is not valid UTF-8")
    })?;
    // Editors on Windows put a byte order mark at the beginning.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let count = Cell::new(0);
    let lines = Lines { rest: text.as_bytes(), count: &count };
    let variables: Result<HashMap<_, _>, _> = dotenvy::from_read_iter(lines).collect();
    variables.map_err(|error| {
        // If a quote is missing, the error contains all lines from the line with the quote to the end of the file, and
        // `count` includes them.
        let following_lines = match &error {
            dotenvy::Error::LineParse(text, _) => text.trim_end().matches('\n').count(),
            _ => 0,
        };
        let line = count.get().saturating_sub(following_lines).max(1);
        (line, "the line is not of the form NAME=value, a quote is missing, or a value with spaces is not in quotes")
    })
}

/// A reader that returns one line at a time, and counts the lines.
struct Lines<'a> {
    rest: &'a [u8],
    count: &'a Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let line = self.rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let length = line.len().min(buffer.len());
        buffer[..length].copy_from_slice(&line[..length]);
        self.rest = &self.rest[length..];
        // A long line is returned in parts.
        self.count.update(|count| count + usize::from(length > 0 && length == line.len()));
        Ok(length)
    }
}

/// Returns the cameras' password for the command `discover`; `None` if `CAMERA_PASSWORD` is unset.
pub(crate) fn camera_password() -> Option<Secret> {
    std::env::var(CAMERA_PASSWORD).ok().map(Secret::new)
}

/// Returns the API key for the command `import`; `None` if `API_KEY` is unset or empty.
pub(crate) fn api_key() -> Option<Secret> {
    std::env::var(API_KEY).ok().filter(|key| !key.is_empty()).map(Secret::new)
}

/// Returns the value of an environment variable that a file for the command `import` refers to; `None` if the
/// variable is unset.
///
/// The settings of the service and `API_KEY` count as unset, because they contain secrets. A file from elsewhere
/// could contain a link with which such a secret is sent to another host.
pub(crate) fn file_variable(name: &str) -> Option<String> {
    let is_setting = |setting: &&str| setting.eq_ignore_ascii_case(name);
    if name != CAMERA_PASSWORD && variable_names().iter().any(is_setting) {
        return None;
    }
    std::env::var(name).ok()
}

/// Returns the names of all environment variables that the manager reads. Some contain secrets, so child
/// processes must not inherit them.
pub(crate) fn variable_names() -> Vec<&'static str> {
    let settings = descriptions().into_iter().map(|setting| setting.name);
    settings.chain([CAMERA_PASSWORD, API_KEY]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_an_invalid_line_contains_the_number_of_the_line() {
        let table: [(&[u8], usize); 7] = [
            (b"PORT", 1),
            (b"\xef\xbb\xbfPORT", 1),
            (b"# PORT\nMAX_STREAMS=PORT\nPORT\n", 3),
            (b"A=1\r\nPORT 8088\r\nB=2", 2),
            (b"A=1\nB='x\nC=2\n", 2),
            (b"A=1\n\nB C # a comment\n", 3),
            (b"A=1\nB=\xff\n", 2),
        ];
        for (text, line) in table {
            let error = parse_dotenv(text).expect_err("an invalid line");
            assert_eq!(error.0, line, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn quotes_comments_and_a_byte_order_mark_are_not_part_of_a_value() {
        let text = "\u{feff}A=\"x y\"\r\n# comment\nexport B='z' # comment\n";
        let variables = parse_dotenv(text.as_bytes()).expect("variables");
        assert_eq!((variables["A"].as_str(), variables["B"].as_str()), ("x y", "z"));
    }
}
