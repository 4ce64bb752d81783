//! `completion`: what a shell needs to complete these commands.

use clap::CommandFactory as _;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

use crate::args::{Args, Completion, Shell};
use crate::failure::{Done, Failure};
use crate::show;

/// Prints the script.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn run(args: &Completion) -> Result<Done, Failure> {
    let mut command = Args::command();
    let mut script = Vec::new();
    match args.shell {
        Shell::Bash => generate(Bash, &mut command, "heddle", &mut script),
        Shell::Zsh => generate(Zsh, &mut command, "heddle", &mut script),
        Shell::Fish => generate(Fish, &mut command, "heddle", &mut script),
    }
    show::result(&String::from_utf8_lossy(&script))?;
    Ok(Done::Yes)
}
