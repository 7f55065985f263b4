//! `device …`: several devices of one member.

use super::context::Context;
use super::failure::{Failure, count};
use super::terminal::table;
use crate::agent::SharedWith;
use crate::api::{DeviceLine, DeviceListAsk, DeviceListCall, DeviceRemoveAsk, DeviceRemoveCall};
use crate::model::{Name, Zone};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Let your other devices open what you hold; for a lead: a member's, under your rows
    Share(ShareArgs),
    /// List devices and what each cannot open yet
    List(ListArgs),
    /// Remove a device: its keys are refused from then on
    Remove(RemoveArgs),
}

#[derive(clap::Args)]
pub struct ShareArgs {
    /// Whose devices [default: your own]
    #[arg(long = "for", value_name = "MEMBER")]
    whose: Option<Name>,
}

#[derive(clap::Args)]
pub struct ListArgs {
    /// Whose [default: your own]
    #[arg(id = "whose", value_name = "MEMBER")]
    name: Option<Name>,
}

#[derive(clap::Args)]
pub struct RemoveArgs {
    /// Whose
    #[arg(id = "whose", value_name = "MEMBER")]
    name: Name,
    /// Which
    #[arg(value_name = "LABEL")]
    device: Name,
}

/// Runs a device command.
///
/// # Errors
/// [`Failure`].
pub fn run(context: &mut Context<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Share(args) => share(context, args),
        Command::List(args) => list(context, args),
        Command::Remove(args) => remove(context, args),
    }
}

fn share(context: &mut Context<'_, '_>, args: ShareArgs) -> Result<(), Failure> {
    let shared = context.program()?.share(args.whose)?;
    let report: Vec<_> = shared
        .iter()
        .map(|to| serde_json::json!({"device": to.device, "shared": to.shared, "left": to.left}))
        .collect();
    context.result(&report, || {
        if shared.is_empty() {
            return "Every device has keys for all of it already.".to_owned();
        }
        let line = |to: &SharedWith| {
            let left = match to.left {
                0 => String::new(),
                left => format!(
                    "; {} cannot be read on this device either: share from another, or ask a lead",
                    count(left, "secret")
                ),
            };
            format!("'{}' has keys for {} more{left}.", to.device, count(to.shared, "secret"))
        };
        shared.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

fn list(context: &mut Context<'_, '_>, args: ListArgs) -> Result<(), Failure> {
    let lines = context.program()?.ask::<DeviceListCall>(None, None, DeviceListAsk { name: args.name })?;
    context.result(&lines, || {
        let row = |line: &DeviceLine| {
            let note = match (line.removed, line.here, line.missing.len()) {
                (Some(at), ..) => format!("removed {}", Zone::utc().show(at)),
                (None, true, 0) => "this device".to_owned(),
                (None, false, 0) => String::new(),
                (None, _, missing) => {
                    format!("no key yet for {}", count(u64::try_from(missing).unwrap_or(u64::MAX), "secret"))
                }
            };
            vec![line.name.to_string(), line.device.to_string(), Zone::utc().show(line.since), note]
        };
        table(&["member", "device", "since", ""], lines.iter().map(row).collect())
    })
}

fn remove(context: &mut Context<'_, '_>, args: RemoveArgs) -> Result<(), Failure> {
    let mut program = context.program()?;
    context.confirm(&format!("{}'s device '{}' is refused from now on.", args.name, args.device))?;
    let token = context.step_up(&mut program)?;
    let ask = DeviceRemoveAsk { name: args.name.clone(), device: args.device.clone() };
    program.ask::<DeviceRemoveCall>(None, Some(token), ask)?;
    let report = serde_json::json!({"member": args.name, "device": args.device});
    context.result(&report, || {
        format!(
            "{}'s device '{}' is removed. What it had opened stays known to whoever holds it: see 'mandatum exposure'.",
            args.name, args.device
        )
    })
}
