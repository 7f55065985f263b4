//! The command line: one subcommand for each verb, thin around the member's program.
//!
//! Guarantees: no secret in an argument; prompts go to the terminal, results to standard output, everything else to
//! standard error; what would prompt can be driven by options, and without them and without a terminal it fails with a
//! sentence that names the option. Exit codes are in [`Failure`].

mod clipboard;
mod closing;
mod context;
mod credentials;
mod demo;
mod devices;
mod drafts;
mod failure;
mod fetch;
mod generate;
mod grants;
mod health;
mod import;
mod incidents;
mod init;
mod invite;
mod join;
mod ledgers;
mod mandates;
mod members;
mod memory;
mod notices;
mod papers;
mod people;
mod qr;
mod recovery;
mod rows;
mod serve;
mod sessions;
mod shell;
mod store;
mod strength;
mod terminal;

pub use clipboard::{OWNER_COMMAND, own_from_stdin};
pub use context::{Edge, Global, hand_over, over_network};
pub use failure::Failure;
pub use import::ImportLine;
pub use memory::lock_memory;
pub use rows::parse as parse_rows;
pub use terminal::{Progress, RealTerminal, Terminal};

use clap::error::ContextValue;
use clap::{Parser, Subcommand};
use context::Context;
use std::io::Write;

/// An error about a command line, which quotes what was given: anything at all, line breaks too.
fn without_deceit(mut error: clap::Error) -> clap::Error {
    let quoted: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in quoted {
        let value = match value {
            ContextValue::String(text) => ContextValue::String(terminal::escape(&text)),
            ContextValue::Strings(texts) => {
                ContextValue::Strings(texts.iter().map(|text| terminal::escape(text)).collect())
            }
            other => other,
        };
        error.insert(kind, value);
    }
    error
}

/// Secure access to the systems an agency works in for its clients: by mandate, ended by the term, recorded
#[derive(Parser)]
#[command(name = "mandatum", version, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a vault, its owner and the recovery kit
    Init(init::Args),
    /// Make your keys under an invitation, on your own machine
    Join(join::Args),
    /// Begin a session: passphrase and code are spared until it ends
    Unlock(sessions::UnlockArgs),
    /// End the session; nothing usable is left
    Lock,
    /// Show who is unlocked here
    Whoami,
    /// Change your passphrase on this machine
    Passphrase(sessions::PassphraseArgs),
    /// Get a login: the main job
    Fetch(fetch::FetchArgs),
    /// Get a current two-factor code of a client's account
    Code(fetch::CodeArgs),
    /// Run a command with a secret in its environment only
    Run(fetch::RunArgs),
    /// Members and their roles
    #[command(subcommand)]
    Member(members::Command),
    /// Your devices, each with keys of its own
    #[command(subcommand)]
    Device(devices::Command),
    /// Mandates and their access tables
    #[command(subcommand)]
    Mandate(mandates::Command),
    /// Stored logins, keys and tokens
    #[command(subcommand)]
    Credential(credentials::Command),
    /// Give a member access under a row
    Grant(grants::GrantArgs),
    /// Take access away and destroy its keys
    Revoke(grants::RevokeArgs),
    /// Ask the lead of a mandate for access
    Request(people::RequestArgs),
    /// Show the requests that wait
    Requests,
    /// Grant what was asked for
    Approve(people::ApproveArgs),
    /// Deny what was asked for
    Deny(people::DenyArgs),
    /// Review every grant of a mandate: keep, narrow or revoke each
    Review(people::ReviewArgs),
    /// Exposed secrets as tasks: asked of whom, confirmed by whom
    #[command(subcommand)]
    Rotation(closing::RotationCommand),
    /// Incidents: lock, notify, record, close
    #[command(subcommand)]
    Incident(incidents::Command),
    /// Reports for the operator
    #[command(subcommand)]
    Report(papers::ReportCommand),
    /// Write the documents of a mandate as DOCX and HTML
    Document(papers::DocumentArgs),
    /// Show who got what, when, why and under which row
    Log(ledgers::LogArgs),
    /// Write the operator's extract: the whole ledger of the mandate, verifiable without this program
    Extract(ledgers::ExtractArgs),
    /// Give the signed head of an operator's ledger, for the operator to keep
    Checkpoint(ledgers::CheckpointArgs),
    /// Verify the vault, or an extract without any vault
    Verify(ledgers::VerifyArgs),
    /// Show what each person opened that nobody has rotated since
    Exposure(ledgers::ExposureArgs),
    /// Destroy the keys of what is over
    Sweep,
    /// Show what ends soon
    Due(health::DueArgs),
    /// Show what is ending, exposed, weak, without 2FA, unsettled
    Status,
    /// Check the vault's health and name the fix for each finding
    Doctor(health::DoctorArgs),
    /// Send what is due by mail and webhook: one round, on the broker's machine
    Notices(notices::Args),
    /// Copy the database while it is in use; the anchor is never in the copy
    Backup(recovery::BackupArgs),
    /// Run the broker for others, over a Unix socket and over HTTPS, until told to stop
    Serve(serve::Args),
    /// Put a backup in place and go on from it with the recovery kit
    Restore(recovery::RestoreArgs),
    /// Go on from the database as it is, with the recovery kit
    Restart(recovery::RestartArgs),
    /// Where the database is
    #[command(subcommand)]
    Store(store::Command),
    /// Print a completion script for a shell
    Completions(shell::CompletionsArgs),
    /// Write man pages into a directory
    Man(shell::ManArgs),
    /// Print the reference of all commands as Markdown
    #[command(hide = true)]
    Reference,
    /// Show the main job for real on a throw-away vault
    Demo,
}

/// The commands somebody waits for many times a day, alone: building the whole tree of commands takes longer than
/// everything else before the first byte is read. What does not parse here is parsed, and explained, by the whole.
#[derive(Parser)]
#[command(name = "mandatum", disable_help_flag = true, disable_help_subcommand = true)]
struct Hot {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: HotCommand,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once, when the program starts")]
enum HotCommand {
    Fetch(fetch::FetchArgs),
    Code(fetch::CodeArgs),
    #[command(subcommand)]
    Credential(credentials::Command),
}

impl Hot {
    fn parse<T: Into<std::ffi::OsString> + Clone>(args: impl Iterator<Item = T>) -> Option<Cli> {
        let args: Vec<std::ffi::OsString> = args.map(Into::into).collect();
        if !args.iter().any(|arg| arg == "fetch" || arg == "code" || arg == "credential") {
            return None;
        }
        let hot = Self::try_parse_from(args).ok()?;
        let command = match hot.command {
            HotCommand::Fetch(args) => Command::Fetch(args),
            HotCommand::Code(args) => Command::Code(args),
            HotCommand::Credential(command) => Command::Credential(command),
        };
        Some(Cli { global: hot.global, command })
    }
}

impl Cli {
    /// Parses arguments; usage errors, help and version print themselves and leave with their exit code.
    ///
    /// # Errors
    /// The exit code.
    pub fn parse_args<I, T>(args: I) -> Result<Self, u8>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let args: Vec<T> = args.into_iter().collect();
        if let Some(hot) = Hot::parse(args.iter().cloned()) {
            return Ok(hot);
        }
        Self::try_parse_from(args).map_err(|error| {
            if !error.use_stderr() {
                let _ = error.print();
                return 0;
            }
            for line in without_deceit(error).render().to_string().lines() {
                let _ = writeln!(std::io::stderr(), "{}", terminal::escape(line));
            }
            2
        })
    }

    /// Whether it stays for long, with keys in memory.
    pub fn stays(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }

    /// Runs the command; gives back the exit code.
    pub fn run(self, edge: &mut Edge<'_>) -> u8 {
        let json = self.global.json;
        let mut context = Context::new(self.global, edge);
        let done = match self.command {
            Command::Init(args) => init::init(&mut context, args),
            Command::Join(args) => join::join(&mut context, args),
            Command::Unlock(args) => sessions::unlock(&mut context, args),
            Command::Lock => sessions::lock(&mut context),
            Command::Whoami => sessions::whoami(&mut context),
            Command::Passphrase(args) => sessions::passphrase(&mut context, args),
            Command::Fetch(args) => fetch::fetch(&mut context, args),
            Command::Code(args) => fetch::code(&mut context, args),
            Command::Run(args) => fetch::run(&mut context, args),
            Command::Member(command) => members::run(&mut context, command),
            Command::Device(command) => devices::run(&mut context, command),
            Command::Mandate(command) => mandates::run(&mut context, command),
            Command::Credential(command) => credentials::run(&mut context, command),
            Command::Grant(args) => grants::grant(&mut context, args),
            Command::Revoke(args) => grants::revoke(&mut context, args),
            Command::Request(args) => people::request(&mut context, args),
            Command::Requests => people::requests(&mut context),
            Command::Approve(args) => people::approve(&mut context, args),
            Command::Deny(args) => people::deny(&mut context, args),
            Command::Review(args) => people::review(&mut context, args),
            Command::Rotation(command) => closing::rotation(&mut context, command),
            Command::Incident(command) => incidents::run(&mut context, command),
            Command::Report(command) => papers::report(&mut context, command),
            Command::Document(args) => papers::document(&mut context, args),
            Command::Log(args) => ledgers::log(&mut context, args),
            Command::Extract(args) => ledgers::extract(&mut context, args),
            Command::Checkpoint(args) => ledgers::checkpoint(&mut context, args),
            Command::Verify(args) => ledgers::verify(&mut context, args),
            Command::Exposure(args) => ledgers::exposure(&mut context, args),
            Command::Sweep => health::sweep(&mut context),
            Command::Due(args) => health::due(&mut context, args),
            Command::Status => health::status(&mut context),
            Command::Doctor(args) => health::doctor(&mut context, args),
            Command::Notices(args) => notices::notices(&mut context, args),
            Command::Backup(args) => recovery::backup(&mut context, args),
            Command::Serve(args) => serve::serve(&mut context, args),
            Command::Restore(args) => recovery::restore(&mut context, args),
            Command::Restart(args) => recovery::restart(&mut context, args),
            Command::Store(command) => store::run(&mut context, command),
            Command::Completions(args) => shell::completions(&mut context, args),
            Command::Man(args) => shell::man(&mut context, args),
            Command::Reference => shell::reference(&mut context),
            Command::Demo => demo::demo(&mut context),
        };
        match done {
            Ok(()) => 0,
            Err(failure) => failure.show(&mut *edge.terminal, json),
        }
    }
}
