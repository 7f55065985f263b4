//! Parties, contract, signatures and clauses: what the document says of itself, found by role words, never by place.

use super::source::{Clauses, Facts, Party};
use super::text::{clean, folded, has_blank, is_blank, words};
use super::xml::{Block, Table};
use super::{contract, dates};
use crate::model::Date;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Operator,
    Processor,
    Basis,
}

/// The role a label names, if it names exactly one.
fn role(label: &str) -> Option<Role> {
    const OPERATOR: [&str; 5] = ["оператор", "заказчик", "клиент", "controller", "operator"];
    const PROCESSOR: [&str; 6] = ["обработчик", "исполнитель", "агентство", "подрядчик", "processor", "contractor"];
    const BASIS: [&str; 4] = ["основание", "договор", "contract", "basis"];
    let label = words(label);
    if label.is_empty() || label.split(' ').count() > 6 {
        return None;
    }
    let first = label.split(' ').next().unwrap_or("");
    let any = |list: &[&str]| list.iter().any(|word| label.split(' ').any(|piece| piece == *word));
    match (any(&OPERATOR), any(&PROCESSOR)) {
        (true, false) => Some(Role::Operator),
        (false, true) => Some(Role::Processor),
        (false, false) if BASIS.contains(&first) => Some(Role::Basis),
        _ => None,
    }
}

/// What the document says of itself, and the table rows it was read from.
pub fn facts(blocks: &[Block]) -> Facts {
    let mut facts = Facts::default();
    let mut before_tables = true;
    for block in blocks {
        match block {
            Block::Paragraph(text) => paragraph(&mut facts, &clean(text), before_tables),
            Block::Table(table) => {
                before_tables = false;
                party_table(&mut facts, table);
                signature_table(&mut facts, table);
            }
        }
    }
    facts
}

fn party_table(facts: &mut Facts, table: &Table) {
    for row in &table.rows {
        let [label, value] = row.cells.as_slice() else { continue };
        let value = clean(&value.now);
        // Two role words side by side head the signatures, not the parties.
        if role(&value).is_some() && value.split(' ').count() <= 3 && !value.contains(['«', '"', '“', '[']) {
            return;
        }
        if let Some(role) = role(&clean(&label.now)) {
            take(facts, role, &value);
        }
    }
}

fn take(facts: &mut Facts, role: Role, value: &str) {
    let party = match role {
        Role::Operator => &mut facts.operator,
        Role::Processor => &mut facts.processor,
        Role::Basis => return contract::basis(facts, value),
    };
    if party.name.is_none() {
        *party = read_party(value);
    }
}

fn read_party(value: &str) -> Party {
    let line = value.replace('\n', ", ");
    let lower = line.to_lowercase();
    let inn = lower.find("инн").and_then(|at| {
        let digits: String =
            lower.get(at..)?.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        matches!(digits.len(), 10 | 12).then_some(digits)
    });
    let ends = ["инн", "огрн", "кпп", "адрес", " в лице", "именуем", "inn ", "represented"];
    let end = ends.iter().filter_map(|word| lower.find(word)).min().unwrap_or(line.len());
    let name = line.get(..end).unwrap_or(&line).trim_end_matches([' ', ',', ';', '(']).trim();
    let given = !is_blank(name) && !has_blank(name);
    Party { name: given.then(|| name.to_owned()), inn }
}

/// «________________ /Тестов Т. Т./» under the role, «Дата подписания: 03.02.2026» below.
fn signature_table(facts: &mut Facts, table: &Table) {
    let Some(head) = table.rows.first() else { return };
    let roles: Vec<Option<Role>> = head.cells.iter().map(|cell| role(cell.now.lines().next().unwrap_or(""))).collect();
    let both = roles.contains(&Some(Role::Operator)) && roles.contains(&Some(Role::Processor));
    if !both || roles.len() != 2 {
        return;
    }
    let mut signed: Vec<Option<Date>> = Vec::new();
    for row in &table.rows {
        for (cell, role) in row.cells.iter().zip(&roles) {
            let text = clean(&cell.now);
            for line in text.lines() {
                signatory(facts, *role, line);
                if folded(line).contains("дата подписания")
                    || folded(line).contains("подписано")
                    || folded(line).contains("signed on")
                {
                    signed.push(dates::one_date(line));
                }
            }
        }
    }
    // Signed when both had signed: the later date, and none while one is missing.
    let all: Option<Vec<Date>> = signed.iter().copied().collect();
    if let Some(all) = all.filter(|all| all.len() >= 2) {
        facts.mandate_signed_on = all.into_iter().max();
    }
}

fn signatory(facts: &mut Facts, role: Option<Role>, line: &str) {
    let name =
        line.split('/').nth(1).map(str::trim).filter(|name| line.contains("__") && !is_blank(name) && !has_blank(name));
    let place = match role {
        Some(Role::Operator) => &mut facts.signatories.operator,
        Some(Role::Processor) => &mut facts.signatories.processor,
        _ => return,
    };
    if let Some(name) = name.filter(|_| place.is_none()) {
        *place = Some(name.to_owned());
    }
}

fn paragraph(facts: &mut Facts, text: &str, is_head: bool) {
    let lower = folded(text);
    if is_head && lower.starts_with("поручение") && lower.contains('№') && facts.number.is_none() {
        let number = text.split('№').nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or("");
        facts.number =
            (!is_blank(number) && !has_blank(number)).then(|| number.trim_end_matches([',', '.']).to_owned());
    }
    if is_head && facts.date.is_none() && text.chars().count() <= 120 && !lower.contains("договор") {
        facts.date = dates::one_date(text);
    }
    labelled(facts, text);
    contract::clause(facts, &lower);
}

/// «Оператор: …   Исполнитель: …   Основание: …» in running text.
fn labelled(facts: &mut Facts, text: &str) {
    let mut pieces: Vec<(Role, String)> = Vec::new();
    for (at, piece) in text.split(':').enumerate() {
        let label = piece.split_whitespace().next_back().unwrap_or("");
        if at > 0
            && let Some((_, value)) = pieces.last_mut().filter(|(_, value)| value.is_empty())
        {
            let end = role(label).map_or(piece.len(), |_| piece.trim_end().len() - label.len());
            *value = piece.get(..end).unwrap_or(piece).trim().to_owned();
        }
        match role(label) {
            Some(role) if piece.trim() == label || at > 0 => pieces.push((role, String::new())),
            _ if at == 0 => return,
            _ => {}
        }
    }
    for (role, value) in pieces {
        take(facts, role, value.trim_end_matches([';', ',', ' ']));
    }
}

/// The clauses rows are held against: by number, or by their first words where numbers are automatic.
pub fn clauses(blocks: &[Block]) -> Clauses {
    let mut clauses = Clauses::default();
    for block in blocks {
        let Block::Paragraph(text) = block else { continue };
        let text = folded(&clean(text));
        let is = |number: &str, starts: &[&str]| {
            let rest = text.strip_prefix(number).map(str::trim_start);
            starts.iter().any(|start| rest.unwrap_or(&text).starts_with(start))
                || (rest.is_some() && text.contains(':'))
        };
        if clauses.data.is_none()
            && is("2.2.", &["перечень данных", "перечень персональных данных", "list of data", "personal data:"])
        {
            clauses.data = Some(text);
        } else if clauses.actions.is_none()
            && is(
                "3.1.",
                &["допустимые действия", "действия с данными:", "перечень действий", "permitted actions", "actions:"],
            )
        {
            clauses.actions = Some(text);
        } else if clauses.purposes.is_none()
            && is(
                "3.2.",
                &["цели обработки:", "цели обработки персональных данных:", "purposes of processing:", "purposes:"],
            )
        {
            clauses.purposes = Some(text);
        }
    }
    clauses
}

/// Whether a party is a natural person without a firm: 422-ФЗ self-employed and the like.
pub fn is_natural_person(name: &str) -> bool {
    let name = folded(name);
    ["самозанят", "гражданин", "гражданка", "физическое лицо", "плательщик нпд"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Whether the check digits of a taxpayer number hold. All zeros is a blank.
pub fn inn_holds(inn: &str) -> bool {
    let digits: Vec<u32> = inn.chars().filter_map(|c| c.to_digit(10)).collect();
    let check =
        |weights: &[u32]| weights.iter().zip(&digits).map(|(weight, digit)| weight * digit).sum::<u32>() % 11 % 10;
    match digits.as_slice() {
        all if all.iter().all(|digit| *digit == 0) => true,
        [.., last] if digits.len() == 10 => check(&[2, 4, 10, 3, 5, 9, 4, 6, 8]) == *last,
        [.., eleventh, twelfth] if digits.len() == 12 => {
            check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == *eleventh
                && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == *twelfth
        }
        _ => false,
    }
}
