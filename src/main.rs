//! The program `stream-manager`; see `stream_manager::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stream_manager::cli::run(std::env::args_os().skip(1))
}
