//! `credential import`: many credentials from a file of JSON lines.

use super::context::Context;
use super::credentials::{Given, Input, Looks, judge, looks, new_secret, reused, row_of, second_factor};
use super::failure::{Failure, count};
use crate::agent::{NewSecret, Program, Secret};
use crate::api::MandateView;
use crate::ledger::on_all_cores;
use crate::model::{Kind, ReuseTag, Row, Text};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// Credentials stored in one step: all of them or none.
const BATCH: usize = 500;
/// The longest line, bytes.
const LINE_MAX: u64 = 256 * 1024;

#[derive(clap::Args)]
pub struct Args {
    /// One JSON object a line: operator, system, name, secret, user, url, kind, totp, totp_elsewhere, no_totp, allow_weak, fields
    file: PathBuf,
}

#[derive(Deserialize)]
struct Line {
    operator: Text,
    system: Text,
    #[serde(default)]
    name: Text,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// A line on its way.
struct Item {
    number: u64,
    system: Text,
    name: Text,
    given: Given,
    tag: Option<ReuseTag>,
}

/// Imports a file. Lines that are not right are named, and the others are stored; run again with the corrected lines.
///
/// # Errors
/// Input naming the bad lines, after everything else was stored.
pub fn import(context: &mut Context<'_, '_>, args: Args) -> Result<(), Failure> {
    let (program, _) = context.unlocked()?;
    let open = |path: &PathBuf| std::fs::File::open(path).map(BufReader::new);
    let cannot = |error: std::io::Error| Failure::input("file", format!("{}: {error}", args.file.display()));
    let total = open(&args.file).and_then(count_lines).map_err(cannot)?;
    let mut run = Run { bad: Vec::new(), stored: 0, views: BTreeMap::new(), program };
    let progress = context.terminal().progress("storing", total);
    let mut reader = open(&args.file).map_err(cannot)?;
    let mut batches: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for number in 1.. {
        let Some(line) = next_line(&mut reader).map_err(cannot)? else { break };
        if line.is_empty() {
            continue;
        }
        let parsed = ImportLine::parse(&line, context.now());
        match parsed.and_then(|line| tagged(&run.program, number, line)) {
            Ok((operator, item)) => {
                let batch = batches.entry(operator.folded()).or_default();
                batch.push(item);
                if batch.len() == BATCH {
                    let batch = std::mem::take(batch);
                    run.store(context, &operator, batch);
                }
                run.views.entry(operator.folded()).or_insert((operator, None));
            }
            Err(why) => run.bad.push((number, why)),
        }
        progress.set(number);
    }
    for (folded, batch) in batches {
        if let Some((operator, _)) = run.views.get(&folded) {
            let operator = operator.clone();
            run.store(context, &operator, batch);
        }
    }
    drop(progress);
    run.bad.sort();
    let report = serde_json::json!({
        "stored": run.stored,
        "refused": run.bad.iter().map(|(line, why)| serde_json::json!({"line": line, "why": why})).collect::<Vec<_>>(),
    });
    for (number, why) in run.bad.iter().take(20) {
        context.say(&format!("line {number}: {why}"));
    }
    let stored = run.stored;
    context.result(&report, || format!("Stored: {}.", count(stored, "credential")))?;
    match run.bad.len() {
        0 => Ok(()),
        n => Err(Failure::input(
            "file",
            format!("refused: {n}; nothing of those lines was stored; correct them and import them again"),
        )),
    }
}

/// An import under way.
struct Run {
    bad: Vec<(u64, String)>,
    stored: u64,
    views: BTreeMap<String, (Text, Option<MandateView>)>,
    program: Program,
}

impl Run {
    fn store(&mut self, context: &mut Context<'_, '_>, operator: &Text, batch: Vec<Item>) {
        let numbers: Vec<u64> = batch.iter().map(|item| item.number).collect();
        if let Err(failure) = self.try_store(context, operator, batch) {
            // Nothing of the batch was stored; every line of it that was not named yet is.
            let named: HashSet<u64> = self.bad.iter().map(|(number, _)| *number).collect();
            let why = failure.to_string();
            self.bad.extend(numbers.into_iter().filter(|n| !named.contains(n)).map(|n| (n, why.clone())));
        }
    }

    fn try_store(&mut self, context: &mut Context<'_, '_>, operator: &Text, batch: Vec<Item>) -> Result<(), Failure> {
        let view = self.program.mandate(operator.clone())?;
        let tags: Vec<ReuseTag> = batch.iter().filter_map(|item| item.tag).collect();
        let mut reuse = reused(&self.program, &view, &tags)?;
        let mut names: HashSet<(crate::model::RowId, String)> =
            view.mandate.credentials.iter().map(|c| (c.row, c.name.folded())).collect();
        let mut news: Vec<NewSecret> = Vec::with_capacity(batch.len());
        let looks = on_all_cores(&batch, |item| {
            row_of(&view, item.system.as_str()).map(|row| (row, looks(&item.given, &view, row)))
        });
        for (item, looks) in batch.into_iter().zip(looks) {
            match prepare(context, looks, item, &mut reuse, &mut names) {
                Ok(new) => news.push(new),
                Err((number, failure)) => self.bad.push((number, failure.to_string())),
            }
        }
        let count = u64::try_from(news.len()).unwrap_or(0);
        if count > 0 {
            self.program.add_credentials(view.mandate.unit, news)?;
        }
        self.stored += count;
        Ok(())
    }
}

fn prepare(
    context: &mut Context<'_, '_>,
    looks: Result<(&Row, Looks), Failure>,
    item: Item,
    reuse: &mut BTreeMap<ReuseTag, String>,
    names: &mut HashSet<(crate::model::RowId, String)>,
) -> Result<NewSecret, (u64, Failure)> {
    let number = item.number;
    let named = |failure: Failure| (number, failure);
    let (row, looks) = looks.map_err(named)?;
    if !names.insert((row.id, item.name.folded())) {
        return Err(named(Failure::input("name", "a credential of this name exists under the row")));
    }
    let version = match item.tag {
        Some(tag) => {
            let judged = judge(&item.given, &looks, tag, reuse.get(&tag), 1).map_err(named)?;
            reuse.entry(tag).or_insert_with(|| format!("it stands on line {number} too"));
            Some(judged)
        }
        None => None,
    };
    let row = row.id;
    Ok(new_secret(context, item.given, row, item.name, version))
}

/// A line as it says.
pub struct ImportLine {
    operator: Text,
    system: Text,
    name: Text,
    given: Given,
}

impl ImportLine {
    /// Parses a line; nothing of its secrets is in what is said of a bad one.
    ///
    /// # Errors
    /// What is not right with it.
    pub fn parse(line: &[u8], now: crate::model::Instant) -> Result<Self, String> {
        let bad = |error: serde_json::Error| {
            format!("is not one JSON object of the known fields (column {})", error.column())
        };
        let Line { operator, system, name, rest } = serde_json::from_slice(line).map_err(bad)?;
        let input: Input = serde_json::from_value(rest.into()).map_err(|error| {
            // serde names the field; never its value.
            let said = error.to_string();
            if said.starts_with("unknown field") { said } else { "has a field of another type than documented".into() }
        })?;
        let kind = input.kind.unwrap_or(Kind::Login);
        let secret = input.secret.as_ref().map(|secret| Secret::copy_of(secret.as_bytes()));
        if secret.as_ref().is_none_or(Secret::is_empty) != (kind == Kind::Delegated) {
            return Err("secret: every kind but delegated has one, and it is not empty".into());
        }
        let second_factor = second_factor(input.totp, input.totp_elsewhere, input.no_totp, now)
            .map_err(|failure| failure.to_string())?;
        let given = Given {
            secret,
            generated: false,
            user: input.user.unwrap_or_default(),
            url: input.url.unwrap_or_default(),
            kind,
            second_factor,
            allow_weak: input.allow_weak,
            revocation: input.revocation,
            because: input.because,
            fields: input.fields,
        };
        Ok(Self { operator, system, name, given })
    }
}

fn tagged(program: &Program, number: u64, line: ImportLine) -> Result<(Text, Item), String> {
    let ImportLine { operator, system, name, given } = line;
    let tag = given.secret.as_ref().map(|secret| program.reuse_tag(secret)).transpose();
    let tag = tag.map_err(|error| error.to_string())?;
    Ok((operator, Item { number, system, name, given, tag }))
}

/// How many lines there are. One is held at a time: a file may be one line of gigabytes, which is refused here, before
/// anything of it is stored.
fn count_lines(mut reader: impl BufRead) -> std::io::Result<u64> {
    let mut lines = 0;
    while next_line(&mut reader)?.is_some() {
        lines += 1;
    }
    Ok(lines)
}

/// The next line without its end; an endless one is refused rather than read.
fn next_line(reader: &mut impl BufRead) -> std::io::Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
    let mut line = zeroize::Zeroizing::new(Vec::with_capacity(1024));
    let read = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && u64::try_from(read).unwrap_or(0) == LINE_MAX {
        return Err(std::io::Error::other("a line is longer than 256 KiB"));
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(line))
}
