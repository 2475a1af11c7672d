//! `lyapunov completions`: the completion script of a shell.

use clap_complete::Shell;

use super::print;
use crate::error::Result;

/// Prints the script.
pub fn execute(shell: Shell, program: &mut clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, program, "lyapunov", &mut script);
    print(&script)
}
