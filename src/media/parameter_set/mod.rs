//! Parameter sets of H.264 and H.265, which a decoder needs before the first picture.
//!
//! | Module | Owns |
//! |---|---|
//! | [`sets`] | the parameter sets of an epoch |
//! | [`picture`] | the properties of pictures that the sets describe |
//! | [`h264`], [`h265`] | sequence parameter sets of each codec |

pub(crate) mod h264;
pub(crate) mod h265;
pub(crate) mod picture;
pub(crate) mod sets;
