//! `lyapunov completions`: the completion script of a shell.

use clap_complete::Shell;

use super::print;
use crate::error::Result;

/// Prints the script.
pub fn execute(shell: Shell, mut program: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "lyapunov", &mut script);
    print(&script)
}
