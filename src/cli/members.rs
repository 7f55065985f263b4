//! `member …`: the roster.

use super::context::Context;
use super::failure::{Failure, count};
use super::init::{EnrolArgs, enrol};
use super::invite::{ConfirmArgs, InviteArgs, RejectArgs};
use super::ledgers::exposure_table;
use super::terminal::table;
use crate::agent::{Identity, identity_path};
use crate::api::{
    EnrolLoad, MandatePermitAsk, MandatePermitCall, MemberAddAsk, MemberAddCall, MemberAsk, MemberFactorCall,
    MemberLine, MemberListCall, MemberRemoveCall, MemberResumeCall, MemberRoleAsk, MemberRoleCall, MemberSuspendCall,
    Nothing,
};
use crate::model::{Name, Permission, Phase, Role};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Add a member, who sets passphrase and 2FA at this keyboard
    Add(AddArgs),
    /// List the members
    List,
    /// Change a member's roles
    Role(RoleArgs),
    /// Lock a member out for now; sessions end
    Suspend(NameArgs),
    /// Let a suspended member in again
    Resume(NameArgs),
    /// Enrol a member's second factor anew: a lost phone, or after a recovery
    Factor(FactorArgs),
    /// End a member's access for good and destroy the keys of their grants
    Remove(NameArgs),
    /// Invite a newcomer, or a further device of a member, to make their keys on their own machine
    Invite(InviteArgs),
    /// List invitations, and keys that wait to be confirmed
    Pending,
    /// Confirm keys that were handed in, after comparing their fingerprint with their owner
    Confirm(ConfirmArgs),
    /// Reject keys that were handed in, or withdraw an invitation
    Reject(RejectArgs),
}

#[derive(clap::Args)]
pub struct AddArgs {
    /// The member's name
    name: Name,
    /// A role; may be given more than once
    #[arg(long, required = true, value_parser = parse_role)]
    role: Vec<Role>,
    /// Not of the agency: needs the operator's written permission (clause 1.2)
    #[arg(long, requires_all = ["permission", "operator"])]
    external: bool,
    /// The operator's signed permission
    #[arg(long, value_name = "FILE", requires = "external")]
    permission: Option<PathBuf>,
    /// The operator who permits it
    #[arg(long, value_name = "OPERATOR", requires = "external")]
    operator: Option<crate::model::Text>,
    /// Read the new member's passphrase from a file instead of asking
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Run a command that prints the new member's code (no shell)
    #[arg(long, value_name = "CMD")]
    new_otp_command: Option<String>,
    #[command(flatten)]
    enrol: EnrolArgs,
}

#[derive(clap::Args)]
pub struct FactorArgs {
    /// The member's name
    name: Name,
    /// Run a command that prints the member's new code (no shell)
    #[arg(long, value_name = "CMD")]
    new_otp_command: Option<String>,
    #[command(flatten)]
    enrol: EnrolArgs,
}

#[derive(clap::Args)]
pub struct RoleArgs {
    /// The member's name
    name: Name,
    /// A role to add
    #[arg(long, value_parser = parse_role)]
    add: Vec<Role>,
    /// A role to take away
    #[arg(long, value_parser = parse_role)]
    remove: Vec<Role>,
}

#[derive(clap::Args)]
pub struct NameArgs {
    /// The member's name
    name: Name,
}

/// A role argument.
pub fn parse_role(text: &str) -> Result<Role, String> {
    let found = Role::ALL.into_iter().find(|role| role.name() == text);
    found.ok_or_else(|| "write owner, lead, specialist or auditor".into())
}

/// Runs a member command.
///
/// # Errors
/// [`Failure`].
pub fn run(context: &mut Context<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(context, args),
        Command::List => list(context),
        Command::Role(args) => role(context, args),
        Command::Suspend(args) => simple::<MemberSuspendCall>(context, args, "is locked out until 'member resume'."),
        Command::Resume(args) => simple::<MemberResumeCall>(context, args, "may act again."),
        Command::Factor(args) => factor(context, args),
        Command::Remove(args) => remove(context, args),
        Command::Invite(args) => super::invite::invite(context, args),
        Command::Pending => super::invite::pending(context),
        Command::Confirm(args) => super::invite::confirm(context, args),
        Command::Reject(args) => super::invite::reject(context, args),
    }
}

fn add(context: &mut Context<'_, '_>, args: AddArgs) -> Result<(), Failure> {
    // The newcomer's file is kept here, beside the vault; elsewhere they are invited.
    let places = context.vault_places()?;
    let mut program = context.program()?;
    // The paper first: nobody from outside is made a member without it.
    let permitted = match (&args.permission, &args.operator) {
        (Some(paper), Some(operator)) if args.external => {
            if program.mandate(operator.clone())?.mandate.phase != Phase::Active {
                return Err(Failure::input("operator", "has no mandate in force that a permission could be put under"));
            }
            Some((super::people::paper(paper)?, operator.clone()))
        }
        _ => None,
    };
    let token = context.step_up(&mut program)?;

    // From here on the new member is at the keyboard: the asking owner's options are not theirs.
    context.say(&format!("{} sets a passphrase and a second factor now.", args.name));
    let owner_options = context.global.clone();
    context.global.passphrase_file = args.new_passphrase_file;
    context.global.passphrase_command = None;
    context.global.otp_command = args.new_otp_command;
    let passphrase = context.passphrase(&format!("New passphrase of {}", args.name), true);
    let passphrase = passphrase.and_then(|secret| super::context::check_passphrase(&secret).map(|()| secret));
    let enrolled = passphrase.and_then(|secret| Ok((secret, enrol(context, &args.name, &args.enrol)?)));
    context.global = owner_options;
    let (passphrase, (seed, code)) = enrolled?;

    let owner = program.identity();
    let entropy = context.edge.entropy.clone();
    let identity = Identity::generate(owner.vault, owner.root, args.name.clone(), &*entropy);
    let roles: BTreeSet<Role> = args.role.iter().copied().chain(args.external.then_some(Role::External)).collect();
    let member = identity.member;
    let newcomer = program.admit(identity, roles.clone())?;
    // The file first: a member without a file could never come in; a file without a member opens nothing.
    newcomer.identity.save(&places.identities(), &passphrase, &*entropy)?;
    let ask = MemberAddAsk { admission: newcomer.admission, reuse_key: newcomer.reuse_key };
    let load = EnrolLoad { seed: seed.expose().to_vec(), code };
    if let Err(error) = program.send::<MemberAddCall>(None, Some(token), ask, &load) {
        let path = identity_path(&places.identities(), newcomer.identity.vault, &args.name);
        let _ = std::fs::remove_file(path);
        return Err(error.into());
    }
    if let Some(((source, file), operator)) = permitted {
        let permission = Permission { member, rows: BTreeSet::new(), until: None, source, file };
        program.ask::<MandatePermitCall>(None, None, MandatePermitAsk { operator, permission })?;
    }
    let report = serde_json::json!({"member": args.name, "roles": roles});
    context.result(&report, || format!("{} is a member: {}.", args.name, role_names(roles.iter().copied())))
}

fn factor(context: &mut Context<'_, '_>, args: FactorArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    let token = context.step_up(&mut program)?;
    let owner_command = std::mem::replace(&mut context.global.otp_command, args.new_otp_command);
    let enrolled = enrol(context, &args.name, &args.enrol);
    context.global.otp_command = owner_command;
    let (seed, code) = enrolled?;
    let load = EnrolLoad { seed: seed.expose().to_vec(), code };
    program.send::<MemberFactorCall>(None, Some(token), MemberAsk { name: args.name.clone() }, &load)?;
    context.result(&serde_json::json!({"member": args.name}), || format!("{} has a new second factor.", args.name))
}

/// Roles, for people.
pub fn role_names(roles: impl Iterator<Item = Role>) -> String {
    roles.map(Role::name).collect::<Vec<_>>().join(", ")
}

fn list(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let lines = context.program()?.ask::<MemberListCall>(None, None, Nothing {})?;
    context.result(&lines, || {
        let row = |line: &MemberLine| {
            let mut note = String::new();
            if line.separation_missing {
                note.push_str("separation of duties not held");
            }
            let factor = if line.second_factor { "yes" } else { "no" };
            let roles = role_names(line.roles.iter().copied());
            vec![line.name.to_string(), roles, line.standing.clone(), factor.to_owned(), note]
        };
        table(&["name", "roles", "standing", "2FA", ""], lines.iter().map(row).collect())
    })
}

fn role(context: &mut Context<'_, '_>, args: RoleArgs) -> Result<(), Failure> {
    if args.add.is_empty() && args.remove.is_empty() {
        return Err(Failure::usage("say which role to --add or --remove"));
    }
    let mut program = context.program()?;
    let lines = program.ask::<MemberListCall>(None, None, Nothing {})?;
    let line = lines.iter().find(|line| line.name.same(args.name.as_str()) && line.standing == "active");
    let line = line.ok_or_else(|| Failure::input("name", "there is no active member of this name"))?;
    let mut roles: BTreeSet<Role> = line.roles.clone();
    roles.extend(&args.add);
    roles.retain(|role| !args.remove.contains(role));
    let token = context.step_up(&mut program)?;
    let (admission, reuse_keys) = program.admit_again(line.member, roles.clone())?;
    let ask = MemberRoleAsk { member: line.member, admission, reuse_keys };
    program.ask::<MemberRoleCall>(None, Some(token), ask)?;
    let report = serde_json::json!({"member": line.name, "roles": roles});
    context.result(&report, || format!("{}: {}.", line.name, role_names(roles.iter().copied())))
}

fn simple<C>(context: &mut Context<'_, '_>, args: NameArgs, done: &str) -> Result<(), Failure>
where
    C: crate::api::Call<Ask = MemberAsk, Load = (), Answer = ()>,
{
    context.program()?.ask::<C>(None, None, MemberAsk { name: args.name.clone() })?;
    context.result(&serde_json::json!({"member": args.name}), || format!("{} {done}", args.name))
}

fn remove(context: &mut Context<'_, '_>, args: NameArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    context.confirm(&format!("{} loses all access for good.", args.name))?;
    let token = context.step_up(&mut program)?;
    let answer = program.ask::<MemberRemoveCall>(None, Some(token), MemberAsk { name: args.name.clone() })?;
    // The sealed keys open nothing any more; the name is free for somebody else.
    let places = context.places()?;
    let _ = std::fs::remove_file(identity_path(&places.identities(), program.identity().vault, &args.name));
    context.result(&answer, || {
        let mut text = format!("{} is removed; {} revoked, keys destroyed.", args.name, count(answer.grants, "grant"));
        if !answer.exposure.is_empty() {
            text.push_str("\nOpened and not rotated since — rotate these:\n");
            text.push_str(&exposure_table(&answer.exposure));
        }
        text
    })
}
