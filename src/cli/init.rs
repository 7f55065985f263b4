//! `init`: the vault, the owner with a second factor, and the recovery kit.

use super::context::Context;
use super::failure::Failure;
use super::qr;
use super::recovery::{armor, kit_passphrase};
use super::store::StoreArgs;
use crate::agent::{Identity, Kit, Secret, Seed, new_kit, seal_kit};
use crate::api::{EpochKeyPlace, Founding};
use crate::model::{Name, Role, Zone};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

#[derive(clap::Args)]
pub struct Args {
    /// The owner's name
    #[arg(long, value_name = "NAME")]
    owner: Name,
    /// The agency's time zone; mandates may have another
    #[arg(long, default_value = "Europe/Moscow", value_parser = parse_zone)]
    zone: Zone,
    /// Where the broker's epoch key lives: 'keyring', or 'file:PATH' outside every backup
    #[arg(long, default_value = "keyring", value_parser = parse_epoch_key)]
    epoch_key: EpochKeyPlace,
    #[command(flatten)]
    store: StoreArgs,
    /// The recovery kit to write: print it, and keep it away from this machine
    #[arg(long, value_name = "FILE")]
    kit: PathBuf,
    /// Read the kit's own passphrase from a file instead of asking
    #[arg(long, value_name = "FILE")]
    kit_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    enrol: EnrolArgs,
}

/// How a second factor is enrolled.
#[derive(clap::Args, Clone)]
pub struct EnrolArgs {
    /// Write the otpauth URI to a new file before the confirming code is asked for
    #[arg(long, value_name = "FILE")]
    otpauth_out: Option<PathBuf>,
}

/// A time zone argument.
pub fn parse_zone(name: &str) -> Result<Zone, String> {
    Zone::parse(name).map_err(|error| error.to_string())
}

/// An epoch key's place as an argument.
pub fn parse_epoch_key(text: &str) -> Result<EpochKeyPlace, String> {
    match text.split_once(':') {
        None if text == "keyring" => Ok(EpochKeyPlace::Keyring),
        Some(("file", path)) if !path.is_empty() => {
            std::path::absolute(path).map(EpochKeyPlace::File).map_err(|error| error.to_string())
        }
        _ => Err("write 'keyring' or 'file:PATH'".into()),
    }
}

/// Makes a vault.
///
/// # Errors
/// Input where something is there already; nothing of a vault is left then.
pub fn init(context: &mut Context<'_, '_>, args: Args) -> Result<(), Failure> {
    let places = context.vault_places()?;
    if args.kit.symlink_metadata().is_ok() {
        return Err(Failure::input("kit", format!("{} exists; name a new file", args.kit.display())));
    }
    let store = args.store.place()?.unwrap_or_default();
    let entropy = context.edge.entropy.clone();
    let kit = new_kit(&*entropy);
    context.edge.host.prepare(&places, kit.vault, &args.epoch_key, &store).map_err(|refusal| {
        let failure = Failure::from(refusal);
        if args.epoch_key == EpochKeyPlace::Keyring {
            failure.hint("on a host without a keyring: --epoch-key file:PATH, outside every backup")
        } else {
            failure
        }
    })?;

    // Passphrases first, so that nothing exists before everything was said.
    context.say(&format!("Making a vault for {} in {}.", args.owner, places.vault.display()));
    let passphrase = context.passphrase("New passphrase", true)?;
    super::context::check_passphrase(&passphrase)?;
    let kit_secret = kit_passphrase(context, args.kit_passphrase_file.as_deref(), true)?;
    let identity = Identity::generate(kit.vault, kit.root.public(), args.owner.clone(), &*entropy);
    let (seed, code) = enrol(context, &args.owner, &args.enrol)?;

    // The owner's files, then the vault that refers to them.
    let admission = kit.admit(identity.signed_bundle(), BTreeSet::from([Role::Owner]));
    let reuse_key = Kit::fresh_reuse_key(&identity, &*entropy).map_err(|e| Failure::unexpected(e.to_string()))?;
    let root = kit.root.public();
    let sealed_kit = armor(&seal_kit(&kit, &kit_secret, &*entropy), &kit, &args.owner);
    write_private(&args.kit, sealed_kit.as_bytes())?;
    let founding = Founding {
        vault: kit.vault,
        zone: args.zone,
        recovery: kit.recovery.recipient(),
        sign_charter: Box::new(move |charter| kit.root.sign(crate::agent::Topic::Charter, charter)),
        admission,
        reuse_key,
        seed: Zeroizing::new(seed.expose().to_vec()),
        code,
    };
    let vault = founding.vault;
    if let Err(refusal) = context.edge.host.found(&places, &args.epoch_key, &store, founding) {
        let _ = std::fs::remove_file(&args.kit);
        return Err(refusal.into());
    }
    identity.save(&places.identities(), &passphrase, &*entropy)?;

    let fingerprint = crate::ledger::Directory::fingerprint(&root);
    let report = serde_json::json!({
        "vault": vault, "owner": args.owner, "root_fingerprint": fingerprint,
        "kit": args.kit, "vault_dir": places.vault, "state_dir": places.state,
    });
    context.result(&report, || {
        format!(
            "The vault is made. Root fingerprint (give it to your operators): {fingerprint}\n\
             Recovery kit: {} — print it and keep it away from this machine.\n\
             Next: 'mandatum unlock', then 'mandatum member role {} --add lead' if you lead mandates yourself,\n\
             or 'mandatum member add NAME --role lead'.",
            args.kit.display(),
            shown(&args.owner),
        )
    })
}

/// Shows a fresh seed as QR and URI, and has it confirmed by a code.
///
/// # Errors
/// Usage where no code can be asked for.
pub fn enrol(context: &mut Context<'_, '_>, name: &Name, args: &EnrolArgs) -> Result<(Secret, String), Failure> {
    let seed = Seed::generate(&*context.edge.entropy);
    let uri = seed.uri("mandatum", name.as_str());
    let shown = uri.expose_str().unwrap_or("");
    match &args.otpauth_out {
        Some(path) => {
            write_private(path, format!("{shown}\n").as_bytes())?;
            context.say(&format!("The otpauth URI of {name} is in {}; delete it once the app has it.", path.display()));
        }
        None if context.terminal().can_prompt() => {
            context.say(&format!("Scan this with {name}'s authenticator app:"));
            for line in qr::draw(shown).unwrap_or_default().lines() {
                context.say(line);
            }
            context.say(shown);
        }
        None => {
            let sentence = "there is no terminal to show the QR code on; give --otpauth-out FILE and --otp-command CMD";
            return Err(Failure::usage(sentence));
        }
    }
    let code = context.code(&format!("Code that the app shows for {name}"))?;
    Ok((seed.encode(), code))
}

/// A new file that only this account can read.
///
/// # Errors
/// Input where it exists.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    written.map_err(|error| Failure::input("file", format!("{}: {error}", path.display())))
}

/// A name as it is typed: quoted where it has spaces.
pub fn shown(name: &Name) -> String {
    if name.as_str().chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        name.to_string()
    } else {
        shlex::try_quote(name.as_str()).map_or_else(|_| name.to_string(), |quoted| quoted.into_owned())
    }
}
