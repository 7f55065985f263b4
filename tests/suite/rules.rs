//! Rules against naive models, drawn at random: a day is what the calendar shows, a retrieval is permitted where nothing
//! speaks against it, and no amendment leaves a grant beyond its row (DESIGN.md 8; ATTACKS.md B6, I5).

use mandatum::model::*;
use mandatum::policy::{ClockReading, Purpose, Situation, decide};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::BTreeSet;

const HOUR: i64 = 3600 * 1000;
const DAY: i64 = 24 * HOUR;
/// 2025-01-12.
const TODAY: i64 = 20_100 * DAY;

/// An instant written in UTC.
fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// A day holds exactly the instants that a calendar on the wall there shows as that day (I5).
#[test]
fn a_day_is_what_the_calendar_on_the_wall_shows() {
    const ZONES: [&str; 9] = [
        "Europe/Moscow",
        "Asia/Kamchatka",
        "Europe/Berlin",
        "America/Havana",      // midnight is skipped in spring and comes twice in autumn
        "America/Sao_Paulo",   // midnight was skipped until 2018
        "Pacific/Apia",        // the whole of 2011-12-30 was skipped
        "Australia/Lord_Howe", // summer time is half an hour
        "Asia/Kathmandu",
        "UTC",
    ];
    let mut runner = runner(10_000);
    // From 2001 to 2040; near a midnight more often than not.
    let near = prop_oneof![Just(-1), Just(0), Just(1), -2 * HOUR..2 * HOUR, -3 * DAY..3 * DAY];
    let cases = (select(&ZONES[..]), utc("2001-01-01T00:00:00Z")..utc("2040-01-01T00:00:00Z"), near);
    let checked = runner.run(&cases, |(zone, at, off)| {
        let zone = Zone::parse(zone).unwrap();
        let day = zone.date_of(Instant(at)).unwrap();
        let term = Term::of_days(day, day, &zone).unwrap();
        for edge in [term.from, term.until, Instant(at)] {
            let tried = edge.plus(off);
            prop_assert_eq!(term.contains(tried), zone.date_of(tried) == Some(day), "{:?} {} at {}", zone, day, tried);
        }
        Ok(())
    });
    checked.unwrap();
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

// ------------------------------------------------------------------------- the decision, against a model without an order

/// One retrieval's circumstances, in plain numbers: times are milliseconds around [`TODAY`].
#[derive(Clone, Debug)]
struct Case {
    now: i64,
    /// 0 trusted, 1 behind, 2 jumped.
    clock: u8,
    roles: Vec<Role>,
    /// Not of the agency: by index into [`PAPERS`], what the operator permitted.
    outside: Option<usize>,
    /// 0 active, 1 suspended, 2 removed.
    standing: u8,
    leads: bool,
    factor: bool,
    /// 0 active, 1 ended, 2 closed.
    phase: u8,
    /// From and until of mandate, row, grant.
    terms: [(i64, i64); 3],
    row_removed: bool,
    /// None; standing or given; how it ended: 0 not, 1 by the term, 2 key lost, 3 revoked, 4 amended.
    grant: Option<(bool, u8)>,
    /// By an incident.
    locked: bool,
    purposes: Vec<&'static str>,
    asked: Option<&'static str>,
    onward: bool,
    code: bool,
}

/// A permission for whom (1: who asks), under which row (3: the one asked for; none: all), to which last day; and whether
/// it permits what is asked.
type Paper = (u8, Option<u8>, Option<&'static str>, bool);
const PAPERS: [Option<Paper>; 6] = [
    None,
    Some((1, None, None, true)),
    Some((1, Some(3), Some("2026-01-01"), true)),
    Some((1, Some(4), None, false)),
    Some((2, None, None, false)),
    Some((1, None, Some("2024-12-01"), false)),
];

fn cases() -> impl Strategy<Value = Case> {
    // Mostly as it should be, so that one thing at a time is wrong; and often right at an edge.
    fn mostly<T: Clone + std::fmt::Debug + 'static>(
        fine: T,
        odd: impl Strategy<Value = T> + 'static,
    ) -> BoxedStrategy<T> {
        prop_oneof![6 => Just(fine), 1 => odd].boxed()
    }
    let edge = || prop_oneof![Just(-1_i64), Just(0), Just(1), -DAY..DAY];
    let term = move || {
        let from = mostly(0, prop_oneof![Just(TODAY), TODAY - 10 * DAY..TODAY + 10 * DAY]);
        let until = mostly(
            TODAY + 300 * DAY,
            prop_oneof![Just(TODAY), Just(TODAY + 2 * DAY), TODAY - 10 * DAY..TODAY + 10 * DAY],
        );
        (from, until, edge(), edge()).prop_map(|(from, until, a, b)| (from + a, until + b))
    };
    let who = (
        subsequence(Role::ALL.to_vec(), 1..=4),
        mostly(None, (0..PAPERS.len()).prop_map(Some)),
        mostly(0, 1..3_u8),
        any::<bool>(),
        mostly(true, Just(false)),
        prop_oneof![8 => (any::<bool>(), mostly(0, 1..5_u8)).prop_map(Some), 1 => Just(None)],
        mostly(false, Just(true)),
    );
    let what = (
        mostly(0, 1..3_u8),
        [term(), term(), term()],
        mostly(false, Just(true)),
        prop_oneof![3 => Just(vec!["calls"]), 1 => Just(vec!["calls", "reports"]), 1 => Just(vec![])],
        select(vec![None, None, Some("calls"), Some("CALLS"), Some("reports"), Some("other")]),
        mostly(false, Just(true)),
        any::<bool>(),
    );
    let clock = (edge().prop_map(|edge| TODAY + edge), mostly(0, 1..3_u8));
    (clock, who, what).prop_map(|((now, clock), (roles, outside, standing, leads, factor, grant, locked), what)| {
        let (phase, terms, row_removed, purposes, asked, onward, code) = what;
        Case {
            now,
            clock,
            roles,
            outside,
            standing,
            leads,
            factor,
            phase,
            terms,
            row_removed,
            grant,
            locked,
            purposes,
            asked,
            onward,
            code,
        }
    })
}

/// Every reason there is to deny, in no order. Nothing of the policy room is used to find them.
fn reasons(case: &Case) -> Vec<Deny> {
    let mut found = Vec::new();
    let mut if_so = |so: bool, deny: Deny| {
        if so {
            found.push(deny);
        }
    };
    let lead = case.leads && case.roles.contains(&Role::Lead);
    let concerned = case.leads || case.grant.is_some();
    let by_grant = concerned && (case.roles.contains(&Role::Owner) || case.roles.contains(&Role::Specialist));
    if_so(case.clock == 1, Deny::ClockSuspect);
    if_so(case.standing == 1, Deny::GrantLocked);
    if_so(case.standing != 0 || !(lead || by_grant), Deny::RoleForbids);
    let paper = case.outside.map(|paper| PAPERS[paper]);
    if_so(paper.is_some_and(|paper| paper.is_none_or(|(.., permits)| !permits)), Deny::RoleForbids);
    if_so(!case.factor, Deny::MfaRequired);
    if_so(case.phase != 0, Deny::MandateNotActive);
    if_so(case.row_removed, Deny::NotGranted);
    match case.grant {
        None => if_so(true, Deny::NotGranted),
        Some((standing, ended)) => {
            if_so(standing && !lead, Deny::NotGranted);
            if_so(case.locked && ended == 0, Deny::GrantLocked);
            if_so(ended == 1, Deny::TermExpired);
            if_so(ended == 2, Deny::SecretDestroyed);
            if_so(ended >= 3, Deny::NotGranted);
        }
    }
    for (from, until) in case.terms {
        if_so(case.now - from < 0, Deny::TermNotStarted);
        if_so(case.now - until >= 0, Deny::TermExpired);
        if_so(case.clock == 2 && until - case.now <= 48 * HOUR, Deny::ClockSuspect);
    }
    if case.onward {
        if_so(!lead, Deny::RoleForbids);
    } else {
        match case.asked {
            None => if_so(case.purposes.len() != 1, Deny::PurposeRequired),
            Some(asked) => if_so(!case.purposes.contains(&asked.to_lowercase().as_str()), Deny::PurposeOutsideRow),
        }
    }
    found
}

/// What a permit says: where, who, what, which version, under which grant, how, what for and when.
type Said = (UnitId, MemberId, CredentialId, u32, GrantId, Verb, Text, Instant);

/// The same circumstances as the broker would have them.
fn decide_case(case: &Case) -> Result<Said, Deny> {
    let (me, other, row) = (MemberId([1; 16]), MemberId([2; 16]), RowId([3; 16]));
    let at = Instant(case.now);
    let texts = |texts: &[&str]| texts.iter().map(|text| Text::parse(text).unwrap()).collect::<Vec<_>>();
    let term = |(from, until): (i64, i64)| Term { from: Instant(from), until: Instant(until) };
    let day: Date = "2026-01-01".parse().unwrap();
    let bundle = Bundle {
        vault: VaultId([0; 16]),
        member: me,
        name: Name::parse("Sasha").unwrap(),
        device: Name::parse(FIRST_DEVICE).unwrap(),
        sign: Digest([0; 32]),
        enc: String::new(),
    };
    let member = Member {
        id: me,
        name: bundle.name.clone(),
        devices: vec![Device { bundle, since: at, removed: None, reuse_key: None }],
        roles: case.roles.iter().copied().chain(case.outside.map(|_| Role::External)).collect(),
        standing: [Standing::Active, Standing::Suspended { at }, Standing::Removed { at }][usize::from(case.standing)]
            .clone(),
        since: at,
        admissions: Vec::new(),
    };
    let terms = RowTerms {
        data: Vec::new(),
        levels: BTreeSet::from([Level::View]),
        purposes: texts(&["calls", "reports"]),
        from: day,
        until: day,
        term: term(case.terms[1]),
        grant_days: None,
    };
    let named = |text: &str| Name::parse(text).unwrap();
    let grants = case.grant.iter().map(|(standing, ended)| Grant {
        facts: GrantFacts {
            id: GrantId([4; 16]),
            member: me,
            row,
            levels: BTreeSet::from([Level::View]),
            purposes: texts(&case.purposes),
            term: term(case.terms[2]),
            origin: if *standing { GrantOrigin::Lead } else { GrantOrigin::Given },
        },
        since: at,
        locked: case.locked.then_some(IncidentId([7; 16])),
        ended: match ended {
            0 => None,
            1 => Some(Why::Term),
            2 => Some(Why::KeyLost),
            3 => Some(Why::Asked { reason: Text::default() }),
            _ => Some(Why::Amended),
        }
        .map(|why| Ended { at, why }),
        destroyed: None,
    });
    let papers = case.outside.and_then(|paper| PAPERS[paper]).into_iter().map(|(member, row, until, _)| Permission {
        member: MemberId([member; 16]),
        rows: row.map(|row| RowId([row; 16])).into_iter().collect(),
        until: until.map(|day| day.parse().unwrap()),
        source: Digest([0; 32]),
        file: Text::default(),
    });
    let why = Why::Asked { reason: Text::default() };
    let credential = Credential {
        id: CredentialId([5; 16]),
        row,
        name: Text::default(),
        kind: Kind::Login,
        account: Text::default(),
        url: Text::default(),
        second_factor: SecondFactor::On,
        revocation: None,
        because: None,
        asked: None,
        current: Some(Version {
            number: 7,
            at,
            author: other,
            ct: Digest([0; 32]),
            tag: ReuseTag([0; 16]),
            strength: Strength::Random,
            allowed_weak: None,
        }),
        settled: None,
    };
    let mandate = Mandate {
        unit: UnitId([6; 16]),
        operator: named("Romashka"),
        contract: Text::default(),
        signed: day,
        until: day,
        zone: Zone::parse("Europe/Moscow").unwrap(),
        term: term(case.terms[0]),
        jurisdiction: Jurisdiction::Ru,
        source: None,
        since: at,
        phase: [Phase::Active, Phase::Ended(Ended { at, why }), Phase::Closed { at, retain_until: at }]
            [usize::from(case.phase)]
        .clone(),
        leads: if case.leads { vec![other, me] } else { vec![other] },
        rows: vec![Row {
            id: row,
            system: named("CRM"),
            category: Text::default(),
            platform: Text::default(),
            terms,
            removed: case.row_removed.then_some(at),
        }],
        credentials: vec![credential.clone()],
        grants: grants.collect(),
        permissions: papers.collect(),
        requests: Vec::new(),
        reviewed: None,
        incidents: Vec::new(),
        evidence: Vec::new(),
    };
    let (asked, said) = (case.asked.map(|asked| Text::parse(asked).unwrap()), Text::parse("grant to Nina").unwrap());
    let permit = decide(&Situation {
        clock: [ClockReading::Trusted(at), ClockReading::Behind(at), ClockReading::Jumped(at)][usize::from(case.clock)],
        member: &member,
        verb: if case.code { Verb::Code } else { Verb::Fetch },
        second_factor: case.factor,
        mandate: &mandate,
        credential: &credential,
        purpose: if case.onward { Purpose::Onward(&said) } else { Purpose::Work(asked.as_ref()) },
    })?;
    let purpose = permit.purpose().clone();
    Ok((
        permit.unit(),
        permit.member(),
        permit.credential(),
        permit.version(),
        permit.grant(),
        permit.verb(),
        purpose,
        permit.at(),
    ))
}

/// A retrieval is permitted exactly where there is no reason to deny it, and what is denied is denied for a reason
/// there is; the permit says what was asked and nothing else.
#[test]
fn a_retrieval_is_permitted_where_nothing_speaks_against_it() {
    let (permitted, denied) = (Cell::new(0_u32), Cell::new(BTreeSet::new()));
    let checked = runner(2_000).run(&cases(), |case| {
        let reasons = reasons(&case);
        match decide_case(&case) {
            Ok(permit) => {
                prop_assert!(reasons.is_empty(), "permitted in spite of {:?}", reasons);
                let purpose = if case.onward {
                    "grant to Nina".into()
                } else {
                    case.asked.map_or("calls".into(), str::to_lowercase)
                };
                let verb = if case.code { Verb::Code } else { Verb::Fetch };
                let asked = (
                    UnitId([6; 16]),
                    MemberId([1; 16]),
                    CredentialId([5; 16]),
                    7,
                    GrantId([4; 16]),
                    verb,
                    Text::parse(&purpose).unwrap(),
                    Instant(case.now),
                );
                prop_assert_eq!(permit, asked);
                permitted.set(permitted.get() + 1);
            }
            Err(code) => {
                prop_assert!(reasons.contains(&code), "{} is no reason here: {:?}", code, reasons);
                let mut seen = denied.take();
                seen.insert(code.code());
                denied.set(seen);
            }
        }
        Ok(())
    });
    checked.unwrap();
    // The cases reached every answer the decision can give.
    assert!(permitted.get() > 100, "{permitted:?}");
    let all: BTreeSet<&str> = [
        Deny::ClockSuspect,
        Deny::GrantLocked,
        Deny::RoleForbids,
        Deny::MfaRequired,
        Deny::MandateNotActive,
        Deny::NotGranted,
        Deny::TermExpired,
        Deny::TermNotStarted,
        Deny::SecretDestroyed,
        Deny::PurposeRequired,
        Deny::PurposeOutsideRow,
    ]
    .map(Deny::code)
    .into();
    assert_eq!(denied.take(), all);
}

// --------------------------------------------------------------------------------------------------------- amendments

const LEAD: MemberId = MemberId([1; 16]);

/// What may be done to a table: rows and members by number, days from the beginning of the mandate.
#[derive(Clone, Debug)]
enum Step {
    Amend(Vec<Amend>),
    Grant { row: usize, member: u8, levels: Vec<Level>, purposes: Vec<&'static str>, days: (i64, i64) },
    Revoke(usize),
}

#[derive(Clone, Debug)]
enum Amend {
    Add(Vec<Level>, Vec<&'static str>, (i64, i64)),
    Set(usize, Vec<Level>, Vec<&'static str>, (i64, i64)),
    Remove(usize),
    Until(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    const LEVELS: [Level; 4] = [Level::View, Level::Reply, Level::Edit, Level::Admin];
    const PURPOSES: [&str; 3] = ["calls", "reports", "setup"];
    let levels = || subsequence(LEVELS.to_vec(), 0..=4);
    let purposes = || subsequence(PURPOSES.to_vec(), 0..=3);
    let days = || (0..8_i64, 1..10_i64).prop_map(|(from, length)| (from, from + length));
    let amend = prop_oneof![
        2 => (levels(), purposes(), days()).prop_map(|(l, p, d)| Amend::Add(l, p, d)),
        4 => (0..4_usize, levels(), purposes(), days()).prop_map(|(r, l, p, d)| Amend::Set(r, l, p, d)),
        1 => (0..4_usize).prop_map(Amend::Remove),
        2 => (3..14_i64).prop_map(Amend::Until),
    ];
    let step = prop_oneof![
        3 => prop::collection::vec(amend, 1..4).prop_map(Step::Amend),
        4 => (0..4_usize, 2..5_u8, levels(), purposes(), days())
            .prop_map(|(row, member, levels, purposes, days)| Step::Grant { row, member, levels, purposes, days }),
        1 => (0..6_usize).prop_map(Step::Revoke),
    ];
    prop::collection::vec(step, 1..24)
}

/// A mandate under amendment, with ids counted up.
struct Table {
    mandate: Mandate,
    next: u8,
}

fn plain_term((from, until): (i64, i64)) -> Term {
    Term { from: Instant(from * DAY), until: Instant(until * DAY) }
}

fn bounds(levels: &[Level], purposes: &[&str], days: (i64, i64)) -> RowTerms {
    let day: Date = "2026-01-01".parse().unwrap();
    RowTerms {
        data: Vec::new(),
        levels: levels.iter().copied().collect(),
        purposes: purposes.iter().map(|purpose| Text::parse(purpose).unwrap()).collect(),
        from: day,
        until: day,
        term: plain_term(days),
        grant_days: None,
    }
}

impl Table {
    fn new() -> Self {
        let mut table = Self { mandate: opened(Vec::new(), Vec::new()), next: 10 };
        let row = table.added(&[Level::View, Level::Reply, Level::Edit], &["calls", "reports"], (0, 10));
        let grants = table.standing(std::slice::from_ref(&row));
        table.mandate = opened(vec![row], grants);
        table
    }

    fn id(&mut self) -> u8 {
        self.next += 1;
        self.next
    }

    fn added(&mut self, levels: &[Level], purposes: &[&str], days: (i64, i64)) -> RowChange {
        let id = self.id();
        RowChange::Add {
            row: RowId([id; 16]),
            system: Name::parse(&format!("system {id}")).unwrap(),
            category: Text::default(),
            platform: Text::default(),
            terms: bounds(levels, purposes, days),
        }
    }

    /// The lead's standing grants under new rows, as the broker adds them.
    fn standing(&mut self, changes: &[RowChange]) -> Vec<GrantFacts> {
        let mut grants = Vec::new();
        for change in changes {
            if let RowChange::Add { row, terms, .. } = change {
                grants.push(GrantFacts {
                    id: GrantId([self.id(); 16]),
                    member: LEAD,
                    row: *row,
                    levels: terms.levels.clone(),
                    purposes: terms.purposes.clone(),
                    term: terms.term,
                    origin: GrantOrigin::Lead,
                });
            }
        }
        grants
    }

    fn row(&self, number: usize) -> RowId {
        self.mandate.rows.get(number).map_or(RowId([0; 16]), |row| row.id)
    }

    /// The event of a step, as the broker would write it; none where the changes do not fit the table.
    fn event(&mut self, step: &Step, at: Instant) -> Option<Event> {
        match step {
            Step::Grant { row, member, levels, purposes, days } => {
                let RowTerms { levels, purposes, term, .. } = bounds(levels, purposes, *days);
                let (id, row) = (GrantId([self.id(); 16]), self.row(*row));
                let member = MemberId([*member; 16]);
                let origin = GrantOrigin::Given;
                Some(Event::Granted {
                    grant: GrantFacts { id, member, row, levels, purposes, term, origin },
                    answers: None,
                })
            }
            Step::Revoke(number) => {
                let grant = self.mandate.grants.get(*number)?.facts.id;
                Some(Event::Revoked { grants: vec![grant], why: Why::Asked { reason: Text::default() } })
            }
            Step::Amend(amends) => {
                let changes: Vec<RowChange> = amends
                    .iter()
                    .map(|amend| match amend {
                        Amend::Add(levels, purposes, days) => self.added(levels, purposes, *days),
                        Amend::Set(row, levels, purposes, days) => {
                            RowChange::Set { row: self.row(*row), terms: bounds(levels, purposes, *days) }
                        }
                        Amend::Remove(row) => RowChange::Remove { row: self.row(*row) },
                        Amend::Until(days) => {
                            RowChange::Until { until: "2026-01-01".parse().unwrap(), term: plain_term((0, *days)) }
                        }
                    })
                    .collect();
                let grants = self.standing(&changes);
                let mut after = self.mandate.clone();
                after.try_changes(&changes, &grants, at).ok()?;
                let narrowed = after.narrowed(&changes);
                Some(Event::Amended { changes, grants, narrowed })
            }
        }
    }
}

fn opened(rows: Vec<RowChange>, grants: Vec<GrantFacts>) -> Mandate {
    let event = Event::Opened {
        operator: Name::parse("Romashka").unwrap(),
        contract: Text::default(),
        signed: "2026-01-01".parse().unwrap(),
        until: "2026-01-01".parse().unwrap(),
        zone: Zone::parse("UTC").unwrap(),
        term: plain_term((0, 12)),
        jurisdiction: Jurisdiction::Ru,
        leads: vec![LEAD],
        rows,
        grants,
    };
    Mandate::open(UnitId([9; 16]), &event, Some(LEAD), Instant(0)).unwrap()
}

/// What is wrong with a table: a live grant beyond its row, or a row beyond its mandate.
fn excess(mandate: &Mandate) -> Option<String> {
    let inside =
        |inner: Term, outer: Term| inner.from >= outer.from && inner.until <= outer.until && inner.from < inner.until;
    for row in mandate.rows.iter().filter(|row| row.removed.is_none()) {
        if !inside(row.terms.term, mandate.term) {
            return Some(format!("the row {} is outside the mandate", row.system));
        }
    }
    for grant in mandate.grants.iter().filter(|grant| grant.ended.is_none()) {
        let facts = &grant.facts;
        let row = mandate.rows.iter().find(|row| row.id == facts.row && row.removed.is_none());
        let fits = row.is_some_and(|row| {
            let terms = &row.terms;
            let some = !facts.levels.is_empty() && !facts.purposes.is_empty();
            let narrow = facts.levels.iter().all(|level| terms.levels.contains(level))
                && facts.purposes.iter().all(|purpose| terms.purposes.contains(purpose));
            some && narrow && inside(facts.term, terms.term)
        });
        if !fits {
            return Some(format!("the live grant {facts:?} exceeds {row:?}"));
        }
    }
    None
}

/// However a table is amended, no live grant is ever wider or longer than its row, nothing that was given grows, nothing
/// that ended comes back; and a record that tells less, more or otherwise of what became of the grants is refused.
#[test]
fn no_amendment_leaves_a_grant_beyond_its_row() {
    let (applied, narrowed_some) = (Cell::new(0_u32), Cell::new(0_u32));
    let checked = runner(2_000).run(&steps(), |steps| {
        let mut table = Table::new();
        for (at, step) in (1_i64..).zip(&steps) {
            let before = table.mandate.clone();
            let Some(event) = table.event(step, Instant(at)) else { continue };
            if table.mandate.apply(&event, Some(LEAD), Instant(at)).is_err() {
                // Whoever applies throws the state away with the error.
                prop_assert!(!matches!(event, Event::Amended { .. }), "what fits the table folds: {:?}", event);
                table.mandate = before;
                continue;
            }
            applied.set(applied.get() + 1);
            let after = &table.mandate;
            prop_assert_eq!(excess(after), None, "after {:?}", event);
            for old in &before.grants {
                let new = after.grant(old.facts.id).unwrap();
                prop_assert!(old.ended.is_none() || new.ended.is_some(), "{:?} came back", old);
                let same = old == new;
                let (old, new) = (&old.facts, &new.facts);
                let grew = !new.levels.is_subset(&old.levels)
                    || !new.purposes.iter().all(|purpose| old.purposes.contains(purpose))
                    || new.term.from < old.term.from
                    || new.term.until > old.term.until;
                prop_assert!(old.origin == GrantOrigin::Lead || !grew, "{:?} grew to {:?}", old, new);
                if let Event::Amended { narrowed, .. } = &event {
                    let grant = after.grant(new.id).unwrap();
                    let truth = Narrowed { grant: new.id, until: new.term.until, ended: grant.ended.is_some() };
                    prop_assert!(same || narrowed.contains(&truth), "{:?} is not told of", truth);
                }
            }
            if let Event::Amended { changes, grants, narrowed } = &event {
                for lie in lies(narrowed) {
                    let told = Event::Amended { changes: changes.clone(), grants: grants.clone(), narrowed: lie };
                    prop_assert!(before.clone().apply(&told, Some(LEAD), Instant(at)).is_err(), "{:?}", told);
                }
                narrowed_some.set(narrowed_some.get() + u32::from(!narrowed.is_empty()));
            }
        }
        Ok(())
    });
    checked.unwrap();
    assert!(applied.get() > 2_000 && narrowed_some.get() > 500, "{applied:?} {narrowed_some:?}");
}

/// The same account with one thing left out, changed or made up.
fn lies(told: &[Narrowed]) -> Vec<Vec<Narrowed>> {
    let with = |index: usize, change: &dyn Fn(&mut Narrowed)| {
        let mut lie = told.to_vec();
        change(&mut lie[index]);
        lie
    };
    let mut lies = vec![[told, &[Narrowed { grant: GrantId([0; 16]), until: Instant(0), ended: true }]].concat()];
    for index in 0..told.len() {
        lies.push([&told[..index], &told[index + 1..]].concat());
        lies.push(with(index, &|narrowed| narrowed.until = narrowed.until.plus(1)));
        lies.push(with(index, &|narrowed| narrowed.ended = !narrowed.ended));
    }
    lies
}
