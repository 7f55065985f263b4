//! `mandate …`: the paper that permits.

use super::context::Context;
use super::failure::{Failure, count};
use super::init::parse_zone;
use super::ledgers::exposure_table;
use super::rows;
use super::terminal::table;
use super::{closing, drafts, people};
use crate::api::{
    CloseAsk, MandateAmendAsk, MandateAmendCall, MandateCloseCall, MandateEndCall, MandateLine, MandateListCall,
    MandateOpenAsk, MandateOpenCall, MandateSettleCall, MandateShowCall, MandateView, NameAsk, Nothing, ReasonAsk,
    SettleAsk,
};
use crate::model::{Date, Jurisdiction, Name, Phase, Text, Zone};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Open a mandate with its access table
    Open(OpenArgs),
    /// List the mandates
    List,
    /// Show one mandate: rows, grants, term
    Show(OperatorArgs),
    /// Add, change or remove rows; every grant under them is narrowed or ended in the same step
    Amend(AmendArgs),
    /// Read a mandate from a DOCX file and show what was understood; needs no vault
    Read(drafts::ReadArgs),
    /// Read a mandate from a DOCX file into a draft
    Import(drafts::ImportArgs),
    /// Answer a question about a draft
    Answer(drafts::AnswerArgs),
    /// Put a draft in force: you confirm that the file is the signed mandate
    Activate(drafts::ActivateArgs),
    /// List what the instruction lacks, with a clause that would add it
    Gaps(drafts::GapsArgs),
    /// Put the operator's written permission for somebody outside the agency on file
    Permit(people::PermitArgs),
    /// Put on file that access was taken away on the platform
    Revoked(closing::RevokedArgs),
    /// Put on file what became of copies outside the vault
    Copies(closing::CopiesArgs),
    /// Put the operator's choice on file: return or delete
    Choice(closing::ChoiceArgs),
    /// Hand the logins back, sealed to the operator's own age key
    Return(closing::ReturnArgs),
    /// End a mandate: nothing can be retrieved afterwards, and its keys are destroyed
    End(EndArgs),
    /// Say what became of an exposed secret that is not rotated here
    Settle(SettleArgs),
    /// Close an ended mandate; refuses while anything is unsettled and names it
    Close(CloseArgs),
}

/// A jurisdiction on the command line.
#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LawArg {
    /// 152-FZ
    #[default]
    Ru,
    /// GDPR
    Eu,
}

impl From<LawArg> for Jurisdiction {
    fn from(law: LawArg) -> Self {
        match law {
            LawArg::Ru => Jurisdiction::Ru,
            LawArg::Eu => Jurisdiction::Eu,
        }
    }
}

#[derive(clap::Args)]
pub struct OpenArgs {
    /// The operator: the agency's client
    operator: Name,
    /// The contract's number
    #[arg(long, value_name = "NO")]
    contract: Text,
    /// When it was signed
    #[arg(long, value_name = "DATE")]
    signed: Date,
    /// Its last day, inclusive
    #[arg(long, value_name = "DATE")]
    until: Date,
    /// The operator's time zone [default: the agency's]
    #[arg(long, value_parser = parse_zone)]
    zone: Option<Zone>,
    /// Under which law its texts and clocks stand
    #[arg(long, value_enum, default_value_t)]
    jurisdiction: LawArg,
    /// Who leads it [default: you]
    #[arg(long, value_name = "NAME")]
    lead: Option<Name>,
    /// The access table as CSV or JSON: system, category, platform, data, levels, purposes, from, until
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct OperatorArgs {
    /// The operator, or OPERATOR@CONTRACT
    operator: Text,
}

#[derive(clap::Args)]
pub struct AmendArgs {
    /// The operator
    operator: Text,
    /// Rows to add, as CSV or JSON
    #[arg(long, value_name = "FILE")]
    add: Option<PathBuf>,
    /// Rows to change, as CSV or JSON; what a row leaves empty stays
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    /// A row to remove, by system; may be given more than once
    #[arg(long, value_name = "SYSTEM")]
    remove: Vec<Name>,
    /// A new last day of the mandate
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
}

#[derive(clap::Args)]
pub struct EndArgs {
    /// The operator
    operator: Text,
    /// Why
    #[arg(long, default_value = "contract end")]
    reason: Text,
}

#[derive(clap::Args)]
pub struct SettleArgs {
    /// OPERATOR/SYSTEM[/NAME]
    path: CredentialPath,
    /// What was done and when, or why it is accepted as it is
    #[arg(long, value_name = "TEXT")]
    because: Text,
    /// Who confirmed that it was changed on the platform [default: nobody: it is accepted as it is]
    #[arg(long, value_name = "WHO")]
    confirmed_by: Option<Text>,
}

#[derive(clap::Args)]
pub struct CloseArgs {
    /// The operator
    operator: Text,
    /// How long the evidence is kept [default: as the legal texts say: 3 years]
    #[arg(long, value_name = "YEARS")]
    retain_years: Option<u32>,
}

/// `OPERATOR/SYSTEM[/NAME]`.
#[derive(Clone, Debug)]
pub struct CredentialPath {
    /// The operator.
    pub operator: Text,
    /// The system or platform.
    pub system: Text,
    /// The credential's name under the row.
    pub name: Option<Text>,
}

impl std::str::FromStr for CredentialPath {
    type Err = String;
    fn from_str(path: &str) -> Result<Self, String> {
        let parts: Vec<&str> = path.split('/').collect();
        let part = |index: usize| Name::parse(parts[index]).map(|name| Text::parse(name.as_str()).unwrap_or_default());
        let bad = |error: crate::model::NameError| format!("a part of the path {error}");
        match parts.len() {
            2 => Ok(Self { operator: part(0).map_err(bad)?, system: part(1).map_err(bad)?, name: None }),
            3 => Ok(Self {
                operator: part(0).map_err(bad)?,
                system: part(1).map_err(bad)?,
                name: Some(part(2).map_err(bad)?),
            }),
            _ => Err("write OPERATOR/SYSTEM or OPERATOR/SYSTEM/NAME".into()),
        }
    }
}

impl std::fmt::Display for CredentialPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.operator, self.system)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}

/// Runs a mandate command.
///
/// # Errors
/// [`Failure`].
pub fn run(context: &mut Context<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Open(args) => open(context, args),
        Command::List => list(context),
        Command::Show(args) => {
            let view = context.program()?.ask::<MandateShowCall>(None, None, NameAsk { operator: args.operator })?;
            context.result(&view, || describe(&view))
        }
        Command::Read(args) => drafts::read(context, &args),
        Command::Import(args) => drafts::import(context, args),
        Command::Answer(args) => drafts::answer(context, args),
        Command::Activate(args) => drafts::activate(context, args),
        Command::Gaps(args) => drafts::gaps(context, args),
        Command::Permit(args) => people::permit(context, args),
        Command::Revoked(args) => closing::revoked(context, args),
        Command::Copies(args) => closing::copies(context, args),
        Command::Choice(args) => closing::choice(context, args),
        Command::Return(args) => closing::hand_back(context, args),
        Command::Amend(args) => amend(context, args),
        Command::End(args) => end(context, args),
        Command::Settle(args) => settle(context, args),
        Command::Close(args) => close(context, args),
    }
}

fn open(context: &mut Context<'_, '_>, args: OpenArgs) -> Result<(), Failure> {
    let rows = args.rows.as_deref().map(rows::read).transpose()?.unwrap_or_default();
    let (operator, count) = (args.operator.clone(), rows.len());
    let ask = MandateOpenAsk {
        operator: args.operator,
        contract: args.contract,
        signed: args.signed,
        until: args.until,
        zone: args.zone,
        jurisdiction: args.jurisdiction.into(),
        lead: args.lead,
        rows,
    };
    let unit = context.program()?.ask::<MandateOpenCall>(None, None, ask)?;
    let report = serde_json::json!({"operator": operator, "unit": unit, "rows": count});
    context.result(&report, || {
        let next = "Next: 'mandatum credential add OPERATOR/SYSTEM' for each login, then 'mandatum grant'.";
        format!("The mandate of {operator} is open with {count} rows.\n{next}")
    })
}

fn list(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let lines = context.program()?.ask::<MandateListCall>(None, None, Nothing {})?;
    context.result(&lines, || {
        let row = |line: &MandateLine| {
            vec![
                line.operator.to_string(),
                line.contract.to_string(),
                line.phase.clone(),
                line.until.to_string(),
                line.rows.to_string(),
                line.credentials.to_string(),
                line.leads.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
            ]
        };
        let heads = ["operator", "contract", "state", "ends (UTC)", "rows", "credentials", "leads"];
        table(&heads, lines.iter().map(row).collect())
    })
}

fn describe(view: &MandateView) -> String {
    let mandate = &view.mandate;
    let name = |id: &crate::model::MemberId| view.members.get(id).map_or("?".to_owned(), Name::to_string);
    let state = match &mandate.phase {
        Phase::Draft(draft) => format!("draft, {}", count(u64::from(draft.questions), "open question")),
        Phase::Active => "active".to_owned(),
        Phase::Ended(ended) => format!("ended {}", mandate.zone.show(ended.at)),
        Phase::Closed { at, .. } => format!("closed {}", mandate.zone.show(*at)),
    };
    let leads: Vec<String> = mandate.leads.iter().map(name).collect();
    let mut text = format!(
        "{} — contract {}, signed {}, until {} inclusive ({}), {state}\nlead: {}\n\n",
        mandate.operator,
        mandate.contract,
        mandate.signed,
        mandate.until,
        mandate.zone.as_str(),
        leads.join(", ")
    );
    let join = |texts: &[Text]| texts.iter().map(Text::as_str).collect::<Vec<_>>().join("; ");
    let levels = |levels: &std::collections::BTreeSet<crate::model::Level>| {
        levels.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ")
    };
    let row = |row: &crate::model::Row| {
        let credentials = mandate.credentials_of(row.id).count();
        let terms = &row.terms;
        let term = format!("{} – {}", terms.from, terms.until);
        let (data, purposes) = (join(&terms.data), join(&terms.purposes));
        vec![
            row.system.to_string(),
            row.platform.to_string(),
            data,
            levels(&terms.levels),
            purposes,
            term,
            credentials.to_string(),
        ]
    };
    let heads = ["system", "platform", "data", "levels", "purposes", "term", "credentials"];
    text.push_str(&table(&heads, mandate.live_rows().map(row).collect()));
    let grant = |grant: &crate::model::Grant| {
        let system = mandate.rows.iter().find(|row| row.id == grant.facts.row).map_or("?", |row| row.system.as_str());
        let state = match (&grant.ended, grant.destroyed) {
            (None, _) => "live".to_owned(),
            (Some(ended), None) => format!("ended {}", mandate.zone.show(ended.at)),
            (Some(ended), Some(_)) => format!("ended {}, key destroyed", mandate.zone.show(ended.at)),
        };
        let origin = if grant.facts.origin == crate::model::GrantOrigin::Lead { "lead" } else { "" };
        let until = mandate.zone.show(grant.facts.term.until);
        vec![name(&grant.facts.member), system.to_owned(), levels(&grant.facts.levels), until, state, origin.to_owned()]
    };
    text.push_str("\n\n");
    let heads = ["member", "system", "levels", "ends before", "state", ""];
    text.push_str(&table(&heads, mandate.grants.iter().map(grant).collect()));
    text
}

fn amend(context: &mut Context<'_, '_>, args: AmendArgs) -> Result<(), Failure> {
    let read = |path: Option<PathBuf>| path.as_deref().map(rows::read).transpose().map(Option::unwrap_or_default);
    let ask = MandateAmendAsk {
        operator: args.operator,
        add: read(args.add)?,
        set: read(args.set)?,
        remove: args.remove,
        until: args.until,
    };
    let view = context.program()?.ask::<MandateAmendCall>(None, None, ask)?;
    context.result(&view, || describe(&view))
}

fn end(context: &mut Context<'_, '_>, args: EndArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    context.confirm(&format!(
        "Ending the mandate of {} destroys its keys; nobody retrieves anything after.",
        args.operator
    ))?;
    // While they can still be fetched: tokens that their platforms take back.
    let revoked = closing::revoke_tokens(context, &program, &args.operator, None)?;
    revoked.iter().for_each(|line| context.say(line));
    let token = context.step_up(&mut program)?;
    let ask = ReasonAsk { operator: args.operator.clone(), reason: args.reason };
    let answer = program.ask::<MandateEndCall>(None, Some(token), ask)?;
    context.result(&answer, || {
        let mut text = format!("The mandate of {} is ended; {} destroyed.", args.operator, count(answer.destroyed, "key"));
        if answer.exposure.is_empty() {
            text.push_str(" Nothing opened is left unrotated: 'mandatum mandate close' settles it.");
        } else {
            text.push_str("\nOpened and not rotated since — have these changed on the platforms, then say so with 'mandatum mandate settle':\n");
            text.push_str(&exposure_table(&answer.exposure));
        }
        text
    })
}

fn settle(context: &mut Context<'_, '_>, args: SettleArgs) -> Result<(), Failure> {
    let path = args.path.clone();
    let ask = SettleAsk {
        operator: args.path.operator,
        system: Name::parse(args.path.system.as_str())?,
        credential: args.path.name.unwrap_or_default(),
        because: args.because,
        confirmed: args.confirmed_by,
    };
    context.program()?.ask::<MandateSettleCall>(None, None, ask)?;
    context.result(&serde_json::json!({"settled": path.to_string()}), || format!("{path} is settled."))
}

fn close(context: &mut Context<'_, '_>, args: CloseArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    context.confirm(&format!(
        "Closing the mandate of {} deletes its ciphertexts; only the records stay.",
        args.operator
    ))?;
    let view = program.mandate(args.operator.clone())?;
    let usual = drafts::law(context, view.mandate.jurisdiction)?.retention_years;
    let token = context.step_up(&mut program)?;
    let ask = CloseAsk { operator: args.operator.clone(), retain_years: args.retain_years.unwrap_or(usual) };
    let until = program.ask::<MandateCloseCall>(None, Some(token), ask)?;
    let report = serde_json::json!({"operator": args.operator, "retain_until": until});
    context
        .result(&report, || format!("The mandate of {} is closed. Its records are kept until {until}.", args.operator))
}
