//! `lyapunov completions`: the completion script of a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::print;
use crate::{args::Arguments, error::Result};

/// Prints the script.
pub fn execute(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lyapunov", &mut script);
    print(&script)
}
