//! `incident …` (clause 4.2).

use super::context::Context;
use super::failure::{Failure, count};
use super::ledgers::exposure_table;
use super::terminal::table;
use crate::agent::Program;
use crate::api::{
    IncidentCloseAsk, IncidentCloseCall, IncidentListCall, IncidentNoteAsk, IncidentNoteCall, IncidentOpenAsk,
    IncidentOpenCall, IncidentView, MemberListCall, Nothing,
};
use crate::model::{IncidentFacts, IncidentId, IncidentKind, Instant, Name, Step, Text};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Open an incident: locks what it reaches, ends sessions, shows what is exposed, drafts the operators' notices
    Open(OpenArgs),
    /// Show incidents, their clocks and their course
    List,
    /// Record a notice, an instruction of the operator, its execution or a finding
    Note(NoteArgs),
    /// Write the notice to each operator anew, with what is known now
    Notice(NoticeArgs),
    /// Close an incident
    Close(CloseArgs),
}

#[derive(clap::Args)]
pub struct OpenArgs {
    /// device_lost, password_compromised, unauthorised_access, misdirected_transfer or security_incident
    #[arg(long, value_parser = parse_kind)]
    kind: IncidentKind,
    /// Whose device, password or access; without it everybody's under the named operator
    #[arg(id = "of", long = "of", value_name = "MEMBER", required_unless_present = "operator")]
    member: Option<Name>,
    /// Only this operator's mandate [default: every one in reach that the member has to do with]
    #[arg(long)]
    operator: Option<Text>,
    /// When it was detected, such as 2026-03-02T09:30:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    detected: Option<Instant>,
    /// When it may have begun [default: not known yet]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Instant>,
    /// What is known
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Write the drafted notices into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct NoteArgs {
    /// The incident's id or its beginning
    incident: String,
    /// notice, instruction, execution or finding
    #[arg(long, value_parser = parse_step)]
    step: Step,
    /// In words
    text: Text,
    /// Only with this operator
    #[arg(long)]
    operator: Option<Text>,
}

#[derive(clap::Args)]
pub struct NoticeArgs {
    /// The incident's id or its beginning
    incident: String,
    /// Write them into this directory
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(clap::Args)]
pub struct CloseArgs {
    /// The incident's id or its beginning
    incident: String,
    /// What came of it
    #[arg(long, value_name = "TEXT")]
    outcome: Text,
    /// Leave the access it locked locked
    #[arg(long)]
    keep_locked: bool,
}

fn parse_kind(text: &str) -> Result<IncidentKind, String> {
    let names = || IncidentKind::ALL.map(IncidentKind::name).join(", ");
    IncidentKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("kinds are {}", names()))
}

fn parse_step(text: &str) -> Result<Step, String> {
    let steps = [Step::Notice, Step::Instruction, Step::Execution, Step::Finding];
    let found = steps.into_iter().find(|step| step.name() == text);
    found.ok_or_else(|| "write notice, instruction, execution or finding".into())
}

fn parse_time(text: &str) -> Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| "write a time such as 2026-03-02T09:30:00Z or 2026-03-02T12:30:00+03:00".into())
}

/// Runs an incident command.
///
/// # Errors
/// [`Failure`].
pub fn run(context: &mut Context<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Open(args) => open(context, args),
        Command::List => {
            let views = context.program()?.ask::<IncidentListCall>(None, None, Nothing {})?;
            let clocks = clocks(context, &views)?;
            context.result(&views, || format!("{}{}", describe(&views), clocks.join("")))
        }
        Command::Note(args) => note(context, args),
        Command::Notice(args) => {
            let program = context.program()?;
            let views = of_incident(&program, &args.incident)?;
            let files = super::papers::write_notices(context, &program, &views, &args.out)?;
            context.result(&serde_json::json!({"files": files}), String::new)
        }
        Command::Close(args) => close(context, args),
    }
}

fn open(context: &mut Context<'_, '_>, args: OpenArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let member =
        match &args.member {
            None => None,
            Some(name) => {
                let members = program.ask::<MemberListCall>(None, None, Nothing {})?;
                let found = members.iter().find(|line| line.name.same(name.as_str())).map(|line| line.member);
                Some(found.ok_or_else(|| {
                    Failure::input("of", "there is no member of this name; see 'mandatum member list'")
                })?)
            }
        };
    let mut id = [0; 16];
    context.edge.entropy.fill(&mut id);
    let detected = args.detected.unwrap_or_else(|| context.now());
    let note = if args.note.is_empty() { Text::default() } else { Text::parse(&args.note)? };
    let facts = IncidentFacts { id: IncidentId(id), kind: args.kind, member, detected, since: args.since, note };
    let ask = IncidentOpenAsk { operator: args.operator, facts };
    let views = program.ask::<IncidentOpenCall>(None, None, ask)?;
    if let Some(out) = &args.out {
        super::papers::write_notices(context, &program, &views, out)?;
    }
    let clocks = clocks(context, &views)?;
    context.result(&views, || {
        let operators = u64::try_from(views.len()).unwrap_or(0);
        format!(
            "Incident {} is open; its access is locked with {}.\n{}{}\nNext: 'mandatum incident notice' writes the notices; 'incident note --step notice' records that they were sent.",
            IncidentId(id),
            count(operators, "operator"),
            describe(&views),
            clocks.join("")
        )
    })
}

fn note(context: &mut Context<'_, '_>, args: NoteArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let views = of_incident(&program, &args.incident)?;
    let incident = id_of(&views)?;
    let ask = IncidentNoteAsk { operator: args.operator, incident, step: args.step, text: args.text };
    program.ask::<IncidentNoteCall>(None, None, ask)?;
    let step = args.step.name();
    context.result(&serde_json::json!({"incident": incident, "step": step}), || format!("The {step} is recorded."))
}

fn close(context: &mut Context<'_, '_>, args: CloseArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    let incident = id_of(&of_incident(&program, &args.incident)?)?;
    let token = context.step_up(&mut program)?;
    let unlock = !args.keep_locked;
    let ask = IncidentCloseAsk { incident, unlock, outcome: args.outcome };
    program.ask::<IncidentCloseCall>(None, Some(token), ask)?;
    let rest = if unlock { "what it locked may be used again" } else { "what it locked stays locked" };
    context.result(&serde_json::json!({"closed": incident, "unlocked": unlock}), || {
        format!("Incident {incident} is closed; {rest}.")
    })
}

/// The views of one incident, by its id or the beginning of it.
fn of_incident(program: &Program, id: &str) -> Result<Vec<IncidentView>, Failure> {
    let mut views = program.ask::<IncidentListCall>(None, None, Nothing {})?;
    let wanted = id.to_lowercase();
    views.retain(|view| !wanted.is_empty() && view.incident.facts.id.to_string().starts_with(&wanted));
    let first = views.first().map(|view| view.incident.facts.id);
    if views.iter().any(|view| Some(view.incident.facts.id) != first) {
        return Err(Failure::input("incident", "several incidents begin like this; write more of the id"));
    }
    if views.is_empty() {
        return Err(Failure::input(
            "incident",
            "there is no incident of this id in your reach; see 'mandatum incident list'",
        ));
    }
    Ok(views)
}

fn id_of(views: &[IncidentView]) -> Result<IncidentId, Failure> {
    let first = views.first().map(|view| view.incident.facts.id);
    first.ok_or_else(|| Failure::input("incident", "there is no such incident"))
}

/// The clocks of each open incident: our own notice, and what runs for the operator, from detection.
fn clocks(context: &Context<'_, '_>, views: &[IncidentView]) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for view in views.iter().filter(|view| view.incident.closed.is_none()) {
        let (law, now, zone) = (super::drafts::law(context, view.jurisdiction)?, context.now(), &view.zone);
        let detected = view.incident.facts.detected;
        let after = |hours: u32| detected.plus(i64::from(hours) * 60 * 60 * 1000);
        let (due, alarm) = (after(law.incident.notice_target_hours), after(law.incident.alarm_hours));
        let notice = match view.incident.told() {
            Some(at) => format!("operator told {}", zone.show(at)),
            None if now >= alarm => format!("ALARM: operator not told, due {}", zone.show(due)),
            None => format!("notice due {}", zone.show(due)),
        };
        lines.push(format!("\n{}: {notice}", view.operator));
        for clock in &law.incident.regulator {
            let ends = zone.show(after(clock.hours));
            lines.push(format!("; {} h until {ends}: {}", clock.hours, clock.text.show(context.lang())));
        }
    }
    Ok(lines)
}

fn describe(views: &[IncidentView]) -> String {
    let row = |view: &IncidentView| {
        let incident = &view.incident;
        let told = incident.told().map_or_else(|| "NOT TOLD".to_owned(), |at| view.zone.show(at));
        vec![
            incident.facts.id.to_string().chars().take(8).collect(),
            view.operator.to_string(),
            incident.facts.kind.name().to_owned(),
            view.zone.show(incident.facts.detected),
            told,
            view.systems.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
            incident.closed.map_or_else(|| "open".to_owned(), |at| format!("closed {}", view.zone.show(at))),
        ]
    };
    let heads = ["id", "operator", "kind", "detected", "operator told", "locked", "state"];
    let mut text = table(&heads, views.iter().map(row).collect());
    for view in views {
        if !view.exposure.is_empty() {
            text.push_str(&format!(
                "\n\n{}: opened and not rotated since\n{}",
                view.operator,
                exposure_table(&view.exposure)
            ));
        }
        for entry in &view.incident.course {
            text.push_str(&format!(
                "\n{}: {} {}: {}",
                view.operator,
                view.zone.show(entry.at),
                entry.step.name(),
                entry.text
            ));
        }
    }
    text
}
