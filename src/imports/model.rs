//! The formats of files, the result of an import, and the errors.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::camera::ImportedCamera;
use crate::base::error::{Error, ErrorKind};

/// The largest YAML file, in bytes. To read a YAML file, the manager needs many times the file's size in memory.
pub(super) const MAX_YAML: usize = 8 * 1024 * 1024;

/// The largest number of cameras in a CSV file.
pub(super) const MAX_LINES: usize = 100_000;

/// The format of a file with cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// The list of an export or of the API, as JSON.
    Json,
    /// A table with a header line.
    Csv,
    /// The configuration of mediamtx.
    Mediamtx,
    /// The configuration of go2rtc.
    Go2rtc,
    /// The configuration of Frigate.
    Frigate,
}

impl Format {
    /// All formats, with their names.
    pub(crate) const ALL: [(&str, Self); 5] = [
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("mediamtx", Self::Mediamtx),
        ("go2rtc", Self::Go2rtc),
        ("frigate", Self::Frigate),
    ];

    /// Returns a description of a file in this format, for messages.
    fn description(self) -> &'static str {
        match self {
            Self::Json => "a JSON list of cameras",
            Self::Csv => "a table in CSV",
            Self::Mediamtx => "a configuration of mediamtx (with the section paths)",
            Self::Go2rtc => "a configuration of go2rtc (with the section streams)",
            Self::Frigate => "a configuration of Frigate (with the section cameras)",
        }
    }

    /// Returns the format with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, format)| format)
    }
}

/// The cameras in a file, and the parts that cannot be imported. Contains secrets, so there is no `Debug`.
#[derive(Default)]
pub(crate) struct Import {
    /// The cameras, in the order of the file.
    pub(crate) cameras: Vec<ImportedCamera>,
    /// The parts of the file that are not imported.
    pub(crate) left_out: Vec<LeftOut>,
    /// The names of variables in the file that have no value.
    pub(crate) missing_variables: BTreeSet<String>,
}

/// A part of a file that is not imported. Neither text contains secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LeftOut {
    /// The name in the file.
    pub(crate) name: String,
    /// The reason, for people.
    pub(crate) reason: String,
}

/// The reason why a file cannot be read. The text quotes nothing from the file, because the file contains
/// passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImportError {
    /// The bytes are not text.
    #[error("the file is not text in UTF-8; save it as UTF-8, or a table as \"CSV UTF-8\"")]
    NotText,
    /// No format fits.
    #[error(
        "the format of the file is unknown; expected JSON, CSV with a header line such as \
         id,name,rtsp_link, or the configuration of mediamtx (paths), go2rtc (streams) or Frigate (cameras)"
    )]
    UnknownFormat,
    /// The file has a known format, but not the chosen one.
    #[error(
        "the file looks like {}, and not like {}; choose the other format, or no format, so that \
         the manager detects it",
        found.description(), chosen.description()
    )]
    OtherFormat {
        /// The format that was chosen.
        chosen: Format,
        /// The format that the contents show.
        found: Format,
    },
    /// The file has neither the chosen format nor another known one.
    #[error(
        "the file is not {}, and not in any other supported format; check that it is the right file",
        .0.description()
    )]
    NotFormat(Format),
    /// The YAML file is too large.
    #[error("the file is larger than {} MiB, the limit for YAML", MAX_YAML / 1024 / 1024)]
    TooLarge,
    /// The YAML file cannot be read.
    #[error("line {line} of the file {problem}")]
    Yaml {
        /// The number of the line, from 1.
        line: u64,
        /// The problem.
        problem: &'static str,
    },
    /// A line of the CSV file cannot be read.
    #[error("line {line} of the file {problem}")]
    Csv {
        /// The number of the line, from 1.
        line: u64,
        /// The problem.
        problem: &'static str,
    },
    /// The CSV file has a column with an unknown name.
    #[error("column {column} of the header line is unknown; the columns can be: {}", allowed.join(", "))]
    Column {
        /// The number of the column, from 1.
        column: usize,
        /// The names that columns can have.
        allowed: &'static [&'static str],
    },
}

impl From<ImportError> for Error {
    fn from(error: ImportError) -> Self {
        Self::new(ErrorKind::InvalidRequest, error.to_string())
    }
}
