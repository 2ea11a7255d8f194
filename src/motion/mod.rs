//! Motion in a camera's pictures. Pure functions and state without I/O, threads or a clock.
//!
//! | Module | Owns |
//! |---|---|
//! | [`detector`] | a camera's detector, which joins the other modules |
//! | [`shrink`] | shrinking pictures to 160×90 grey pixels |
//! | `tone` | the logarithmic scale, on which light is a difference |
//! | `light` | slow and sudden changes of light |
//! | `background` | the usual tone and noise of each pixel |
//! | `blocks`, [`boxes`] | connected changed pixels, and boxes around them |
//! | `tracker` | following things, and deciding which of them are motion |
//! | [`episode`] | begin, end and peak of motion |
//! | [`zones`] | where motion counts |
//! | [`sensitivity`] | thresholds |

mod background;
mod blocks;
pub(crate) mod boxes;
pub(crate) mod detector;
pub(crate) mod episode;
mod light;
pub(crate) mod sensitivity;
pub(crate) mod shrink;
mod tone;
mod tracker;
pub(crate) mod zones;
