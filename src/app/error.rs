//! Why the manager cannot start.

use std::error::Error;
use std::io;

type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a start that failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting that turned out to be unusable.
    #[error("{setting} cannot be used")]
    Setting {
        /// Name of the setting, with its value unless that is secret.
        setting: String,
        /// Why it cannot be used.
        source: BoxError,
    },
    /// A part of the manager that cannot use its settings. Its own text names them.
    #[error(transparent)]
    Part(BoxError),
    /// Something that the system refused.
    #[error("cannot {action}")]
    System {
        /// What the manager tried.
        action: String,
        /// Why the system refused.
        source: io::Error,
    },
}

impl StartError {
    /// Returns whether the operator has to change a setting.
    pub(crate) fn is_setting(&self) -> bool {
        !matches!(self, Self::System { .. })
    }

    /// Makes an error about `setting` of its cause.
    pub(super) fn setting<E: Into<BoxError>>(setting: impl Into<String>) -> impl FnOnce(E) -> Self {
        let setting = setting.into();
        move |cause: E| Self::Setting { setting, source: cause.into() }
    }

    /// Makes an error of a part's own error.
    pub(super) fn part(cause: impl Into<BoxError>) -> Self {
        Self::Part(cause.into())
    }

    /// Makes an error about `action` of its cause.
    pub(super) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }
}
