//! `document`, `report safeguards`, and the notices of an incident: DOCX and HTML on disk.
//!
//! Facts come from the mandate's state and from its ledger, which is taken as an extract and verified first. What
//! neither knows (addresses, signatories, numbers) comes from the agency's own `agency.toml` and from `--facts FILE`;
//! what nobody says prints as a blank.

mod facts;
mod sheets;

pub use facts::Given;

use super::context::Context;
use super::drafts::{catalogue, law, own_data, wording};
use super::failure::Failure;
use super::init::write_private;
use crate::agent::{Program, hash};
use crate::api::{ExposureAsk, ExposureCall, ExtractCall, IncidentView, MemberListCall, NameAsk, Nothing};
use crate::ledger::{Directory, verify_extract};
use crate::model::{Digest, Instant, Text, Zone};
use crate::paperwork::documents::{self, Press};
use crate::paperwork::{Lang, Sheet, docx, html};
use sheets::Source;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub enum ReportCommand {
    /// Clause 4.1: passwords, second factors, roles, reviews
    Safeguards {
        /// The operator
        operator: Text,
        /// Write it as DOCX and HTML into this directory
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Numbers, names and addresses that the vault does not know, as TOML
        #[arg(long, value_name = "FILE")]
        facts: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
pub struct DocumentArgs {
    /// The operator
    operator: Text,
    /// Which: mandate, order, act, letter, log, review, revocation, package, or closing for all that settles the end
    kind: String,
    /// The directory to write into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Numbers, names and addresses that the vault does not know, as TOML
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// A final act: refused while a required field is empty
    #[arg(long = "final")]
    is_final: bool,
}

/// What the closing package holds, in this order.
const CLOSING: [&str; 4] = ["act", "letter", "revocation", "log"];
/// The ledger's extract beside them.
const EXTRACT: &str = "extract.mandatum";

/// Writes documents.
///
/// # Errors
/// Input naming what a final act lacks; nothing is written then.
pub fn document(context: &mut Context<'_, '_>, args: DocumentArgs) -> Result<(), Failure> {
    let whole = matches!(args.kind.as_str(), "closing" | "package");
    if args.is_final && !whole && args.kind != "act" {
        return Err(Failure::usage("--final is for the act"));
    }
    let kinds: Vec<&str> = if whole { CLOSING.to_vec() } else { vec![args.kind.as_str()] };
    let names = kinds.iter().copied().chain(whole.then_some("package"));
    let names = names.flat_map(|kind| ["docx", "html"].map(|end| format!("{kind}.{end}")));
    let mut files = names.chain(whole.then(|| EXTRACT.to_owned())).map(|name| args.out.join(name));
    if let Some(there) = files.find(|file| file.symlink_metadata().is_ok()) {
        return Err(Failure::input("out", format!("{} exists; nothing was written", there.display())));
    }
    let mut program = context.program()?;
    let given = given(context, args.facts.as_deref())?;
    let source = source(context, &mut program, &args.operator, given)?;
    let (lang, made, texts) = (language(context, source.view.mandate.jurisdiction), context.now(), wording(context)?);
    let zone = source.view.mandate.zone.clone();
    let press = Press { lang, wording: &texts, zone: &zone, made };
    let (catalogue, law) = (catalogue(context)?, law(context, source.view.mandate.jurisdiction)?);
    // Everything is made before anything is written.
    let mut sheets = Vec::new();
    for kind in kinds {
        sheets.push((kind.to_owned(), source.sheet(kind, &press, &catalogue, &law, args.is_final)?));
    }
    let mut written = write_all(context, &args.out, &sheets)?;
    if whole {
        let extract = args.out.join(EXTRACT);
        write_private(&extract, &source.extract)?;
        written.push(Written {
            title: sheets::extract_title(lang).into(),
            file: extract,
            sha256: hash(&source.extract),
        });
        let cover = source.package(&press, &law, &written);
        written.extend(write_all(context, &args.out, &[("package".to_owned(), cover)])?);
    }
    let files: Vec<String> = written.iter().map(|file| file.file.display().to_string()).collect();
    context.result(&serde_json::json!({"files": files}), || files.join("\n"))
}

/// Writes or prints a report.
///
/// # Errors
/// As [`document`].
pub fn report(context: &mut Context<'_, '_>, command: ReportCommand) -> Result<(), Failure> {
    let ReportCommand::Safeguards { operator, out, facts } = command;
    let mut program = context.program()?;
    let given = given(context, facts.as_deref())?;
    let source = source(context, &mut program, &operator, given)?;
    let law = law(context, source.view.mandate.jurisdiction)?;
    let lang = language(context, source.view.mandate.jurisdiction);
    let facts = source.safeguards(lang, &law, context.now());
    let today = day(&source.view.mandate.zone, context.now());
    let summary = sheets::Summary::of(&facts, context.now(), today);
    if let Some(out) = &out {
        let (texts, zone) = (wording(context)?, source.view.mandate.zone.clone());
        let press = Press { lang, wording: &texts, zone: &zone, made: context.now() };
        write_all(context, out, &[("safeguards".to_owned(), facts.sheet(&press))])?;
    }
    context.result(&summary, || summary.text())
}

/// Writes one notice for each operator an incident reaches.
///
/// # Errors
/// Input where a file exists or cannot be written.
pub fn write_notices(
    context: &mut Context<'_, '_>,
    program: &Program,
    views: &[IncidentView],
    out: &Path,
) -> Result<Vec<String>, Failure> {
    let given = given(context, None)?;
    let texts = wording(context)?;
    let mut files = Vec::new();
    for view in views {
        let mandate = program.mandate(Text::parse(view.operator.as_str())?)?;
        let law = law(context, view.jurisdiction)?;
        let lang = language(context, view.jurisdiction);
        let press = Press { lang, wording: &texts, zone: &view.zone, made: context.now() };
        let sheet = sheets::notice(view, &mandate, &given, &law, lang).sheet(&press);
        let id: String = view.incident.facts.id.to_string().chars().take(8).collect();
        let name = format!("notice-{id}-{}", file_part(view.operator.as_str()));
        files.extend(write_all(context, out, &[(name, sheet)])?);
    }
    let shown: Vec<String> = files.iter().map(|file| file.file.display().to_string()).collect();
    shown.iter().for_each(|file| context.say(file));
    Ok(shown)
}

/// The language of a document: as asked for, else that of its law.
fn language(context: &Context<'_, '_>, jurisdiction: crate::model::Jurisdiction) -> Lang {
    context.global.lang.unwrap_or_else(|| Lang::from(jurisdiction))
}

fn given(context: &Context<'_, '_>, path: Option<&Path>) -> Result<Given, Failure> {
    let agency = own_data(context, "agency.toml")?;
    let own = match path {
        None => None,
        Some(path) => {
            let cannot = |error: std::io::Error| Failure::input("facts", format!("{}: {error}", path.display()));
            Some(std::fs::read_to_string(path).map_err(cannot)?)
        }
    };
    Given::parse(agency.as_deref(), own.as_deref()).map_err(|error| Failure::input("facts", error))
}

/// The mandate, its verified ledger, and what else the documents are made from.
fn source(
    context: &mut Context<'_, '_>,
    program: &mut Program,
    operator: &Text,
    given: Given,
) -> Result<Source, Failure> {
    let token = context.step_up(program)?;
    let answer = program.ask::<ExtractCall>(None, Some(token), NameAsk { operator: operator.clone() })?;
    let root = Directory::fingerprint(&program.identity().root);
    let verified = verify_extract(&answer.extract.0[..], Some(&root), |_| ());
    let verified = verified.map_err(|error| Failure::integrity(error.to_string()))?;
    let view = program.mandate(operator.clone())?;
    let ask = ExposureAsk { operator: Some(operator.clone()), member: None };
    let exposure = program.ask::<ExposureCall>(None, None, ask)?;
    let members = program.ask::<MemberListCall>(None, None, Nothing {})?;
    Ok(Source {
        view,
        verified,
        exposure,
        members,
        backups: answer.backups,
        given,
        me: program.name().clone(),
        at: context.now(),
        extract: answer.extract.0,
    })
}

/// A file that was written.
pub struct Written {
    title: String,
    file: PathBuf,
    sha256: Digest,
}

fn write_all(context: &mut Context<'_, '_>, out: &Path, sheets: &[(String, Sheet)]) -> Result<Vec<Written>, Failure> {
    let cannot = |error: std::io::Error| Failure::input("out", format!("{}: {error}", out.display()));
    std::fs::create_dir_all(out).map_err(cannot)?;
    let progress = context.terminal().progress("writing", u64::try_from(sheets.len()).unwrap_or(0));
    let mut written = Vec::new();
    for (number, (name, sheet)) in (1..).zip(sheets) {
        let bytes = docx(sheet).map_err(|error| Failure::unexpected(error.to_string()))?;
        let (word, page) = (out.join(format!("{name}.docx")), out.join(format!("{name}.html")));
        write_private(&word, &bytes)?;
        write_private(&page, html(sheet).as_bytes())?;
        written.push(Written { title: sheet.title.clone(), file: word, sha256: hash(&bytes) });
        progress.set(number);
    }
    Ok(written)
}

/// A name as a part of a file name.
fn file_part(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    plain.trim_matches('-').to_owned()
}

/// The day of an instant in a zone.
fn day(zone: &Zone, at: Instant) -> Option<crate::model::Date> {
    zone.date_of(at)
}

impl From<documents::Refusal> for Failure {
    fn from(refusal: documents::Refusal) -> Self {
        Failure::input("document", refusal)
            .hint("give what is missing with --facts FILE, or make a draft without --final")
    }
}
