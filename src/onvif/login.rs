//! The credentials for a device.

/// The credentials for a device. The type does not implement `Debug`, so that the password is never
/// shown.
#[derive(Clone)]
pub(crate) struct Login {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}
