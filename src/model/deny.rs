//! Why a retrieval was denied: a closed list, part of the interface.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! deny_codes {
    ($($variant:ident = $code:literal, $sentence:literal;)+) => {
        /// A deny code. Its text form is stable and is what records and exit code 3 print.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum Deny {
            $(#[doc = $sentence] #[serde(rename = $code)] $variant,)+
        }

        impl Deny {
            /// Every code.
            pub const ALL: &[Deny] = &[$(Deny::$variant),+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Deny::$variant => $code,)+ }
            }

            /// What it means and what to do next.
            pub fn sentence(self) -> &'static str {
                match self { $(Deny::$variant => $sentence,)+ }
            }
        }
    };
}

deny_codes! {
    MandateNotActive = "MANDATE_NOT_ACTIVE", "The mandate is not active: nothing can be retrieved under it.";
    TermNotStarted = "TERM_NOT_STARTED", "The term of this access has not begun.";
    TermExpired = "TERM_EXPIRED", "The term of this access is over. Ask the lead whether the mandate was extended.";
    GrantLocked = "GRANT_LOCKED", "This access is locked: the member is suspended or an incident holds it.";
    NotGranted = "NOT_GRANTED", "This was not granted to you. Ask the lead of the mandate for it.";
    RoleForbids = "ROLE_FORBIDS", "Your role does not allow this.";
    MfaRequired = "MFA_REQUIRED", "A current two-factor code is needed. Run 'mandatum unlock' or give a code.";
    MfaReplayed = "MFA_REPLAYED", "This two-factor code was used already. Wait for the next one.";
    PurposeRequired = "PURPOSE_REQUIRED", "Say what for: the row has more than one purpose.";
    PurposeOutsideRow = "PURPOSE_OUTSIDE_ROW", "This purpose is not in the row of the mandate.";
    SecretDestroyed = "SECRET_DESTROYED", "The key of this access was destroyed; it cannot be opened any more.";
    ClockSuspect = "CLOCK_SUSPECT", "The clock of this machine cannot be trusted. Set it right; after a long pause the owner confirms it.";
    LedgerUnavailable = "LEDGER_UNAVAILABLE", "The record could not be written, so nothing was released.";
    VaultRolledBack = "VAULT_ROLLED_BACK", "The database is older than the broker remembers. Only an owner's 'restart' with the recovery kit goes on from here.";
}

impl fmt::Display for Deny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
