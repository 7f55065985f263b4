//! Why a command failed: one sentence, the next step, and the exit code.

use super::terminal::Terminal;
use crate::agent::{AgentError, IdentityFileError, SessionError};
use crate::api::Refusal;
use crate::model::Deny;

/// A failed command.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | done |
/// | 1 | unexpected |
/// | 2 | usage |
/// | 3 | denied; the deny code is printed |
/// | 4 | nothing there, or not yours |
/// | 5 | authentication |
/// | 6 | vault integrity |
/// | 7 | refused input |
#[derive(Debug)]
pub struct Failure {
    exit: u8,
    deny: Option<Deny>,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Something outside failed.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self::new(1, message)
    }

    /// The command was not given what it needs.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(2, message)
    }

    /// Who asks is not proven.
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(5, message)
    }

    /// The vault or an extract does not hold together.
    pub fn integrity(message: impl Into<String>) -> Self {
        Self::new(6, message)
    }

    /// The input is refused.
    pub fn input(field: &str, sentence: impl std::fmt::Display) -> Self {
        Self::new(7, format!("{field}: {sentence}"))
    }

    fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, deny: None, message: message.into(), hint: None }
    }

    /// With the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The deny code, if it was a denial.
    pub fn deny(&self) -> Option<Deny> {
        self.deny
    }

    /// A command that ran under `run` ended with this code.
    pub fn of_child(exit: u8) -> Self {
        Self { exit, deny: None, message: String::new(), hint: None }
    }

    /// Says it and gives the exit code.
    pub fn show(self, terminal: &mut dyn Terminal, json: bool) -> u8 {
        if self.message.is_empty() {
            return self.exit;
        }
        if json {
            let error = serde_json::json!({"error": {
                "exit": self.exit,
                "deny": self.deny.map(Deny::code),
                "message": self.message,
                "hint": self.hint,
            }});
            terminal.say(&error.to_string());
        } else {
            terminal.say(&format!("mandatum: {}", self.message));
            if let Some(hint) = &self.hint {
                terminal.say(&format!("  {hint}"));
            }
        }
        self.exit
    }
}

/// A number with its noun: `1 grant`, `2 grants`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Denied { code } => Self { deny: Some(code), ..Self::new(3, message) },
            Refusal::NotFound => Self::new(4, message)
                .hint("names are written OPERATOR/SYSTEM[/NAME]; 'mandatum credential list' shows yours"),
            Refusal::Authentication(_) => Self::new(5, message),
            Refusal::Integrity(_) => Self::new(6, message).hint("'mandatum doctor' says what is wrong and what to do"),
            Refusal::Input { .. } => Self::new(7, message),
            Refusal::UnknownHead | Refusal::Restarted { .. } => Self::new(6, message),
            Refusal::Busy { .. } | Refusal::Failed(_) => Self::new(1, message),
        }
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Refused(refusal) => refusal.into(),
            AgentError::Untrusted(_) => Self::new(6, error.to_string()),
            AgentError::Failed(message) => Self::new(1, message),
        }
    }
}

impl From<IdentityFileError> for Failure {
    fn from(error: IdentityFileError) -> Self {
        match error {
            IdentityFileError::Missing | IdentityFileError::Closed(_) => Self::new(5, error.to_string()),
            IdentityFileError::Io(_) => Self::new(1, error.to_string()),
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::new(1, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(1, error.to_string())
    }
}
