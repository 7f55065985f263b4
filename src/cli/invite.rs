//! `member invite/pending/confirm/reject`: the owner's side of keys that are made on another machine.

use super::context::Context;
use super::failure::Failure;
use super::init::{shown, write_private};
use super::members::{parse_role, role_names};
use super::qr;
use super::terminal::table;
use crate::agent::{Invitation, Profile, Program};
use crate::api::{
    MandatePermitAsk, MandatePermitCall, MemberConfirmAsk, MemberConfirmCall, MemberInviteAsk, MemberInviteCall,
    MemberListCall, MemberPendingCall, MemberRejectAsk, MemberRejectCall, Nothing, PendingAnswer, PendingLine, Served,
};
use crate::ledger::{bundle_fingerprint, open_bundle};
use crate::model::{
    Digest, Instant, InvitedFacts, InvitedPermission, MemberId, Name, Permission, Phase, Role, Text, Zone,
};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("to").required(true).args(["role", "device", "withdraw"]))]
pub struct InviteArgs {
    /// Whom: a new member's name, or a member's
    name: Name,
    /// A role of the new member; may be given more than once
    #[arg(long, value_parser = parse_role)]
    role: Vec<Role>,
    /// A further device of a member, under this name
    #[arg(long, value_name = "LABEL", conflicts_with_all = ["role", "external"])]
    device: Option<Name>,
    /// Withdraw the invitation that is out
    #[arg(long, conflicts_with_all = ["role", "device", "external"])]
    withdraw: bool,
    /// Not of the agency: needs the operator's written permission (clause 1.2)
    #[arg(long, requires_all = ["permission", "operator"])]
    external: bool,
    /// The operator's signed permission
    #[arg(long, value_name = "FILE", requires = "external")]
    permission: Option<PathBuf>,
    /// The operator who permits it
    #[arg(long, value_name = "OPERATOR", requires = "external")]
    operator: Option<Text>,
    /// For how long it is good, up to 7 days
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = super::sessions::parse_duration)]
    valid: i64,
    /// Where the newcomer reaches the broker, in the order to try [default: where you reach it, or where it is served]
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// The TLS key to expect there: SHA-256 of its public key info, in hex [default: as the URLs]
    #[arg(long, value_name = "HEX", requires = "url", value_parser = parse_pin)]
    pin: Option<Digest>,
    /// Write the invitation to a new file instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn parse_pin(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|error: &'static str| error.to_owned())
}

#[derive(clap::Args)]
pub struct ConfirmArgs {
    /// Whose keys
    name: Name,
    /// Of which device, where several wait
    #[arg(long, value_name = "LABEL")]
    device: Option<Name>,
    /// The fingerprint as its owner read it out, instead of comparing it at the prompt
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
}

#[derive(clap::Args)]
pub struct RejectArgs {
    /// Whose keys, or whose invitation
    name: Name,
    /// Of which device, where several wait
    #[arg(long, value_name = "LABEL")]
    device: Option<Name>,
}

/// Makes an invitation: good once, and for a day.
///
/// # Errors
/// Input where the name is taken, or no place is known where a newcomer reaches the broker.
pub fn invite(context: &mut Context<'_, '_>, args: InviteArgs) -> Result<(), Failure> {
    if args.withdraw {
        return reject(context, RejectArgs { name: args.name, device: None });
    }
    let mut program = context.program()?;
    let permission = permission(&program, &args)?;
    let served = served(context, &program, &args)?;
    let device = match args.device {
        Some(device) => Some((member_id(&program, &args.name)?, device)),
        None => None,
    };
    let owner = program.identity();
    let (vault, entropy) = ((owner.vault, owner.root), context.edge.entropy.clone());
    let invitation = Invitation::new(served, vault, args.name, device, &*entropy);
    let invitation = invitation.map_err(|error| Failure::input("url", error))?;
    let external = args.external.then_some(Role::External);
    let invited = InvitedFacts {
        token: invitation.token_digest(),
        name: invitation.name.clone(),
        roles: args.role.into_iter().chain(external).collect(),
        of: invitation.member,
        device: invitation.device.clone(),
        permission,
    };
    let token = context.step_up(&mut program)?;
    let ask = MemberInviteAsk { invited, valid_ms: args.valid };
    let until = program.ask::<MemberInviteCall>(None, Some(token), ask)?;
    hand_over(context, &invitation, until, args.out.as_deref())
}

/// The paper first: nobody from outside is invited without it.
fn permission(program: &Program, args: &InviteArgs) -> Result<Option<InvitedPermission>, Failure> {
    let (Some(paper), Some(operator)) = (&args.permission, &args.operator) else { return Ok(None) };
    let mandate = program.mandate(operator.clone())?.mandate;
    if mandate.phase != Phase::Active {
        return Err(Failure::input("operator", "has no mandate in force that a permission could be put under"));
    }
    let (source, file) = super::people::paper(paper)?;
    Ok(Some(InvitedPermission { unit: mandate.unit, source, file }))
}

/// Where the newcomer reaches the broker: as said, as this program does, or as the broker says it is served.
fn served(context: &Context<'_, '_>, program: &Program, args: &InviteArgs) -> Result<Served, Failure> {
    let profile = Profile::read(&context.places()?.vault)?;
    let of_profile = profile.map(|profile| Served { urls: profile.urls, pin: profile.pin });
    if !args.url.is_empty() {
        let pin = args.pin.or_else(|| of_profile.and_then(|served| served.pin));
        return Ok(Served { urls: args.url.clone(), pin });
    }
    let served = match of_profile {
        Some(served) => served,
        None => program.ask::<MemberPendingCall>(None, None, Nothing {})?.served,
    };
    if served.urls.is_empty() {
        let sentence =
            "no place is known where a newcomer reaches this broker; start 'mandatum serve' first, or give --url";
        return Err(Failure::input("url", sentence));
    }
    Ok(served)
}

fn member_id(program: &Program, name: &Name) -> Result<MemberId, Failure> {
    let lines = program.ask::<MemberListCall>(None, None, Nothing {})?;
    let line = lines.iter().find(|line| line.name.same(name.as_str()) && line.standing == "active");
    Ok(line.ok_or_else(|| Failure::input("name", "there is no active member of this name"))?.member)
}

fn hand_over(
    context: &mut Context<'_, '_>,
    invitation: &Invitation,
    until: Instant,
    out: Option<&std::path::Path>,
) -> Result<(), Failure> {
    let text = invitation.text();
    if let Some(path) = out {
        write_private(path, format!("{}\n", *text).as_bytes())?;
    } else if !context.global.json && context.terminal().can_prompt() {
        for line in qr::draw(&text).unwrap_or_default().lines() {
            context.say(line);
        }
    }
    let fingerprint = invitation.fingerprint();
    let report = serde_json::json!({
        "member": invitation.name, "device": invitation.device, "until": until, "fingerprint": fingerprint,
        "invitation": if out.is_none() { Some(text.as_str()) } else { None }, "out": out,
    });
    context.result(&report, || {
        let (whom, until) = (&invitation.name, Zone::utc().show(until));
        let place = out.map_or_else(|| text.to_string(), |path| format!("The invitation is in {}.", path.display()));
        format!(
            "{place}\n\
             For {whom}, device '{}', good once and until {until}. On their machine: 'mandatum join'.\n\
             Both of you see: {fingerprint}\n\
             Then compare the fingerprint of their keys: 'mandatum member confirm {}'.",
            invitation.device,
            shown(whom),
        )
    })
}

/// Lists invitations, and keys that wait to be confirmed.
///
/// # Errors
/// [`Failure`].
pub fn pending(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let PendingAnswer { waiting, .. } = context.program()?.ask::<MemberPendingCall>(None, None, Nothing {})?;
    let report: Vec<_> = waiting.iter().map(report_of).collect();
    context.result(&report, || {
        let row = |line: &PendingLine| {
            let state = match (&line.bundle, line.joined) {
                (Some(keys), Some(at)) => {
                    format!("keys since {}: {}", Zone::utc().show(at), bundle_fingerprint(keys))
                }
                _ => format!("invited until {}", Zone::utc().show(line.until)),
            };
            let invited = &line.invited;
            vec![invited.name.to_string(), invited.device.to_string(), role_names(invited.roles.iter().copied()), state]
        };
        table(&["name", "device", "roles", ""], waiting.iter().map(row).collect())
    })
}

fn report_of(line: &PendingLine) -> serde_json::Value {
    serde_json::json!({
        "name": line.invited.name, "device": line.invited.device, "roles": line.invited.roles,
        "further_device": line.invited.of.is_some(), "until": line.until, "joined": line.joined,
        "fingerprint": line.bundle.as_ref().map(bundle_fingerprint),
    })
}

/// Confirms keys that were handed in: compares their fingerprint, then signs exactly these keys.
///
/// # Errors
/// Input where the fingerprint is another; usage where nobody could compare it.
pub fn confirm(context: &mut Context<'_, '_>, args: ConfirmArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    let line = waiting(&program, &args.name, args.device.as_ref(), true)?;
    let (keys, roles) = program.pending_keys(&line)?;
    compare(context, &args, &bundle_fingerprint(&keys), &roles)?;

    let token = context.step_up(&mut program)?;
    let member = open_bundle(&keys).map(|bundle| bundle.member);
    let (admission, reuse_key) = program.confirm(keys, roles.clone())?;
    program.ask::<MemberConfirmCall>(None, Some(token), MemberConfirmAsk { admission, reuse_key })?;
    if let (Some(paper), Some(operator), Some(member)) = (line.invited.permission, line.operator, member) {
        let permission =
            Permission { member, rows: BTreeSet::new(), until: None, source: paper.source, file: paper.file };
        let ask = MandatePermitAsk { operator: Text::parse(operator.as_str())?, permission };
        program.ask::<MandatePermitCall>(None, None, ask)?;
    }
    let (name, device, further) = (line.invited.name, line.invited.device, line.invited.of.is_some());
    let report = serde_json::json!({"member": name, "device": device, "roles": roles});
    context.result(&report, || {
        if further {
            format!(
                "{name}'s device '{device}' is confirmed. It can open what is wrapped from now on; for what there is \
                 already, {name} runs 'mandatum device share' on another device, or a lead with --for {}.",
                shown(&name)
            )
        } else {
            format!("{name} is a member: {}.", role_names(roles.iter().copied()))
        }
    })
}

/// The comparison that everything rests on: it is made by people, or it is not made.
fn compare(
    context: &mut Context<'_, '_>,
    args: &ConfirmArgs,
    fingerprint: &str,
    roles: &BTreeSet<Role>,
) -> Result<(), Failure> {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    match &args.fingerprint {
        Some(said) if plain(said) == plain(fingerprint) => Ok(()),
        Some(_) => {
            let sentence = "is not that of the keys that wait: somebody else's may be in their place; listen to it once \
                            more, or 'mandatum member reject' them";
            Err(Failure::input("fingerprint", sentence))
        }
        None if context.global.yes => Err(Failure::usage(
            "--yes says nothing about the keys; give --fingerprint as their owner reads it out, or compare at the prompt",
        )),
        None => {
            let (name, roles) = (&args.name, role_names(roles.iter().copied()));
            context.say(&format!("Keys of {name} ({roles}): {fingerprint}"));
            context.confirm(&format!("Does {name} read out exactly this, by a voice or face you know?"))
        }
    }
}

/// Withdraws an invitation, or rejects the keys handed in under it.
///
/// # Errors
/// Input where there is none.
pub fn reject(context: &mut Context<'_, '_>, args: RejectArgs) -> Result<(), Failure> {
    let program = context.program()?;
    let line = waiting(&program, &args.name, args.device.as_ref(), false)?;
    program.ask::<MemberRejectCall>(None, None, MemberRejectAsk { token: line.invited.token })?;
    let joined = line.bundle.is_some();
    let report = serde_json::json!({"member": line.invited.name, "device": line.invited.device, "had_joined": joined});
    context.result(&report, || match joined {
        true => format!("The keys of {} are rejected; nothing was theirs.", line.invited.name),
        false => format!("The invitation of {} is withdrawn.", line.invited.name),
    })
}

/// The one invitation a name means.
fn waiting(program: &Program, name: &Name, device: Option<&Name>, joined: bool) -> Result<PendingLine, Failure> {
    let PendingAnswer { waiting, .. } = program.ask::<MemberPendingCall>(None, None, Nothing {})?;
    let named = |line: &PendingLine| {
        line.invited.name.same(name.as_str()) && device.is_none_or(|device| line.invited.device.same(device.as_str()))
    };
    let mut found: Vec<PendingLine> =
        waiting.into_iter().filter(|line| named(line) && (!joined || line.bundle.is_some())).collect();
    let (only, more) = (found.pop(), !found.is_empty());
    match only {
        Some(_) if more => Err(Failure::usage("several of this name wait; say which with --device LABEL")),
        Some(line) => Ok(line),
        None if joined => Err(Failure::input("name", "no keys of this name wait; see 'mandatum member pending'")),
        None => Err(Failure::input("name", "there is no invitation of this name; see 'mandatum member pending'")),
    }
}
