//! `store`: where the database is, and how it gets elsewhere.

use super::context::{Context, read_secret_file};
use super::failure::{Failure, count};
use crate::api::StorePlace;
use std::path::PathBuf;
use zeroize::Zeroizing;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Copy the database into an empty one of the other kind, compare both, and use the new one from now on
    Copy(CopyArgs),
}

/// Where the database is, if not in the vault's directory.
#[derive(clap::Args, Clone, Default)]
pub struct StoreArgs {
    /// The PostgreSQL database that holds the vault: 'postgres://USER@HOST/DATABASE', without a password
    #[arg(long = "store", value_name = "ADDRESS", conflicts_with = "store_file")]
    store: Option<String>,
    /// Read the PostgreSQL database's address from a file that only this account can read; a password may be in it
    #[arg(long, value_name = "FILE")]
    store_file: Option<PathBuf>,
}

impl StoreArgs {
    /// What was said; nothing where nothing was.
    ///
    /// # Errors
    /// Usage where an argument holds a password, input where the file cannot be read.
    pub fn place(&self) -> Result<Option<StorePlace>, Failure> {
        place(self.store.as_deref(), self.store_file.as_deref(), "--store-file")
    }
}

#[derive(clap::Args)]
#[group(required = true, multiple = false, id = "target")]
struct TargetArgs {
    /// The empty PostgreSQL database: 'postgres://USER@HOST/DATABASE', without a password
    #[arg(long = "to", value_name = "ADDRESS")]
    to: Option<String>,
    /// Read the empty PostgreSQL database's address from a file that only this account can read
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
    /// Back into the file in the vault's directory; an old one must have been moved away
    #[arg(long)]
    to_sqlite: bool,
}

#[derive(clap::Args)]
pub struct CopyArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only copy and compare; the vault goes on with the database it has
    #[arg(long)]
    keep: bool,
}

/// Runs a command on the store.
///
/// # Errors
/// Input where the new database is not empty; then nothing was changed.
pub fn run(context: &mut Context<'_, '_>, command: Command) -> Result<(), Failure> {
    let Command::Copy(args) = command;
    let places = context.places()?;
    let target = place(args.target.to.as_deref(), args.target.to_file.as_deref(), "--to-file")?;
    if !args.keep {
        context.confirm("This copies the database, compares both, and goes on with the new one; the old one stays.")?;
    }
    let copied = context.edge.host.copy_store(&places, &target.unwrap_or_default(), !args.keep)?;
    context.result(&copied, || {
        let (copy, from, to) = (count(copied.rows, "row"), &copied.from, &copied.to);
        match copied.switched {
            true => format!(
                "Copied and compared: {copy}. The vault is in {to} from now on.\n\
                 {from} is as it was: once a backup of the new one is made, destroy it."
            ),
            false => format!("Copied and compared: {copy}. {to} is a copy; the vault stays in {from}."),
        }
    })
}

fn place(address: Option<&str>, file: Option<&std::path::Path>, option: &str) -> Result<Option<StorePlace>, Failure> {
    let text = match (address, file) {
        (None, None) => return Ok(None),
        (Some(address), _) if holds_password(address) => {
            return Err(Failure::usage(format!(
                "an address with a password must not be an argument, which every account of this machine can read; \
                 write it into a file of mode 600 and give {option} FILE, or leave it to the file that PGPASSFILE names"
            )));
        }
        (Some(address), _) => Zeroizing::new(address.to_owned()),
        (None, Some(file)) => {
            let secret = read_secret_file(file)?;
            let text = secret.expose_str().ok_or_else(|| Failure::input("file", "holds no text"))?;
            Zeroizing::new(text.trim().to_owned())
        }
    };
    Ok(Some(StorePlace::Postgres(text)))
}

/// Told by its look, since it must not even be tried: `://USER:PASSWORD@` or `password=`.
fn holds_password(address: &str) -> bool {
    let user = address.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()?.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':')) || address.to_lowercase().contains("password")
}
