//! `grant` and `revoke`.

use super::context::Context;
use super::failure::{Failure, count};
use super::ledgers::exposure_table;
use super::mandates::CredentialPath;
use super::rows::{levels, unknown_level};
use crate::agent::Program;
use crate::api::{MemberListCall, Nothing, RevokeAsk, RevokeCall};
use crate::model::{Date, GrantFacts, GrantId, GrantOrigin, Instant, Level, Name, RequestId, Term, Text};
use std::collections::BTreeSet;

#[derive(clap::Args)]
pub struct GrantArgs {
    /// Whom
    #[arg(id = "grantee", value_name = "MEMBER")]
    member: Name,
    /// OPERATOR/SYSTEM
    path: CredentialPath,
    /// What they may do: view, edit, …; may be given more than once, never wider than the row
    #[arg(long, value_name = "LEVEL", required = true)]
    level: Vec<String>,
    /// What for; may be given more than once [default: the row's purposes]
    #[arg(long, value_name = "TEXT")]
    purpose: Vec<Text>,
    /// The last day, inclusive [default: the row's]
    #[arg(long, value_name = "DATE", conflicts_with = "lasting")]
    until: Option<Date>,
    /// From now for so long: 3d, 8h, 2w; a stand-in's access ends by itself
    #[arg(long = "for", value_name = "TIME", value_parser = super::sessions::parse_duration)]
    lasting: Option<i64>,
}

#[derive(clap::Args)]
pub struct RevokeArgs {
    /// From whom
    #[arg(id = "grantee", value_name = "MEMBER")]
    member: Name,
    /// OPERATOR/SYSTEM
    #[arg(required_unless_present = "all")]
    path: Option<CredentialPath>,
    /// Everything the member has
    #[arg(long, conflicts_with = "path")]
    all: bool,
    /// Why
    #[arg(long, default_value = "revoked")]
    reason: Text,
}

/// Access to give: whom, where, and within which bounds.
pub struct Wanted<'a> {
    /// Whom.
    pub member: &'a str,
    /// Where.
    pub operator: Text,
    /// Under which row.
    pub system: &'a str,
    /// What they may do.
    pub levels: BTreeSet<Level>,
    /// What for; empty: the row's.
    pub purposes: Vec<Text>,
    /// Until when.
    pub until: Ends,
    /// The request it approves.
    pub answers: Option<RequestId>,
}

/// When access is to end.
#[derive(Clone, Copy)]
pub enum Ends {
    /// With its row.
    WithRow,
    /// After a day, inclusive.
    After(Date),
    /// So many milliseconds from now.
    In(i64),
}

/// Gives access under a row.
///
/// # Errors
/// Input naming the bound that is exceeded and what would be allowed.
pub fn grant(context: &mut Context<'_, '_>, args: GrantArgs) -> Result<(), Failure> {
    let (program, _) = context.unlocked()?;
    let levels = levels(&args.level).map_err(|word| Failure::input("level", unknown_level(&word)))?;
    let until = match (args.until, args.lasting) {
        (Some(date), _) => Ends::After(date),
        (None, Some(ms)) => Ends::In(ms),
        (None, None) => Ends::WithRow,
    };
    let wanted = Wanted {
        member: args.member.as_str(),
        operator: args.path.operator,
        system: args.path.system.as_str(),
        levels,
        purposes: args.purpose,
        until,
        answers: None,
    };
    give(context, &program, wanted)
}

/// Gives what is wanted, where it is within the row.
///
/// # Errors
/// As [`grant`].
pub fn give(context: &mut Context<'_, '_>, program: &Program, wanted: Wanted<'_>) -> Result<(), Failure> {
    let view = program.mandate(wanted.operator.clone())?;
    let row = super::credentials::row_of(&view, wanted.system)?.clone();
    let now = context.now();
    let whole =
        Term { until: row.terms.term.until.min(row.terms.grant_end(now).unwrap_or(Instant::MAX)), ..row.terms.term };
    let term = match wanted.until {
        Ends::WithRow => whole,
        Ends::In(ms) => Term { from: whole.from, until: now.plus(ms) },
        Ends::After(until) => {
            let last = view.mandate.zone.end_of(until)?;
            if last <= now {
                return Err(Failure::input("until", format!("{until} is over")));
            }
            Term { from: whole.from, until: last }
        }
    };
    let members = program.ask::<MemberListCall>(None, None, Nothing {})?;
    let member = members.iter().find(|line| line.name.same(wanted.member) && line.standing == "active");
    let member = member.ok_or_else(|| {
        Failure::input("member", "there is no active member of this name; see 'mandatum member list'")
    })?;
    let mut id = [0; 16];
    context.edge.entropy.fill(&mut id);
    let facts = GrantFacts {
        id: GrantId(id),
        member: member.member,
        row: row.id,
        levels: wanted.levels,
        purposes: purposes(&row.terms.purposes, wanted.purposes),
        term,
        origin: GrantOrigin::Given,
    };
    // Judged here first: a refused grant must not leave a bulk read in the ledger.
    view.mandate.check_bounds(&row, &facts).map_err(|(field, sentence)| Failure::input(field, sentence))?;
    let system = Text::parse(row.system.as_str())?;
    let found = program.locate(wanted.operator, system, None, true)?;
    program.grant(view.mandate.unit, facts.clone(), wanted.answers, &found)?;
    let until = view.mandate.zone.show(facts.term.until);
    let report = serde_json::json!({
        "grant": facts.id, "member": member.name, "operator": view.mandate.operator, "system": row.system,
        "levels": facts.levels, "purposes": facts.purposes, "until": facts.term.until,
    });
    let text = format!("{} has access to {}/{} until {until}.", member.name, view.mandate.operator, row.system);
    context.result(&report, || text)
}

/// The purposes as the row spells them; what is not the row's is left for the broker to refuse by name.
fn purposes(of_row: &[Text], given: Vec<Text>) -> Vec<Text> {
    if given.is_empty() {
        return of_row.to_vec();
    }
    let spelled = |purpose: Text| of_row.iter().find(|known| known.same(purpose.as_str())).cloned().unwrap_or(purpose);
    given.into_iter().map(spelled).collect()
}

/// Takes access away; the keys are destroyed when this returns.
///
/// # Errors
/// Input where there is nothing to revoke.
pub fn revoke(context: &mut Context<'_, '_>, args: RevokeArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let of = args.path.as_ref().map(|path| (path.operator.clone(), path.system.clone()));
    let ask = RevokeAsk { member: args.member.clone(), of, reason: args.reason };
    let answer = program.ask::<RevokeCall>(None, None, ask)?;
    context.result(&answer, || {
        let mut text = format!("{}: {} revoked, keys destroyed.", args.member, count(answer.grants, "grant"));
        if !answer.exposure.is_empty() {
            text.push_str("\nOpened before and not rotated since — rotate these:\n");
            text.push_str(&exposure_table(&answer.exposure));
        }
        text
    })
}
