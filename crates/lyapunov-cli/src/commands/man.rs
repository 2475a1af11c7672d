//! `lyapunov man`: the manual page.

use super::print;
use crate::error::Result;

/// Prints the page of the program, then one page per command.
pub fn execute(mut program: clap::Command) -> Result<()> {
    let mut pages = Vec::new();
    program.build();
    render(&program, &mut pages)?;
    print(&pages)
}

fn render(command: &clap::Command, pages: &mut Vec<u8>) -> Result<()> {
    clap_mangen::Man::new(command.clone()).render(pages)?;
    let visible = command.get_subcommands().filter(|command| command.get_name() != "help");
    visible.into_iter().try_for_each(|command| render(command, pages))
}
