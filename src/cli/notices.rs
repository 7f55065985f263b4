//! `notices`: one round of what a host sends by the clock, for a timer or to look.

use super::context::Context;
use super::failure::{Failure, count};
use super::terminal::table;
use crate::api::Notice;
use crate::model::Name;

#[derive(clap::Args)]
pub struct Args {
    /// Show what is due and send nothing
    #[arg(long)]
    dry_run: bool,
}

/// Sends what is due.
///
/// # Errors
/// Input where nothing is configured; unexpected where something was not delivered.
pub fn notices(context: &mut Context<'_, '_>, args: Args) -> Result<(), Failure> {
    let places = context.places()?;
    let report = context.edge.host.notices(&places, args.dry_run)?;
    context.result(&report, || {
        if report.busy {
            return "Another round is under way: nothing was looked at, everything is left to it.".to_owned();
        }
        let mut text = if report.due.is_empty() { "Nothing is due.".to_owned() } else { due_table(&report.due) };
        if !args.dry_run {
            text.push_str(&format!(
                "\nSent: {}, {} to the webhook, {} to operators.",
                count(report.mailed, "letter"),
                count(report.posted, "notice"),
                count(report.checkpoints, "checkpoint")
            ));
        } else if !report.configured {
            text.push_str("\nNothing is configured: nobody would be told. docs/operating.md shows a notices.toml.");
        }
        text
    })?;
    if report.failed.is_empty() {
        return Ok(());
    }
    let hint = "it is tried again by the next round, ever more slowly; 'mandatum doctor' names what waits";
    Err(Failure::unexpected(format!("not delivered: {}", report.failed.join("; "))).hint(hint))
}

fn due_table(due: &[Notice]) -> String {
    let row = |notice: &Notice| {
        let kind = format!("{:?}", notice.kind).to_lowercase();
        vec![
            notice.days.to_string(),
            kind,
            notice.operator.as_ref().map_or(String::new(), Name::to_string),
            notice.what.clone(),
            notice.at.to_string(),
        ]
    };
    table(&["days", "what", "operator", "which", "ends before, or since (UTC)"], due.iter().map(row).collect())
}
