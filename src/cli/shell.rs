//! `completions`, `man`, and the reference that `docs/cli.md` holds.

use super::Cli;
use super::context::Context;
use super::failure::Failure;
use clap::{Command, CommandFactory};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// The shell; names of operators and systems are not completed, since nothing may be unlocked for it
    shell: clap_complete::Shell,
}

#[derive(clap::Args)]
pub struct ManArgs {
    /// The directory
    dir: PathBuf,
}

/// Prints a completion script.
///
/// # Errors
/// Writing failed.
pub fn completions(context: &mut Context<'_, '_>, args: CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mandatum", &mut script);
    context.terminal().out(&script)?;
    Ok(())
}

/// Writes man pages.
///
/// # Errors
/// Writing failed.
pub fn man(context: &mut Context<'_, '_>, args: ManArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.dir)?;
    clap_mangen::generate_to(Cli::command(), &args.dir)?;
    context.result(&serde_json::json!({"dir": args.dir}), || format!("Man pages are in {}.", args.dir.display()))
}

/// Prints the reference of all commands as Markdown.
///
/// # Errors
/// Writing failed.
pub fn reference(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let text = render();
    context.terminal().out(text.as_bytes())?;
    Ok(())
}

/// The reference: what `docs/cli.md` holds.
pub fn render() -> String {
    let mut text = String::from(
        "# Commands\n\nMade by `mandatum reference`; a test compares it with this page.\n\n## Exit codes\n\n\
         | code | meaning |\n|---|---|\n| 0 | done |\n| 1 | unexpected |\n| 2 | usage |\n\
         | 3 | denied; the deny code is printed |\n| 4 | nothing there, or not yours |\n| 5 | authentication |\n\
         | 6 | vault integrity |\n| 7 | refused input |\n\n`run` becomes its command and ends as that does.\n",
    );
    let mut root = Cli::command();
    root.build();
    section(&mut text, &root, &mut Vec::new());
    text
}

fn section(text: &mut String, command: &Command, path: &mut Vec<String>) {
    path.push(command.get_name().to_owned());
    let mut shown = command.clone().term_width(100);
    let help = shown.render_long_help().to_string();
    let tidy: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {}\n\n```text\n{}\n```\n", path.join(" "), tidy.join("\n").trim_end()));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        section(text, sub, path);
    }
    path.pop();
}
