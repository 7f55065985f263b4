//! `backup`, `restore`, `restart`: with the recovery kit.

use super::context::{Context, read_secret_file};
use super::failure::{Failure, count};
use super::init::{EnrolArgs, enrol, parse_epoch_key};
use super::store::StoreArgs;
use super::terminal::table;
use crate::agent::{Kit, Secret, open_kit};
use crate::api::{BackupAsk, BackupCall, EpochKeyPlace, Recovery, Refusal, Reissue};
use crate::model::Name;
use data_encoding::BASE64;
use std::path::{Path, PathBuf};

const BEGIN: &str = "-----BEGIN MANDATUM RECOVERY KIT-----";
const END: &str = "-----END MANDATUM RECOVERY KIT-----";

#[derive(clap::Args)]
pub struct BackupArgs {
    /// The new file
    file: PathBuf,
}

#[derive(clap::Args)]
pub struct RestoreArgs {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    kit: KitArgs,
}

#[derive(clap::Args)]
pub struct RestartArgs {
    #[command(flatten)]
    kit: KitArgs,
}

#[derive(clap::Args)]
struct KitArgs {
    /// The recovery kit
    #[arg(long, value_name = "FILE")]
    kit: PathBuf,
    /// Read the kit's passphrase from a file instead of asking
    #[arg(long, value_name = "FILE")]
    kit_passphrase_file: Option<PathBuf>,
    /// Where the epoch key lives from now on, if the machine is another: 'keyring' or 'file:PATH'
    #[arg(long, value_parser = parse_epoch_key)]
    epoch_key: Option<EpochKeyPlace>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    enrol: EnrolArgs,
}

/// Copies the database.
///
/// # Errors
/// Input where the file exists.
pub fn backup(context: &mut Context<'_, '_>, args: BackupArgs) -> Result<(), Failure> {
    // The broker writes the file on its own machine: refused before a code is used up.
    context.vault_places()?;
    let mut program = context.program()?;
    let token = context.step_up(&mut program)?;
    let path = std::path::absolute(&args.file)?.display().to_string();
    let answer = program.ask::<BackupCall>(None, Some(token), BackupAsk { path: path.clone() })?;
    let report = serde_json::json!({"file": path, "mandates": answer.mandates});
    context.result(&report, || {
        format!(
            "{path} holds {}. Back up the identities beside the database too; never the state directory.",
            count(answer.mandates, "mandate")
        )
    })
}

/// Puts a backup in place and goes on from it.
///
/// # Errors
/// Input where the backup or the kit is of another vault; then everything is as it was.
pub fn restore(context: &mut Context<'_, '_>, args: RestoreArgs) -> Result<(), Failure> {
    let (places, kit) = (context.vault_places()?, read_kit(context, &args.kit)?);
    context.confirm(&format!(
        "This puts {} in place of the database; the present one is kept beside it.",
        args.file.display()
    ))?;
    let (vault, store) = (kit.vault, args.kit.store.place()?);
    context.edge.host.restore(&places, store.as_ref(), &args.file, vault)?;
    go_on(context, &args.kit, kit).inspect_err(|_| context.edge.host.take_back(&places, store.as_ref()))
}

/// Goes on from the database as it is.
///
/// # Errors
/// Input where the kit is of another vault; then everything is as it was.
pub fn restart(context: &mut Context<'_, '_>, args: RestartArgs) -> Result<(), Failure> {
    let (places, kit) = (context.vault_places()?, read_kit(context, &args.kit)?);
    if context.edge.host.vault_id(&places).is_ok_and(|vault| vault != kit.vault) {
        return Err(Failure::input("kit", "is another vault's"));
    }
    context.confirm("This goes on from the database as it is, and records the gap.")?;
    go_on(context, &args.kit, kit)
}

fn go_on(context: &mut Context<'_, '_>, args: &KitArgs, kit: Kit) -> Result<(), Failure> {
    let places = context.places()?;
    let owner = match &context.global.member {
        Some(member) => member.clone(),
        None => return Err(Failure::usage("say which owner is at the keyboard with --member NAME")),
    };
    let host = context.edge.host;
    let yes = context.global.yes;
    // Both closures talk to the same person; each runs when the host needs it.
    let cell = std::cell::RefCell::new(context);
    let mut ask_enrol = || -> Result<(Secret, String), Refusal> {
        let mut context = cell.borrow_mut();
        context.say("The second factors were lost with the anchor: enrol yours anew.");
        enrol(&mut context, &owner, &args.enrol).map_err(|failure| Refusal::Failed(failure.to_string()))
    };
    let mut ask_confirm = |grants: &[Reissue]| -> Result<Vec<bool>, Refusal> {
        let mut context = cell.borrow_mut();
        confirm_grants(&mut context, grants, yes).map_err(|failure| Refusal::Failed(failure.to_string()))
    };
    let recovery = Recovery {
        root: kit.root,
        recovery: kit.recovery,
        owner: owner.clone(),
        enrol: &mut ask_enrol,
        confirm: &mut ask_confirm,
    };
    let report = host.restart(&places, args.epoch_key.as_ref(), args.store.place()?.as_ref(), recovery)?;
    let context = cell.into_inner();
    context.sessions(&places).end_all();
    crate::agent::Pins::forget_all(&places.state)?;
    let text = {
        let mut lines = vec!["The vault goes on.".to_owned()];
        lines.extend(report.back.iter().map(|who| {
            format!(
                "WORKS AGAIN — {who}: removed since, and the restored vault has no other owner or device of theirs. \
                     Add one and remove this one now ('mandatum device', 'mandatum member')."
            )
        }));
        lines.extend(report.gaps.iter().map(|gap| format!("Records lost — {gap}")));
        if report.lost > 0 {
            lines.push(format!("Opened after the backup and gone: {}.", count(report.lost, "mandate")));
        }
        if report.new_anchor {
            lines.push(format!("The anchor is new. Made anew: {}.", count(report.reissued, "grant")));
            lines.push("Other members enrol their second factor anew: 'mandatum member factor NAME'.".into());
        }
        lines.push(format!("Staying dead: {}. 'mandatum verify' checks the whole.", count(report.dead, "grant")));
        lines.join("\n")
    };
    context.result(&report, || text)
}

/// Shows the grants that would be made anew and asks for each; all of them with `--yes`.
fn confirm_grants(context: &mut Context<'_, '_>, grants: &[Reissue], yes: bool) -> Result<Vec<bool>, Failure> {
    if grants.is_empty() || yes {
        return Ok(vec![true; grants.len()]);
    }
    let row = |grant: &Reissue| {
        vec![grant.member.to_string(), grant.operator.to_string(), grant.system.to_string(), grant.until.to_string()]
    };
    let shown = table(&["member", "operator", "system", "until"], grants.iter().map(row).collect());
    for line in shown.lines() {
        context.say(line);
    }
    let mut chosen = Vec::with_capacity(grants.len());
    for grant in grants {
        let question = format!("Make anew: {} on {}/{}? [y/N] ", grant.member, grant.operator, grant.system);
        if !context.terminal().can_prompt() {
            return Err(Failure::usage("there is no terminal to confirm the grants on; --yes makes all of them anew"));
        }
        let answer = context.terminal().read_line(&question)?;
        chosen.push(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "д" | "да"));
    }
    Ok(chosen)
}

/// The kit's own passphrase: from its option, or asked for.
///
/// # Errors
/// Usage that names the option.
pub fn kit_passphrase(context: &mut Context<'_, '_>, file: Option<&Path>, new: bool) -> Result<Secret, Failure> {
    if let Some(file) = file {
        let passphrase = read_secret_file(file)?;
        if new {
            super::context::check_passphrase(&passphrase)?;
        }
        return Ok(passphrase);
    }
    if !context.terminal().can_prompt() {
        return Err(Failure::usage(
            "there is no terminal to ask for the kit's passphrase on; give --kit-passphrase-file FILE",
        ));
    }
    context
        .ask_passphrase(if new { "New passphrase for the recovery kit" } else { "Passphrase of the recovery kit" }, new)
}

fn read_kit(context: &mut Context<'_, '_>, args: &KitArgs) -> Result<Kit, Failure> {
    let text = std::fs::read_to_string(&args.kit)
        .map_err(|error| Failure::input("kit", format!("{}: {error}", args.kit.display())))?;
    let sealed = unarmor(&text)
        .ok_or_else(|| Failure::input("kit", "this is not a recovery kit, or lines of it are missing"))?;
    let passphrase = kit_passphrase(context, args.kit_passphrase_file.as_deref(), false)?;
    open_kit(&sealed, &passphrase).map_err(|error| Failure::authentication(format!("the kit {error}")))
}

/// The kit as a page that can be printed and typed in again.
pub fn armor(sealed: &[u8], kit: &Kit, owner: &Name) -> String {
    let fingerprint = crate::ledger::Directory::fingerprint(&kit.root.public());
    let body = BASE64.encode(sealed);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!(
        "mandatum: recovery kit / набор восстановления\n\n\
         Owner / владелец: {owner}\nVault / хранилище: {}\nRoot fingerprint / отпечаток: {fingerprint}\n\n\
         Print this page and keep it away from the machine, apart from its passphrase.\n\
         It brings the data back when the anchor or the keyring is lost:\n  mandatum restart --kit FILE --member NAME\n\
         With an old backup it also reads what was deleted since.\n\n\
         Напечатайте эту страницу и храните отдельно от компьютера и от парольной фразы.\n\
         Вместе со старой резервной копией набор читает и то, что было удалено позже.\n\n{BEGIN}\n{}\n{END}\n",
        kit.vault,
        lines.join("\n"),
    )
}

fn unarmor(text: &str) -> Option<Vec<u8>> {
    let body = text.split_once(BEGIN)?.1.split_once(END)?.0;
    let compact: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    BASE64.decode(compact.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_kit_reads_back() {
        let kit = crate::agent::new_kit(&crate::agent::System);
        let sealed = vec![7; 300];
        let page = armor(&sealed, &kit, &Name::parse("Анна").unwrap());
        assert_eq!(unarmor(&page), Some(sealed.clone()));
        assert_eq!(unarmor(&page.replace('\n', "\r\n")), Some(sealed));
        assert_eq!(unarmor(&page[..page.len() / 2]), None);
    }
}
