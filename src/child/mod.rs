//! Child processes: they are started, bounded, drained, watched and reaped here.
//!
//! | Module | Owns |
//! |---|---|
//! | [`spawner`] | the thread that starts children, their limits, and the program's own role as their launcher |
//! | [`pipes`] | tasks that read a child's pipes |
//! | [`log`] | what a stream's children printed last, and what they use |

pub(crate) mod log;
pub(crate) mod pipes;
pub(crate) mod spawner;
