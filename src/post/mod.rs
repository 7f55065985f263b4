//! Mail and webhooks: what leaves the agency by itself, where its owner configured it.
//!
//! Guarantees: nothing is sent without TLS, except to this machine itself where the configuration says so; no
//! redirect is followed; a delivery ends within its time limit whatever the other side does, and answers are read up
//! to a limit. Passwords and signing secrets stand in files of their own that nobody else can read, never in a
//! configuration and never in an error; nothing a server wrote is quoted. What is sent is for others to decide: this
//! room knows no mandate.

mod config;
mod copy;
mod line;
mod mail;
mod webhook;

pub use config::{ConfigError, parse_config, read_private};
pub use copy::copy_name;
pub use mail::{Enclosure, Letter, MailAddress, Mailer, SmtpTable};
pub use webhook::{Webhook, WebhookTable};

/// Why something was not delivered; names the host and nothing else of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// No connection.
    #[error("{0} cannot be reached")]
    Unreachable(String),
    /// Not done within the time limit.
    #[error("{0} did not answer in time")]
    TimedOut(String),
    /// No certificate for this host that is trusted here, or no TLS at all.
    #[error("the connection to {0} is not protected: no trusted certificate, or no STARTTLS")]
    Untrusted(String),
    /// More than is read.
    #[error("{0} answers with more than is read")]
    TooLong(String),
    /// The server said no.
    #[error("{host} refused it with code {code}")]
    Refused {
        /// Which.
        host: String,
        /// Its code.
        code: u16,
    },
    /// Something else than the protocol.
    #[error("{0} does not speak the expected protocol")]
    Protocol(String),
    /// It cannot be written as a letter.
    #[error("it cannot be written as a letter: {0}")]
    Unwritable(&'static str),
}
