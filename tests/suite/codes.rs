//! Two-factor codes: a member's is good once, in one spelling, in its moment; a client account's is released like any
//! secret and its seed never (DESIGN.md 9; ATTACKS.md C5, I8).

use crate::support::World;
use mandatum::agent::{AgentError, Program, Seed, System};
use mandatum::api::*;
use mandatum::model::*;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};

const SECOND: i64 = 1000;
const STEP: i64 = 30 * SECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

// ---------------------------------------------------------------------------------------------------- a member's codes

/// Nina, a specialist of Olga's vault, with what her authenticator holds.
struct Desk {
    world: World,
    seed: Seed,
    nina: Program,
    session: Option<SessionId>,
}

impl Desk {
    /// Her enrolment's code was used just now.
    fn enrolled() -> Self {
        let world = World::empty();
        world.init("Olga");
        world.unlock("Olga");
        world.add_member("Nina", "specialist");
        let seed = Seed::parse(std::fs::read_to_string(world.path("otp-Nina")).unwrap().trim()).unwrap();
        let nina = program(&world, "Nina");
        Self { world, seed, nina, session: None }
    }

    /// Ten minutes later.
    fn new() -> Self {
        let desk = Self::enrolled();
        desk.world.clock.pass(10 * MINUTE);
        desk
    }

    /// The code of a step, counted from the one that is running.
    fn code(&self, step: i64) -> String {
        let at = self.world.clock.now().unix_seconds().checked_add_signed(step * 30).unwrap();
        self.seed.code(at).0
    }

    /// Six digits that are no code now.
    fn wrong(&self) -> String {
        let near: Vec<String> = (-1..=1).map(|step| self.code(step)).collect();
        (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
    }

    fn unlock(&mut self, code: &str) -> Result<(), Refusal> {
        let answer = unlock(&mut self.nina, code)?;
        self.session = Some(answer.session);
        Ok(())
    }

    fn step_up(&self, code: &str) -> Result<(), Refusal> {
        refusal(self.nina.step_up(code.to_owned())).map(drop)
    }

    /// Another process from here on, under the same session.
    fn restart(self) -> Self {
        let nina =
            Program::new(self.world.gate(), self.nina.into_identity(), &self.world.path("state"), Arc::new(System));
        let nina = match self.session {
            Some(session) => nina.under(session, None),
            None => nina,
        };
        Self { nina, ..self }
    }

    /// How many records of the agency's ledger are of this event.
    fn recorded(&self, event: &str) -> usize {
        self.world.unlock("Olga");
        let log = self.world.as_member("Olga", "log --of Nina --json").done().json();
        log["lines"].as_array().unwrap().iter().filter(|line| line["event"] == event).count()
    }
}

fn program(world: &World, member: &str) -> Program {
    Program::new(world.gate(), world.identity(member), &world.path("state"), Arc::new(System))
}

fn unlock(program: &mut Program, code: &str) -> Result<UnlockAnswer, Refusal> {
    refusal(program.unlock(code.to_owned(), HOUR))
}

fn refusal<T>(answer: Result<T, AgentError>) -> Result<T, Refusal> {
    answer.map_err(|error| match error {
        AgentError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    })
}

fn replayed() -> Result<(), Refusal> {
    Err(Deny::MfaReplayed.into())
}

/// Looked at, and not a code.
#[track_caller]
fn is_wrong(answer: &Result<(), Refusal>) {
    assert!(matches!(answer, Err(Refusal::Authentication(said)) if said.contains("is not right")), "{answer:?}");
}

/// Not looked at.
#[track_caller]
fn must_wait(answer: &Result<(), Refusal>) {
    assert!(
        matches!(answer, Err(Refusal::Authentication(said)) if said.contains("too many wrong codes")),
        "{answer:?}"
    );
}

/// A code is accepted once: for whatever it is given the second time, in whatever process; the code that confirmed the
/// enrolment is used up too (C5).
#[test]
fn a_code_is_good_once() {
    let mut desk = Desk::enrolled();
    let code = desk.code(0);
    assert_eq!(desk.unlock(&code), replayed());

    desk.world.clock.pass(STEP);
    let code = desk.code(0);
    assert_eq!(desk.unlock(&code), Ok(()));
    assert_eq!(desk.unlock(&code), replayed());
    assert_eq!(desk.step_up(&code), replayed());
    desk = desk.restart();
    assert_eq!(desk.unlock(&code), replayed());
    assert_eq!(desk.step_up(&code), replayed());
    assert_eq!((desk.recorded("session_began"), desk.recorded("denied")), (1, 5));
}

/// Of two processes that are given the same code at the same time exactly one accepts it (C5).
#[test]
fn a_code_given_twice_at_once_is_accepted_once() {
    let desk = Desk::new();
    let mut both = [program(&desk.world, "Nina"), program(&desk.world, "Nina")];
    for _ in 0..16 {
        desk.world.clock.pass(STEP);
        let (code, start) = (desk.code(0), Barrier::new(both.len()));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let present = |program| {
                let (code, start) = (&code, &start);
                scope.spawn(move || {
                    start.wait();
                    unlock(program, code).map(drop)
                })
            };
            let threads: Vec<_> = both.iter_mut().map(present).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.contains(&Ok(())) && answers.contains(&replayed()), "{answers:?}");
    }
    assert_eq!((desk.recorded("session_began"), desk.recorded("denied")), (16, 16));
}

/// A code has one spelling: exactly six ASCII digits, zeros in front included; what is spelled otherwise does not use
/// the code up (C5).
#[test]
fn a_code_has_one_spelling() {
    let mut desk = Desk::new();
    let spaced = |code: &str| format!("{} {}", &code[..3], &code[3..]);
    let digits = |code: &str, zero: char| -> String {
        let digit = |c: char| char::from_u32(u32::from(zero) + c.to_digit(10).unwrap()).unwrap();
        code.chars().map(digit).collect()
    };
    type Spelling<'a> = &'a dyn Fn(&str) -> String;
    let spellings: [(&str, Spelling<'_>); 14] = [
        ("a space in front", &|code| format!(" {code}")),
        ("a space behind", &|code| format!("{code} ")),
        ("a space between", &spaced),
        ("a tab", &|code| format!("{code}\t")),
        ("a line's end", &|code| format!("{code}\n")),
        ("a no-break space", &|code| format!("{code}\u{a0}")),
        ("a zero byte", &|code| format!("{code}\0")),
        ("full width", &|code| digits(code, '０')),
        ("Arabic-Indic digits", &|code| digits(code, '٠')),
        ("one full-width digit", &|code| format!("{}{}", &code[..5], digits(&code[5..], '０'))),
        ("a zero in front", &|code| format!("0{code}")),
        ("seven digits", &|code| format!("{code}0")),
        ("a sign", &|code| format!("+{code}")),
        ("nothing", &|_| String::new()),
    ];
    for (what, spelling) in spellings {
        desk.world.clock.pass(STEP);
        let (code, odd) = (desk.code(0), spelling(&desk.code(0)));
        let answer = desk.unlock(&odd);
        assert!(matches!(&answer, Err(Refusal::Authentication(_))), "{what}: {answer:?}");
        is_wrong(&answer);
        assert_eq!(desk.unlock(&code), Ok(()), "{what}");
    }
    // A code that begins with a zero is not the number that it looks like.
    desk.world.clock.pass(STEP);
    while !desk.code(0).starts_with('0') || desk.code(0).starts_with("00") {
        desk.world.clock.pass(STEP);
    }
    let code = desk.code(0);
    is_wrong(&desk.unlock(&code[1..]));
    assert_eq!(desk.unlock(&code), Ok(()));
}

/// A code is good in its own step and the ones beside it, and never once a later one was used (I8).
#[test]
fn codes_go_forward_only() {
    let mut desk = Desk::new();
    is_wrong(&desk.unlock(&desk.code(-2)));
    is_wrong(&desk.unlock(&desk.code(2)));
    for step in -1..=1 {
        assert_eq!(desk.unlock(&desk.code(step)), Ok(()), "{step}");
        for used in -1..=step {
            assert_eq!(desk.unlock(&desk.code(used)), replayed(), "{used} after {step}");
        }
    }
    desk.world.clock.pass(STEP);
    assert_eq!(desk.unlock(&desk.code(0)), replayed());
    assert_eq!(desk.unlock(&desk.code(1)), Ok(()));
    // The last second of a step and the first of the next one but one.
    desk.world.clock.pass(10 * STEP);
    let (now, code) = (desk.world.clock.now().0, desk.code(0));
    desk.world.clock.pass_to(now - now % STEP + 2 * STEP);
    is_wrong(&desk.unlock(&code));
    let code = desk.code(0);
    desk.world.clock.pass(2 * STEP - 1);
    assert_eq!(desk.unlock(&code), Ok(()));
}

/// With the clock put back, the codes of then are no codes, in the same process and in another; put right, the next
/// one is (I8).
#[test]
fn a_clock_put_back_brings_no_code_back() {
    let mut desk = Desk::new();
    let old = desk.code(0);
    assert_eq!(desk.unlock(&old), Ok(()));
    desk.world.clock.pass(20 * MINUTE);
    assert_eq!(desk.unlock(&desk.code(0)), Ok(()));
    let right = desk.world.clock.now().0;
    // Half a minute ago, within what is believed; ten minutes ago; when the first code was used.
    for back in [STEP, 10 * MINUTE, 20 * MINUTE] {
        desk.world.clock.set_wall(right - back);
        for step in -1..=0 {
            assert_eq!(desk.unlock(&desk.code(step)), replayed(), "{back} ms back, {step}");
        }
        desk = desk.restart();
        assert_eq!(desk.unlock(&desk.code(0)), replayed(), "{back} ms back, after a restart");
    }
    assert_eq!(desk.code(0), old);
    desk.world.clock.set_wall(right);
    desk.world.clock.pass(STEP);
    assert_eq!(desk.unlock(&desk.code(0)), Ok(()));
}

/// After five wrong codes in a row no code is looked at for a second, then for two, doubling up to a quarter of an
/// hour; a right one works after the wait, is not used up by being given too early, and ends the count; a restart
/// forgets none of it, and nobody else waits.
#[test]
fn wrong_codes_make_one_wait_and_a_restart_forgets_nothing() {
    let mut desk = Desk::new();
    let wrong = desk.wrong();
    for _ in 0..4 {
        is_wrong(&desk.unlock(&wrong));
    }
    assert_eq!(desk.unlock(&desk.code(0)), Ok(()), "four are forgiven");

    desk.world.clock.pass(STEP);
    for number in 1..=5 {
        let wrong = desk.wrong();
        // Wherever a code is asked for, and in whatever process, it is one count.
        if number % 2 == 0 {
            is_wrong(&desk.step_up(&wrong));
        } else {
            is_wrong(&desk.unlock(&wrong));
        }
        desk = desk.restart();
    }
    // A second from the fifth on, and a right code is not looked at either, here or there.
    let code = desk.code(0);
    must_wait(&desk.unlock(&code));
    must_wait(&desk.step_up(&code));
    desk = desk.restart();
    must_wait(&desk.unlock(&code));
    desk.world.unlock("Olga");
    // Nor is a wrong one counted: the wait is no longer for it.
    must_wait(&desk.unlock(&desk.wrong()));
    desk.world.clock.pass(SECOND - 1);
    must_wait(&desk.unlock(&code));
    desk.world.clock.pass(1);
    assert_eq!(desk.unlock(&code), Ok(()));

    // The count is over with the right one, and begins anew.
    desk.world.clock.pass(STEP);
    for seconds in [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        is_wrong(&desk.unlock(&desk.wrong()));
        if seconds > 0 {
            desk.world.clock.pass(seconds * SECOND - 1);
            must_wait(&desk.unlock(&desk.code(0)));
            desk.world.clock.pass(1);
        }
    }
    assert_eq!(desk.unlock(&desk.code(0)), Ok(()));
}

// -------------------------------------------------------------------------------------------- sessions and their tokens

/// A session and the token of a fresh code stand for one member's second factor: another's is none, a token is good for
/// one request in one process, and a session ends by being locked, idle, eight hours old or its member's suspension.
#[test]
fn a_session_is_its_own_members_and_ends() {
    let world = World::with_mandate();
    let mfa = || Err(Refusal::from(Deny::MfaRequired));
    let list = |program: &Program| refusal(program.ask::<MandateListCall>(None, None, Nothing {})).map(drop);
    let mut olga = program(&world, "Olga");
    let session = olga.unlock(world.fresh_code("Olga"), HOUR).unwrap().session;
    let lena = program(&world, "Lena").under(session, None);
    assert_eq!(list(&olga), Ok(()));
    assert_eq!(list(&lena), mfa(), "another's session");

    // Tokens.
    let confirm = |program: &Program, token| refusal(program.ask::<ConfirmClockCall>(None, token, Nothing {}));
    let fresh = olga.take_fresh();
    assert_eq!(confirm(&olga, None), mfa());
    assert_eq!(confirm(&olga, Some(Nonce([7; 16]))), mfa());
    assert_eq!(confirm(&olga, fresh), Ok(()), "the code of the unlock");
    assert_eq!(confirm(&olga, fresh), mfa(), "a token, twice");
    // On the broker that gave the token out, by somebody who could use a token of their own.
    let gate = world.gate();
    let here =
        |name: &str| Program::new(Arc::clone(&gate), world.identity(name), &world.path("state"), Arc::new(System));
    let olga = here("Olga").under(session, None);
    let mut lena = here("Lena");
    lena.unlock(world.fresh_code("Lena"), HOUR).unwrap();
    lena.take_fresh();
    let end = || ReasonAsk { operator: Text::parse("Romashka").unwrap(), reason: Text::default() };
    let others = olga.step_up(world.fresh_code("Olga")).unwrap();
    assert_eq!(refusal(lena.ask::<MandateEndCall>(None, Some(others), end())).map(drop), mfa(), "another's token");
    let token = olga.step_up(world.fresh_code("Olga")).unwrap();
    let olga =
        Program::new(world.gate(), olga.into_identity(), &world.path("state"), Arc::new(System)).under(session, None);
    assert_eq!(confirm(&olga, Some(token)), mfa(), "a token of another process");
    assert_eq!(list(&olga), Ok(()), "the session goes on");
    refusal(olga.ask::<LockCall>(None, None, Nothing {})).unwrap();
    assert_eq!(list(&olga), mfa(), "locked");

    // Idle: a minute less than a quarter of an hour goes on, a quarter of an hour does not.
    let mut sasha = program(&world, "Sasha");
    let began = world.clock.now();
    let until = sasha.unlock(world.fresh_code("Sasha"), 100 * HOUR).unwrap().until;
    assert!(until.since(began) <= 8 * HOUR + STEP, "cut to eight hours");
    let found =
        sasha.locate(Text::parse("Romashka").unwrap(), Text::parse("CRM").unwrap(), None, false).unwrap().remove(0);
    let fetch = |program: &Program| refusal(program.fetch(&found, None)).map(drop);
    world.clock.pass(15 * MINUTE - 1);
    assert_eq!(fetch(&sasha), Ok(()));
    world.clock.pass(15 * MINUTE);
    assert_eq!(fetch(&sasha), mfa(), "idle");

    // Never longer than eight hours, however busy.
    let until = sasha.unlock(world.fresh_code("Sasha"), 100 * HOUR).unwrap().until;
    while until.since(world.clock.now()) > 14 * MINUTE {
        world.clock.pass(14 * MINUTE);
        assert_eq!(fetch(&sasha), Ok(()));
    }
    world.clock.pass(until.since(world.clock.now()) - 1);
    assert_eq!(fetch(&sasha), Ok(()));
    world.clock.pass(1);
    assert_eq!(fetch(&sasha), mfa(), "eight hours old");

    sasha.unlock(world.fresh_code("Sasha"), HOUR).unwrap();
    world.unlock("Olga");
    world.as_member("Olga", "member suspend Sasha -y").done();
    assert_eq!(fetch(&sasha), Err(Deny::GrantLocked.into()));
    assert_eq!(unlock(&mut sasha, &world.fresh_code("Sasha")).map(drop), Err(Deny::GrantLocked.into()));
    world.as_member("Olga", "member resume Sasha").done();
    assert_eq!(fetch(&sasha), mfa(), "suspended meanwhile");
}

// ---------------------------------------------------------------------------------------------- a client account's codes

/// The seed of Romashka's CRM, raw: the key of RFC 6238's examples.
const SEED: &[u8] = b"12345678901234567890";

/// Whether bytes hold the seed: raw, or in hex, base32, base64 or a list of numbers, also inside of base64 inside of
/// JSON.
fn reveals(bytes: &[u8]) -> bool {
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let numbers = SEED.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    let spelled = [
        SEED.to_vec(),
        data_encoding::HEXLOWER.encode(SEED).into_bytes(),
        data_encoding::BASE32_NOPAD.encode(SEED).into_bytes(),
        data_encoding::BASE64_NOPAD.encode(&SEED[..18]).into_bytes(),
        numbers.into_bytes(),
    ];
    spelled.iter().any(|needle| holds(needle))
        || serde_json::from_slice(bytes).is_ok_and(|value: serde_json::Value| value_reveals(&value))
}

fn value_reveals(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => {
            data_encoding::BASE64.decode(text.as_bytes()).is_ok_and(|inside| reveals(&inside))
        }
        serde_json::Value::Array(values) => values.iter().any(value_reveals),
        serde_json::Value::Object(fields) => fields.values().any(value_reveals),
        _ => false,
    }
}

/// A broker that keeps every answer it gives.
struct Tap {
    gate: Arc<dyn Gate>,
    answers: Mutex<Vec<(Verb, Vec<u8>)>>,
}

impl Gate for Tap {
    fn join(&self, joining: mandatum::api::Joining) -> Result<(), Refusal> {
        self.gate.join(joining)
    }
    fn hello(&self) -> Result<Hello, Refusal> {
        self.gate.hello()
    }

    fn call(&self, frame: Frame) -> Result<Vec<u8>, Refusal> {
        let verb = frame.verb;
        let answer = self.gate.call(frame);
        let kept = match &answer {
            Ok(answer) => answer.clone(),
            Err(refusal) => serde_json::to_vec(refusal).unwrap(),
        };
        self.answers.lock().unwrap().push((verb, kept));
        answer
    }
}

fn codes_released(world: &World) -> Vec<serde_json::Value> {
    let log = world.as_member("Lena", "log Romashka --json").done().json();
    log["lines"].as_array().unwrap().iter().filter(|line| line["event"] == "code_released").cloned().collect()
}

/// A code of a client's account is released only under a live grant, for a purpose of it, and each one is a record that
/// says who, of what and what for.
#[test]
fn an_accounts_code_is_released_and_recorded_like_a_secret() {
    let world = World::with_mandate();
    world.add_member("Nina", "specialist");
    world.unlock("Nina");
    let code = |member: &str| world.as_member(member, "code Romashka/CRM --json");
    let now = || world.clock.now().unix_seconds();
    let seed = Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();

    let given = code("Sasha").done().json();
    assert_eq!((given["code"].as_str().unwrap().to_owned(), given["seconds"].as_u64().unwrap()), seed.code(now()));
    assert_eq!(code("Lena").done().json()["code"], seed.code(now()).0);
    let released = codes_released(&world);
    let told = |line: &serde_json::Value| {
        [&line["member"], &line["systems"][0], &line["purpose"]].map(|v| v.as_str().unwrap().to_owned())
    };
    assert_eq!(
        released.iter().map(told).collect::<Vec<_>>(),
        [["Sasha", "CRM", "lead handling"], ["Lena", "CRM", "lead handling"]]
    );

    // Not granted, not granted any more, not for this, not now: no code, and no record of one.
    code("Nina").ended(4);
    code("Olga").ended(4);
    world.run("Sasha", &["code", "Romashka/CRM", "--purpose", "curiosity"]).denied("PURPOSE_OUTSIDE_ROW");
    world.as_member("Lena", "grant Nina Romashka/CRM --level view --until 2026-03-02").done();
    code("Nina").done();
    world.as_member("Olga", "member suspend Nina -y").done();
    code("Nina").denied("GRANT_LOCKED");
    world.as_member("Olga", "member resume Nina").done();
    world.as_member("Lena", "revoke Sasha Romashka/CRM").done();
    code("Sasha").denied("NOT_GRANTED");
    world.clock.pass_to("2026-03-02T21:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
    world.unlock("Nina");
    world.unlock("Lena");
    code("Nina").denied("TERM_EXPIRED");
    code("Lena").done();
    world.as_member("Lena", "mandate end Romashka -y").done();
    code("Lena").denied("MANDATE_NOT_ACTIVE");
    assert_eq!(codes_released(&world).len(), 4);
}

/// Data keys are read onward, to grant a row or to share it with a device. A code is not: it would be released past the
/// purposes of the row, and the record would name one that is not so.
#[test]
fn a_code_is_not_read_onward() {
    let world = World::with_mandate();
    let lena = world.program("Lena");
    let found = lena.locate("Romashka".parse().unwrap(), "CRM".parse().unwrap(), None, false).unwrap().remove(0);
    let item = FetchItem { credential: found.credential, version: found.version, grant: found.grant.unwrap() };
    let ask = |onward: Option<MemberId>| {
        let ask = FetchAsk { items: vec![item.clone()], purpose: None, onward };
        refusal(lena.ask::<CodeCall>(Some(found.unit), None, ask))
    };
    for member in ["Sasha", "Lena"] {
        let refused = ask(Some(world.identity(member).member)).unwrap_err();
        assert!(matches!(&refused, Refusal::Input { field, .. } if field == "onward"), "{refused:?}");
    }
    assert_eq!(codes_released(&world).len(), 0);
    ask(None).unwrap();
    let told: Vec<_> = codes_released(&world).iter().map(|line| line["purpose"].clone()).collect();
    assert_eq!(told, ["lead handling"]);
}

/// The seed of a client's account is in no answer to anybody, whatever is asked, and in no file of the vault (DESIGN.md
/// 1.3).
#[test]
fn an_accounts_seed_is_in_no_answer() {
    // What would be found if it were there.
    let load = SecretsLoad {
        secrets: Vec::new(),
        seeds: vec![SeedLoad { credential: CredentialId([0; 16]), seed: Blob([&[1, 6, 30], SEED].concat()) }],
    };
    let inside = serde_json::to_vec(&Blob(serde_json::to_vec(&load).unwrap())).unwrap();
    assert!(reveals(&serde_json::to_vec(&load).unwrap()) && reveals(&inside));

    let world = World::with_mandate();
    let text = |text: &str| Text::parse(text).unwrap();
    let operator = || text("Romashka");
    let named = || NameAsk { operator: operator() };
    let backup = world.path("backup.db");
    for member in ["Lena", "Sasha", "Olga"] {
        let tap = Arc::new(Tap { gate: world.gate(), answers: Mutex::default() });
        let mut program = Program::new(tap.clone(), world.identity(member), &world.path("state"), Arc::new(System));
        program.unlock(world.fresh_code(member), HOUR).unwrap();
        let step_up = || program.step_up(world.fresh_code(member)).ok();
        let view = program.mandate(operator());
        if let Ok(found) = program.locate(operator(), text("CRM"), None, false) {
            program.fetch(&found[0], None).unwrap();
            program.code(&found[0], None).unwrap();
            let row = found[0].row;
            let _ = program.ask::<RecipientsCall>(Some(found[0].unit), None, RecipientsAsk { rows: vec![row] });
        }
        if let Ok(view) = view {
            let tags = view.mandate.credentials.iter().filter_map(|c| c.current.as_ref()).map(|v| v.tag).collect();
            let _ = program.ask::<ReuseCall>(Some(view.mandate.unit), None, ReuseAsk { tags });
        }
        let _ = program.ask::<CredentialListCall>(None, None, OptionalNameAsk { operator: None });
        let log = |operator| LogAsk { operator, member: None, since: None, denied: false };
        let _ = program.ask::<LogCall>(None, None, log(Some(operator())));
        let _ = program.ask::<LogCall>(None, None, log(None));
        let _ = program.ask::<ExposureCall>(None, None, ExposureAsk { operator: None, member: None });
        let _ = program.ask::<StatusCall>(None, None, Nothing {});
        let _ = program.ask::<DueCall>(None, None, DueAsk { days: 400 });
        let _ = program.ask::<VerifyCall>(None, None, Nothing {});
        let _ = program.ask::<MemberListCall>(None, None, Nothing {});
        let _ = program.ask::<ExtractCall>(None, step_up(), named());
        let _ = program.ask::<BackupCall>(None, step_up(), BackupAsk { path: backup.display().to_string() });
        let answers = tap.answers.lock().unwrap();
        assert!(answers.len() > 14);
        for (verb, answer) in &*answers {
            assert!(!reveals(answer), "{member}: {verb}");
        }
    }
    assert!(backup.exists());
    let mut files = vec![backup];
    files_under(&world.path("vault"), &mut files);
    files_under(&world.path("state"), &mut files);
    assert!(files.len() > 5);
    for file in files {
        assert!(!reveals(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
}

fn files_under(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files_under(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}
