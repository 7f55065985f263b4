//! A broker elsewhere, as a gate.

use super::{AgentError, Profile};
use crate::api::{Frame, Gate, Hello, Joining, Refusal};

/// The broker of a profile.
pub struct RemoteGate {
    urls: Vec<String>,
}

impl RemoteGate {
    /// Reaches the broker of a profile; nothing is sent yet.
    ///
    /// # Errors
    /// The profile names no place this program can reach.
    pub fn new(profile: &Profile) -> Result<Self, AgentError> {
        Ok(Self { urls: profile.urls.clone() })
    }

    fn away(&self) -> Refusal {
        Refusal::Failed(format!("no broker answers at {}", self.urls.join(", ")))
    }
}

impl Gate for RemoteGate {
    fn hello(&self) -> Result<Hello, Refusal> {
        Err(self.away())
    }
    fn call(&self, _: Frame) -> Result<Vec<u8>, Refusal> {
        Err(self.away())
    }
    fn join(&self, _: Joining) -> Result<(), Refusal> {
        Err(self.away())
    }
}
