//! The gate: one file per operation, in the order it happens.
//!
//! Guarantees: every request is signed, judged and recorded before it has an effect, denials too. A record is durable
//! and read back before anything is released by it (`recorder.rs`); a release uses up a permit and a receipt
//! (`release.rs`). What ends has its keys destroyed before the end is acknowledged (`destroy.rs`).
//!
//! It sees metadata, since it decides by it. It never sees a secret: ciphertexts and inner wraps pass through it.

mod backup;
mod caller;
mod close;
mod credentials;
mod destroy;
mod draft;
mod evidence;
mod exposure;
mod fetch;
mod found;
mod grant;
mod incident;
mod ledgers;
mod mandates;
mod members;
mod notices;
mod overview;
mod people;
mod recorder;
mod release;
mod restart;

mod revoke;
mod sweep;
mod unlock;
mod vault;
mod verify;

pub use found::found;
pub use restart::restart;

use crate::anchor::{Anchor, AnchorError, Home, StateLock};
use crate::api::{self, Call, Frame, Gate, Hello, Joining, Refusal};
use crate::crypto::Entropy;
use crate::ledger::Assurance;
use crate::model::{Clock, Deny, MemberId, Nonce, Roster, Verb};
use crate::policy;
use crate::store::{Store, StoreError};
use caller::Caller;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use vault::Vault;

/// Nonces that may be out at a time; the oldest goes first.
const NONCES: usize = 4096;

/// What a broker works with.
#[derive(Clone)]
pub struct Settings {
    /// The database file.
    pub database: PathBuf,
    /// The anchor.
    pub home: Home,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How the broker was started; stands in every record.
    pub assurance: Assurance,
}

/// A broker of one vault.
pub struct Broker {
    settings: Settings,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    open: Option<(Anchor, Store)>,
    /// The roster as the last call left it; good while the anchor on disk is the one that is open.
    roster: Option<Roster>,
    nonces: VecDeque<Nonce>,
    step_ups: HashMap<Nonce, MemberId>,
}

impl Broker {
    /// A broker that opens its vault at the first call.
    pub fn new(settings: Settings) -> Self {
        Self { settings, inner: Mutex::default() }
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.settings.home.entropy
    }

    /// Runs `work` on the opened vault, alone: under the state lock, with the anchor as it is on disk now, after what
    /// is over was destroyed.
    fn with_vault<T>(
        &self,
        work: impl FnOnce(&mut Vault<'_>, &mut VecDeque<Nonce>, &mut HashMap<Nonce, MemberId>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock =
            StateLock::take(&self.settings.home.dir).map_err(|e| Refusal::Failed(format!("state lock: {e}")))?;
        let Inner { open, roster, nonces, step_ups } = &mut *inner;
        // Another process may have changed the files since; what it left is read anew.
        if let Some((anchor, _)) = open
            && !anchor.is_current()?
        {
            (*open, *roster) = (None, None);
        }
        let (anchor, store) = match open {
            Some(both) => both,
            None => open.insert((Anchor::open(&self.settings.home)?, Store::open(&self.settings.database)?)),
        };
        store.begin_reading()?;
        let begun = Vault::begin(&self.settings, anchor, store, roster.take());
        let done = begun.and_then(|mut vault| {
            let done = work(&mut vault, nonces, step_ups);
            *roster = Some(vault.roster);
            done
        });
        store.end_reading()?;
        if matches!(done, Err(Refusal::Failed(_) | Refusal::Integrity(_))) {
            // Whatever was half done is read anew from disk before the next call.
            (inner.open, inner.roster) = (None, None);
        }
        done
    }

    fn dispatch(&self, vault: &mut Vault<'_>, caller: &Caller, frame: &Frame) -> Result<Vec<u8>, Refusal> {
        match frame.verb {
            Verb::Unlock => run::<api::UnlockCall>(vault, caller, frame, unlock::unlock),
            Verb::Lock => run::<api::LockCall>(vault, caller, frame, unlock::lock),
            Verb::StepUp => run::<api::StepUpCall>(vault, caller, frame, unlock::step_up),
            Verb::MemberAdd => run::<api::MemberAddCall>(vault, caller, frame, members::add),
            Verb::MemberList => run::<api::MemberListCall>(vault, caller, frame, members::list),
            Verb::MemberRole => run::<api::MemberRoleCall>(vault, caller, frame, members::role),
            Verb::MemberSuspend => run::<api::MemberSuspendCall>(vault, caller, frame, members::suspend),
            Verb::MemberResume => run::<api::MemberResumeCall>(vault, caller, frame, members::resume),
            Verb::MemberFactor => run::<api::MemberFactorCall>(vault, caller, frame, members::factor),
            Verb::MemberRemove => run::<api::MemberRemoveCall>(vault, caller, frame, members::remove),
            Verb::MandateOpen => run::<api::MandateOpenCall>(vault, caller, frame, mandates::open),
            Verb::MandateList => run::<api::MandateListCall>(vault, caller, frame, mandates::list),
            Verb::MandateShow => run::<api::MandateShowCall>(vault, caller, frame, mandates::show),
            Verb::MandateAmend => run::<api::MandateAmendCall>(vault, caller, frame, mandates::amend),
            Verb::MandateEnd => run::<api::MandateEndCall>(vault, caller, frame, close::end),
            Verb::MandateSettle => run::<api::MandateSettleCall>(vault, caller, frame, close::settle),
            Verb::MandateClose => run::<api::MandateCloseCall>(vault, caller, frame, close::close),
            Verb::MandateImport => run::<api::MandateImportCall>(vault, caller, frame, draft::import),
            Verb::MandateAnswer => run::<api::MandateAnswerCall>(vault, caller, frame, draft::answer),
            Verb::MandateActivate => run::<api::MandateActivateCall>(vault, caller, frame, draft::activate),
            Verb::MandatePermit => run::<api::MandatePermitCall>(vault, caller, frame, people::permit),
            Verb::MandateEvidence => run::<api::MandateEvidenceCall>(vault, caller, frame, evidence::evidence),
            Verb::Request => run::<api::RequestCall>(vault, caller, frame, people::request),
            Verb::Deny => run::<api::DenyCall>(vault, caller, frame, people::deny),
            Verb::Review => run::<api::ReviewCall>(vault, caller, frame, people::review),
            Verb::RotationAsk => run::<api::RotationAskCall>(vault, caller, frame, evidence::ask_rotation),
            Verb::IncidentOpen => run::<api::IncidentOpenCall>(vault, caller, frame, incident::open),
            Verb::IncidentNote => run::<api::IncidentNoteCall>(vault, caller, frame, incident::note),
            Verb::IncidentClose => run::<api::IncidentCloseCall>(vault, caller, frame, incident::close),
            Verb::IncidentList => run::<api::IncidentListCall>(vault, caller, frame, incident::list),
            Verb::CredentialAdd => run::<api::CredentialAddCall>(vault, caller, frame, credentials::add),
            Verb::CredentialRotate => run::<api::CredentialRotateCall>(vault, caller, frame, credentials::rotate),
            Verb::CredentialList => run::<api::CredentialListCall>(vault, caller, frame, credentials::list),
            Verb::Locate => run::<api::LocateCall>(vault, caller, frame, credentials::locate),
            Verb::Reuse => run::<api::ReuseCall>(vault, caller, frame, credentials::reuse),
            Verb::Recipients => run::<api::RecipientsCall>(vault, caller, frame, credentials::recipients),
            Verb::Grant => run::<api::GrantCall>(vault, caller, frame, grant::grant),
            Verb::Revoke => run::<api::RevokeCall>(vault, caller, frame, revoke::revoke),
            Verb::Fetch => run::<api::FetchCall>(vault, caller, frame, fetch::fetch),
            Verb::Code => run::<api::CodeCall>(vault, caller, frame, fetch::code),
            Verb::Log => run::<api::LogCall>(vault, caller, frame, ledgers::log),
            Verb::Extract => run::<api::ExtractCall>(vault, caller, frame, ledgers::extract),
            Verb::Checkpoint => run::<api::CheckpointCall>(vault, caller, frame, ledgers::checkpoint),
            Verb::Exposure => run::<api::ExposureCall>(vault, caller, frame, exposure::exposure),
            Verb::Verify => run::<api::VerifyCall>(vault, caller, frame, verify::verify),
            Verb::Sweep => run::<api::SweepCall>(vault, caller, frame, sweep::sweep),
            Verb::Due => run::<api::DueCall>(vault, caller, frame, overview::due),
            Verb::Status => run::<api::StatusCall>(vault, caller, frame, overview::status),
            Verb::Backup => run::<api::BackupCall>(vault, caller, frame, backup::backup),
            Verb::ConfirmClock => run::<api::ConfirmClockCall>(vault, caller, frame, sweep::confirm_clock),
        }
    }
}

impl Gate for Broker {
    fn hello(&self) -> Result<Hello, Refusal> {
        let fresh = [(); 2].map(|()| {
            let mut nonce = [0; 16];
            self.entropy().fill(&mut nonce);
            Nonce(nonce)
        });
        let (vault, charters) = self.with_vault(|vault, nonces, _| {
            for nonce in fresh {
                if nonces.len() == NONCES {
                    nonces.pop_front();
                }
                nonces.push_back(nonce);
            }
            Ok((vault.id(), vault.roster.charters.clone()))
        })?;
        Ok(Hello { vault, nonces: fresh, charters })
    }

    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        self.with_vault(|vault, nonces, step_ups| {
            let caller = Caller::prove(vault, &frame, nonces, step_ups)?;
            caller.check_right(vault)?;
            let done = self.dispatch(vault, &caller, &frame);
            match &done {
                // What is not there for the caller is recorded in the agency's own ledger only.
                Err(Refusal::NotFound) => drop(caller.record_refused(vault)?),
                Ok(answer) => step_ups.extend(step_up_token(frame.verb, answer).map(|token| (token, caller.id()))),
                _ => {}
            }
            done
        })
    }

    fn join(&self, _: Joining) -> Result<(), Refusal> {
        Err(Refusal::Authentication("the invitation is unknown, was used, or is over".into()))
    }
}

/// The token a fresh code earned, good for one sensitive request in this process.
fn step_up_token(verb: Verb, answer: &[u8]) -> Option<Nonce> {
    match verb {
        Verb::StepUp => serde_json::from_slice(answer).ok(),
        Verb::Unlock => serde_json::from_slice::<api::UnlockAnswer>(answer).ok().map(|answer| answer.step_up),
        _ => None,
    }
}

/// An operation: the opened vault, who asks, what is asked, what travels beside it.
type Operation<C> = fn(
    &mut Vault<'_>,
    &Caller,
    api::Request<<C as Call>::Ask>,
    <C as Call>::Load,
) -> Result<<C as Call>::Answer, Refusal>;

fn run<C: Call>(vault: &mut Vault<'_>, caller: &Caller, frame: &Frame, work: Operation<C>) -> Result<Vec<u8>, Refusal> {
    // The signature was verified over exactly these bytes; now they are parsed strictly.
    let request: api::Request<C::Ask> = serde_json::from_slice(caller.signed_bytes()).map_err(|_| malformed())?;
    // An audit compares what was signed with the event: what was read must be all of it, value for value.
    let signed: Option<serde_json::Value> = serde_json::from_slice(caller.signed_bytes()).ok();
    if signed.is_none() || serde_json::to_value(&request).ok() != signed {
        return Err(malformed());
    }
    let load = if frame.load.is_empty() {
        C::Load::default()
    } else {
        serde_json::from_slice(&frame.load).map_err(|_| malformed())?
    };
    let answer = work(vault, caller, request, load)?;
    serde_json::to_vec(&answer).map_err(|e| Refusal::Failed(e.to_string()))
}

fn malformed() -> Refusal {
    Refusal::input("request", "is not a request of this version")
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.is_damage() { Refusal::Integrity(error.to_string()) } else { Refusal::Failed(error.to_string()) }
    }
}

impl From<AnchorError> for Refusal {
    fn from(error: AnchorError) -> Self {
        match error {
            AnchorError::Corrupt | AnchorError::Epoch | AnchorError::Missing(_) => {
                Refusal::Integrity(error.to_string())
            }
            AnchorError::Keys(_) | AnchorError::Io(_) => Refusal::Failed(error.to_string()),
        }
    }
}

/// A release that cannot be recorded does not happen, whatever the storage said.
fn unrecorded(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Failed(_) => Refusal::Denied { code: Deny::LedgerUnavailable },
        other => other,
    }
}

/// Whether a verb's decision is made, and recorded in the mandate's ledger, by `decide` rather than at the door.
fn decides_itself(verb: Verb) -> bool {
    matches!(verb, Verb::Fetch | Verb::Code)
}

/// What the policy room says of the clock, for answers.
fn clock_name(clock: policy::ClockReading) -> &'static str {
    match clock {
        policy::ClockReading::Trusted(_) => "trusted",
        policy::ClockReading::Behind(_) => "behind",
        policy::ClockReading::Jumped(_) => "jumped",
    }
}
