//! `mandate read/import/answer/activate/gaps`: from a signed file to a mandate in force.

use super::context::Context;
use super::failure::{Failure, count};
use super::init::parse_zone;
use super::mandates::LawArg;
use super::terminal::table;
use crate::agent::{Program, hash};
use crate::api::{
    MandateActivateAsk, MandateActivateCall, MandateAnswerAsk, MandateAnswerCall, MandateImportAsk, MandateImportCall,
    MandateView, RowSpec,
};
use crate::model::{Blob, Date, Digest, Draft, Instant, Jurisdiction, Name, Text, Zone};
use crate::paperwork::catalogue::Catalogue;
use crate::paperwork::law::Law;
use crate::paperwork::read::{self, Opening, Origin, Outcome, Question, Reading, RowReading, Status, Unit};
use crate::paperwork::{Lang, Phrase, Wording};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct ReadArgs {
    /// The DOCX file
    file: PathBuf,
    /// Judge dates as of this day [default: today]
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// The operator's time zone
    #[arg(long, value_parser = parse_zone, default_value = "Europe/Moscow")]
    zone: Zone,
    /// Under which law its texts and clocks stand
    #[arg(long, value_enum, default_value_t)]
    jurisdiction: LawArg,
}

#[derive(clap::Args)]
pub struct ImportArgs {
    /// The DOCX file
    file: PathBuf,
    /// The operator [default: as the file names it]
    #[arg(long)]
    operator: Option<Name>,
    /// The operator's time zone [default: the agency's]
    #[arg(long, value_parser = parse_zone)]
    zone: Option<Zone>,
    /// Under which law its texts and clocks stand
    #[arg(long, value_enum, default_value_t)]
    jurisdiction: LawArg,
    /// Who leads it [default: you]
    #[arg(long, value_name = "NAME")]
    lead: Option<Name>,
    /// Import the same file once more
    #[arg(long)]
    again: bool,
}

#[derive(clap::Args)]
pub struct AnswerArgs {
    /// The operator
    operator: Text,
    /// The row's number; 0 is the document
    row: u32,
    /// The field asked about: term, level, system, purpose, data, category, platform, row, contract.end, …
    field: String,
    /// The answer, as it would stand in the document; confirm accepts what is asked about
    value: String,
}

#[derive(clap::Args)]
pub struct ActivateArgs {
    /// The operator
    operator: Text,
    /// When the mandate was signed [default: as the file says]
    #[arg(long, value_name = "DATE")]
    signed: Option<Date>,
    /// Its last day [default: as the file says, its own or the contract's, or the last row's]
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// The contract's number [default: as the file says]
    #[arg(long, value_name = "NO")]
    contract: Option<Text>,
}

#[derive(clap::Args)]
pub struct GapsArgs {
    /// The DOCX file
    file: PathBuf,
    /// Under which law
    #[arg(long, value_enum, default_value_t)]
    jurisdiction: LawArg,
}

/// The catalogue of platforms, with the agency's own file over it.
///
/// # Errors
/// Input naming the place in the agency's file.
pub fn catalogue(context: &Context<'_, '_>) -> Result<Catalogue, Failure> {
    let built_in = Catalogue::built_in().map_err(|error| Failure::unexpected(error.to_string()))?;
    match own_data(context, "platforms.toml")? {
        Some(text) => built_in.with_override(&text).map_err(|error| Failure::input("platforms.toml", error)),
        None => Ok(built_in),
    }
}

/// The legal texts and clocks, or the lawyer's own file in their place.
///
/// # Errors
/// Input naming the place in the file.
pub fn law(context: &Context<'_, '_>, jurisdiction: Jurisdiction) -> Result<Law, Failure> {
    let name = match jurisdiction {
        Jurisdiction::Ru => "law_ru.toml",
        Jurisdiction::Eu => "law_eu.toml",
    };
    match own_data(context, name)? {
        Some(text) => Law::parse(&text).map_err(|error| Failure::input(name, error)),
        None => Law::built_in(jurisdiction).map_err(|error| Failure::unexpected(error.to_string())),
    }
}

/// The wording of documents, with the agency's own file over it.
///
/// # Errors
/// Input naming the place in the file.
pub fn wording(context: &Context<'_, '_>) -> Result<Wording, Failure> {
    match own_data(context, "wording.toml")? {
        Some(text) => Wording::with(&text).map_err(|error| Failure::input("wording.toml", error)),
        None => Wording::built_in().map_err(|error| Failure::unexpected(error.to_string())),
    }
}

/// A file of the agency's own data, where there is one.
///
/// # Errors
/// Input where it is there and cannot be read.
pub fn own_data(context: &Context<'_, '_>, name: &str) -> Result<Option<String>, Failure> {
    let Some(dir) = context.data_dir() else { return Ok(None) };
    let path = dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::input(name, format!("{}: {error}", path.display()))),
    }
}

/// Reads a file and prints what was understood.
///
/// # Errors
/// Input with the code where the file is refused.
pub fn read(context: &mut Context<'_, '_>, args: &ReadArgs) -> Result<(), Failure> {
    let as_of = args.as_of.map_or_else(|| today(&args.zone, context.now()), Ok)?;
    let (reading, _) = reading(context, &args.file, as_of, &args.zone, args.jurisdiction.into())?;
    let lang = context.lang();
    context.result(&reading, || describe(&reading, lang))?;
    refused(&reading, lang)
}

fn reading(
    context: &Context<'_, '_>,
    file: &Path,
    as_of: Date,
    zone: &Zone,
    jurisdiction: Jurisdiction,
) -> Result<(Reading, Digest), Failure> {
    let bytes = file_bytes(file)?;
    let digest = hash(&bytes);
    let (catalogue, law) = (catalogue(context)?, law(context, jurisdiction)?);
    let origin = Origin { digest: Some(digest), repeated: false };
    Ok((read::read(&bytes, origin, as_of, zone, &catalogue, &law), digest))
}

/// A file's bytes, and of one that is too long only so much that its length is seen.
fn file_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let cannot = |error: std::io::Error| Failure::input("file", format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(cannot)?.take(read::FILE_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

fn today(zone: &Zone, now: Instant) -> Result<Date, Failure> {
    zone.date_of(now).ok_or_else(|| Failure::unexpected("the clock shows no date"))
}

fn refused(reading: &Reading, lang: Lang) -> Result<(), Failure> {
    if reading.status != Status::Rejected {
        return Ok(());
    }
    match reading.errors.first() {
        Some(error) => {
            let failure = Failure::input(&error.code, error.text.show(lang));
            Err(failure.hint(error.next.show(lang)))
        }
        None => Err(Failure::input("file", reading.message(lang))),
    }
}

/// What was read, for people.
pub fn describe(reading: &Reading, lang: Lang) -> String {
    let mut text = String::new();
    let facts = &reading.document;
    let or_blank = |value: &Option<String>| value.clone().unwrap_or_else(|| "____".to_owned());
    let date = |value: Option<Date>| value.map_or_else(|| "____".to_owned(), |date| date.to_string());
    text.push_str(&format!(
        "{}: {}\n{}: {}\n{}: {} / {} / {}\n\n",
        lang.pick("Оператор", "Operator"),
        or_blank(&facts.operator.name),
        lang.pick("Исполнитель", "Processor"),
        or_blank(&facts.processor.name),
        lang.pick("Договор: номер / дата / окончание", "Contract: number / date / end"),
        or_blank(&facts.contract.number),
        date(facts.contract.date),
        date(facts.contract.end),
    ));
    let row = |row: &RowReading| {
        let end = row.term.end.map_or_else(|| "?".to_owned(), |end| end.to_string());
        let levels: Vec<&str> = row.access_levels.iter().map(|level| level.raw.as_str()).collect();
        vec![
            row.row.to_string(),
            row.system_raw.clone(),
            row.platform.clone().unwrap_or_default(),
            row.data_categories.join("; "),
            levels.join("; "),
            row.purposes.join("; "),
            format!("{} → {end}", row.raw.term),
            outcome(row.outcome).to_owned(),
            row.issues.join(" "),
        ]
    };
    let heads = match lang {
        Lang::Ru => ["№", "система", "платформа", "данные", "уровень", "цель", "срок", "итог", "замечания"],
        Lang::En => ["#", "system", "platform", "data", "levels", "purposes", "term", "outcome", "remarks"],
    };
    text.push_str(&table(&heads, reading.rows.iter().map(row).collect()));
    for question in reading.open_questions() {
        text.push_str(&format!("\n\n{}", ask(question, lang)));
    }
    for code in &reading.warnings {
        text.push_str(&format!("\n{code}: {}", Reading::explain(code).show(lang)));
    }
    text.push_str(&format!("\n\n{}", reading.message(lang)));
    text
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accept => "accept",
        Outcome::Ask => "ask",
        Outcome::Reject => "reject",
    }
}

fn ask(question: &Question, lang: Lang) -> String {
    let row = question.row.unwrap_or(0);
    let mut text = format!("? {row} {}: {} {}", question.path, question.code, question.text.show(lang));
    if let Some(default) = &question.default {
        text.push_str(&format!(" [{default}]"));
    }
    if !question.choices.is_empty() {
        text.push_str(&format!(" ({})", question.choices.join(" | ")));
    }
    text.push_str(&format!("\n  → {}", question.next.show(lang)));
    text
}

/// Reads a file into a draft.
///
/// # Errors
/// Input with the code where the file is refused; nothing is stored then.
pub fn import(context: &mut Context<'_, '_>, args: ImportArgs) -> Result<(), Failure> {
    let (program, _) = context.unlocked()?;
    let zone = args.zone.clone().unwrap_or(Zone::parse("Europe/Moscow")?);
    let jurisdiction = args.jurisdiction.into();
    let as_of = today(&zone, context.now())?;
    let (reading, source) = reading(context, &args.file, as_of, &zone, jurisdiction)?;
    let lang = context.lang();
    refused(&reading, lang)?;
    let named = reading.document.operator.name.as_deref();
    let operator = match (args.operator, named) {
        (Some(operator), _) => operator,
        (None, Some(name)) => Name::parse(name).map_err(|error| {
            Failure::input("operator", format!("the name in the file {error}; give one with --operator NAME"))
        })?,
        (None, None) => return Err(Failure::usage("the file does not name the operator; give --operator NAME")),
    };
    let contract = match reading.document.contract.number.as_deref() {
        Some(number) => Text::parse(number)?,
        None => Text::default(),
    };
    let ask = MandateImportAsk {
        operator: operator.clone(),
        contract,
        zone: args.zone,
        jurisdiction,
        lead: args.lead,
        draft: Draft { source, questions: questions(&reading), reading: encode(&reading)? },
        again: args.again,
    };
    program.ask::<MandateImportCall>(None, None, ask)?;
    let open = questions(&reading);
    let report = serde_json::json!({"operator": operator, "sha256": source, "questions": open, "reading": reading});
    context.result(&report, || {
        let next = match open {
            0 => "Next: 'mandatum mandate activate'.".to_owned(),
            open => format!(
                "{} to answer: 'mandatum mandate answer OPERATOR ROW FIELD VALUE'.",
                count(u64::from(open), "question")
            ),
        };
        format!("{}\n\nThe draft of {operator} is on file. {next}", describe(&reading, lang))
    })
}

fn questions(reading: &Reading) -> u32 {
    u32::try_from(reading.open_questions().len()).unwrap_or(u32::MAX)
}

fn encode(reading: &Reading) -> Result<Blob, Failure> {
    serde_json::to_vec(reading).map(Blob).map_err(|error| Failure::unexpected(error.to_string()))
}

/// The draft's reading.
fn drafted(view: &MandateView) -> Result<Reading, Failure> {
    let draft = view.mandate.draft();
    let draft = draft.ok_or_else(|| Failure::input("operator", "has no draft; 'mandatum mandate import' makes one"))?;
    serde_json::from_slice(&draft.reading.0)
        .map_err(|_| Failure::input("draft", "was written by another version; import the file again"))
}

fn view_of_draft(program: &Program, operator: &Text) -> Result<MandateView, Failure> {
    // An active mandate of the same operator would be shown first.
    let by_draft = Text::parse(&format!("{operator}#draft"))?;
    program.mandate(by_draft).or_else(|_| program.mandate(operator.clone())).map_err(Failure::from)
}

/// Answers a question about a draft.
///
/// # Errors
/// Input where the answer is none; the draft is unchanged then.
pub fn answer(context: &mut Context<'_, '_>, args: AnswerArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let view = view_of_draft(&program, &args.operator)?;
    let mut reading = drafted(&view)?;
    let (catalogue, law) = (catalogue(context)?, law(context, view.mandate.jurisdiction)?);
    let lang = context.lang();
    reading
        .answer(args.row, &args.field, &args.value, &catalogue, &law)
        .map_err(|refusal| Failure::input(&refusal.code, refusal.text.show(lang)).hint(refusal.next.show(lang)))?;
    let open = questions(&reading);
    let answered = MandateAnswerAsk { operator: args.operator, questions: open, reading: encode(&reading)? };
    program.ask::<MandateAnswerCall>(None, None, answered)?;
    context.result(&serde_json::json!({"questions": open, "reading": reading}), || {
        let asked: Vec<String> = reading.open_questions().iter().map(|question| ask(question, lang)).collect();
        match open {
            0 => "Every question is answered. Next: 'mandatum mandate activate'.".to_owned(),
            open => format!("{} left:\n{}", count(u64::from(open), "question"), asked.join("\n")),
        }
    })
}

/// Puts a draft in force.
///
/// # Errors
/// Input while a question is open or a date is not known.
pub fn activate(context: &mut Context<'_, '_>, args: ActivateArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    let view = view_of_draft(&program, &args.operator)?;
    let reading = drafted(&view)?;
    let lang = context.lang();
    if !reading.open_questions().is_empty() {
        reading.open_questions().iter().for_each(|question| context.say(&ask(question, lang)));
        let sentence = format!("questions about it are open: {}", questions(&reading));
        return Err(
            Failure::input("mandate", sentence).hint("'mandatum mandate answer OPERATOR ROW FIELD VALUE' answers")
        );
    }
    let source = view.mandate.draft().map(|draft| draft.source).unwrap_or(Digest([0; 32]));
    let facts = &reading.document;
    let signed = args.signed.or(facts.mandate_signed_on).ok_or_else(|| {
        Failure::usage("the file does not say when the mandate was signed; give --signed DATE, as on the signed paper")
    })?;
    let contract = match (args.contract, facts.contract.number.as_deref()) {
        (Some(contract), _) => contract,
        (None, Some(number)) => Text::parse(number)?,
        (None, None) => return Err(Failure::usage("the file does not name the contract's number; give --contract NO")),
    };
    let active = reading.rows_to_activate();
    for row in reading.rows.iter().filter(|row| active.iter().all(|taken| taken.row != row.row)) {
        context.say(&format!("row {} ({}) stays out: {}", row.row, row.system_raw, row.issues.join(" ")));
    }
    let last = active.iter().filter_map(|row| match row.opening {
        Opening::Days { until, .. } => Some(until),
        Opening::OnGrant { not_after, .. } => not_after,
    });
    let until = args
        .until
        .or(facts.last_day())
        .or(last.max())
        .ok_or_else(|| Failure::usage("no last day is known; give --until DATE, the contract's last day"))?;
    let rows =
        active.into_iter().map(|row| spec(row, signed, until, &catalogue(context)?)).collect::<Result<Vec<_>, _>>()?;
    context.confirm(&format!(
        "You confirm that the file with SHA-256 {source} is the signed mandate of {}; {} come into force.",
        view.mandate.operator,
        count(u64::try_from(rows.len()).unwrap_or(0), "row")
    ))?;
    let token = context.step_up(&mut program)?;
    let ask = MandateActivateAsk { operator: args.operator, contract, signed, until, source, rows };
    let view = program.ask::<MandateActivateCall>(None, Some(token), ask)?;
    context.result(&view, || {
        format!(
            "The mandate of {} is in force until {until}.\nNext: 'mandatum credential add OPERATOR/SYSTEM'.",
            view.mandate.operator
        )
    })
}

/// Days of a month and of a year that counts from the grant: the fewest there can be, so that access never outlasts it.
const MONTH_DAYS: u32 = 28;
const YEAR_DAYS: u32 = 365;

fn spec(row: read::Active, signed: Date, until: Date, catalogue: &Catalogue) -> Result<RowSpec, Failure> {
    let (from, last, grant_days) = match row.opening {
        Opening::Days { from, until } => (from, until, None),
        Opening::OnGrant { amount, unit, not_before, not_after } => {
            let days = match unit {
                Unit::Day => amount,
                Unit::Week => amount.saturating_mul(7),
                Unit::Month => amount.saturating_mul(MONTH_DAYS),
                Unit::Year => amount.saturating_mul(YEAR_DAYS),
            };
            (not_before, not_after.unwrap_or(until), Some(days))
        }
    };
    let platform =
        catalogue.platform(row.platform.as_str()).map_or_else(|| row.platform.to_string(), |p| p.name.clone());
    Ok(RowSpec {
        system: row.system,
        category: Text::parse(row.category.name())?,
        platform: if platform.is_empty() { Text::default() } else { Text::parse(&platform)? },
        data: row.data,
        levels: row.levels,
        purposes: row.purposes,
        // Access never begins before the signature.
        from: Some(from.max(signed)),
        until: Some(last.min(until)),
        grant_days,
    })
}

/// Lists what the instruction lacks.
///
/// # Errors
/// Input with the code where the file is refused.
pub fn gaps(context: &mut Context<'_, '_>, args: GapsArgs) -> Result<(), Failure> {
    let zone = Zone::parse("Europe/Moscow")?;
    let as_of = today(&zone, context.now())?;
    let (reading, _) = reading(context, &args.file, as_of, &zone, args.jurisdiction.into())?;
    let lang = context.lang();
    refused(&reading, lang)?;
    context.result(&reading.gaps, || {
        let show = |phrase: &Phrase| phrase.show(lang).to_owned();
        let gap = |gap: &crate::paperwork::gaps::Gap| {
            format!("{} ({}, {})\n  {}\n  → {}", gap.code, gap.law, gap.as_of, show(&gap.title), show(&gap.clause))
        };
        match reading.gaps.is_empty() {
            true => lang
                .pick(
                    "По правилам этого списка ничего не пропущено. Это не юридическое заключение.",
                    "By the rules of this list nothing is left out. This is no legal opinion.",
                )
                .to_owned(),
            false => reading.gaps.iter().map(gap).collect::<Vec<_>>().join("\n\n"),
        }
    })
}
