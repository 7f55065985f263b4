//! `join`: the newcomer's side of an invitation. The keys are made here and leave this machine only sealed.

use super::context::{Context, check_passphrase};
use super::failure::Failure;
use super::init::{EnrolArgs, enrol, shown};
use super::terminal::trim_secret;
use crate::agent::{AgentError, Identity, Invitation, Profile, Program, Secret, identity_path};
use crate::api::{Gate, Hello, Joining, LockCall, NOT_CONFIRMED, Nothing, Places, Refusal};
use crate::ledger::{Directory, bundle_fingerprint, from_blob};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How often `--wait` asks.
const POLL: Duration = Duration::from_secs(5);

/// A second factor's seed as it is sent.
type EncodedSeed = Zeroizing<Vec<u8>>;

#[derive(clap::Args)]
pub struct Args {
    /// The invitation, good once [default: asked for]
    invitation: Option<Zeroizing<String>>,
    /// Read the invitation from a file
    #[arg(long, value_name = "FILE", conflicts_with = "invitation")]
    invitation_file: Option<PathBuf>,
    /// Wait until the owner has confirmed the keys
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    enrol: EnrolArgs,
}

/// Makes keys and hands their public half in under an invitation.
///
/// # Errors
/// Input where the invitation is none; authentication where it is unknown, was used or is over. Nothing is left here then.
pub fn join(context: &mut Context<'_, '_>, args: Args) -> Result<(), Failure> {
    let text = invitation_text(context, &args)?;
    let invitation = Invitation::parse(&text).map_err(|error| Failure::input("invitation", error))?;
    let places = context.places()?;
    let is_new_profile = check_places(&places, &invitation)?;
    let gate = match invitation.is_local() {
        true => context.edge.host.gate(&places)?,
        false => (context.edge.reach)(&invitation.profile())?,
    };
    check_vault(&gate.hello()?, &invitation)?;

    // Everything is asked before anything is written.
    context.say(&format!("Invitation of {}, device '{}'.", invitation.name, invitation.device));
    context.say(&format!("The owner sees the same: {}", invitation.fingerprint()));
    let passphrase = context.passphrase(&format!("New passphrase of {}", invitation.name), true)?;
    check_passphrase(&passphrase)?;
    let (seed, code) = second_factor(context, &invitation, &args.enrol)?;
    let identity = identity(context, &invitation);
    let bundle = identity.signed_bundle();
    let fingerprint = bundle_fingerprint(&bundle);

    // The files first: keys that nobody can open any more are no use to the owner who confirms them.
    let path = identity_path(&places.identities(), identity.vault, &identity.name);
    let taken = || Failure::input("identity", format!("{} exists: {} has keys here", path.display(), identity.name));
    if path.symlink_metadata().is_ok() {
        return Err(taken());
    }
    let joining = Joining { token: invitation.token(), bundle, seed, code };
    let joined = write_files(context, &places, &invitation, is_new_profile, &identity, &passphrase)
        .and_then(|()| gate.join(joining).map_err(Failure::from));
    if let Err(failure) = joined {
        let _ = std::fs::remove_file(&path);
        if is_new_profile {
            Profile::remove(&places.vault);
        }
        return Err(failure);
    }
    let report = serde_json::json!({
        "member": invitation.name, "device": invitation.device, "fingerprint": fingerprint, "confirmed": args.wait,
    });
    if args.wait {
        context.say(&format!("Fingerprint of your keys: {fingerprint}"));
        context.say("Read it to the owner who invited you; waiting for the confirmation.");
        wait(context, gate, identity, &places)?;
    }
    context.result(&report, || match args.wait {
        true => format!("{} is confirmed. Next: 'mandatum unlock'.", invitation.name),
        false => format!(
            "Fingerprint of your keys: {fingerprint}\n\
             Read it to the owner who invited you. After they have confirmed it: 'mandatum unlock --member {}'.",
            shown(&invitation.name)
        ),
    })
}

fn invitation_text(context: &mut Context<'_, '_>, args: &Args) -> Result<Zeroizing<String>, Failure> {
    if let Some(text) = &args.invitation {
        return Ok(text.clone());
    }
    let text = match &args.invitation_file {
        Some(path) => super::context::read_secret_file(path)?,
        None if context.terminal().can_prompt() => context.terminal().read_secret("Invitation: ")?,
        None => trim_secret(context.terminal().read_stdin()?),
    };
    let text = text.expose_str().ok_or_else(|| Failure::input("invitation", "is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Whether a profile is to be written: a directory is one vault's.
fn check_places(places: &Places, invitation: &Invitation) -> Result<bool, Failure> {
    if invitation.is_local() {
        return Ok(false);
    }
    let dir = places.vault.display();
    match Profile::read(&places.vault)? {
        Some(known) if (known.vault, known.root) == (invitation.vault, invitation.root) => Ok(false),
        Some(_) => Err(Failure::input("vault", format!("{dir} leads to another vault; choose another with --vault"))),
        None if places.database().symlink_metadata().is_ok() => {
            Err(Failure::input("vault", format!("{dir} holds a vault itself; choose another with --vault")))
        }
        None => Ok(true),
    }
}

/// Who answers must show charters of the invitation's owner root: before that, nothing is told.
fn check_vault(hello: &Hello, invitation: &Invitation) -> Result<(), Failure> {
    let charters: Option<Vec<_>> = hello.charters.iter().map(from_blob).collect();
    let directory = charters.and_then(|charters| Directory::new(invitation.root, &charters).ok());
    match directory {
        Some(directory) if directory.vault() == invitation.vault => Ok(()),
        _ => Err(AgentError::Untrusted("the charter is not signed by the owner root of the invitation").into()),
    }
}

/// A new member enrols a second factor; a further device is proven by the one its member has.
fn second_factor(
    context: &mut Context<'_, '_>,
    invitation: &Invitation,
    args: &EnrolArgs,
) -> Result<(Option<EncodedSeed>, String), Failure> {
    if invitation.member.is_some() {
        let code = context.code(&format!("Two-factor code of {}", invitation.name))?;
        return Ok((None, code));
    }
    let (seed, code) = enrol(context, &invitation.name, args)?;
    Ok((Some(Zeroizing::new(seed.expose().to_vec())), code))
}

fn identity(context: &Context<'_, '_>, invitation: &Invitation) -> Identity {
    let (vault, entropy) = ((invitation.vault, invitation.root), &*context.edge.entropy);
    match invitation.member {
        Some(member) => {
            let (name, device) = (invitation.name.clone(), invitation.device.clone());
            Identity::generate_for(vault, member, name, device, entropy)
        }
        None => Identity::generate(vault.0, vault.1, invitation.name.clone(), entropy),
    }
}

fn write_files(
    context: &Context<'_, '_>,
    places: &Places,
    invitation: &Invitation,
    is_new_profile: bool,
    identity: &Identity,
    passphrase: &Secret,
) -> Result<(), Failure> {
    if is_new_profile {
        invitation.profile().save(&places.vault)?;
    }
    identity.save(&places.identities(), passphrase, &*context.edge.entropy)?;
    Ok(())
}

fn wait(
    context: &mut Context<'_, '_>,
    gate: Arc<dyn Gate>,
    identity: Identity,
    places: &Places,
) -> Result<(), Failure> {
    let program = Program::new(gate, identity, &places.state, Arc::clone(&context.edge.entropy));
    loop {
        // Ending a session that was never begun does nothing, and only a member may ask for it.
        match program.ask::<LockCall>(None, None, Nothing {}) {
            Err(AgentError::Refused(Refusal::Authentication(said))) if said == NOT_CONFIRMED => {
                (context.edge.wait)(POLL);
            }
            done => return Ok(done?),
        }
    }
}
