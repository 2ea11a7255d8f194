//! The service, which runs if no command is given.

use super::error::CommandError;
use super::logging;
use super::runtime::block_on;
use crate::app;
use crate::config::Config;

/// Runs the service until a signal ends it.
pub(super) fn run() -> Result<(), CommandError> {
    let config = Config::load()?;
    logging::start(&config).map_err(CommandError::Log)?;
    Ok(block_on(app::run(config))??)
}
