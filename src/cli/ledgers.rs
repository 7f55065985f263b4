//! `log`, `extract`, `verify`, `exposure`: what the ledgers say.

use super::context::Context;
use super::failure::{Failure, count};
use super::init::write_private;
use super::terminal::table;
use crate::api::{
    ExposureAsk, ExposureCall, ExposureLine, ExtractCall, LogAsk, LogCall, LogLine, NameAsk, Nothing, VerifyCall,
};
use crate::ledger::{Assurance, Checkpoint, ExtractError, Verified, verify_extract};
use crate::model::{Date, Instant, Name, Text, Zone};
use crate::paperwork::Lang;
use crate::post::{ConfigError, Enclosure, Letter, MailAddress, Mailer, PostError, SmtpTable, copy_name, parse_config};
use serde::Deserialize;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest checkpoint that is read, bytes: its six lines take less than 400.
const NOTE_MAX: u64 = 16 * 1024;
/// The time for a letter with an extract, which may be large.
const MAIL_LIMIT: Duration = Duration::from_secs(5 * 60);

#[derive(clap::Args)]
pub struct LogArgs {
    /// The operator [default: the agency's own ledger]
    operator: Option<Text>,
    /// Of one member
    #[arg(long, value_name = "NAME")]
    of: Option<Name>,
    /// Since a day (UTC)
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// Denials only
    #[arg(long)]
    denied: bool,
}

#[derive(clap::Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("ways").args(["out", "mail", "folder"]).required(true).multiple(true))]
pub struct ExtractArgs {
    /// The operator, or OPERATOR@CONTRACT
    operator: Text,
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Send it to the operator's address, with the configuration of --mail-config
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, requires = "mail_config")]
    mail: Option<MailAddress>,
    /// A file with the table [smtp] of notices.toml
    #[arg(long, value_name = "FILE", requires = "mail")]
    mail_config: Option<PathBuf>,
    /// Put it into the operator's folder, as OPERATOR-DATE.mandatum-extract
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn parse_address(text: &str) -> Result<MailAddress, &'static str> {
    text.parse()
}

/// `--mail-config`: the table `[smtp]` alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MailConfig {
    smtp: SmtpTable,
}

#[derive(clap::Args)]
pub struct CheckpointArgs {
    /// The operator, or OPERATOR@CONTRACT
    operator: Text,
    /// The new file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct VerifyArgs {
    /// An extract [default: the vault itself]
    file: Option<PathBuf>,
    /// The root fingerprint it must be signed by, as the agency gave it to you
    #[arg(long, value_name = "FINGERPRINT", requires = "file")]
    root: Option<String>,
    /// A checkpoint you were given earlier; may be given more than once
    #[arg(long, value_name = "NOTE-FILE", requires = "file")]
    checkpoint: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub struct ExposureArgs {
    /// The operator [default: all in sight]
    operator: Option<Text>,
    /// Of one member
    #[arg(long, value_name = "NAME")]
    of: Option<Name>,
}

/// Shows records.
///
/// # Errors
/// Not found.
pub fn log(context: &mut Context<'_, '_>, args: LogArgs) -> Result<(), Failure> {
    let since = match args.since {
        Some(day) => Some(Zone::utc().start_of(day)?),
        None => None,
    };
    let ask = LogAsk { operator: args.operator, member: args.of, since, denied: args.denied };
    let answer = context.program()?.ask::<LogCall>(None, None, ask)?;
    context.result(&answer, || {
        let row = |line: &LogLine| {
            vec![
                line.seq.to_string(),
                line.at.to_string(),
                line.member.as_ref().map_or("(broker)".to_owned(), Name::to_string),
                line.verb.map_or(String::new(), |verb| verb.name().to_owned()),
                line.denied.map_or(line.event.clone(), |code| code.code().to_owned()),
                line.systems.join(", "),
                line.purpose.as_ref().map_or(String::new(), Text::to_string),
                format!("{:?}", line.assurance).to_lowercase(),
            ]
        };
        let heads = ["no", "when (UTC)", "who", "verb", "outcome", "system", "purpose", "assurance"];
        table(&heads, answer.lines.iter().map(row).collect())
    })
}

/// Writes an extract.
///
/// # Errors
/// Input where the file exists.
pub fn extract(context: &mut Context<'_, '_>, args: ExtractArgs) -> Result<(), Failure> {
    // Whatever can be wrong with the way out is said before anything is recorded.
    let today = super::context::today(context.now())?;
    let name = copy_name(args.operator.as_str(), today, "mandatum-extract");
    let in_folder = args.folder.as_ref().map(|folder| folder.join(&name));
    for (option, file) in [("out", &args.out), ("folder", &in_folder)] {
        if let Some(file) = file.as_ref().filter(|file| file.symlink_metadata().is_ok()) {
            return Err(Failure::input(option, format!("{} exists; name a new file", file.display())));
        }
    }
    if let Some(folder) = args.folder.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(Failure::input("folder", format!("{} is not a directory", folder.display())));
    }
    let mailer = args.mail_config.as_deref().map(mailer).transpose()?;
    let mut program = context.program()?;
    let token = context.step_up(&mut program)?;
    let answer = program.ask::<ExtractCall>(None, Some(token), NameAsk { operator: args.operator.clone() })?;
    // What goes to the operator is verified here as the operator will.
    let root = crate::ledger::Directory::fingerprint(&program.identity().root);
    verify_extract(&answer.extract.0[..], Some(&root), |_| ())
        .map_err(|error| Failure::integrity(error.to_string()))?;
    let files: Vec<&PathBuf> = args.out.iter().chain(&in_folder).collect();
    for file in &files {
        write_private(file, &answer.extract.0)?;
    }
    if let (Some(mailer), Some(to)) = (&mailer, &args.mail) {
        let (subject, text) = covering_letter(context.lang(), args.operator.as_str(), &root);
        let id: String = answer.head.root.to_string().chars().take(32).collect();
        let enclosure = Some(Enclosure { name: &name, bytes: &answer.extract.0 });
        let to = std::slice::from_ref(to);
        let letter = Letter { to, subject: &subject, text: &text, id: &id, at: context.now(), enclosure };
        let failed = |error: PostError| Failure::unexpected(format!("the extract was made and not mailed: {error}"));
        mailer.send(&letter).map_err(failed)?;
    }
    let mailed_to = args.mail.as_ref().map(MailAddress::to_string);
    let report = serde_json::json!({
        "file": files.first(), "files": files, "mailed_to": mailed_to, "records": answer.head.size,
        "root_hash": answer.head.root, "root_fingerprint": root,
    });
    context.result(&report, || {
        let places = files.iter().map(|file| file.display().to_string()).chain(mailed_to.iter().cloned());
        format!(
            "{}: {} of {}. Anyone checks it with: mandatum verify FILE --root {root}",
            places.collect::<Vec<_>>().join(", "),
            count(answer.head.size, "record"),
            args.operator
        )
    })
}

fn mailer(config: &Path) -> Result<Mailer, Failure> {
    let refused = |error: ConfigError| Failure::input("mail-config", error);
    let MailConfig { smtp } = parse_config(config).map_err(refused)?;
    Mailer::new(smtp, config).map(|mailer| mailer.time_limit(MAIL_LIMIT)).map_err(refused)
}

fn covering_letter(lang: Lang, operator: &str, root: &str) -> (String, String) {
    match lang {
        Lang::Ru => (
            format!("Выписка из журнала: {operator}"),
            format!(
                "Выписка из журнала по вашему поручению приложена. Проверка:\n\nmandatum verify ФАЙЛ --root {root}\n"
            ),
        ),
        Lang::En => (
            format!("Ledger extract: {operator}"),
            format!(
                "The extract of the ledger of your mandate is enclosed. To verify it:\n\nmandatum verify FILE --root {root}\n"
            ),
        ),
    }
}

/// Gives the signed head of an operator's ledger.
///
/// # Errors
/// Input where the file exists.
pub fn checkpoint(context: &mut Context<'_, '_>, args: CheckpointArgs) -> Result<(), Failure> {
    let (note, head) = context.program()?.checkpoint(args.operator)?;
    if let Some(out) = &args.out {
        write_private(out, note.as_bytes())?;
    }
    let report = serde_json::json!({
        "file": args.out, "records": head.size, "root_hash": head.root, "checkpoint": note,
    });
    context.result(&report, || match &args.out {
        Some(out) => format!("{} covers {}.", out.display(), count(head.size, "record")),
        None => note.trim_end().to_owned(),
    })
}

/// Verifies the vault, or an extract.
///
/// # Errors
/// Integrity, naming what is wrong.
pub fn verify(context: &mut Context<'_, '_>, args: VerifyArgs) -> Result<(), Failure> {
    match args.file {
        Some(file) => verify_file(context, &file, args.root.as_deref(), &args.checkpoint),
        None => verify_vault(context),
    }
}

fn verify_vault(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let program = context.program()?;
    let progress = context.terminal().progress("verifying", 0);
    let report = program.ask::<VerifyCall>(None, None, Nothing {})?;
    drop(progress);
    context.result(&report, || {
        let mut text = format!("{} with {}", count(report.ledgers, "ledger"), count(report.records, "record"));
        text.push_str(if report.flaws.is_empty() { ": all of it holds." } else { ":" });
        for flaw in &report.flaws {
            text.push_str("\n  ");
            text.push_str(flaw);
        }
        text
    })?;
    match report.flaws.len() {
        0 => Ok(()),
        n => Err(Failure::integrity(format!(
            "{n} flaws; restore a backup with 'mandatum restore', or ask who could write to the database"
        ))),
    }
}

fn verify_file(
    context: &mut Context<'_, '_>,
    file: &PathBuf,
    root: Option<&str>,
    notes: &[PathBuf],
) -> Result<(), Failure> {
    let opened = std::fs::File::open(file).map_err(|e| Failure::input("file", format!("{}: {e}", file.display())))?;
    let progress = context.terminal().progress("verifying", 0);
    let verified = verify_extract(BufReader::new(opened), root, |done| progress.set(done));
    drop(progress);
    let verified = verified.map_err(|error| match &error {
        ExtractError::Io(_) => Failure::input("file", format!("{}: {error}", file.display())),
        _ => Failure::integrity(format!("{}: {error}", file.display())),
    })?;
    let held = hold_against(&verified, notes)?;
    let covered = held.iter().map(|(_, held)| held.size).max();
    let denied = verified.records.iter().filter(|r| matches!(r.outcome, crate::ledger::Outcome::Denied(_))).count();
    let assurance = verified.assurance();
    let report = serde_json::json!({
        "operator": verified.mandate.operator, "contract": verified.mandate.contract,
        "records": verified.checkpoint.size, "root_hash": verified.checkpoint.root,
        "root_fingerprint": verified.root, "root_checked": root.is_some(), "denials": denied,
        "assurance": assurance,
        "checkpoints": held.iter().map(|(note, held)| {
            serde_json::json!({"file": note, "records": held.size, "root_hash": held.root})
        }).collect::<Vec<_>>(),
        "covered": covered, "covered_at": covered.and_then(|covered| last_covered(&verified, covered)),
    });
    let mut text = format!(
        "The extract holds: {} records of the mandate of {} (contract {}), {denied} denials.\nSigned under root {}",
        verified.checkpoint.size, verified.mandate.operator, verified.mandate.contract, verified.root,
    );
    text.push_str(if root.is_some() {
        ", as expected."
    } else {
        ".\nCompare it with the fingerprint the agency gave you (--root)."
    });
    text.push_str(match assurance {
        Assurance::Solo => {
            "\nAssurance 'solo': broker and members shared one account, so expiry, records and 2FA are promises of their program."
        }
        Assurance::Account => "\nAssurance 'account': the broker ran in another account than its members.",
        Assurance::Host => "\nAssurance 'host': the broker ran on another machine than its members.",
    });
    if let Some(covered) = covered {
        text.push_str(&coverage(&verified, covered));
    }
    context.result(&report, || text)
}

/// Every checkpoint the operator kept, held against the extract.
fn hold_against<'n>(verified: &Verified, notes: &'n [PathBuf]) -> Result<Vec<(&'n PathBuf, Checkpoint)>, Failure> {
    let (mut held, mut misfits) = (Vec::new(), Vec::new());
    for file in notes {
        // A mail program may have changed the line ends; what is signed is the text with plain ones.
        let note = read_note(file)?.replace("\r\n", "\n");
        match verified.hold_against(&note) {
            Ok(checkpoint) => held.push((file, checkpoint)),
            Err(misfit) => misfits.push(format!("{}: {misfit}", file.display())),
        }
    }
    if misfits.is_empty() { Ok(held) } else { Err(Failure::integrity(misfits.join("; "))) }
}

fn read_note(file: &Path) -> Result<String, Failure> {
    let refused = |why: String| Failure::input("checkpoint", format!("{}: {why}", file.display()));
    let opened = std::fs::File::open(file).map_err(|error| refused(error.to_string()))?;
    let mut note = Vec::new();
    opened.take(NOTE_MAX + 1).read_to_end(&mut note).map_err(|error| refused(error.to_string()))?;
    let short = u64::try_from(note.len()).is_ok_and(|length| length <= NOTE_MAX);
    let note = String::from_utf8(note).ok().filter(|_| short);
    note.ok_or_else(|| refused("is not a checkpoint, which is a text of six lines".to_owned()))
}

/// When the last record under a checkpoint was written; none under an empty one.
fn last_covered(verified: &Verified, covered: u64) -> Option<Instant> {
    let last = usize::try_from(covered.checked_sub(1)?).ok()?;
    verified.records.get(last).map(|record| record.at)
}

/// What the operator's own checkpoint proves, and from where on there is nothing but the broker's word.
fn coverage(verified: &Verified, covered: u64) -> String {
    let mut text = String::new();
    if let Some(last) = covered.checked_sub(1) {
        text.push_str(&format!(
            "\nRecords 0 to {last} are covered by your checkpoint (size {covered}): unchanged since you received it."
        ));
    }
    match (verified.checkpoint.size.checked_sub(1), last_covered(verified, covered)) {
        (Some(last), since) if last >= covered => {
            let since = since.map_or_else(|| "the first record".to_owned(), |at| at.to_string());
            text.push_str(&format!(
                "\nRecords {covered} to {last} are signed by the broker and covered by nothing you hold: beyond the \
                 broker's word nothing is provable about them since {since}."
            ));
        }
        _ => text.push_str("\nThere is no record after it."),
    }
    text
}

/// Shows what was opened and not rotated.
///
/// # Errors
/// Not found.
pub fn exposure(context: &mut Context<'_, '_>, args: ExposureArgs) -> Result<(), Failure> {
    let ask = ExposureAsk { operator: args.operator, member: args.of };
    let lines = context.program()?.ask::<ExposureCall>(None, None, ask)?;
    context.result(&lines, || {
        if lines.is_empty() { "Nothing that was opened is left unrotated.".to_owned() } else { exposure_table(&lines) }
    })
}

/// An exposure list as a table.
pub fn exposure_table(lines: &[ExposureLine]) -> String {
    let row = |line: &ExposureLine| {
        vec![
            line.member.to_string(),
            format!("{}/{}", line.operator, line.system),
            line.name.to_string(),
            format!("v{}", line.version),
            line.times.to_string(),
            line.last.to_string(),
            if line.onward_only { "read to grant" } else { "" }.to_owned(),
        ]
    };
    table(&["who", "system", "name", "version", "times", "last (UTC)", ""], lines.iter().map(row).collect())
}
