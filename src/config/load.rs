//! Reads the settings from the environment and from `.env`.

use std::collections::HashMap;

use super::declare::{Problem, Variables};
use super::settings::{Config, descriptions};
use crate::base::host::is_this_machine;
use crate::base::secret::Secret;
use crate::camera::networks::CameraNetworks;

/// The environment variable from which the command `discover` reads the cameras' password.
const CAMERA_PASSWORD: &str = "CAMERA_PASSWORD";

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

    /// Returns whether no key is needed: `ALLOW_ANONYMOUS` is true, and `API_KEYS` is unset.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.allow_anonymous && self.api_keys.is_none()
    }

    /// Returns a problem if other machines can reach the manager or nginx although no key is needed.
    fn exposure(&self) -> Option<Problem> {
        let addresses = [
            ("BIND_ADDR", self.bind_addr.to_string()),
            ("NGINX_BIND_ADDR", self.nginx_bind_addr.clone()),
        ];
        let (name, address) =
            addresses.into_iter().find(|(_, address)| !is_this_machine(address))?;
        self.is_anonymous().then_some(Problem::Exposed { name, address })
    }
}

/// Returns the variables in `.env`; none if neither the working directory nor a directory above it has such
/// a file.
fn dotenv_file() -> Result<HashMap<String, String>, Problem> {
    match dotenvy::from_filename_iter(".env") {
        Ok(lines) => lines.collect::<Result<_, _>>().map_err(|_| Problem::DotenvLine),
        Err(error) if error.not_found() => Ok(HashMap::new()),
        Err(error) => Err(Problem::Dotenv(error)),
    }
}

/// Returns the cameras' password for the command `discover`; `None` if `CAMERA_PASSWORD` is unset.
pub(crate) fn camera_password() -> Option<Secret> {
    std::env::var(CAMERA_PASSWORD).ok().map(Secret::new)
}

/// Returns the names of all environment variables that the manager reads. Some contain secrets, so child
/// processes must not inherit them.
pub(crate) fn variable_names() -> Vec<&'static str> {
    let settings = descriptions().into_iter().map(|setting| setting.name);
    settings.chain([CAMERA_PASSWORD]).collect()
}
