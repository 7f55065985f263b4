//! `request`, `requests`, `approve`, `deny`, `review`, and the operator's permission for an outsider.

use super::context::Context;
use super::credentials::row_of;
use super::failure::{Failure, count};
use super::grants::{Ends, Wanted, give};
use super::mandates::CredentialPath;
use super::rows::{levels, unknown_level};
use super::terminal::table;
use crate::agent::{Program, hash};
use crate::api::{
    DenyAsk, DenyCall, MandatePermitAsk, MandatePermitCall, MandateView, MemberListCall, Nothing, RequestAsk,
    RequestCall, RequestLine, ReviewAsk, ReviewCall, RevokeAsk, RevokeCall, StatusCall,
};
use crate::model::{
    AccessRequest, Date, Decision, Digest, Grant, GrantOrigin, Level, Name, Permission, RequestId, Reviewed, Text, Wish,
};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct RequestArgs {
    /// OPERATOR/SYSTEM
    path: CredentialPath,
    /// What you need to do: view, edit, …; may be given more than once
    #[arg(long, value_name = "LEVEL", required = true)]
    level: Vec<String>,
    /// What for; may be given more than once [default: the row's purposes]
    #[arg(long, value_name = "TEXT")]
    purpose: Vec<Text>,
    /// Until which day, inclusive [default: the row's]
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// Why you need it
    #[arg(long, value_name = "TEXT")]
    reason: Text,
}

#[derive(clap::Args)]
pub struct ApproveArgs {
    /// Who asks
    #[arg(id = "asker", value_name = "MEMBER")]
    member: Name,
    /// OPERATOR/SYSTEM
    path: CredentialPath,
}

#[derive(clap::Args)]
pub struct DenyArgs {
    /// Who asks
    #[arg(id = "asker", value_name = "MEMBER")]
    member: Name,
    /// OPERATOR/SYSTEM
    path: CredentialPath,
    /// Why not
    #[arg(long, value_name = "TEXT")]
    reason: Text,
}

#[derive(clap::Args)]
pub struct ReviewArgs {
    /// The operator
    operator: Text,
    /// Decisions as a JSON list of member, system, decision (keep, narrow, revoke), levels, until, note
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Keep every grant that has no other decision
    #[arg(long)]
    keep_rest: bool,
}

#[derive(clap::Args)]
pub struct PermitArgs {
    /// The operator
    operator: Text,
    /// For whom
    #[arg(id = "outsider", value_name = "MEMBER")]
    member: Name,
    /// The signed paper
    #[arg(long, value_name = "FILE")]
    permission: PathBuf,
    /// Under which system only; may be given more than once [default: all]
    #[arg(long, value_name = "SYSTEM")]
    system: Vec<Text>,
    /// Its last day, inclusive [default: the mandate's]
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
}

/// Asks a lead for access. What is not there and what is not yours answer the same.
///
/// # Errors
/// [`Failure`].
pub fn request(context: &mut Context<'_, '_>, args: RequestArgs) -> Result<(), Failure> {
    let levels = levels(&args.level).map_err(|word| Failure::input("level", unknown_level(&word)))?;
    let mut id = [0; 16];
    context.edge.entropy.fill(&mut id);
    let wish = Wish {
        id: RequestId(id),
        system: args.path.system.clone(),
        levels,
        purposes: args.purpose,
        until: args.until,
        reason: args.reason,
    };
    let ask = RequestAsk { operator: args.path.operator.clone(), wish: wish.clone() };
    context.program()?.ask::<RequestCall>(None, None, ask)?;
    let path = args.path.to_string();
    context.result(&serde_json::json!({"request": wish.id, "for": path}), || {
        format!("Asked for {path}. If there is such a system, its lead sees it in 'mandatum requests'.")
    })
}

/// Shows the requests that wait.
///
/// # Errors
/// [`Failure`].
pub fn requests(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let waiting = context.program()?.ask::<StatusCall>(None, None, Nothing {})?.requests;
    context.result(&waiting, || requests_table(&waiting))
}

/// Requests for people.
pub fn requests_table(lines: &[RequestLine]) -> String {
    let row = |line: &RequestLine| {
        vec![
            line.member.to_string(),
            format!("{}/{}", line.operator, line.wish.system),
            level_names(&line.wish.levels),
            line.wish.until.map_or_else(String::new, |until| until.to_string()),
            line.wish.reason.to_string(),
            line.at.to_string(),
        ]
    };
    table(&["who", "for", "levels", "until", "why", "asked (UTC)"], lines.iter().map(row).collect())
}

fn level_names(levels: &std::collections::BTreeSet<Level>) -> String {
    levels.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ")
}

/// Grants what was asked for.
///
/// # Errors
/// Not found where nothing waits; input where the row does not allow it.
pub fn approve(context: &mut Context<'_, '_>, args: ApproveArgs) -> Result<(), Failure> {
    let (program, _) = context.unlocked()?;
    let view = program.mandate(args.path.operator.clone())?;
    let wish = waiting(&program, &view, &args.member, &args.path)?.wish;
    let wanted = Wanted {
        member: args.member.as_str(),
        operator: args.path.operator,
        system: args.path.system.as_str(),
        levels: wish.levels,
        purposes: wish.purposes,
        until: wish.until.map_or(Ends::WithRow, Ends::After),
        answers: Some(wish.id),
    };
    give(context, &program, wanted)
}

/// Denies what was asked for.
///
/// # Errors
/// Not found where nothing waits.
pub fn deny(context: &mut Context<'_, '_>, args: DenyArgs) -> Result<(), Failure> {
    let (program, _) = context.unlocked()?;
    let view = program.mandate(args.path.operator.clone())?;
    let request = waiting(&program, &view, &args.member, &args.path)?.wish.id;
    let ask = DenyAsk { operator: args.path.operator, request, reason: args.reason };
    program.ask::<DenyCall>(None, None, ask)?;
    let name = args.member;
    context.result(&serde_json::json!({"denied": request}), || format!("The request of {name} is denied."))
}

fn waiting(
    program: &Program,
    view: &MandateView,
    member: &Name,
    path: &CredentialPath,
) -> Result<AccessRequest, Failure> {
    let members = program.ask::<MemberListCall>(None, None, Nothing {})?;
    let row = row_of(view, path.system.as_str())?.id;
    let asked_here = |request: &&AccessRequest| {
        let who = members.iter().find(|line| line.member == request.by);
        let same_row = view.mandate.row_named(request.wish.system.as_str()).is_some_and(|asked| asked.id == row);
        same_row && who.is_some_and(|line| line.name.same(member.as_str()))
    };
    let found = view.mandate.waiting().find(asked_here).cloned();
    found.ok_or_else(|| {
        Failure::input("request", format!("{member} has no request waiting for {path}; see 'mandatum requests'"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    member: Name,
    system: Text,
    decision: String,
    #[serde(default)]
    levels: Vec<String>,
    #[serde(default)]
    until: Option<Date>,
    #[serde(default)]
    note: Text,
}

/// Reviews every grant of a mandate: keep, narrow or revoke; the decisions are recorded.
///
/// # Errors
/// Input naming the grant without a decision, or what would be widened.
pub fn review(context: &mut Context<'_, '_>, args: ReviewArgs) -> Result<(), Failure> {
    let (program, _) = context.unlocked()?;
    let view = program.mandate(args.operator.clone())?;
    let given = view.mandate.live_grants().filter(|grant| grant.facts.origin == GrantOrigin::Given);
    let mut decided = args.decisions.as_deref().map(read_lines).transpose()?.unwrap_or_default();
    let mut lines = Vec::new();
    for grant in given {
        let (member, system) = names(&view, grant);
        let place = decided.iter().position(|l| l.member.same(&member) && l.system.same(&system));
        let line = match place {
            Some(place) => Some(decided.remove(place)),
            None if args.keep_rest => None,
            None => Some(ask_decision(context, &view, grant, &member, &system)?),
        };
        lines.push(decision(&view, grant, line)?);
    }
    if let Some(left) = decided.first() {
        let sentence = format!("{} has no live grant on {}; see 'mandatum mandate show'", left.member, left.system);
        return Err(Failure::input("decisions", sentence));
    }
    program.ask::<ReviewCall>(None, None, ReviewAsk { operator: args.operator.clone(), lines: lines.clone() })?;
    let mut revoked = 0;
    for line in lines.iter().filter(|line| line.decision == Decision::Revoke) {
        let Some(grant) = view.mandate.grant(line.grant) else { continue };
        let (member, system) = names(&view, grant);
        let (operator, reason) = (args.operator.clone(), Text::parse("access review / пересмотр доступов")?);
        let of = Some((operator, Text::parse(&system)?));
        program.ask::<RevokeCall>(None, None, RevokeAsk { member: Name::parse(&member)?, of, reason })?;
        revoked += 1;
    }
    let reviewed = u64::try_from(lines.len()).unwrap_or(0);
    let report = serde_json::json!({"operator": args.operator, "reviewed": reviewed, "revoked": revoked});
    context.result(&report, || format!("Reviewed: {}; revoked: {revoked}.", count(reviewed, "grant")))
}

fn names(view: &MandateView, grant: &Grant) -> (String, String) {
    let member = view.members.get(&grant.facts.member).map_or_else(|| "?".to_owned(), Name::to_string);
    let row = view.mandate.rows.iter().find(|row| row.id == grant.facts.row);
    (member, row.map_or_else(|| "?".to_owned(), |row| row.system.to_string()))
}

fn ask_decision(
    context: &mut Context<'_, '_>,
    view: &MandateView,
    grant: &Grant,
    member: &str,
    system: &str,
) -> Result<Line, Failure> {
    if !context.terminal().can_prompt() {
        let sentence = format!("{member} on {system} has no decision; give --decisions FILE or --keep-rest");
        return Err(Failure::usage(sentence));
    }
    let until = view.mandate.zone.show(grant.facts.term.until);
    let levels = level_names(&grant.facts.levels);
    let question = format!("{member} on {system}: {levels}, until {until}. [k]eep, [n]arrow, [r]evoke? ");
    let answer = context.terminal().read_line(&question)?;
    let (decision, levels) = match answer.trim() {
        "k" | "keep" => ("keep", Vec::new()),
        "r" | "revoke" => ("revoke", Vec::new()),
        "n" | "narrow" => {
            let kept = context.terminal().read_line("Which levels stay? ")?;
            ("narrow", kept.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect())
        }
        _ => return Err(Failure::usage("answer k, n or r; nothing was recorded")),
    };
    let (member, system, note) = (Name::parse(member)?, Text::parse(system)?, Text::default());
    Ok(Line { member, system, decision: decision.into(), levels, until: None, note })
}

fn decision(view: &MandateView, grant: &Grant, line: Option<Line>) -> Result<Reviewed, Failure> {
    let Some(line) = line else {
        return Ok(Reviewed { grant: grant.facts.id, decision: Decision::Keep, note: Text::default() });
    };
    let decision = match line.decision.as_str() {
        "keep" => Decision::Keep,
        "revoke" => Decision::Revoke,
        "narrow" => {
            let kept = levels(&line.levels).map_err(|word| Failure::input("levels", unknown_level(&word)))?;
            let kept = if kept.is_empty() { grant.facts.levels.clone() } else { kept };
            let until = line.until.map(|until| view.mandate.zone.end_of(until)).transpose()?;
            let until = until.unwrap_or(grant.facts.term.until);
            if !kept.is_subset(&grant.facts.levels) || until > grant.facts.term.until {
                let sentence = format!(
                    "{} on {} has {} until {}; a review narrows, it never widens",
                    line.member,
                    line.system,
                    level_names(&grant.facts.levels),
                    view.mandate.zone.show(grant.facts.term.until)
                );
                return Err(Failure::input("decisions", sentence));
            }
            Decision::Narrow { levels: kept, until }
        }
        other => return Err(Failure::input("decision", format!("'{other}' is none; write keep, narrow or revoke"))),
    };
    Ok(Reviewed { grant: grant.facts.id, decision, note: line.note })
}

fn read_lines(path: &Path) -> Result<Vec<Line>, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::input("file", format!("{}: {error}", path.display())))?;
    serde_json::from_slice(&text).map_err(|error| {
        let sentence = format!("is not a JSON list of decisions: {error}; each has member, system, decision, and may have levels, until, note");
        Failure::input("decisions", sentence)
    })
}

/// Puts the operator's permission for an outsider on file.
///
/// # Errors
/// Input where the paper cannot be read, or the member is of the agency.
pub fn permit(context: &mut Context<'_, '_>, args: PermitArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let paper = paper(&args.permission)?;
    let members = program.ask::<MemberListCall>(None, None, Nothing {})?;
    let member = members.iter().find(|line| line.name.same(args.member.as_str()));
    let member = member.ok_or_else(|| Failure::input("member", "there is no member of this name"))?.member;
    let view = program.mandate(args.operator.clone())?;
    let rows = args.system.iter().map(|system| row_of(&view, system.as_str()).map(|row| row.id));
    let rows = rows.collect::<Result<_, _>>()?;
    let (source, file) = paper;
    let permission = Permission { member, rows, until: args.until, source, file };
    program.ask::<MandatePermitCall>(None, None, MandatePermitAsk { operator: args.operator.clone(), permission })?;
    let report = serde_json::json!({"operator": args.operator, "member": args.member, "sha256": source});
    context.result(&report, || format!("The permission of {} for {} is on file.", args.operator, args.member))
}

/// A paper's digest and file name.
///
/// # Errors
/// Input where it cannot be read or is empty.
pub fn paper(path: &Path) -> Result<(Digest, Text), Failure> {
    let cannot = |why: String| Failure::input("file", format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| cannot(error.to_string()))?;
    if bytes.is_empty() {
        return Err(cannot("is empty".into()));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((hash(&bytes), Text::parse(&name)?))
}
