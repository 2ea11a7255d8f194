//! Settings, log, runtime and exit codes: 0 after an orderly end, 64 for settings that cannot be
//! used, 1 for anything else.

use std::io::IsTerminal;
use std::process::ExitCode;

use stream_manager::app::{self, StartError};
use stream_manager::config::{Config, LogFormat, SETTINGS};
use tracing_subscriber::EnvFilter;

/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        return match argument.as_str() {
            "--version" => {
                println!("stream-manager {}", env!("CARGO_PKG_VERSION"));
                ExitCode::SUCCESS
            }
            "--help" => {
                print_help();
                ExitCode::SUCCESS
            }
            _ => fail(
                &format!("unknown argument {argument:?}; there are --help and --version"),
                EXIT_USAGE,
            ),
        };
    }
    match Config::load() {
        Ok(config) => run(config),
        Err(error) => fail(&error.to_string(), EXIT_USAGE),
    }
}

fn run(config: Config) -> ExitCode {
    log_to_stderr(&config);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}"), 1),
    };
    let ended = runtime.block_on(app::run(config));
    // A disk that hangs must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ StartError::Setting(_)) => fail(&error.to_string(), EXIT_USAGE),
        Err(error @ StartError::System(_)) => fail(&error.to_string(), 1),
    }
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

fn print_help() {
    println!(
        "stream-manager turns IP cameras (RTSP) into video that a browser plays, on demand.\n"
    );
    println!("Settings, from the environment or from .env in the working directory:\n");
    for setting in SETTINGS {
        println!(
            "  {} ({}; default {})\n      {}",
            setting.name, setting.allowed, setting.default, setting.help
        );
    }
}

fn fail(reason: &str, code: u8) -> ExitCode {
    eprintln!("stream-manager: {reason}");
    ExitCode::from(code)
}
