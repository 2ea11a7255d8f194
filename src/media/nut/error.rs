//! The reasons to reject a NUT stream.

/// The reason why bytes are not a valid NUT stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NutError {
    /// The stream does not begin with the identification of NUT.
    #[error("not a NUT stream")]
    NotNut,
    /// Neither version 3 nor version 4.
    #[error("NUT version {0} is not supported")]
    Version(u64),
    /// A size above the limit.
    #[error("{what} of {size} bytes in NUT is too large")]
    TooLarge {
        /// The element that claims the size.
        what: &'static str,
        /// Its claimed size in bytes.
        size: u64,
    },
    /// A checksum that does not match the bytes it covers.
    #[error("wrong checksum of {0} in NUT")]
    Checksum(&'static str),
    /// A field with an invalid value, or an element in the wrong place.
    #[error("invalid NUT: {0}")]
    Invalid(&'static str),
    /// An element that ends in the middle of a field.
    #[error("truncated element in NUT")]
    Truncated,
    /// A time that is negative or does not fit into 63 bits.
    #[error("time out of range in NUT")]
    Time,
}
