//! `fetch`, `code`, `run`: the main job.

use super::clipboard;
use super::context::{Context, Remembered, today};
use super::credentials::REVOCATION;
use super::failure::Failure;
use super::mandates::CredentialPath;
use crate::agent::{Fetched, Fields, Program, Secret};
use crate::api::Located;
use crate::model::{Kind, Text};

/// Seconds until the clipboard is cleared, if it still holds the secret.
const CLIP_SECONDS: u64 = 30;

#[derive(clap::Args)]
pub struct FetchArgs {
    /// OPERATOR/SYSTEM[/NAME]
    path: CredentialPath,
    /// What for; may be left out where the row has one purpose, and is remembered for the day
    #[arg(long, value_name = "TEXT")]
    purpose: Option<Text>,
    /// Print one field alone: password, user, url, key, token, …
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["clip"])]
    field: Option<String>,
    /// Copy the secret; the clipboard is cleared after 30 s if unchanged
    #[arg(long)]
    clip: bool,
    /// Show the secret on the terminal
    #[arg(long)]
    show: bool,
}

#[derive(clap::Args)]
pub struct CodeArgs {
    /// OPERATOR/SYSTEM[/NAME]
    path: CredentialPath,
    /// What for
    #[arg(long, value_name = "TEXT")]
    purpose: Option<Text>,
}

#[derive(clap::Args)]
pub struct RunArgs {
    /// OPERATOR/SYSTEM[/NAME]
    path: CredentialPath,
    /// What for
    #[arg(long, value_name = "TEXT")]
    purpose: Option<Text>,
    /// A variable to set from a field; may be given more than once
    #[arg(long = "env", value_name = "NAME=FIELD", required = true, value_parser = parse_variable)]
    env: Vec<(String, String)>,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let fine = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match text.split_once('=') {
        Some((name, field)) if fine(name) && !field.is_empty() => Ok((name.to_owned(), field.to_owned())),
        _ => Err("write NAME=FIELD, such as DB_PASSWORD=password".into()),
    }
}

/// Where a fetched secret goes.
enum Way {
    Field(String),
    Clip,
    Show,
    Json,
}

/// Gets a login.
///
/// # Errors
/// Denied, with its code; usage where the secret has nowhere to go: before it is asked for.
pub fn fetch(context: &mut Context<'_, '_>, args: FetchArgs) -> Result<(), Failure> {
    let way = way(context, &args)?;
    let (program, remembered) = context.unlocked()?;
    let found = locate(&program, &args.path)?;
    let purpose = purpose(context, &found, args.purpose, remembered.as_ref())?;
    let fetched = program.fetch(&found, purpose.clone())?;
    remember(context, program, remembered, &found, purpose)?;
    hand_over(context, &found, &fetched, &way)
}

/// The way out, checked before anything is released: nothing secret reaches a terminal or a pipe unasked.
fn way(context: &mut Context<'_, '_>, args: &FetchArgs) -> Result<Way, Failure> {
    let terminal = context.terminal().stdout_is_terminal();
    if context.global.json {
        return match terminal && !args.show {
            true => {
                Err(Failure::usage("--json would print the secret on this terminal; add --show to do so, or pipe it"))
            }
            false => Ok(Way::Json),
        };
    }
    match &args.field {
        Some(field) if terminal && !args.show && !matches!(field.as_str(), "user" | "url") => {
            Err(Failure::usage("--field would print the secret on this terminal; add --show to do so, or pipe it"))
        }
        Some(field) => Ok(Way::Field(field.clone())),
        None if args.show => Ok(Way::Show),
        None if args.clip || terminal => Ok(Way::Clip),
        None => Err(Failure::usage("into a pipe a secret goes only with --field NAME or --json")),
    }
}

/// Finds the credential of a path.
///
/// # Errors
/// Not found; input where a name is needed.
pub fn locate(program: &Program, path: &CredentialPath) -> Result<Located, Failure> {
    let found = program.locate(path.operator.clone(), path.system.clone(), path.name.clone(), false)?;
    found.into_iter().next().ok_or_else(|| Failure::from(crate::api::Refusal::NotFound))
}

/// The purpose: given, remembered from today, the only one, or asked for.
fn purpose(
    context: &mut Context<'_, '_>,
    found: &Located,
    given: Option<Text>,
    remembered: Option<&Remembered>,
) -> Result<Option<Text>, Failure> {
    let day = today(context.now())?;
    let kept = remembered.and_then(|remembered| remembered.purpose(&memory_key(found), day));
    if given.is_some() || found.purposes.len() == 1 || !context.terminal().can_prompt() {
        return Ok(given.or(kept));
    }
    if kept.is_some() {
        return Ok(kept);
    }
    for (number, purpose) in (1..).zip(&found.purposes) {
        context.say(&format!("{number}. {purpose}"));
    }
    let answer = context.terminal().read_line("What for? [number] ")?;
    let chosen = answer.trim().parse::<usize>().ok().and_then(|number| found.purposes.get(number.checked_sub(1)?));
    chosen
        .cloned()
        .map(Some)
        .ok_or_else(|| Failure::usage("that is not one of the numbers; nothing was asked of the broker"))
}

fn memory_key(found: &Located) -> String {
    format!("{}/{}", found.unit, found.row)
}

fn remember(
    context: &mut Context<'_, '_>,
    program: Program,
    remembered: Option<Remembered>,
    found: &Located,
    purpose: Option<Text>,
) -> Result<(), Failure> {
    let day = today(context.now())?;
    let (Some(remembered), Some(purpose)) = (remembered, purpose) else { return Ok(()) };
    if found.purposes.len() == 1 || remembered.purpose(&memory_key(found), day).as_ref() == Some(&purpose) {
        return Ok(());
    }
    let places = context.places()?;
    let session = remembered.with(program, memory_key(found), purpose, day);
    context.sessions(&places).update(&session, &*context.edge.entropy)?;
    Ok(())
}

fn hand_over(context: &mut Context<'_, '_>, found: &Located, fetched: &Fetched, way: &Way) -> Result<(), Failure> {
    match way {
        Way::Field(name) => {
            let value = field(fetched, found.kind, name)?;
            print(context, &[value.expose(), b"\n"])
        }
        Way::Show => {
            let mut names: Vec<&str> = fetched.fields.names().filter(|name| *name != REVOCATION).collect();
            names.sort_by_key(|name| (*name != "url", *name != "user"));
            for name in names {
                let value = field(fetched, found.kind, name)?;
                print(context, &[name.as_bytes(), b": ", value.expose(), b"\n"])?;
            }
            Ok(())
        }
        Way::Json => {
            let fields = json_fields(&fetched.fields)?;
            let report = serde_json::json!({
                "operator": found.operator, "system": found.system, "name": found.name, "kind": found.kind,
                "version": fetched.version, "fields": fields,
            });
            context.result(&report, String::new)
        }
        Way::Clip => {
            let value = field(fetched, found.kind, found.kind.main_field())?;
            let copied = clipboard::hand_over(value, CLIP_SECONDS);
            for name in ["url", "user"] {
                if let Some(value) = fetched.fields.field(name).filter(|value| !value.is_empty()) {
                    let shown = super::terminal::escape(value.expose_str().unwrap_or(""));
                    context.say(&format!("{name}: {shown}"));
                }
            }
            copied.map_err(|error| {
                Failure::unexpected(error.to_string()).hint("--show prints it on the terminal instead")
            })?;
            let main = found.kind.main_field();
            context.say(&format!("The {main} is in the clipboard for {CLIP_SECONDS} s."));
            if found.second_factor == "on" {
                context.say("The two-factor code: 'mandatum code' with the same path.");
            }
            Ok(())
        }
    }
}

/// The one place where secrets become JSON: for a pipe that was asked for, and for what is sealed to an operator.
///
/// # Errors
/// A field that is no text: JSON has none, and an empty one in its place would be a wrong secret.
pub fn json_fields(fields: &Fields) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let text = |name: &str| {
        let value = fields.field(name).and_then(Secret::expose_str).map(str::to_owned);
        let sentence =
            format!("the field {name} is not text, and JSON has nothing else; --field {name} gives it as it is");
        value.map(|value| (name.to_owned(), value.into())).ok_or_else(|| Failure::unexpected(sentence))
    };
    fields.names().map(text).collect()
}

fn print(context: &mut Context<'_, '_>, parts: &[&[u8]]) -> Result<(), Failure> {
    // Joined in a buffer that is wiped.
    let line = Secret::new(parts.concat());
    context.terminal().out(line.expose())?;
    Ok(())
}

fn field<'a>(fetched: &'a Fetched, kind: Kind, name: &str) -> Result<&'a Secret, Failure> {
    // 'secret' and 'password' mean the main field of any kind.
    let wanted = if matches!(name, "secret" | "password") { kind.main_field() } else { name };
    fetched.fields.field(wanted).ok_or_else(|| {
        let names: Vec<&str> = fetched.fields.names().collect();
        Failure::usage(format!("there is no field '{name}'; there are: {}", names.join(", ")))
    })
}

/// Gets a code.
///
/// # Errors
/// Denied, with its code.
pub fn code(context: &mut Context<'_, '_>, args: CodeArgs) -> Result<(), Failure> {
    let (program, remembered) = context.unlocked()?;
    let found = locate(&program, &args.path)?;
    let purpose = purpose(context, &found, args.purpose, remembered.as_ref())?;
    let (code, seconds) = program.code(&found, purpose.clone())?;
    remember(context, program, remembered, &found, purpose)?;
    if context.global.json {
        return context.result(&serde_json::json!({"code": code, "seconds": seconds}), String::new);
    }
    // The code alone on standard output, so that it can be piped.
    context.terminal().out(format!("{code}\n").as_bytes())?;
    context.say(&format!("{seconds} s left"));
    Ok(())
}

/// Becomes a command with secrets in its environment only.
///
/// # Errors
/// Denied, with its code; where it cannot become the command and runs it, that one's exit code if it is not 0.
pub fn run(context: &mut Context<'_, '_>, args: RunArgs) -> Result<(), Failure> {
    let (program, remembered) = context.unlocked()?;
    let found = locate(&program, &args.path)?;
    let purpose = purpose(context, &found, args.purpose, remembered.as_ref())?;
    let fetched = program.fetch(&found, purpose.clone())?;
    remember(context, program, remembered, &found, purpose)?;
    let mut words = args.command.into_iter();
    let name = words.next().unwrap_or_default();
    let mut command = std::process::Command::new(&name);
    command.args(words);
    for (variable, name) in &args.env {
        let value = field(&fetched, found.kind, name)?;
        let value = value.expose_str().ok_or_else(|| Failure::usage(format!("the field '{name}' is not text")))?;
        command.env(variable, value);
    }
    // What unlocks the vault is not the command's business.
    for variable in ["MANDATUM_PASSPHRASE_FILE", "MANDATUM_OTP_COMMAND"] {
        command.env_remove(variable);
    }
    let status = (context.edge.hand_over)(&mut command)
        .map_err(|error| Failure::usage(format!("'{name}' cannot be run: {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Failure::of_child(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
    }
}
