//! The commands of the program besides the service itself.

pub mod discover;
