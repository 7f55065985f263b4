//! Mail over SMTP: a letter of plain text, perhaps with one file.

use super::PostError;
use super::config::{ConfigError, read_roots, read_secret};
use super::line::Line;
use crate::crypto::Secret;
use crate::model::Instant;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;
use lettre::{Message, SmtpTransport, Transport};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The time for one whole letter.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// The longest host name, characters (RFC 1035, 2.3.4).
const HOST_MAX: usize = 253;

/// `[smtp]` of a configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpTable {
    /// `smtps://[user@]host[:465]`, `smtp://[user@]host[:587]` with STARTTLS, or `smtp+plain://127.0.0.1[:25]`.
    pub url: String,
    /// Where the user's password stands.
    pub password_file: Option<PathBuf>,
    /// Who it is from.
    pub from: MailAddress,
    /// Who gets notices.
    #[serde(default)]
    pub to: Vec<MailAddress>,
    /// Trusted *instead of* the built-in roots: a mail server under a company's own authority. PEM.
    pub ca_file: Option<PathBuf>,
}

/// An address that mail goes to or comes from, with or without a name: `Agency <robot@agency.example>`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MailAddress(Mailbox);

impl TryFrom<String> for MailAddress {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::str::FromStr for MailAddress {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = !text.chars().any(char::is_control);
        let parsed = text.parse().ok().filter(|_| plain);
        parsed.map(Self).ok_or("is not a mail address; write name@host.example, or Name <name@host.example>")
    }
}

impl std::fmt::Display for MailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.email.fmt(f)
    }
}

/// How mail is sent.
pub struct Mailer {
    server: Server,
    login: Option<(String, Secret)>,
    from: MailAddress,
    /// Trusted instead of the built-in ones, where there are any.
    roots: Vec<Certificate>,
    time_limit: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Server {
    protection: Protection,
    user: Option<String>,
    host: String,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protection {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, or nothing is sent.
    StartTls,
    /// None: only to this machine.
    Plain,
}

/// A letter.
pub struct Letter<'a> {
    /// To whom.
    pub to: &'a [MailAddress],
    /// One line; it holds no secret.
    pub subject: &'a str,
    /// Plain text.
    pub text: &'a str,
    /// The same for the same letter sent again, so that it is told as one: letters and digits.
    pub id: &'a str,
    /// When it is sent.
    pub at: Instant,
    /// A file that goes with it.
    pub enclosure: Option<Enclosure<'a>>,
}

/// A file that goes with a letter.
pub struct Enclosure<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Mailer {
    /// From a configuration; files in it are relative to its directory.
    ///
    /// # Errors
    /// [`ConfigError`] with the place.
    pub fn new(table: SmtpTable, config: &Path) -> Result<Self, ConfigError> {
        let beside = |file: &Path| config.parent().unwrap_or(Path::new("")).join(file);
        let wrong = |sentence: String| ConfigError::new(config, sentence);
        let server = Server::parse(&table.url).map_err(|sentence| wrong(format!("smtp.url {sentence}")))?;
        let login = match (&server.user, &table.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), read_secret(&beside(file))?)),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("smtp.password_file is missing: smtp.url names a user".into())),
            (None, Some(_)) => return Err(wrong("smtp.url names no user for smtp.password_file".into())),
        };
        if login.as_ref().is_some_and(|(_, password)| password.expose_str().is_none()) {
            return Err(wrong("smtp.password_file holds no text".into()));
        }
        let mut roots = Vec::new();
        if let Some(file) = &table.ca_file {
            for root in read_roots(config, "smtp.ca_file", &beside(file))? {
                let root = Certificate::from_der(root.der().to_vec());
                roots.push(root.map_err(|_| wrong("smtp.ca_file holds a certificate that is none".into()))?);
            }
        }
        Ok(Self { server, login, from: table.from, roots, time_limit: TIME_LIMIT })
    }

    /// With another time limit for one whole letter.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Sends a letter; it was taken by the server where this returns nothing wrong.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn send(&self, letter: &Letter<'_>) -> Result<(), PostError> {
        let message = self.write(letter)?;
        let host = &self.server.host;
        let line = Line::open(host, self.server.port, self.time_limit)?;
        let sent = self.transport(line.port)?.send(&message);
        match (line.cut(host), sent) {
            // The client also takes an answer that asks for more, 3yz, for a good one.
            (_, Ok(answer)) if answer.code().severity == Severity::PositiveCompletion => Ok(()),
            (_, Ok(_)) => Err(PostError::Protocol(host.clone())),
            (Some(cut), Err(_)) => Err(cut),
            (None, Err(error)) => Err(fault(host, &error)),
        }
    }

    fn write(&self, letter: &Letter<'_>) -> Result<Message, PostError> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(letter.at.unix_seconds());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut builder = Message::builder()
            .from(self.from.0.clone())
            .subject(letter.subject)
            .date(at)
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.0.email.domain())))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        for to in letter.to {
            builder = builder.to(to.0.clone());
        }
        let text = SinglePart::plain(letter.text.to_owned());
        let built = match &letter.enclosure {
            None => builder.singlepart(text),
            Some(enclosure) => {
                let binary = ContentType::parse("application/octet-stream")
                    .map_err(|_| PostError::Unwritable("its enclosure has no type"))?;
                let file = Attachment::new(enclosure.name.to_owned()).body(enclosure.bytes.to_vec(), binary);
                let parts = MultiPart::mixed().boundary(format!("mandatum-{}", letter.id));
                builder.multipart(parts.singlepart(text).singlepart(file))
            }
        };
        built.map_err(|_| PostError::Unwritable("it names nobody to send it to"))
    }

    fn transport(&self, port: u16) -> Result<SmtpTransport, PostError> {
        let mut builder = SmtpTransport::builder_dangerous("127.0.0.1")
            .port(port)
            // The line cuts first, and knows why.
            .timeout(Some(self.time_limit * 2))
            .hello_name(ClientId::Domain("mandatum.invalid".to_owned()))
            .tls(self.tls()?);
        if let Some((user, password)) = &self.login {
            let password = password.expose_str().unwrap_or_default().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<Tls, PostError> {
        let host = &self.server.host;
        let parameters = || {
            let builder = TlsParameters::builder(host.clone());
            let store = if self.roots.is_empty() { CertificateStore::WebpkiRoots } else { CertificateStore::None };
            let builder = self.roots.iter().cloned().fold(builder, TlsParametersBuilder::add_root_certificate);
            let builder = builder.certificate_store(store);
            builder.build().map_err(|_| PostError::Untrusted(host.clone()))
        };
        Ok(match self.server.protection {
            Protection::Tls => Tls::Wrapper(parameters()?),
            Protection::StartTls => Tls::Required(parameters()?),
            Protection::Plain => Tls::None,
        })
    }
}

impl Server {
    /// Parses a URL; a sentence where it is none. What was written is not quoted: it may hold a password.
    fn parse(url: &str) -> Result<Self, &'static str> {
        let (protection, rest, usual) = if let Some(rest) = url.strip_prefix("smtps://") {
            (Protection::Tls, rest, 465)
        } else if let Some(rest) = url.strip_prefix("smtp://") {
            (Protection::StartTls, rest, 587)
        } else if let Some(rest) = url.strip_prefix("smtp+plain://") {
            (Protection::Plain, rest, 25)
        } else {
            return Err("begins with neither smtps:// (TLS), smtp:// (STARTTLS) nor smtp+plain:// (this machine only)");
        };
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        if user.is_some_and(|user| user.contains(':')) {
            return Err("holds a password; put it into a file and name that as smtp.password_file");
        }
        if user.is_some_and(|user| user.is_empty() || user.chars().any(char::is_control)) {
            return Err("holds an empty or impossible user name");
        }
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = match place.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (place, None),
        };
        let bytes_fit = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
        if host.is_empty() || host.len() > HOST_MAX || !bytes_fit {
            return Err("names no host; write smtps://user@host:465, a Cyrillic host in its xn-- form");
        }
        let port = port.map_or(Ok(usual), str::parse).ok().filter(|port| *port != 0);
        let port = port.ok_or("names an impossible port")?;
        if protection == Protection::Plain && !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
            return Err("would go unprotected over a network; smtp+plain:// is for 127.0.0.1, localhost and [::1]");
        }
        Ok(Self { protection, user: user.map(str::to_owned), host: host.to_ascii_lowercase(), port })
    }
}

/// A failed delivery in our words; the client's own may quote the server.
fn fault(host: &str, error: &lettre::transport::smtp::Error) -> PostError {
    let host = host.to_owned();
    if let Some(code) = error.status() {
        return PostError::Refused { host, code: code.into() };
    }
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match io.map(std::io::Error::kind) {
        // rustls speaks so of a certificate or a handshake it refuses.
        Some(std::io::ErrorKind::InvalidData) => PostError::Untrusted(host),
        // A read that ran into its time limit is either, by platform.
        Some(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => PostError::TimedOut(host),
        _ if error.is_tls() => PostError::Untrusted(host),
        _ if error.is_timeout() => PostError::TimedOut(host),
        // STARTTLS or a way to log in that the server does not offer.
        _ if error.is_client() => PostError::Untrusted(host),
        Some(_) => PostError::Unreachable(host),
        None => PostError::Protocol(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_protection_user_host_and_port() {
        let parsed = |url| Server::parse(url).unwrap();
        let server = parsed("smtps://robot@agency.example@mail.example");
        assert_eq!(
            (server.user.as_deref(), server.host.as_str(), server.port),
            (Some("robot@agency.example"), "mail.example", 465)
        );
        assert_eq!(parsed("smtp://Mail.Example/").port, 587);
        assert_eq!(parsed("smtp://mail.example:2525").protection, Protection::StartTls);
        assert_eq!(parsed("smtp+plain://[::1]").host, "[::1]");
        assert_eq!(parsed("smtp+plain://[::1]:2525").port, 2525);
    }

    #[test]
    fn what_is_no_server_is_refused_and_not_quoted() {
        for url in [
            "",
            "mail.example",
            "http://mail.example",
            "smtps://",
            "smtps://@mail.example",
            "smtps://почта.рф",
            "smtps://mail.example:0",
            "smtps://mail.example:70000",
            "smtps://mail.example:x",
            "smtps://a b",
            "smtps://mail.example/path",
            "smtps://mail.example?tls=none",
            "smtp+plain://mail.example",
            "smtp+plain://127.0.0.1.example",
            "smtps://robot:hunter2@mail.example",
            "smtp+plain://10.0.0.1:25",
        ] {
            let refused = Server::parse(url).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn an_address_is_one_line() {
        for good in ["a@b.example", "Агентство <robot@agency.example>"] {
            assert!(good.parse::<MailAddress>().is_ok(), "{good}");
        }
        for bad in ["", "a", "a@", "a@b.example\r\nBcc: x@y.example", "a@b.example, c@d.example"] {
            assert!(bad.parse::<MailAddress>().is_err(), "{bad}");
        }
    }
}
