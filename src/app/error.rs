//! The error of a manager that cannot start.

use std::error::Error;
use std::io;

type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a manager that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting that cannot be used.
    #[error("{setting} cannot be used")]
    Setting {
        /// The name of the setting, followed by the value unless that is secret.
        setting: String,
        /// The reason.
        source: BoxError,
    },
    /// An error of a part of the manager. Its message names the setting, if a setting is the cause.
    #[error(transparent)]
    Part(BoxError),
    /// The database, or a file next to it, cannot be read or written, or another process uses the database.
    #[error(transparent)]
    Database(BoxError),
    /// An operation that the operating system refused.
    #[error("cannot {action}")]
    System {
        /// The operation, such as `start a thread`.
        action: String,
        /// The reason.
        source: io::Error,
    },
}

impl StartError {
    /// Returns a function that turns a cause into an error about `setting`.
    pub(super) fn setting<E: Into<BoxError>>(setting: impl Into<String>) -> impl FnOnce(E) -> Self {
        let setting = setting.into();
        move |cause: E| Self::Setting { setting, source: cause.into() }
    }

    /// Creates an error from the error of a part of the manager.
    pub(super) fn part(cause: impl Into<BoxError>) -> Self {
        Self::Part(cause.into())
    }

    /// Returns a function that turns an error of the database, or of a part of the manager that uses the database,
    /// into a `StartError`. The result is [`Self::Database`] if `is_unusable` returns true, which means that the
    /// database or a file next to it cannot be used. Otherwise, the result is [`Self::Part`].
    pub(super) fn database<E: Into<BoxError>>(
        is_unusable: impl FnOnce(&E) -> bool,
    ) -> impl FnOnce(E) -> Self {
        |cause| {
            if is_unusable(&cause) {
                Self::Database(cause.into())
            } else {
                Self::Part(cause.into())
            }
        }
    }

    /// Returns a function that turns a cause into an error about the operation `action`.
    pub(super) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }
}
