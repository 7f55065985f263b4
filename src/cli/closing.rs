//! The legs of the closing (clause 5.1), and rotation as tasks.

use super::context::Context;
use super::credentials::{REVOCATION, encode_point, row_of};
use super::failure::Failure;
use super::fetch::json_fields;
use super::mandates::CredentialPath;
use super::people::paper;
use super::terminal::table;
use crate::agent::revocation::{AddressError, Client, Order, Outcome, Point, revoke_token};
use crate::agent::{Fields, Program, Secret, hash};
use crate::api::{
    ExposureAsk, ExposureCall, ExposureLine, MandateEvidenceAsk, MandateEvidenceCall, MandateView, RotationAskAsk,
    RotationAskCall,
};
use crate::model::{Choice, Credential, CredentialId, Digest, Evidence, Kind, Phase, RevocationPoint, Row, Text};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct RevokedArgs {
    /// OPERATOR/SYSTEM[/NAME], or OPERATOR alone with --all
    target: String,
    /// Every credential of the operator that has no evidence yet
    #[arg(long)]
    all: bool,
    /// How: the steps taken on the platform
    #[arg(long, value_name = "TEXT")]
    how: Text,
    /// Who did it: a named person
    #[arg(long, value_name = "WHO")]
    by: Text,
    /// A screenshot or letter that shows it; its SHA-256 goes on file
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct CopiesArgs {
    /// The operator
    operator: Text,
    /// Who declares it: full name
    #[arg(long, value_name = "WHO")]
    by: Text,
    /// There never were any copies outside the vault
    #[arg(long, conflicts_with = "declaration")]
    none: bool,
    /// Which copies there were and what became of them
    #[arg(long, value_name = "TEXT", required_unless_present = "none")]
    declaration: Option<Text>,
    /// The signed declaration; its SHA-256 goes on file
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct ChoiceArgs {
    /// The operator
    operator: Text,
    /// return or delete
    #[arg(value_parser = parse_choice)]
    choice: Choice,
    /// Who of the operator said so
    #[arg(long, value_name = "WHO")]
    by: Text,
}

#[derive(clap::Args)]
pub struct ReturnArgs {
    /// The operator
    operator: Text,
    /// The operator's own age recipient: age1…
    #[arg(long, value_name = "RECIPIENT")]
    to: Text,
    /// Write the sealed package here
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(clap::Subcommand)]
pub enum RotationCommand {
    /// Show what is exposed, whom it was asked of, and what closed it
    List {
        /// The operator
        operator: Text,
    },
    /// Record who was asked to change an exposed secret on its platform
    Ask {
        /// OPERATOR/SYSTEM[/NAME]
        path: CredentialPath,
        /// Who was asked
        #[arg(long, value_name = "WHO")]
        of: Text,
    },
    /// Take an OAuth token back at its platform now (RFC 7009), and prove that it is dead
    Revoke {
        /// OPERATOR/SYSTEM[/NAME]
        path: CredentialPath,
    },
}

fn parse_choice(text: &str) -> Result<Choice, String> {
    match text {
        "return" => Ok(Choice::Return),
        "delete" => Ok(Choice::Delete),
        _ => Err("write return or delete".into()),
    }
}

/// The credential a path means.
///
/// # Errors
/// Input where a name is needed; not found.
pub fn credential_of<'a>(view: &'a MandateView, path: &CredentialPath) -> Result<(&'a Row, &'a Credential), Failure> {
    let row = view.mandate.any_row_named(path.system.as_str());
    let row = row.map_or_else(|| row_of(view, path.system.as_str()), Ok)?;
    let named = |c: &&Credential| path.name.as_ref().is_none_or(|name| c.name.same(name.as_str()));
    let mut found = view.mandate.credentials_of(row.id).filter(named);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok((row, only)),
        (Some(_), Some(_)) => Err(Failure::input("credential", "the row has several; name one: OPERATOR/SYSTEM/NAME")),
        (None, _) => Err(Failure::from(crate::api::Refusal::NotFound)),
    }
}

/// The digest of a paper that shows it, where there is one.
fn digest_of(proof: Option<&Path>) -> Result<Option<Digest>, Failure> {
    Ok(proof.map(paper).transpose()?.map(|(digest, _)| digest))
}

/// Puts on file that access was taken away on the platform.
///
/// # Errors
/// [`Failure`].
pub fn revoked(context: &mut Context<'_, '_>, args: RevokedArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let proof = digest_of(args.proof.as_deref())?;
    let (operator, chosen) = if args.all {
        let operator = Text::parse(&args.target)?;
        let view = program.mandate(operator.clone())?;
        let open = |c: &&Credential| view.mandate.platform_leg(c.id).is_none();
        (operator, view.mandate.credentials.iter().filter(open).map(|c| c.id).collect::<Vec<_>>())
    } else {
        let path: CredentialPath = args.target.parse().map_err(Failure::usage)?;
        let view = program.mandate(path.operator.clone())?;
        let id = credential_of(&view, &path)?.1.id;
        (path.operator, vec![id])
    };
    for credential in &chosen {
        let evidence = Evidence::Revoked { credential: *credential, how: args.how.clone(), by: args.by.clone(), proof };
        put(&program, &operator, evidence)?;
    }
    let count = chosen.len();
    context.result(&serde_json::json!({"operator": operator, "on_file": count}), || {
        format!(
            "On file: access taken away on the platform, for {}.",
            super::failure::count(u64::try_from(count).unwrap_or(0), "credential")
        )
    })
}

/// Puts the declaration on copies outside on file.
///
/// # Errors
/// [`Failure`].
pub fn copies(context: &mut Context<'_, '_>, args: CopiesArgs) -> Result<(), Failure> {
    let proof = digest_of(args.proof.as_deref())?;
    let declaration = args.declaration.unwrap_or_default();
    let evidence = Evidence::Copies { by: args.by, none: args.none, declaration, proof };
    put(&context.program()?, &args.operator, evidence)?;
    context.result(&serde_json::json!({"operator": args.operator}), || "The declaration is on file.".to_owned())
}

/// Puts the operator's choice on file.
///
/// # Errors
/// [`Failure`].
pub fn choice(context: &mut Context<'_, '_>, args: ChoiceArgs) -> Result<(), Failure> {
    put(&context.program()?, &args.operator, Evidence::Chosen { choice: args.choice, by: args.by })?;
    context.result(&serde_json::json!({"operator": args.operator}), || "The operator's choice is on file.".to_owned())
}

fn put(program: &Program, operator: &Text, evidence: Evidence) -> Result<(), Failure> {
    let ask = MandateEvidenceAsk { operator: operator.clone(), evidence };
    program.ask::<MandateEvidenceCall>(None, None, ask)?;
    Ok(())
}

/// Hands the logins back: fetches each, recorded as any retrieval, and seals them to the operator's own key.
///
/// # Errors
/// Denied; input where the recipient is none or the file exists.
pub fn hand_back(context: &mut Context<'_, '_>, args: ReturnArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let view = program.mandate(args.operator.clone())?;
    if view.mandate.phase != Phase::Active || !view.mandate.is_lead(program.identity().member) {
        let sentence =
            "a lead of the mandate hands its logins back, and before 'mandate end': nothing can be retrieved after";
        return Err(Failure::input("return", sentence));
    }
    if args.out.exists() {
        return Err(Failure::input("out", format!("{} exists already; nothing was fetched", args.out.display())));
    }
    Program::check_recipient(args.to.as_str()).map_err(|error| Failure::input("to", error))?;
    let mut items = Vec::new();
    for row in view.mandate.live_rows() {
        let purpose = row.terms.purposes.first().cloned();
        let found = program.locate(args.operator.clone(), Text::parse(row.system.as_str())?, None, true)?;
        for located in found.iter().filter(|located| located.kind != Kind::Delegated) {
            let fetched = program.fetch(located, purpose.clone())?;
            items.push((row.system.to_string(), located.name.to_string(), located.account.to_string(), fetched.fields));
        }
    }
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let package = seal_package(&args, &items)?;
    super::init::write_private(&args.out, &package)?;
    let digest: Digest = hash(&package);
    let evidence = Evidence::Returned { recipient: args.to, package: digest, credentials: count };
    put(&program, &args.operator, evidence)?;
    let (out, digest) = (args.out.display().to_string(), digest.to_string());
    context.result(&serde_json::json!({"file": out, "sha256": digest, "credentials": count}), || {
        format!("{count} logins are in {out}, sealed to the operator's key. SHA-256 {digest}")
    })
}

type Item = (String, String, String, Fields);

fn seal_package(args: &ReturnArgs, items: &[Item]) -> Result<Vec<u8>, Failure> {
    let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(1 << 16));
    let mut list = Vec::with_capacity(items.len());
    for (system, name, account, fields) in items {
        let values = json_fields(fields)?;
        list.push(serde_json::json!({"system": system, "name": name, "account": account, "fields": values}));
    }
    serde_json::to_writer_pretty(&mut *plain, &list).map_err(|error| Failure::unexpected(error.to_string()))?;
    Program::seal_to(args.to.as_str(), &plain).map_err(|error| Failure::input("to", error))
}

/// Takes back at their platforms the OAuth tokens that have a revocation endpoint, and proves that they are dead. A
/// token that is proven dead gets its evidence; any other outcome leaves a task, said in words.
///
/// # Errors
/// Denied; whatever fetching the token returns.
pub fn revoke_tokens(
    context: &mut Context<'_, '_>,
    program: &Program,
    operator: &Text,
    only: Option<CredentialId>,
) -> Result<Vec<String>, Failure> {
    let view = program.mandate(operator.clone())?;
    let mut said = Vec::new();
    if view.mandate.phase != Phase::Active {
        return Ok(said);
    }
    let wanted = |c: &&Credential| match only {
        Some(only) => c.id == only,
        None => view.mandate.platform_leg(c.id).is_none(),
    };
    for credential in view.mandate.credentials.iter().filter(wanted) {
        let (Some(point), Some(row)) = (&credential.revocation, view.mandate.row(credential.row)) else { continue };
        let name = format!("{operator}/{}", row.system);
        let found = program.locate(operator.clone(), Text::parse(row.system.as_str())?, None, true);
        // An owner who leads nothing here cannot fetch it: the token stays a task.
        let located = found.ok().into_iter().flatten().find(|located| located.credential == credential.id);
        let Some(located) = located.filter(|located| located.grant.is_some()) else {
            said.push(format!("{name}: not revoked; its lead does it, or the operator on the platform"));
            continue;
        };
        let fetched = program.fetch(&located, row.terms.purposes.first().cloned())?;
        if !is_sealed(point, &fetched.fields) {
            let why = "where it is to be revoked is not what was stored with it";
            said.push(format!("{name}: not sent anywhere: {why}. This stays a task for a person."));
            continue;
        }
        match revoke_one(context, point, &fetched.fields) {
            Ok(outcome) => {
                if matches!(outcome, Outcome::Dead { .. }) {
                    let (how, by) = (Text::parse(&outcome.english())?, Text::parse("mandatum")?);
                    put(program, operator, Evidence::Revoked { credential: credential.id, how, by, proof: None })?;
                }
                let task = if outcome.leaves_a_task() { " This stays a task for a person." } else { "" };
                said.push(format!("{name}: {outcome}{task}"));
            }
            Err(error) => said.push(format!("{name}: {error}. This stays a task for a person.")),
        }
    }
    Ok(said)
}

/// Whether the place that the broker names is the one that the token's author sealed beside it.
fn is_sealed(point: &RevocationPoint, fields: &Fields) -> bool {
    fields.field(REVOCATION).is_some_and(|sealed| sealed.expose() == encode_point(point))
}

fn revoke_one(context: &Context<'_, '_>, record: &RevocationPoint, fields: &Fields) -> Result<Outcome, AddressError> {
    let empty = Secret::copy_of(b"");
    let token = fields.field(Kind::OauthToken.main_field()).unwrap_or(&empty);
    let wire = (context.edge.wire)();
    let point = Point::read(record, &wire)?;
    let client = Client::of(record, fields.field("client_secret"));
    let order = Order { point: &point, token, hint: None, client };
    Ok(revoke_token(&wire, &order, &|| context.now(), context.edge.wait))
}

/// Runs a rotation command.
///
/// # Errors
/// [`Failure`].
pub fn rotation(context: &mut Context<'_, '_>, command: RotationCommand) -> Result<(), Failure> {
    match command {
        RotationCommand::List { operator } => list(context, operator),
        RotationCommand::Revoke { path } => {
            let (program, _) = context.unlocked()?;
            let view = program.mandate(path.operator.clone())?;
            let (_, credential) = credential_of(&view, &path)?;
            if view.mandate.phase != Phase::Active {
                return Err(Failure::input(
                    "operator",
                    "this mandate is over: its tokens cannot be fetched any more; the operator revokes them",
                ));
            }
            if credential.revocation.is_none() {
                let sentence =
                    "has no revocation endpoint; 'credential add --revocation-url' names one for an oauth_token";
                return Err(Failure::input("credential", sentence));
            }
            let said = revoke_tokens(context, &program, &path.operator, Some(credential.id))?;
            context.result(&serde_json::json!({"for": path.to_string(), "outcome": said}), || said.join("\n"))
        }
        RotationCommand::Ask { path, of } => {
            let program = context.program()?;
            let view = program.mandate(path.operator.clone())?;
            let credential = credential_of(&view, &path)?.1.id;
            let ask = RotationAskAsk { operator: path.operator.clone(), credential, of: of.clone() };
            program.ask::<RotationAskCall>(None, None, ask)?;
            context.result(&serde_json::json!({"asked": of, "for": path.to_string()}), || {
                format!("{of} was asked to change {path}. A rotated version closes it, or 'mandate settle'.")
            })
        }
    }
}

/// A rotation task as it stands.
#[derive(serde::Serialize)]
struct Task {
    system: String,
    name: String,
    seen_by: Vec<String>,
    asked_of: Option<String>,
    asked_at: Option<String>,
    closed_by: Option<String>,
}

fn list(context: &mut Context<'_, '_>, operator: Text) -> Result<(), Failure> {
    let program = context.program()?;
    let view = program.mandate(operator.clone())?;
    let ask = ExposureAsk { operator: Some(operator), member: None };
    let exposed = program.ask::<ExposureCall>(None, None, ask)?;
    let tasks: Vec<Task> = view.mandate.credentials.iter().filter_map(|c| task(&view, c, &exposed)).collect();
    context.result(&tasks, || {
        let row = |task: &Task| {
            let asked = match (&task.asked_of, &task.asked_at) {
                (Some(of), Some(at)) => format!("{of}, {at}"),
                _ => String::new(),
            };
            let state = task.closed_by.clone().unwrap_or_else(|| "OPEN".to_owned());
            vec![task.system.clone(), task.name.clone(), task.seen_by.join(", "), asked, state]
        };
        table(&["system", "name", "seen by", "asked of", "state"], tasks.iter().map(row).collect())
    })
}

fn task(view: &MandateView, credential: &Credential, exposed: &[ExposureLine]) -> Option<Task> {
    let lines = exposed.iter().filter(|line| line.credential == credential.id);
    let seen_by: Vec<String> = lines.map(|line| line.member.to_string()).collect();
    if seen_by.is_empty() && credential.settled.is_none() && credential.asked.is_none() {
        return None;
    }
    let zone = &view.mandate.zone;
    let settled = credential.settled.as_ref().filter(|_| seen_by.is_empty()).map(|settled| match &settled.confirmed {
        Some(who) => format!("changed, confirmed by {who}: {} ({})", settled.because, zone.show(settled.at)),
        None => format!("accepted as it is, because: {} ({})", settled.because, zone.show(settled.at)),
    });
    let row = view.mandate.rows.iter().find(|row| row.id == credential.row);
    Some(Task {
        system: row.map_or_else(String::new, |row| row.system.to_string()),
        name: credential.name.to_string(),
        seen_by,
        asked_of: credential.asked.as_ref().map(|asked| asked.of.to_string()),
        asked_at: credential.asked.as_ref().map(|asked| zone.show(asked.at)),
        closed_by: settled,
    })
}
