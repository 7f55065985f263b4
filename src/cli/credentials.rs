//! `credential …`: stored logins, keys and tokens.

use super::context::{Context, read_secret_file};
use super::drafts::catalogue;
use super::failure::Failure;
use super::fetch::locate;
use super::generate;
use super::import;
use super::mandates::CredentialPath;
use super::strength;
use super::terminal::{table, trim_secret};
use crate::agent::{Fields, NewSecret, Program, Secret, Seed};
use crate::api::{CredentialLine, CredentialListCall, Located, MandateView, OptionalNameAsk, ReuseAsk, ReuseCall};
use crate::model::{
    CredentialFacts, CredentialId, Digest, Kind, NewVersion, ReuseTag, RevocationPoint, Row, SecondFactor, Strength,
    Text,
};
use crate::paperwork::catalogue::{Catalogue, Found, Platform};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Store a credential under a row
    Add(AddArgs),
    /// Replace a credential's secret or its second factor; closes its exposure
    Rotate(RotateArgs),
    /// Show a credential without its secret
    Show(ShowArgs),
    /// List credentials without secrets
    List(ListArgs),
    /// Add many from a file of JSON lines, with progress; a bad line is named and nothing of it is stored
    Import(import::Args),
}

/// Where a secret comes from; never from the command line itself.
#[derive(clap::Args, Clone, Default)]
pub struct SourceArgs {
    /// Generate one: 24 characters, or as many as given
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, default_missing_value = "24", conflicts_with_all = ["words", "secret_file", "input"])]
    generate: Option<usize>,
    /// Generate seven words
    #[arg(long, conflicts_with_all = ["secret_file", "input"])]
    words: bool,
    /// Read the secret from a file, or from standard input with '-'
    #[arg(long, value_name = "FILE|-", conflicts_with = "input")]
    secret_file: Option<PathBuf>,
    /// Read one JSON object from a file or '-': secret, user, url, kind, totp, fields
    #[arg(long, value_name = "FILE|-")]
    input: Option<PathBuf>,
    /// Read the account's otpauth:// URI or its bare key from a file, or from standard input with '-'
    #[arg(long, value_name = "FILE|-")]
    totp_file: Option<PathBuf>,
    /// The account's code goes to this person's device
    #[arg(long, value_name = "WHO", conflicts_with = "totp_file")]
    totp_elsewhere: Option<Text>,
    /// The platform offers no second factor: say how you know
    #[arg(long, value_name = "REASON", conflicts_with_all = ["totp_file", "totp_elsewhere"])]
    no_totp: Option<Text>,
    /// Store a weak or reused secret all the same: say why
    #[arg(long, value_name = "REASON")]
    allow_weak: Option<Text>,
}

#[derive(clap::Args)]
pub struct AddArgs {
    /// OPERATOR/SYSTEM[/NAME]
    path: CredentialPath,
    /// What it is
    #[arg(long, default_value = "login", value_parser = parse_kind)]
    kind: Kind,
    /// The account it opens
    #[arg(long, value_name = "TEXT")]
    user: Option<Text>,
    /// Where it is used
    #[arg(long, value_name = "URL")]
    url: Option<Text>,
    /// Why one of the worst kinds of access is taken, where a better one would do
    #[arg(long, value_name = "TEXT")]
    because: Option<Text>,
    /// Nobody knows yet whether the account has a second factor: it stays on the list of findings
    #[arg(long, conflicts_with_all = ["totp_file", "totp_elsewhere", "no_totp"])]
    totp_unknown: bool,
    #[command(flatten)]
    revocation: RevocationArgs,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(clap::Args)]
pub struct RotateArgs {
    /// OPERATOR/SYSTEM[/NAME]
    path: CredentialPath,
    /// Change only the second factor, not the secret
    #[arg(long)]
    totp_only: bool,
    #[command(flatten)]
    revocation: RevocationArgs,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(clap::Args)]
struct RevocationArgs {
    /// Where an OAuth token is revoked (RFC 7009) [default: as the platform catalogue says]
    #[arg(long, value_name = "URL")]
    revocation_url: Option<Text>,
    /// A harmless call that needs the token, or an introspection endpoint: proves that a revoked token is dead
    #[arg(long, value_name = "URL", requires = "revocation_url")]
    probe_url: Option<Text>,
    /// The client the OAuth token was issued to
    #[arg(long, value_name = "ID")]
    client_id: Option<Text>,
}

#[derive(clap::Args)]
pub struct ShowArgs {
    /// OPERATOR/SYSTEM[/NAME]
    path: CredentialPath,
}

#[derive(clap::Args)]
pub struct ListArgs {
    /// The operator [default: all in sight]
    operator: Option<Text>,
}

/// A kind of credential as an argument.
pub fn parse_kind(text: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.map(Kind::name).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| format!("kinds are {}", names()))
}

/// Runs a credential command.
///
/// # Errors
/// [`Failure`].
pub fn run(context: &mut Context<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(context, args),
        Command::Rotate(args) => rotate(context, args),
        Command::Show(args) => show(context, &args),
        Command::List(args) => list(context, args),
        Command::Import(args) => import::import(context, args),
    }
}

/// One JSON object that describes a credential's secret.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// The main secret.
    pub secret: Option<zeroize::Zeroizing<String>>,
    /// The account.
    pub user: Option<Text>,
    /// Where it is used.
    pub url: Option<Text>,
    /// What it is.
    pub kind: Option<Kind>,
    /// An otpauth URI or bare key.
    pub totp: Option<zeroize::Zeroizing<String>>,
    /// Whose device the code goes to.
    pub totp_elsewhere: Option<Text>,
    /// Why there is no second factor.
    pub no_totp: Option<Text>,
    /// Why a weak or reused secret is accepted.
    pub allow_weak: Option<Text>,
    /// Why one of the worst kinds of access is taken.
    pub because: Option<Text>,
    /// Where an OAuth token is revoked.
    pub revocation: Option<RevocationPoint>,
    /// Further secret fields.
    pub fields: BTreeMap<String, zeroize::Zeroizing<String>>,
}

/// A secret as it was given, before it is judged.
pub struct Given {
    /// The main secret; none for delegated access.
    pub secret: Option<Secret>,
    /// Whether this program generated it.
    pub generated: bool,
    /// The account.
    pub user: Text,
    /// Where it is used.
    pub url: Text,
    /// What it is.
    pub kind: Kind,
    /// The second factor's state and seed, if anything was said of it.
    pub second_factor: Option<(SecondFactor, Option<Secret>)>,
    /// Why a weak or reused secret is accepted.
    pub allow_weak: Option<Text>,
    /// Where an OAuth token is revoked.
    pub revocation: Option<RevocationPoint>,
    /// Why one of the worst kinds of access is taken.
    pub because: Option<Text>,
    /// Further secret fields.
    pub fields: BTreeMap<String, zeroize::Zeroizing<String>>,
}

fn add(context: &mut Context<'_, '_>, args: AddArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let view = program.mandate(args.path.operator.clone())?;
    let row = row_of(&view, args.path.system.as_str())?.clone();
    let mut given = given(context, &args.source, args.kind, args.user, args.url, &args.path.to_string())?;
    given.because = given.because.or(args.because);
    let advice = advise(context, &row, &given, args.totp_unknown)?;
    if given.revocation.is_none() {
        given.revocation = revocation(advice.as_ref(), given.kind, args.revocation);
    }
    let version = match &given.secret {
        Some(secret) => {
            let tag = program.reuse_tag(secret)?;
            let reuse = reused(&program, &view, std::slice::from_ref(&tag))?;
            Some(judge(&given, &looks(&given, &view, &row), tag, reuse.get(&tag), 1)?)
        }
        None => None,
    };
    let warning = version.as_ref().and_then(|version| version.allowed_weak.clone());
    let name = args.path.name.clone().unwrap_or_default();
    let new = new_secret(context, given, row.id, name, version);
    program.add_credentials(view.mandate.unit, vec![new])?;
    let path = args.path.to_string();
    context.result(&serde_json::json!({"stored": path, "allowed_weak": warning}), || format!("{path} is stored."))
}

/// From this rank of the ladder on, access needs a reason.
const WORST: u8 = 5;

/// What the catalogue says of the platform: what to prefer, what to know, what must be said.
///
/// # Errors
/// Input where one of the worst kinds is taken without a reason; usage where nothing is said of the second factor.
fn advise(
    context: &mut Context<'_, '_>,
    row: &Row,
    given: &Given,
    totp_unknown: bool,
) -> Result<Option<Platform>, Failure> {
    let (catalogue, lang) = (catalogue(context)?, context.lang());
    let platform = platform_of(&catalogue, row).cloned();
    let prefer = platform.as_ref().map_or(&catalogue.generic().delegated, |platform| &platform.delegated);
    let of_ladder = match given.kind {
        Kind::Delegated => 1,
        Kind::OauthToken => 2,
        Kind::ApiKey => 3,
        Kind::Login | Kind::Note | Kind::RecoveryCodes => 4,
        Kind::BotToken | Kind::Webhook => WORST,
    };
    let listed = platform.as_ref().and_then(|p| p.access.iter().find(|access| access.kind == given.kind));
    let rank = listed.map_or(of_ladder, |access| access.rank);
    if rank >= WORST && given.because.as_ref().is_none_or(|because| because.is_empty()) {
        let sentence = format!(
            "{} is one of the worst kinds of access: unscoped, or without an end; say why with --because TEXT",
            given.kind.name()
        );
        return Err(Failure::input("because", sentence).hint(prefer.show(lang)));
    }
    if given.kind != Kind::Delegated && !prefer.show(lang).is_empty() {
        context.say(&format!("{}: {}", lang.pick("Лучше без секрета", "Better without a secret"), prefer.show(lang)));
    }
    for warning in platform.iter().flat_map(|platform| &platform.warnings) {
        context.say(&format!("! {}", warning.show(lang)));
    }
    let has_account = matches!(given.kind, Kind::Login | Kind::Delegated);
    if has_account && given.second_factor.is_none() && !totp_unknown {
        return Err(Failure::usage(
            "say what the account's second factor is: --totp-file FILE, --totp-elsewhere WHO, --no-totp REASON, or --totp-unknown",
        ));
    }
    Ok(platform)
}

/// The platform of a row, where the catalogue has it.
fn platform_of<'a>(catalogue: &'a Catalogue, row: &Row) -> Option<&'a Platform> {
    let named = if row.platform.is_empty() { row.system.as_str() } else { row.platform.as_str() };
    match catalogue.find(named) {
        Found::Platform(platform) => Some(platform),
        _ => None,
    }
}

/// Where an OAuth token is revoked: as given, or as the catalogue knows.
fn revocation(platform: Option<&Platform>, kind: Kind, args: RevocationArgs) -> Option<RevocationPoint> {
    if kind != Kind::OauthToken {
        return None;
    }
    let RevocationArgs { revocation_url: endpoint, probe_url: probe, client_id: client } = args;
    let text = |url: &Option<String>| url.as_deref().and_then(|url| Text::parse(url).ok());
    let endpoint = endpoint.or_else(|| platform.and_then(|platform| text(&platform.rfc7009)))?;
    let probe = probe.or_else(|| platform.and_then(|platform| text(&platform.probe))).unwrap_or_default();
    Some(RevocationPoint { endpoint, probe, client: client.unwrap_or_default() })
}

/// The credential's facts and sealed parts, ready for the member's program.
pub fn new_secret(
    context: &mut Context<'_, '_>,
    given: Given,
    row: crate::model::RowId,
    name: Text,
    version: Option<NewVersion>,
) -> NewSecret {
    let mut id = [0; 16];
    context.edge.entropy.fill(&mut id);
    let (second_factor, seed) = given.second_factor.unwrap_or((SecondFactor::Unknown, None));
    let facts = CredentialFacts {
        id: CredentialId(id),
        row,
        name,
        kind: given.kind,
        account: given.user.clone(),
        url: given.url.clone(),
        second_factor,
        revocation: given.revocation.clone(),
        because: given.because.clone(),
        version,
    };
    let Given { kind, secret, user, url, revocation, fields: more, .. } = given;
    let fields = secret.map(|secret| fields(kind, secret, (&user, &url), revocation.as_ref(), more));
    NewSecret { facts, fields, seed }
}

/// Where a token is revoked, sealed beside it: the broker names the place too, and a token is only ever sent where its
/// author said.
pub const REVOCATION: &str = "revocation";

/// A revocation point as it is sealed.
pub fn encode_point(point: &RevocationPoint) -> Vec<u8> {
    serde_json::to_vec(point).unwrap_or_default()
}

fn fields(
    kind: Kind,
    secret: Secret,
    (user, url): (&Text, &Text),
    revocation: Option<&RevocationPoint>,
    more: BTreeMap<String, zeroize::Zeroizing<String>>,
) -> Fields {
    let mut fields = Fields::default().with(kind.main_field(), secret);
    for (name, text) in [("user", user), ("url", url)] {
        if !text.is_empty() {
            fields = fields.with(name, Secret::copy_of(text.as_str().as_bytes()));
        }
    }
    if let Some(point) = revocation {
        fields = fields.with(REVOCATION, Secret::new(encode_point(point)));
    }
    more.into_iter().fold(fields, |fields, (name, value)| fields.with(&name, Secret::copy_of(value.as_bytes())))
}

fn rotate(context: &mut Context<'_, '_>, args: RotateArgs) -> Result<(), Failure> {
    let (program, _) = context.unlocked()?;
    let found = locate(&program, &args.path)?;
    let view = program.mandate(args.path.operator.clone())?;
    let row = row_of(&view, found.system.as_str())?.clone();
    if args.totp_only {
        let given = second_factor_of(context, &args.source, None)?;
        let given = given.ok_or_else(|| {
            Failure::usage("say what the second factor is: --totp-file, --totp-elsewhere or --no-totp")
        })?;
        program.rotate(&found, None, Some(given))?;
        return context.result(&serde_json::json!({"second_factor": args.path.to_string()}), || {
            "The second factor is changed.".into()
        });
    }
    let (user, url) = (Some(found.account.clone()), Some(found.url.clone()));
    let given = given(context, &args.source, found.kind, user, url, &args.path.to_string())?;
    let secret = given.secret.as_ref().ok_or_else(|| {
        Failure::input(
            "credential",
            "a delegated access has no secret to rotate; 'mandatum mandate settle' says what was done",
        )
    })?;
    let tag = program.reuse_tag(secret)?;
    let reuse = reused(&program, &view, std::slice::from_ref(&tag))?;
    let facts = judge(&given, &looks(&given, &view, &row), tag, reuse.get(&tag), found.version + 1)?;
    let number = facts.number;
    let Given { secret, user, url, second_factor, revocation: stated, fields: more, .. } = given;
    let secret = secret.ok_or_else(|| Failure::unexpected("the secret is gone"))?;
    // Not what the broker says of it: from the options or the catalogue, as when it was added.
    let catalogue = catalogue(context)?;
    let point = stated.or_else(|| revocation(platform_of(&catalogue, &row), found.kind, args.revocation));
    let sealed = fields(found.kind, secret, (&user, &url), point.as_ref(), more);
    program.rotate(&found, Some((sealed, facts)), second_factor)?;
    let path = args.path.to_string();
    context.result(&serde_json::json!({"rotated": path, "version": number}), || {
        format!("{path} is at version {number}; what was opened before is closed by it.")
    })
}

/// The row that a system's or platform's name means.
pub fn row_of<'a>(view: &'a MandateView, system: &str) -> Result<&'a Row, Failure> {
    view.mandate.row_named(system).ok_or_else(|| {
        let rows: Vec<&str> = view.mandate.live_rows().map(|row| row.system.as_str()).collect();
        let sentence =
            format!("the mandate has no row '{system}'; no credential without a row. Rows: {}", rows.join(", "));
        Failure::input("system", sentence)
    })
}

/// Where secrets with these fingerprints are in use, in words.
pub fn reused(program: &Program, view: &MandateView, tags: &[ReuseTag]) -> Result<BTreeMap<ReuseTag, String>, Failure> {
    let lines = program.ask::<ReuseCall>(Some(view.mandate.unit), None, ReuseAsk { tags: tags.to_vec() })?;
    let words = |line: &crate::api::ReuseLine| match (&line.operator, &line.system) {
        (Some(operator), Some(system)) => format!("it is in use at {operator}/{system}"),
        _ if line.other_operator => "it is in use at another operator".to_owned(),
        _ => "it is in use elsewhere".to_owned(),
    };
    Ok(lines.iter().map(|line| (line.tag, words(line))).collect())
}

/// How strong a secret looks, and what is weak about it.
pub struct Looks {
    strength: Strength,
    weakness: Option<&'static str>,
}

/// Judges a secret by its looks, except what this program drew at random.
pub fn looks(given: &Given, view: &MandateView, row: &Row) -> Looks {
    let text = given.secret.as_ref().and_then(Secret::expose_str).unwrap_or("");
    if given.generated {
        return Looks { strength: Strength::Random, weakness: None };
    }
    let about = [view.mandate.operator.as_str(), row.system.as_str(), row.platform.as_str(), given.user.as_str()];
    let estimate = strength::estimate(text, &about);
    match estimate.strength {
        Strength::Weak => Looks { strength: Strength::Weak, weakness: Some(estimate.reason) },
        other if matches!(given.kind, Kind::Login | Kind::Note) => Looks { strength: other, weakness: None },
        _ => Looks { strength: Strength::Random, weakness: None },
    }
}

/// Judges a new version: weak and reused secrets need a reason.
///
/// # Errors
/// Input with what was found; never with any part of the secret.
pub fn judge(
    given: &Given,
    looks: &Looks,
    tag: ReuseTag,
    reuse: Option<&String>,
    number: u32,
) -> Result<NewVersion, Failure> {
    let found: Vec<&str> = looks.weakness.into_iter().chain(reuse.map(String::as_str)).collect();
    let allowed_weak = match (found.is_empty(), &given.allow_weak) {
        (true, _) => None,
        (false, Some(reason)) if !reason.is_empty() => Some(reason.clone()),
        (false, _) => {
            let sentence = format!(
                "{}; generate one with --generate, or say why it must be with --allow-weak REASON",
                found.join("; ")
            );
            return Err(Failure::input("secret", sentence));
        }
    };
    Ok(NewVersion { number, ct: Digest([0; 32]), tag, strength: looks.strength, allowed_weak })
}

/// The secret and its second factor, from where the options say.
fn given(
    context: &mut Context<'_, '_>,
    source: &SourceArgs,
    kind: Kind,
    user: Option<Text>,
    url: Option<Text>,
    path: &str,
) -> Result<Given, Failure> {
    let input = match &source.input {
        Some(file) => {
            let text = read_file_or_stdin(context, file)?;
            let parsed: Input = serde_json::from_slice(text.expose()).map_err(|error| {
                Failure::input(
                    "input",
                    format!(
                        "is not one JSON object of the known fields (line {}, column {})",
                        error.line(),
                        error.column()
                    ),
                )
            })?;
            Some(parsed)
        }
        None => None,
    };
    let second_factor = second_factor_of(context, source, input.as_ref())?;
    let mut input = input.unwrap_or_default();
    let kind = input.kind.unwrap_or(kind);
    let (secret, generated) = match (kind, input.secret.take()) {
        (Kind::Delegated, _) => (None, false),
        (_, Some(secret)) => (Some(Secret::copy_of(secret.as_bytes())), false),
        (_, None) => {
            let (secret, generated) = secret_from(context, source, path)?;
            (Some(secret), generated)
        }
    };
    if secret.as_ref().is_some_and(Secret::is_empty) {
        return Err(Failure::input("secret", "is empty"));
    }
    // What is typed, pasted or handed back is text; other bytes would come out of JSON as something else.
    if secret.as_ref().is_some_and(|secret| secret.expose_str().is_none()) {
        let sentence = "is not text in UTF-8; store bytes such as a key file in base64 ('base64 FILE')";
        return Err(Failure::input("secret", sentence));
    }
    Ok(Given {
        secret,
        generated,
        user: input.user.or(user).unwrap_or_default(),
        url: input.url.or(url).unwrap_or_default(),
        kind,
        second_factor,
        allow_weak: input.allow_weak.or_else(|| source.allow_weak.clone()),
        revocation: input.revocation,
        because: input.because,
        fields: input.fields,
    })
}

fn secret_from(context: &mut Context<'_, '_>, source: &SourceArgs, path: &str) -> Result<(Secret, bool), Failure> {
    let refused = |error: generate::GenerateError| Failure::input("generate", error);
    if let Some(length) = source.generate {
        return generate::generate_password(length, &*context.edge.entropy).map(|s| (s, true)).map_err(refused);
    }
    if source.words {
        let words = generate::generate_words(generate::DEFAULT_WORDS, &*context.edge.entropy);
        return words.map(|s| (s, true)).map_err(refused);
    }
    if let Some(file) = &source.secret_file {
        return read_file_or_stdin(context, file).map(|secret| (secret, false));
    }
    if !context.terminal().can_prompt() {
        return Err(Failure::usage(
            "there is no terminal to ask for the secret on; give --generate, --secret-file FILE|- or --input FILE|-",
        ));
    }
    Ok((context.terminal().read_secret(&format!("Secret of {path}: "))?, false))
}

/// What the options or the input say of the second factor.
fn second_factor_of(
    context: &mut Context<'_, '_>,
    source: &SourceArgs,
    input: Option<&Input>,
) -> Result<Option<(SecondFactor, Option<Secret>)>, Failure> {
    let file = match &source.totp_file {
        Some(file) => Some(read_file_or_stdin(context, file)?),
        None => None,
    };
    let text = file.as_ref().and_then(Secret::expose_str).map(str::to_owned).map(zeroize::Zeroizing::new);
    let now = context.now();
    let elsewhere = source.totp_elsewhere.clone().or_else(|| input.and_then(|input| input.totp_elsewhere.clone()));
    let none = source.no_totp.clone().or_else(|| input.and_then(|input| input.no_totp.clone()));
    second_factor(text.or_else(|| input.and_then(|input| input.totp.clone())), elsewhere, none, now)
}

/// The state of a second factor from what was said of it.
///
/// # Errors
/// Input where the seed is not one.
pub fn second_factor(
    totp: Option<zeroize::Zeroizing<String>>,
    elsewhere: Option<Text>,
    none: Option<Text>,
    now: crate::model::Instant,
) -> Result<Option<(SecondFactor, Option<Secret>)>, Failure> {
    match (totp, elsewhere, none) {
        (Some(text), ..) => {
            let seed = Seed::parse(&text).map_err(|error| Failure::input("totp", error))?;
            Ok(Some((SecondFactor::On, Some(seed.encode()))))
        }
        (None, Some(holder), _) => Ok(Some((SecondFactor::Elsewhere { holder }, None))),
        (None, None, Some(reason)) => Ok(Some((SecondFactor::NotPossible { reason, at: now }, None))),
        (None, None, None) => Ok(None),
    }
}

fn read_file_or_stdin(context: &mut Context<'_, '_>, file: &std::path::Path) -> Result<Secret, Failure> {
    if file.as_os_str() == "-" {
        return Ok(trim_secret(context.terminal().read_stdin()?));
    }
    read_secret_file(file)
}

fn show(context: &mut Context<'_, '_>, args: &ShowArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let found = locate(&program, &args.path)?;
    let operator = Some(args.path.operator.clone());
    let lines = program.ask::<CredentialListCall>(None, None, OptionalNameAsk { operator })?;
    let line = lines.into_iter().find(|line| line.credential == found.credential);
    let line = line.ok_or_else(|| Failure::from(crate::api::Refusal::NotFound))?;
    context.result(&line, || describe(&line, &found))
}

fn describe(line: &CredentialLine, found: &Located) -> String {
    let version = line.version.map_or("no secret".to_owned(), |version| format!("v{version}"));
    let changed = line.changed.map_or(String::new(), |at| format!(" since {at}"));
    let purposes: Vec<&str> = found.purposes.iter().map(Text::as_str).collect();
    format!(
        "{}/{} {}\nkind: {}\nuser: {}\nurl: {}\n2FA: {}\nversion: {version}{changed}\npurposes: {}\naccess ends before: {}",
        line.operator,
        line.system,
        line.name,
        line.kind.name(),
        line.account,
        line.url,
        line.second_factor,
        purposes.join("; "),
        line.until,
    )
}

fn list(context: &mut Context<'_, '_>, args: ListArgs) -> Result<(), Failure> {
    let lines =
        context.program()?.ask::<CredentialListCall>(None, None, OptionalNameAsk { operator: args.operator })?;
    let piped = !context.terminal().stdout_is_terminal();
    context.result(&lines, || {
        let path = |line: &CredentialLine| {
            let name = if line.name.is_empty() { String::new() } else { format!("/{}", line.name) };
            format!("{}/{}{name}", line.operator, line.system)
        };
        // Into a pipe: one path a line, for other programs.
        if piped {
            return lines.iter().map(|line| super::terminal::escape(&path(line))).collect::<Vec<_>>().join("\n");
        }
        let row = |line: &CredentialLine| {
            let strength = match line.strength {
                Some(Strength::Weak) => "weak",
                _ => "",
            };
            vec![
                path(line),
                line.platform.to_string(),
                line.kind.name().to_owned(),
                line.account.to_string(),
                line.second_factor.clone(),
                line.until.to_string(),
                strength.to_owned(),
            ]
        };
        let heads = ["path", "platform", "kind", "user", "2FA", "ends (UTC)", ""];
        table(&heads, lines.iter().map(row).collect())
    })
}
