//! Child processes: starting and reaping them, limiting their resources, and reading their output.
//!
//! | Module | Owns |
//! |---|---|
//! | [`spawner`] | the thread that starts children, and the launcher that sets their limits |
//! | [`pipes`] | tasks that read a child's pipes |
//! | [`log`] | the last output of a stream's children, and the resources that they use |

pub(crate) mod log;
pub(crate) mod pipes;
pub(crate) mod spawner;
