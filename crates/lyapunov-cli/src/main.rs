//! The program `lyapunov`, as the operating system starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lyapunov_cli::run(std::env::args_os()).into()
}
