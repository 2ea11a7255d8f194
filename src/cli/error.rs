//! Errors of commands, and their exit codes.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use super::client::ClientError;
use crate::access::admin_key::AdminKeyError;
use crate::app::StartError;
use crate::base::error::Error;
use crate::child::spawner::EXIT_CANNOT_RUN;
use crate::config::ConfigError;
use crate::imports::ImportError;
use crate::store::StoreError;

/// The usage message of `discover`.
pub(super) const DISCOVER_USAGE: &str = "usage: stream-manager discover [--interface NAME] [--timeout SECONDS] [--address ADDRESS] \
     [--certificate FINGERPRINT] [--username NAME] [--json]";

/// The usage message of `import`.
pub(super) const IMPORT_USAGE: &str =
    "usage: stream-manager import FILE [--apply] [--format FORMAT] [--url URL]";

/// The exit code `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;
/// The exit code `EX_IOERR` of sysexits.h.
const EXIT_DATABASE: u8 = 74;

/// The error of a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// An unknown argument or command.
    #[error("unknown argument {0:?}; see --help")]
    UnknownArgument(String),
    /// Invalid arguments of `discover`.
    #[error("{0}\n{DISCOVER_USAGE}")]
    DiscoverArguments(lexopt::Error),
    /// Invalid arguments of `import`.
    #[error("{0}\n{IMPORT_USAGE}")]
    ImportArguments(lexopt::Error),
    /// A file for `import` that cannot be opened or read.
    #[error("cannot read {}", path.display())]
    ImportFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file for `import` whose format or contents are invalid.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Variables in a file for `import` that are not set.
    #[error(
        "the file contains variables without a value; set {0} in the environment of this command"
    )]
    MissingVariables(String),
    /// The file for `import` contains no camera that can be imported. The text has one line for each reason.
    #[error("{0}the file contains no camera that can be imported")]
    NoCameras(String),
    /// A file with the admin key whose contents or permissions `import` refuses.
    #[error(transparent)]
    AdminKey(AdminKeyError),
    /// A file with the admin key that `import` cannot read.
    #[error(
        "cannot use the admin key of the service; run this command as the user of the service, or as root, or set \
         API_KEY to an API key with the role admin"
    )]
    KeyFile(#[source] AdminKeyError),
    /// A service that requires a key, although `import` has found no file with the admin key.
    #[error(
        "the service requires an API key with the role admin, but there is no admin key in {}: run this command with \
         the DATABASE_URL of the service, or set API_KEY to a key", .0.display()
    )]
    NoKeyFile(PathBuf),
    /// A service that refuses the admin key in the file.
    #[error(
        "the service does not accept the admin key in {}; if API_KEYS is set for the service, or if this key is for \
         another service, set API_KEY to an API key with the role admin", .0.display()
    )]
    RefusedKeyFile(PathBuf),
    /// A request of `import` that failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A password for `discover` that could not be read.
    #[error(
        "cannot read the cameras' password; set CAMERA_PASSWORD, or run the command in a terminal"
    )]
    NoPassword(#[source] io::Error),
    /// Invalid settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `rotate-key` without a new key, although the current key is in `SOURCE_KEY`.
    #[error("SOURCE_KEY is set, so NEW_SOURCE_KEY must be set to the new key")]
    NoNewKey,
    /// A `rotate-key` that failed.
    #[error(transparent)]
    Rotation(#[from] StoreError),
    /// A service that cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A search of `discover` that failed.
    #[error(transparent)]
    Discovery(Error),
    /// The thread that writes the log, which could not be started.
    #[error("cannot start the thread that writes the log")]
    Log(#[source] io::Error),
    /// An async runtime that could not be started.
    #[error("cannot start the async runtime")]
    Runtime(#[source] io::Error),
    /// A child process that cannot execute FFmpeg.
    #[error("the child process cannot execute FFmpeg")]
    Child(#[source] io::Error),
}

impl CommandError {
    pub(super) fn unknown_argument(argument: &OsStr) -> Self {
        Self::UnknownArgument(argument.to_string_lossy().into_owned())
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Rotation(error) if error.is_unusable() => EXIT_DATABASE,
            Self::KeyFile(_) | Self::Start(StartError::Database(_)) => EXIT_DATABASE,
            Self::UnknownArgument(_)
            | Self::DiscoverArguments(_)
            | Self::ImportArguments(_)
            | Self::ImportFile { .. }
            | Self::Import(_)
            | Self::MissingVariables(_)
            | Self::NoCameras(_)
            | Self::AdminKey(_)
            | Self::Client(ClientError::Url | ClientError::NoPort | ClientError::ApiKey)
            | Self::NoPassword(_)
            | Self::Config(_)
            | Self::NoNewKey
            | Self::Rotation(_)
            | Self::Start(StartError::Setting { .. } | StartError::Part(_)) => EXIT_USAGE,
            Self::Start(StartError::System { .. })
            | Self::Discovery(_)
            | Self::NoKeyFile(_)
            | Self::RefusedKeyFile(_)
            | Self::Client(_)
            | Self::Log(_)
            | Self::Runtime(_) => 1,
            Self::Child(_) => EXIT_CANNOT_RUN,
        }
    }
}
