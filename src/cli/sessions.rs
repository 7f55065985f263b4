//! `unlock`, `lock`, `whoami`, `passphrase`.

use super::context::{Context, check_passphrase, read_secret_file};
use super::failure::Failure;
use crate::agent::{Identity, Session};
use crate::api::{LockCall, Nothing};
use crate::model::Name;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct UnlockArgs {
    /// How long at most: 30m, 4h, up to 8h; it also ends after 15 minutes without use
    #[arg(long = "for", value_name = "DURATION", default_value = "8h", value_parser = parse_duration)]
    for_ms: i64,
}

#[derive(clap::Args)]
pub struct PassphraseArgs {
    /// Read the new passphrase from a file instead of asking
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

/// A duration in hours or minutes.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let bad = || "write a duration such as 30m, 4h or 3d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let number: i64 = number.parse().ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(bad)?;
    let minutes = match unit {
        "m" => number,
        "h" => number * 60,
        "d" => number * 60 * 24,
        _ => return Err(bad()),
    };
    Ok(minutes * 60_000)
}

/// Begins a session.
///
/// # Errors
/// Authentication; unexpected where no keyring can hold the session key.
pub fn unlock(context: &mut Context<'_, '_>, args: UnlockArgs) -> Result<(), Failure> {
    let places = context.places()?;
    let mut program = context.prove(&places)?;
    let answer = context.with_code(&mut program, |program, code| program.unlock(code, args.for_ms))?;
    let now = context.now();
    let identity = program.into_identity();
    let name = identity.name.clone();
    let session = Session {
        identity,
        id: answer.session,
        until: answer.until,
        idle_ms: answer.idle_ms,
        reuse_key: answer.reuse_key,
        purposes: Vec::new(),
    };
    context.sessions(&places).keep(&session, now, &*context.edge.entropy)?;
    let report = serde_json::json!({"member": name, "until": session.until, "idle_ms": session.idle_ms});
    let minutes = (session.until.since(now) + 59_999) / 60_000;
    context.result(&report, || {
        format!(
            "Unlocked as {name} for {} h {:02} min at most; it ends after 15 minutes without use.",
            minutes / 60,
            minutes % 60
        )
    })
}

/// Ends the sessions here.
///
/// # Errors
/// Writing failed.
pub fn lock(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    end_sessions(context, context.global.member.clone())?;
    context.result(&serde_json::json!({"locked": true}), || "Locked.".to_owned())
}

/// Ends the session of a member here, or every one.
fn end_sessions(context: &mut Context<'_, '_>, of: Option<Name>) -> Result<(), Failure> {
    let places = context.places()?;
    let sessions = context.sessions(&places);
    // The broker is told while the session still can be; what is local goes in any case, also where no broker is reached.
    let told = match context.session_here() {
        Ok(Some((program, _))) => program.ask::<LockCall>(None, None, Nothing {}).map(drop).map_err(Failure::from),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    match (of, context.vault_id(&places)) {
        (Some(member), Ok(vault)) => sessions.end(vault, &member),
        // Whose is whose cannot be told: all of them.
        (Some(_), Err(_)) | (None, _) => sessions.end_all(),
    }
    if let Err(error) = told {
        context.say(&format!("locked here; the broker could not be told: {error}"));
    }
    Ok(())
}

/// Shows who is unlocked here.
///
/// # Errors
/// Authentication where nobody is.
pub fn whoami(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let now = context.now();
    let found = context.session_here()?;
    let (program, remembered) =
        found.ok_or_else(|| Failure::authentication("nobody is unlocked here; run 'mandatum unlock'"))?;
    let identity = program.identity();
    let minutes = remembered.until().since(now) / 60_000;
    let root = crate::ledger::Directory::fingerprint(&identity.root);
    let report = serde_json::json!({
        "member": identity.name, "member_id": identity.member, "vault": identity.vault,
        "until": remembered.until(), "root_fingerprint": root,
    });
    let text = format!(
        "{}, unlocked for {minutes} more minutes at most.\nRoot fingerprint of the vault: {root}",
        identity.name
    );
    context.result(&report, || text)
}

/// Seals the member's keys on this machine under another passphrase. No broker is told: none knows of passphrases.
///
/// # Errors
/// Authentication where the current one is wrong; input where the new one is easy to guess, or the same.
pub fn passphrase(context: &mut Context<'_, '_>, args: PassphraseArgs) -> Result<(), Failure> {
    let places = context.places()?;
    let path = context.identity_file(&places, context.vault_id(&places)?)?;
    let current = context.passphrase("Current passphrase", false)?;
    let identity = Identity::load(&path, &current)?;
    let new = match args.new_passphrase_file {
        Some(file) => read_secret_file(&file)?,
        None if context.terminal().can_prompt() => context.ask_passphrase("New passphrase", true)?,
        None => {
            let sentence = "there is no terminal to ask for the new passphrase on; give --new-passphrase-file FILE";
            return Err(Failure::usage(sentence));
        }
    };
    check_passphrase(&new)?;
    if new == current {
        return Err(Failure::input("passphrase", "is the one there is; take another"));
    }
    identity.save_again(&path, &new, &*context.edge.entropy)?;
    // Whoever knew the old one may have begun a session with it.
    end_sessions(context, Some(identity.name.clone()))?;
    context.result(&serde_json::json!({"member": identity.name}), || {
        format!(
            "{} has a new passphrase on this machine; the session here is ended. Copies of the old identity file still \
             open with the old one.",
            identity.name
        )
    })
}
