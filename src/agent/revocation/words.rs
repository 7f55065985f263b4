//! The sentences a person reads, in both languages: what happened at which host, and the next step.
//!
//! They hold a host, a status, an error code of the RFCs and times, and nothing else; none is longer than a record's
//! text may be.

use super::outcome::{Code, Fault, Outcome, Stage, Why};
use std::fmt;

impl Outcome {
    /// In English.
    pub fn english(&self) -> String {
        match self {
            Self::Dead { host, alive_at, checked_at } => format!(
                "The token is dead: by {host} it worked at {alive_at} and not at {checked_at}. \
                 This says nothing of other tokens of this access."
            ),
            Self::WasDeadBefore { host, checked_at, refused } => {
                let refused = refused.as_ref().map(|why| format!(" {}", why.english())).unwrap_or_default();
                format!(
                    "The token was dead already when {host} was first asked, at {checked_at}; what ended it is not known. \
                     Look on the platform for other tokens and confirm.{refused}"
                )
            }
            Self::NotProven { why } => {
                format!("The revocation was accepted, but that the token is dead is not proven. {}", why.english())
            }
            Self::Failed { why } => format!("The token may still work. {}", why.english()),
        }
    }

    /// In Russian.
    pub fn russian(&self) -> String {
        match self {
            Self::Dead { host, alive_at, checked_at } => format!(
                "Токен не действует: по ответам {host}, в {alive_at} он действовал, а в {checked_at} — нет. \
                 О других токенах этого доступа это не говорит."
            ),
            Self::WasDeadBefore { host, checked_at, refused } => {
                let refused = refused.as_ref().map(|why| format!(" {}", why.russian())).unwrap_or_default();
                format!(
                    "Токен не действовал уже при первой проверке на {host} в {checked_at}; отчего — неизвестно. \
                     Проверьте на платформе другие токены и подтвердите.{refused}"
                )
            }
            Self::NotProven { why } => {
                format!("Отзыв принят, но не доказано, что токен не действует. {}", why.russian())
            }
            Self::Failed { why } => format!("Токен, возможно, ещё действует. {}", why.russian()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english())
    }
}

impl Why {
    /// In English.
    pub fn english(&self) -> String {
        let stage = match self.stage {
            Stage::Before => "Looking at it before",
            Stage::Revocation => "Revoking it",
            Stage::After => "Looking at it after",
        };
        let (what, next) = self.fault.english();
        format!("{stage}: {} {what}. Next: {next}.", self.host)
    }

    /// In Russian.
    pub fn russian(&self) -> String {
        let stage = match self.stage {
            Stage::Before => "Проверка до отзыва",
            Stage::Revocation => "Отзыв",
            Stage::After => "Проверка после отзыва",
        };
        let (what, next) = self.fault.russian();
        format!("{stage}: {} {what}. Дальше: {next}.", self.host)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english())
    }
}

impl Fault {
    /// What a host did, and the next step.
    fn english(&self) -> (String, &'static str) {
        const BY_HAND: &str = "revoke the token in the platform's own settings and record who did it";
        const AGAIN: &str = "try again in a few minutes; if it stays so, revoke the token in the platform's settings";
        const PROBE: &str =
            "see in the platform's settings that the token is gone, and name a better probe in the record";
        match self {
            Self::NoProbe => ("has no probe named in the record".into(), PROBE),
            Self::Unsendable => ("cannot be asked: the token holds characters that no header carries".into(), BY_HAND),
            Self::NoSuchHost => ("was not found by its name".into(), "check the address in the record and the network"),
            Self::Unreachable => ("could not be reached, or it broke the connection off".into(), AGAIN),
            Self::Untrusted => (
                "did not prove by its certificate who it is".into(),
                "check the address, this machine's clock and the network, or revoke the token in the platform's settings",
            ),
            Self::NotHttp => ("did not answer in HTTP".into(), "check the address in the record"),
            Self::PlainHttp => ("would be called without encryption".into(), "write an https:// address in the record"),
            Self::TimedOut => ("did not answer in time".into(), AGAIN),
            Self::TooLong => ("answered with more than is read".into(), BY_HAND),
            Self::Redirected { status } => (
                format!("answered {status}, a redirect, which is not followed with a token"),
                "check the address with the platform's documentation and write the final one in the record",
            ),
            Self::Busy { seconds: Some(seconds) } => (format!("is busy and asks to wait {seconds} s"), AGAIN),
            Self::Busy { seconds: None } => ("is busy (503)".into(), AGAIN),
            Self::ServerFailed { status } => (format!("failed with {status}"), AGAIN),
            Self::ClientRefused => (
                "does not accept the client's id or secret".into(),
                "check client and client_secret of the record; some servers take the secret in the form only",
            ),
            Self::UnsupportedTokenType => ("revokes no tokens of this type (unsupported_token_type)".into(), BY_HAND),
            Self::Refused { status, code } => (format!("refused with {status}{}", in_brackets(*code)), BY_HAND),
            Self::NotJson => ("did not answer in JSON".into(), PROBE),
            Self::NoActive => ("did not say whether the token is active".into(), PROBE),
            Self::Refuses => ("refused the token before it was revoked, so its refusal shows nothing".into(), PROBE),
            Self::CannotTell { status } => (format!("answered {status}, which says nothing of the token"), PROBE),
            Self::StillAlive => ("still lets the token in, though its revocation was accepted".into(), BY_HAND),
        }
    }

    fn russian(&self) -> (String, &'static str) {
        const BY_HAND: &str = "отзовите токен в настройках самой платформы и запишите, кто это сделал";
        const AGAIN: &str =
            "повторите через несколько минут, а если не поможет — отзовите токен в настройках платформы";
        const PROBE: &str = "убедитесь в настройках платформы, что токена нет, и укажите в записи другую проверку";
        match self {
            Self::NoProbe => ("— в записи не указан адрес проверки".into(), PROBE),
            Self::Unsendable => {
                ("— спросить нельзя: в токене есть знаки, которые нельзя передать в заголовке".into(), BY_HAND)
            }
            Self::NoSuchHost => ("— узел с таким именем не найден".into(), "проверьте адрес в записи и сеть"),
            Self::Unreachable => ("— узел недоступен или оборвал соединение".into(), AGAIN),
            Self::Untrusted => (
                "— узел не подтвердил сертификатом, кто он".into(),
                "проверьте адрес, часы этой машины и сеть или отзовите токен в настройках платформы",
            ),
            Self::NotHttp => ("— ответ не по протоколу HTTP".into(), "проверьте адрес в записи"),
            Self::PlainHttp => ("— соединение было бы без шифрования".into(), "укажите в записи адрес https://"),
            Self::TimedOut => ("— ответа вовремя нет".into(), AGAIN),
            Self::TooLong => ("— ответ длиннее, чем читается".into(), BY_HAND),
            Self::Redirected { status } => (
                format!("— ответ {status}, перенаправление, а с токеном по нему не идут"),
                "сверьте адрес с документацией платформы и укажите в записи окончательный",
            ),
            Self::Busy { seconds: Some(seconds) } => (format!("— узел занят и просит подождать {seconds} с"), AGAIN),
            Self::Busy { seconds: None } => ("— узел занят (503)".into(), AGAIN),
            Self::ServerFailed { status } => (format!("— сбой на узле, ответ {status}"), AGAIN),
            Self::ClientRefused => (
                "— идентификатор или секрет клиента не приняты".into(),
                "проверьте client и client_secret записи; некоторые узлы принимают секрет только в форме",
            ),
            Self::UnsupportedTokenType => {
                ("— токены этого вида здесь не отзываются (unsupported_token_type)".into(), BY_HAND)
            }
            Self::Refused { status, code } => (format!("— отказ, ответ {status}{}", in_brackets(*code)), BY_HAND),
            Self::NotJson => ("— ответ не в JSON".into(), PROBE),
            Self::NoActive => ("— в ответе не сказано, действует ли токен".into(), PROBE),
            Self::Refuses => ("— токен не принят ещё до отзыва, поэтому отказ ничего не показывает".into(), PROBE),
            Self::CannotTell { status } => (format!("— ответ {status} о токене ничего не говорит"), PROBE),
            Self::StillAlive => ("— токен всё ещё принимается, хотя отзыв принят".into(), BY_HAND),
        }
    }
}

fn in_brackets(code: Option<Code>) -> String {
    code.map(|code| format!(" ({})", code.word())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Instant, Text};

    fn faults() -> Vec<Fault> {
        let (status, code) = (599, Some(Code::TemporarilyUnavailable));
        vec![
            Fault::NoProbe,
            Fault::Unsendable,
            Fault::NoSuchHost,
            Fault::Unreachable,
            Fault::Untrusted,
            Fault::NotHttp,
            Fault::PlainHttp,
            Fault::TimedOut,
            Fault::TooLong,
            Fault::Redirected { status },
            Fault::Busy { seconds: Some(u64::from(u32::MAX)) },
            Fault::Busy { seconds: None },
            Fault::ServerFailed { status },
            Fault::ClientRefused,
            Fault::UnsupportedTokenType,
            Fault::Refused { status, code },
            Fault::NotJson,
            Fault::NoActive,
            Fault::Refuses,
            Fault::CannotTell { status },
            Fault::StillAlive,
        ]
    }

    #[test]
    fn every_sentence_names_the_host_and_the_next_step_and_fits_into_a_record() {
        let host = "h".repeat(super::super::address::HOST_MAX);
        for fault in faults() {
            let why = Why { stage: Stage::Before, host: host.clone(), fault };
            let outcomes = [
                Outcome::NotProven { why: why.clone() },
                Outcome::Failed { why: why.clone() },
                Outcome::WasDeadBefore { host: host.clone(), checked_at: Instant(0), refused: Some(why) },
            ];
            for outcome in outcomes {
                for (text, next) in [(outcome.english(), "Next: "), (outcome.russian(), "Дальше: ")] {
                    assert!(text.contains(&host) && text.contains(next) && text.ends_with('.'), "{text}");
                    assert!(Text::parse(&text).is_ok(), "{} characters: {text}", text.chars().count());
                }
            }
        }
    }

    #[test]
    fn the_good_outcome_says_when() {
        let dead = Outcome::Dead { host: "h.example".into(), alive_at: Instant(0), checked_at: Instant(1000) };
        assert!(!dead.leaves_a_task());
        for text in [dead.english(), dead.russian()] {
            for part in ["h.example", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }
}
