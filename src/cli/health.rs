//! `sweep`, `due`, `status`, `doctor`: the morning look.

use super::context::Context;
use super::failure::{Failure, count};
use super::ledgers::exposure_table;
use super::people::requests_table;
use super::terminal::table;
use crate::api::{ConfirmClockCall, DueAsk, DueCall, DueLine, Finding, Nothing, Overview, StatusCall, SweepCall};
use crate::model::{IncidentKind, Instant, Jurisdiction, Name, Text};

#[derive(clap::Args)]
pub struct DueArgs {
    /// How many days ahead
    #[arg(long, default_value_t = 30)]
    days: u32,
}

#[derive(clap::Args)]
pub struct DoctorArgs {
    /// Confirm the clock after a long pause or a jump; only an owner may
    #[arg(long)]
    confirm_clock: bool,
}

/// Destroys the keys of what is over.
///
/// # Errors
/// Denied where the clock cannot be believed.
pub fn sweep(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let answer = context.program()?.ask::<SweepCall>(None, None, Nothing {})?;
    context.result(&answer, || {
        format!(
            "Over by the clock: {} and {}. Destroyed: {}. Past retention and gone: {}.",
            count(answer.expired, "grant"),
            count(answer.ended, "mandate"),
            count(answer.destroyed, "key"),
            count(answer.forgotten, "ledger")
        )
    })
}

/// Shows what ends soon.
///
/// # Errors
/// Authentication.
pub fn due(context: &mut Context<'_, '_>, args: DueArgs) -> Result<(), Failure> {
    let lines = context.program()?.ask::<DueCall>(None, None, DueAsk { days: args.days })?;
    context.result(&lines, || {
        if lines.is_empty() { format!("Nothing ends within {} days.", args.days) } else { due_table(&lines) }
    })
}

fn due_table(lines: &[DueLine]) -> String {
    let row = |line: &DueLine| {
        let days = if line.days < 0 { "over".to_owned() } else { line.days.to_string() };
        let name = |name: &Option<Name>| name.as_ref().map_or(String::new(), Name::to_string);
        vec![
            days,
            line.what.clone(),
            line.operator.to_string(),
            name(&line.system),
            name(&line.member),
            line.until.to_string(),
        ]
    };
    table(&["days", "what", "operator", "system", "member", "ends before (UTC)"], lines.iter().map(row).collect())
}

/// Shows the overview.
///
/// # Errors
/// Authentication.
pub fn status(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let overview = context.program()?.ask::<StatusCall>(None, None, Nothing {})?;
    let review_ms = super::drafts::law(context, Jurisdiction::Ru)?.review_ms();
    context.result(&overview, || describe(&overview, review_ms))
}

fn describe(overview: &Overview, review_ms: i64) -> String {
    let mut text = format!(
        "Active: {}, {}. Assurance: {}. Clock: {}.",
        count(overview.mandates, "mandate"),
        count(overview.credentials, "credential"),
        format!("{:?}", overview.assurance).to_lowercase(),
        overview.clock
    );
    let mut part = |head: &str, body: String| {
        if !body.is_empty() {
            text.push_str(&format!("\n\n{head}\n{body}"));
        }
    };
    let names = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let some = |lines: bool, body: &dyn Fn() -> String| if lines { body() } else { String::new() };
    part("Ends within 30 days:", some(!overview.ending.is_empty(), &|| due_table(&overview.ending)));
    part("Opened and not rotated since:", some(!overview.exposed.is_empty(), &|| exposure_table(&overview.exposed)));
    let weak = |(path, reason): &(String, Text)| format!("{path}: {reason}");
    part("Weak or reused, accepted:", overview.weak.iter().map(weak).collect::<Vec<_>>().join("\n"));
    part("Second factor unknown:", overview.without_second_factor.join("\n"));
    part("Full access granted by the mandate:", overview.wide.join("\n"));
    let drafts = overview
        .drafts
        .iter()
        .map(|(operator, open)| format!("{operator}: {}", count(u64::from(*open), "open question")));
    part("Drafts, not in force:", drafts.collect::<Vec<_>>().join("\n"));
    part("Requests that wait:", some(!overview.requests.is_empty(), &|| requests_table(&overview.requests)));
    let incident = |(operator, kind, detected, told): &(Name, IncidentKind, Instant, bool)| {
        let told = if *told { "operator told" } else { "OPERATOR NOT TOLD" };
        format!("{operator}: {}, detected {detected}, {told}", kind.name())
    };
    part("Open incidents:", overview.incidents.iter().map(incident).collect::<Vec<_>>().join("\n"));
    let late = overview.reviewed.iter().filter(|(_, at)| overview.now.since(*at) > review_ms);
    let late = late.map(|(operator, at)| format!("{operator}: last {at}"));
    part("Access review overdue:", late.collect::<Vec<_>>().join("\n"));
    part("Ended, not settled:", names(&overview.unsettled));
    part("Separation of duties not held by:", names(&overview.separation_missing));
    text
}

/// Checks the vault's health.
///
/// # Errors
/// Integrity where something is wrong.
pub fn doctor(context: &mut Context<'_, '_>, args: DoctorArgs) -> Result<(), Failure> {
    if args.confirm_clock {
        let mut program = context.program()?;
        let token = context.step_up(&mut program)?;
        program.ask::<ConfirmClockCall>(None, Some(token), Nothing {})?;
        return context.result(&serde_json::json!({"clock": "confirmed"}), || "The clock is confirmed.".to_owned());
    }
    let findings = context.edge.host.examine(&context.vault_places()?);
    context.result(&findings, || {
        let line = |finding: &Finding| {
            let mark = if finding.fine { "fine " } else { "WRONG" };
            let fix = finding.fix.as_ref().map_or(String::new(), |fix| format!("\n         → {fix}"));
            format!("{mark}  {}: {}{fix}", finding.what, finding.found)
        };
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    match findings.iter().filter(|finding| !finding.fine).count() {
        0 => Ok(()),
        n => Err(Failure::integrity(format!("{n} findings; each names its fix"))),
    }
}
