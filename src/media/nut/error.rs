//! The reasons to reject a NUT stream.

/// The reason why bytes are not a valid NUT stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NutError {
    /// The stream does not begin with the identification of NUT.
    #[error("not a NUT stream")]
    NotNut,
    /// The stream has neither version 3 nor version 4.
    #[error("NUT version {0} is not supported")]
    Version(u64),
    /// A size above the limit.
    #[error("{what} of {size} bytes in the NUT stream is too large")]
    TooLarge {
        /// The element whose header states the size, with an article, such as `a frame`.
        what: &'static str,
        /// The stated size in bytes.
        size: u64,
    },
    /// A checksum that does not match the bytes that it covers.
    #[error("the checksum of {0} in the NUT stream is wrong")]
    Checksum(&'static str),
    /// A field with an invalid value, or an element in the wrong place.
    #[error("error in the NUT stream: {0}")]
    Invalid(&'static str),
    /// An element that ends in the middle of a field, or a header that does not end within the
    /// largest permitted size.
    #[error("an element of the NUT stream is truncated")]
    Truncated,
    /// A time that is negative or does not fit into 63 bits.
    #[error("a time in the NUT stream is out of range")]
    Time,
}
