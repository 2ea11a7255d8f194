//! Use cases that every edge shares. Nothing here knows HTTP.
//!
//! | Module | Owns |
//! |---|---|
//! | [`readiness`] | whether the service can do its work |

pub mod readiness;
