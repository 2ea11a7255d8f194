//! The service, which runs if no command is given.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::error::CommandError;
use super::runtime::block_on;
use crate::app;
use crate::config::{Config, LogFormat};

/// Runs the service until a signal ends it.
pub(super) fn run() -> Result<(), CommandError> {
    let config = Config::load()?;
    log_to_stderr(&config);
    Ok(block_on(app::run(config))??)
}

fn log_to_stderr(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log_filter))
        .with_writer(std::io::stderr)
        .with_target(false);
    match config.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}
