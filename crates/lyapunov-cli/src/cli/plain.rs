//! The program without networks: it shows what runs have left, and measures classical systems.

use clap::{CommandFactory, Parser, Subcommand};

use super::{CommonCommand, OF_NETWORKS};
use crate::{
    error::{Error, Result},
    text::nearest,
};

/// See how stable the training of a neural network was.
///
/// Training is a dynamical system. lyapunov shows what was measured of it: the sharpness λ_max (the largest eigenvalue
/// of the Hessian of the loss), where it stands against the edge of stability of the optimizer, exponents with their
/// errors.
///
/// This build trains no networks of its own: it reads the folders that training loops leave, such as those of
/// `lyapunov.Monitor` in Python.
#[derive(Debug, Parser)]
#[command(
    name = "lyapunov",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        lyapunov list runs                   one line per run\n  \
        lyapunov report runs                 one page of curves and a table\n  \
        lyapunov watch runs                  runs as they go on\n  \
        lyapunov exponents henon             the exponents of a classical system"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Those that need no network.
    #[command(flatten)]
    Common(CommonCommand),
    /// What is no command of this build.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

impl Arguments {
    /// Carries out a command line.
    pub fn execute(self) -> Result<()> {
        match self.command {
            Command::Common(command) => command.execute(Self::command()),
            Command::Other(words) => Err(unknown(words.first().map_or("", String::as_str))),
        }
    }
}

fn unknown(name: &str) -> Error {
    if OF_NETWORKS.contains(&name) {
        let help = "the program that has it is made by `cargo install --path crates/lyapunov-cli` in a checkout";
        let message = format!("`{name}` needs networks, which this build of lyapunov was made without");
        return Error::usage(message, Some(help.to_owned()));
    }
    let program = Arguments::command();
    let known: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    let help = match nearest(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the commands are {}", known.join(", ")),
    };
    Error::usage(format!("unknown command `{name}`"), Some(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> String {
        let words = std::iter::once("lyapunov").chain(words.iter().copied());
        match Arguments::try_parse_from(words).unwrap().execute().unwrap_err() {
            Error::Usage { message, help } => format!("{message}; {}", help.unwrap_or_default()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_command_that_needs_networks_is_refused_by_name_and_another_with_the_nearest_one() {
        assert!(shown(&["train", "--set", "run.steps=3"]).starts_with("`train` needs networks"));
        assert!(shown(&["lsit"]).ends_with("did you mean `list`?"));
        assert!(shown(&["frobnicate"]).contains("the commands are exponents, report, list"));
    }
}
