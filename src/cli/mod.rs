//! The command line: the service and the other commands.
//!
//! | Module | Owns |
//! |---|---|
//! | `service` | the service, which runs if no command is given |
//! | `rotate_key` | `rotate-key`: re-encrypts the cameras' links and passwords with another key |
//! | `discover` | `discover`: searches for cameras |
//! | `import` | `import`: imports cameras from a file |
//! | `client` | requests to the API of the running service |
//! | `table` | tables for the terminal |
//! | `help` | `--help` |
//! | `logging` | the log of the service, and errors of commands |
//! | `runtime` | the asynchronous runtime of a command |
//! | `error` | errors of commands, and their exit codes |
//!
//! The exit code is 0 after success. It is 64 for most errors that the operator can correct, such as an invalid
//! setting, argument or file; 74 if the database or a file next to it cannot be used; 127 if a child process cannot
//! execute FFmpeg; and 1 for most other errors. [`CommandError::exit_code`] has the complete list.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::base::error::chain;
use crate::base::log_writer;
use crate::child::spawner;
use error::CommandError;

mod client;
mod discover;
mod error;
mod help;
mod import;
mod logging;
mod rotate_key;
mod runtime;
mod service;
mod table;

/// Runs the program. `arguments` exclude the program's name. Prints errors, and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = run_command(arguments.into_iter());
    if let Err(error) = &result {
        chain(error).lines().for_each(logging::print_error);
    }
    log_writer::flush();
    result.map_or_else(|error| ExitCode::from(error.exit_code()), |()| ExitCode::SUCCESS)
}

fn run_command(mut arguments: impl Iterator<Item = OsString>) -> Result<(), CommandError> {
    let Some(command) = arguments.next() else { return service::run() };
    match command.to_str() {
        Some("discover") => print(&discover::run(arguments)?),
        Some("import") => print(&import::run(arguments)?),
        // For internal use: the service starts its children with this command.
        Some(spawner::CHILD) => {
            return Err(CommandError::Child(spawner::become_child(arguments)));
        }
        Some(name) => {
            if let Some(argument) = arguments.next() {
                return Err(CommandError::unknown_argument(&argument));
            }
            match name {
                "rotate-key" => print(&rotate_key::run()?),
                "--help" => print(&help::text()),
                "--version" => print(concat!("stream-manager ", env!("CARGO_PKG_VERSION"))),
                _ => return Err(CommandError::unknown_argument(&command)),
            }
        }
        None => return Err(CommandError::unknown_argument(&command)),
    }
    Ok(())
}

/// Prints the output of a command.
fn print(text: &str) {
    // Fails if a reader such as `head` has already closed the pipe.
    let _ = writeln!(io::stdout(), "{text}");
}
