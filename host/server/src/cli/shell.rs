//! `creel shell`: what makes the command line at home in a shell, generated from the same definition that parses it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::args::Cli;

/// The script that completes the command line in a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "creel", &mut script);
    script
}

/// Writes a manual page for the program and one for each command, and gives their files.
///
/// # Errors
/// When the directory can't be made or written.
pub fn man(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    clap_mangen::generate_to(Cli::command(), directory).with_context(|| format!("writing {}", directory.display()))?;
    let commands = Cli::command();
    let names = commands.get_subcommands().filter(|command| !command.is_hide_set()).map(|command| command.get_name());
    let pages = names.map(|name| directory.join(format!("creel-{name}.1")));
    Ok(std::iter::once(directory.join("creel.1")).chain(pages).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_is_completed() {
        let directory = tempfile::tempdir().unwrap();
        let pages = man(directory.path()).unwrap();
        let script = String::from_utf8(completions(clap_complete::Shell::Bash)).unwrap();
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            let page = directory.path().join(format!("creel-{name}.1"));
            assert!(pages.contains(&page), "{name}");
            let text = std::fs::read_to_string(page).unwrap();
            assert!(text.contains(&format!("creel\\-{}", name.replace('-', "\\-"))), "{name}");
            assert!(script.contains(name), "{name}");
        }
        assert!(pages.contains(&directory.path().join("creel.1")));
    }
}
