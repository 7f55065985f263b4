//! The gate: one file per operation, in the order it happens.
//!
//! Guarantees: every request is signed, judged and recorded before it has an effect, denials too. A record is durable
//! and read back before anything is released by it (`recorder.rs`); a release uses up a permit and a receipt
//! (`release.rs`). What ends has its keys destroyed before the end is acknowledged (`destroy.rs`).
//!
//! Whoever asks stands in line (`line.rs`); what stands in line together is recorded together, in one durable commit.
//!
//! It sees metadata, since it decides by it. It never sees a secret: ciphertexts and inner wraps pass through it.

mod backup;
mod caller;
mod close;
mod credentials;
mod destroy;
mod devices;
mod draft;
mod evidence;
mod exposure;
mod fetch;
mod found;
mod grant;
mod incident;
mod invite;
mod ledgers;
mod line;
mod mandates;
mod members;
mod memory;
mod nonces;
mod notices;
mod overview;
mod pace;
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
pub use pace::Pace;
pub use restart::restart;

use crate::anchor::{Anchor, AnchorError, Home, StateLock};
use crate::api::{self, Call, Frame, Gate, Hello, Joining, Refusal};
use crate::ledger::Assurance;
use crate::model::{Clock, Deny, Instant, MemberId, Nonce, Roster, Verb};
use crate::policy;
use crate::store::{Database, Store, StoreError};
use caller::{Caller, Signer};
use line::Line;
use memory::Memory;
use nonces::Nonces;
use pace::Paces;
use release::HandOut;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use vault::Vault;

/// A token that a fresh code earned is good for this long, ms.
const STEP_UP_MS: i64 = 10 * 60 * 1000;

/// What a broker works with.
#[derive(Clone)]
pub struct Settings {
    /// The database.
    pub database: Database,
    /// The anchor.
    pub home: Home,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How the broker was started; stands in what it records by itself.
    pub assurance: Assurance,
    /// How fast one member may ask.
    pub pace: Pace,
    /// Where newcomers reach it.
    pub served: api::Served,
}

/// A broker of one vault.
pub struct Broker {
    settings: Settings,
    line: Line<Task, Done>,
    nonces: Nonces,
    inner: Mutex<Inner>,
    /// The roster as the last call left it, for what is looked at before standing in line.
    view: Mutex<Option<Arc<Roster>>>,
    wrong_tokens: Mutex<invite::WrongTokens>,
}

#[derive(Default)]
struct Inner {
    open: Option<(Anchor, Store)>,
    /// The roster as the last call left it; good while the anchor on disk is the one that is open.
    roster: Option<Arc<Roster>>,
    memory: Memory,
    step_ups: StepUps,
    paces: Paces,
}

/// Tokens that fresh codes earned, each good for one sensitive request.
#[derive(Default)]
pub struct StepUps(HashMap<Nonce, (MemberId, Instant)>);

impl StepUps {
    /// Uses a token up; whose it was.
    fn take(&mut self, token: Nonce, now: Instant) -> Option<MemberId> {
        self.0.remove(&token).filter(|(_, at)| now.since(*at) < STEP_UP_MS).map(|(member, _)| member)
    }

    fn keep(&mut self, token: Nonce, member: MemberId, now: Instant) {
        self.0.retain(|_, (_, at)| now.since(*at) < STEP_UP_MS);
        self.0.insert(token, (member, now));
    }
}

/// One request in line.
struct Task {
    frame: Frame,
    assurance: Assurance,
    /// The signature as it was checked before standing in line, by the roster as it was then.
    signer: Option<Signer>,
}

/// What a task comes to.
enum Done {
    /// The answer, or why there is none.
    Said(Result<Vec<u8>, Refusal>),
    /// Decided and durably recorded: what is left needs nobody's turn.
    HandOut(Box<HandOut>),
}

impl Broker {
    /// A broker that opens its vault at the first call.
    pub fn new(settings: Settings) -> Self {
        let nonces = Nonces::new(&*settings.home.entropy);
        Self {
            settings,
            line: Line::default(),
            nonces,
            inner: Mutex::default(),
            view: Mutex::default(),
            wrong_tokens: Mutex::default(),
        }
    }

    /// Opens the vault and destroys what is over: what every call begins with.
    ///
    /// # Errors
    /// [`Refusal`] where the vault does not open.
    pub fn look(&self) -> Result<(), Refusal> {
        self.with_vault(|_, _| Ok(()))
    }

    /// Runs `work` on the opened vault, alone: under the state lock, with the anchor as it is on disk now, after what
    /// is over was destroyed.
    fn with_vault<T>(
        &self,
        work: impl FnOnce(&mut Vault<'_>, &mut Turn<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock =
            StateLock::take(&self.settings.home.dir).map_err(|e| Refusal::Failed(format!("state lock: {e}")))?;
        let Inner { open, roster, memory, step_ups, paces } = &mut *inner;
        // Another process may have changed the files since; what it left is read anew.
        if let Some((anchor, _)) = open
            && !anchor.is_current()?
        {
            (*open, *roster, *memory) = (None, None, Memory::default());
        }
        let (anchor, store) = match open {
            Some(both) => both,
            None => open.insert(self.open()?),
        };
        store.begin_reading()?;
        let mut stale = true;
        let done = Vault::begin(&self.settings, anchor, store, memory, roster.take()).and_then(|mut vault| {
            let mut turn = Turn { nonces: &self.nonces, step_ups, paces };
            let done = work(&mut vault, &mut turn);
            stale = vault.stale || matches!(done, Err(Refusal::Failed(_) | Refusal::Integrity(_)));
            *roster = Some(vault.roster);
            done
        });
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = roster.clone();
        let ended = store.end_reading();
        if stale || ended.is_err() {
            // Whatever was half done is read anew from disk before the next call.
            (inner.open, inner.roster, inner.memory) = (None, None, Memory::default());
        }
        ended?;
        done
    }

    fn open(&self) -> Result<(Anchor, Store), Refusal> {
        let (mut anchor, mut store) = (Anchor::open(&self.settings.home)?, Store::open(&self.settings.database)?);
        if self.settings.assurance != Assurance::Solo {
            anchor.stay();
            store.stay();
        }
        Ok((anchor, store))
    }

    fn view(&self) -> Option<Arc<Roster>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves everybody in line, in their order.
    fn serve(&self, tasks: Vec<Task>) -> Vec<Done> {
        let (mut tasks, mut done) = (VecDeque::from(tasks), Vec::new());
        while !tasks.is_empty() {
            let began = self.with_vault(|vault, turn| {
                while !tasks.is_empty() && !vault.stale {
                    match retrievals(&mut tasks) {
                        asked if !asked.is_empty() => fetch::serve(vault, turn, asked, &mut done),
                        _ => done.extend(tasks.pop_front().map(|task| Done::Said(self.serve_one(vault, turn, &task)))),
                    }
                }
                Ok(())
            });
            if let Err(refusal) = began
                && tasks.pop_front().is_some()
            {
                done.push(Done::Said(Err(refusal)));
            }
        }
        done
    }

    fn serve_one(&self, vault: &mut Vault<'_>, turn: &mut Turn<'_>, task: &Task) -> Result<Vec<u8>, Refusal> {
        let caller = Caller::prove(vault, turn, task)?;
        caller.check_right(vault)?;
        let done = self.dispatch(vault, &caller, &task.frame);
        match &done {
            // What is not there for the caller is recorded in the agency's own ledger only.
            Err(Refusal::NotFound) => drop(caller.record_refused(vault)?),
            Err(Refusal::Failed(_) | Refusal::Integrity(_)) => vault.stale = true,
            Ok(answer) => {
                if let Some(token) = step_up_token(task.frame.verb, answer) {
                    turn.step_ups.keep(token, caller.id(), vault.now());
                }
            }
            _ => {}
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
            Verb::MemberInvite => run::<api::MemberInviteCall>(vault, caller, frame, invite::invite),
            Verb::MemberPending => run::<api::MemberPendingCall>(vault, caller, frame, invite::pending),
            Verb::MemberConfirm => run::<api::MemberConfirmCall>(vault, caller, frame, invite::confirm),
            Verb::MemberReject => run::<api::MemberRejectCall>(vault, caller, frame, invite::reject),
            Verb::DeviceList => run::<api::DeviceListCall>(vault, caller, frame, devices::list),
            Verb::DeviceRemove => run::<api::DeviceRemoveCall>(vault, caller, frame, devices::remove),
            Verb::WrapShare => run::<api::WrapShareCall>(vault, caller, frame, devices::share),
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
            // They stand in line together: `serve`.
            Verb::Fetch | Verb::Code => Err(malformed()),
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

/// The retrievals in front of the line: they change no state, and are recorded together.
fn retrievals(tasks: &mut VecDeque<Task>) -> Vec<Task> {
    let count = tasks.iter().take_while(|task| decides_itself(task.frame.verb)).count();
    tasks.drain(..count).collect()
}

/// What a turn works with beside the vault.
pub struct Turn<'a> {
    nonces: &'a Nonces,
    step_ups: &'a mut StepUps,
    paces: &'a mut Paces,
}

/// A way in to a broker. What comes in by it is recorded with its level of assurance.
pub struct Door {
    broker: Arc<Broker>,
    assurance: Assurance,
}

impl Door {
    /// A door of this level.
    pub fn new(broker: Arc<Broker>, assurance: Assurance) -> Self {
        Self { broker, assurance }
    }
}

impl Gate for Door {
    fn hello(&self) -> Result<Hello, Refusal> {
        let broker = &*self.broker;
        let roster = match broker.view() {
            Some(roster) => roster,
            None => broker.with_vault(|vault, _| Ok(Arc::clone(&vault.roster)))?,
        };
        let nonces = [(); 2].map(|()| broker.nonces.generate());
        Ok(Hello { vault: roster.vault, nonces, charters: roster.charters.clone() })
    }

    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        let broker = &*self.broker;
        // Signatures are checked by everybody at once; who has none that holds is looked at again in turn.
        let signer = broker.view().and_then(|roster| Signer::check(&roster, &frame).ok());
        let task = Task { frame, assurance: self.assurance, signer };
        match broker.line.pass(task, |tasks| broker.serve(tasks)) {
            Done::Said(answer) => answer,
            Done::HandOut(release) => release.complete(),
        }
    }

    fn join(&self, joining: Joining) -> Result<(), Refusal> {
        let mut wrong = self.broker.wrong_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        self.broker.with_vault(|vault, _| invite::join(vault, &mut wrong, joining))
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
    let request = parse::<C::Ask>(caller.signed_bytes())?;
    let load = if frame.load.is_empty() {
        C::Load::default()
    } else {
        serde_json::from_slice(&frame.load).map_err(|_| malformed())?
    };
    let answer = work(vault, caller, request, load)?;
    serde_json::to_vec(&answer).map_err(|e| Refusal::Failed(e.to_string()))
}

/// Parses a request strictly; its signature was verified over exactly these bytes.
fn parse<A: Serialize + DeserializeOwned>(signed_bytes: &[u8]) -> Result<api::Request<A>, Refusal> {
    let request: api::Request<A> = serde_json::from_slice(signed_bytes).map_err(|_| malformed())?;
    // An audit compares what was signed with the event: what was read must be all of it, value for value.
    let signed: Option<serde_json::Value> = serde_json::from_slice(signed_bytes).ok();
    if signed.is_some() && serde_json::to_value(&request).ok() == signed { Ok(request) } else { Err(malformed()) }
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
