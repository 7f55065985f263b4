//! `notices.toml` in the state directory: to whom what is sent, and how. Secrets stand in files of their own.

use super::memory::Channel;
use crate::api::{Places, Refusal};
use crate::model::Name;
use crate::paperwork::Lang;
use crate::post::{ConfigError, MailAddress, Mailer, SmtpTable, Webhook, WebhookTable, parse_config};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    lang: Lang,
    smtp: Option<SmtpTable>,
    webhook: Option<WebhookTable>,
    #[serde(default)]
    operators: BTreeMap<String, Recipient>,
}

/// How an operator gets their checkpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    pub mail: Option<MailAddress>,
    pub folder: Option<PathBuf>,
}

/// To whom what is sent, and how.
pub struct Config {
    pub(super) lang: Lang,
    pub(super) mailer: Option<Mailer>,
    pub(super) to: Vec<MailAddress>,
    pub(super) webhook: Option<Webhook>,
    pub(super) operators: Vec<(Name, Recipient)>,
}

/// Where the configuration lies.
pub fn path(at: &Places) -> PathBuf {
    at.state.join("notices.toml")
}

impl Config {
    /// Reads the configuration of a vault.
    ///
    /// # Errors
    /// Input naming the file, the place in it and what is accepted; never what stands there.
    pub fn read(at: &Places) -> Result<Self, Refusal> {
        Self::made(&path(at), Webhook::new).map_err(refused)
    }

    /// As [`Config::read`]; none where none is configured.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_if_any(at: &Places) -> Result<Option<Self>, Refusal> {
        path(at).exists().then(|| Self::read(at)).transpose()
    }

    /// As [`Config::read`], with a webhook over plain http to this machine. For tests.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn danger_read_allowing_loopback_http(at: &Places) -> Result<Self, Refusal> {
        Self::made(&path(at), Webhook::danger_allow_loopback_http).map_err(refused)
    }

    fn made(
        path: &Path,
        webhook: impl FnOnce(&WebhookTable, &Path) -> Result<Webhook, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let File { lang, smtp, webhook: hook, operators } = parse_config(path)?;
        let wrong = |sentence: String| Err(ConfigError::new(path, sentence));
        let to = smtp.as_ref().map(|smtp| smtp.to.clone()).unwrap_or_default();
        let mailer = smtp.map(|smtp| Mailer::new(smtp, path)).transpose()?;
        let mut recipients = Vec::new();
        for (name, recipient) in operators {
            let place = format!("operators.\"{name}\"");
            let Ok(name) = Name::parse(&name) else { return wrong(format!("{place} is not an operator's name")) };
            match (&recipient.mail, &recipient.folder) {
                (None, None) => return wrong(format!("{place} needs mail or folder")),
                (Some(_), _) if mailer.is_none() => return wrong(format!("{place}.mail needs a table [smtp]")),
                (_, Some(folder)) if !folder.is_absolute() => {
                    return wrong(format!("{place}.folder is not an absolute path"));
                }
                _ => recipients.push((name, recipient)),
            }
        }
        let mails_operators = recipients.iter().any(|(_, recipient)| recipient.mail.is_some());
        if mailer.is_some() && to.is_empty() && !mails_operators {
            return wrong("smtp.to names nobody".to_owned());
        }
        let webhook = hook.map(|table| webhook(&table, path)).transpose()?;
        if mailer.is_none() && webhook.is_none() && recipients.is_empty() {
            return wrong("has none of [smtp], [webhook] and [operators.\"…\"]: nobody would be told".to_owned());
        }
        Ok(Self { lang, mailer, to, webhook, operators: recipients })
    }

    /// With another time limit for each delivery.
    #[must_use]
    pub fn time_limit(self, limit: std::time::Duration) -> Self {
        let mailer = self.mailer.map(|mailer| mailer.time_limit(limit));
        let webhook = self.webhook.map(|webhook| webhook.time_limit(limit));
        Self { mailer, webhook, ..self }
    }

    /// On what notices go out.
    pub(super) fn channels(&self) -> Vec<Channel> {
        let mail = (self.mailer.is_some() && !self.to.is_empty()).then_some(Channel::Mail);
        mail.into_iter().chain(self.webhook.is_some().then_some(Channel::Webhook)).collect()
    }

    /// How an operator gets theirs.
    pub(super) fn recipient(&self, operator: &Name) -> Option<&Recipient> {
        self.operators.iter().find(|(name, _)| name.same(operator.as_str())).map(|(_, recipient)| recipient)
    }
}

fn refused(error: ConfigError) -> Refusal {
    Refusal::input(error.file.display().to_string(), error.sentence)
}
