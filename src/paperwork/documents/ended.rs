//! One access at the end of a contract: revoked on the platform, destroyed in the vault. Two facts, two columns.

use super::draft::Draft;
use super::words::{self, mask_account};
use crate::model::{Instant, Kind, Text};
use crate::paperwork::lang::Lang;
use crate::paperwork::sheet::Table;

/// One access and its first two facts.
#[derive(Clone, Debug)]
pub struct EndedAccess {
    /// The system.
    pub system: Text,
    /// What it was.
    pub kind: Kind,
    /// The account; printed masked.
    pub account: Text,
    /// On the platform.
    pub platform: OnPlatform,
    /// In the vault.
    pub vault: Vaulted,
}

/// What became of an access on the platform.
#[derive(Clone, Debug)]
pub enum OnPlatform {
    /// Revoked.
    Revoked {
        /// By whom.
        by: Text,
        /// When.
        at: Instant,
        /// What shows it.
        proof: Text,
    },
    /// There was nothing to revoke.
    NotApplicable {
        /// Why.
        reason: Text,
    },
    /// Nobody has yet.
    Open,
}

/// What became of a secret in the vault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vaulted {
    /// Its key was destroyed.
    Destroyed {
        /// The ledger's record of it.
        record: u64,
        /// The epoch whose key is gone.
        epoch: u64,
        /// When.
        at: Instant,
    },
    /// Delegated access has no secret.
    NoSecret,
    /// It is still there.
    Open,
}

/// The columns of [`EndedAccess::cells`].
pub(super) fn ended_columns(draft: &Draft<'_>) -> Table {
    draft.columns(&[
        (("Система", "System"), 4),
        (("Вид доступа, учётная запись", "Kind of access, account"), 5),
        (("Отозван на площадке (кем, когда, подтверждение)", "Revoked on the platform (by, when, proof)"), 7),
        (("Секрет в хранилище", "Secret in the vault"), 6),
    ])
}

impl EndedAccess {
    /// System, kind and account, first fact, second fact.
    pub(super) fn cells(&self, draft: &mut Draft<'_>) -> Vec<String> {
        let which = self.system.as_str();
        let account = mask_account(self.account.as_str());
        let kind = words::kind(draft.lang(), self.kind);
        let kind = if account.is_empty() { kind.to_owned() } else { format!("{kind}\n{account}") };
        vec![which.to_owned(), kind, self.on_platform(draft), self.in_vault(draft)]
    }

    fn on_platform(&self, draft: &mut Draft<'_>) -> String {
        let which = self.system.as_str();
        let label = ("отзыв на площадке", "revocation on the platform");
        match &self.platform {
            OnPlatform::Open => draft.must_of(label, which, ""),
            OnPlatform::NotApplicable { reason } => {
                let reason = draft.must_of(label, which, reason);
                format!("{}: {reason}", draft.pick(("не требуется", "not applicable")))
            }
            OnPlatform::Revoked { by, at, proof } => {
                let by = draft.must_of(("кто отозвал на площадке", "who revoked on the platform"), which, by);
                let proof = draft.must_of(("подтверждение отзыва", "proof of the revocation"), which, proof);
                format!("{by}\n{}\n{}: {proof}", draft.moment(*at), draft.pick(("подтверждение", "proof")))
            }
        }
    }

    fn in_vault(&self, draft: &mut Draft<'_>) -> String {
        match self.vault {
            Vaulted::NoSecret if self.kind == Kind::Delegated => {
                draft.pick(("секрета не было (гостевой доступ)", "there was none (delegated)")).to_owned()
            }
            // A login has a secret, whatever is said.
            Vaulted::NoSecret | Vaulted::Open => draft.must_of(
                ("уничтожение секрета в хранилище", "destruction of the secret in the vault"),
                self.system.as_str(),
                "",
            ),
            Vaulted::Destroyed { record, epoch, at } => {
                let at = draft.moment(at);
                match draft.lang() {
                    Lang::Ru => format!("секрет в хранилище уничтожен\n{at}\nзапись № {record}, эпоха {epoch}"),
                    Lang::En => format!("secret in the vault destroyed\n{at}\nrecord No. {record}, epoch {epoch}"),
                }
            }
        }
    }
}
