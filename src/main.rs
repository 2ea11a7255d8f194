//! Settings, log, runtime and exit codes: 0 after an orderly end, 64 for settings that cannot be
//! used, 1 for anything else.

use std::io::IsTerminal;
use std::process::ExitCode;

use stream_manager::app::{self, StartError};
use stream_manager::child::spawner;
use stream_manager::cli::discover;
use stream_manager::config::{self, Config, LogFormat};
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
            "rotate-key" => rotate_key(),
            "discover" => discover(),
            // The service itself uses it, for what it starts.
            spawner::CHILD => {
                let error = spawner::become_child(std::env::args_os().skip(2));
                fail(&format!("FFmpeg cannot be run: {error}"), spawner::EXIT_CANNOT_RUN)
            }
            _ => fail(&format!("unknown argument {argument:?}; see --help"), EXIT_USAGE),
        };
    }
    match Config::load() {
        Ok(config) => run(config),
        Err(error) => fail(&error.to_string(), EXIT_USAGE),
    }
}

fn run(config: Config) -> ExitCode {
    log_to_stderr(&config);
    exit_code(block_on(app::run(config)))
}

fn rotate_key() -> ExitCode {
    let config = match Config::load() {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string(), EXIT_USAGE),
    };
    exit_code(block_on(app::rotate_key(config)).map(|said| println!("{said}")))
}

fn discover() -> ExitCode {
    let options = match discover::Options::parse(std::env::args_os().skip(2)) {
        Ok(options) => options,
        Err(error) => return fail(&format!("{error}\n{}", discover::USAGE), EXIT_USAGE),
    };
    let config = match Config::load() {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string(), EXIT_USAGE),
    };
    let password = match (&options.username, config::camera_password()) {
        (None, _) => None,
        (_, Some(password)) => Some(password.expose().to_owned()),
        (Some(username), None) => {
            match rpassword::prompt_password(format!("password of {username}: ")) {
                Ok(password) => Some(password),
                Err(error) => {
                    let detail =
                        format!("no password, in {} or by hand: {error}", discover::PASSWORD);
                    return fail(&detail, EXIT_USAGE);
                }
            }
        }
    };
    let found = block_on(async {
        let found = discover::run(options, password, config.camera_nets()).await;
        found.map_err(|error| StartError::System(error.to_string()))
    });
    exit_code(found.map(|(said, warnings)| {
        println!("{said}");
        for warning in warnings {
            eprintln!("stream-manager: {warning}");
        }
    }))
}

fn block_on<T>(work: impl Future<Output = Result<T, StartError>>) -> Result<T, StartError> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| StartError::System(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(work);
    // A disk that hangs must not keep the process.
    runtime.shutdown_background();
    ended
}

fn exit_code(ended: Result<(), StartError>) -> ExitCode {
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
    println!("  stream-manager             runs the service");
    println!("  stream-manager rotate-key  seals the cameras with a new SOURCE_KEY: the one that");
    println!("                             NEW_SOURCE_KEY names, or a new one in the key's file");
    println!("  stream-manager discover    looks for cameras on the network, by ONVIF:");
    println!(
        "                             [--interface NAME] [--timeout SECONDS] [--address ADDRESS]"
    );
    println!("                             [--username NAME] [--json]; the password is read from");
    println!("                             {} or asked for", discover::PASSWORD);
    println!("  stream-manager --version\n");
    println!("Settings, from the environment or from .env in the working directory:\n");
    for setting in config::descriptions() {
        println!(
            "  {} ({}; default {})\n      {}",
            setting.name, setting.allowed, setting.default, setting.help
        );
    }
}

fn fail(reason: &str, code: u8) -> ExitCode {
    for line in reason.lines() {
        eprintln!("stream-manager: {line}");
    }
    ExitCode::from(code)
}
