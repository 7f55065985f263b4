//! What looks certain and is not: each of these was a wrong value once, and is a question or the shorter term now.

use crate::docx::{Doc, HEAD, ROW, p, tbl, tc, tr, tr_raw, with};
use crate::edges::{LEVEL, TERM, answer, asked, cells, has, one, read_doc, run, term_cell};
use mandatum::model::Date;
use mandatum::paperwork::read::{Opening, Outcome, Reading, Status};

fn day(text: &str) -> Option<Date> {
    Some(text.parse().unwrap())
}

fn table(head: &[&str], rows: &[&[&str]]) -> Doc {
    let rows: String = rows.iter().map(|row| tr(row)).collect();
    Doc { table: tbl(&(tr(head) + &rows)), ..Doc::default() }
}

fn row_with(field: usize, content: &str) -> Doc {
    let plain = |at: usize| tc("", &p(ROW[at]));
    let cells: String = (0..5).map(|at| if at == field { tc("", content) } else { plain(at) }).collect();
    Doc { table: tbl(&(tr(&HEAD) + &tr_raw("", &cells))), ..Doc::default() }
}

fn struck(property: &str, text: &str) -> String {
    format!("<w:r><w:rPr>{property}</w:rPr><w:t>{text}</w:t></w:r>")
}

fn last_day(reading: &Reading) -> Option<Date> {
    let until = reading.rows_to_activate().into_iter().map(|row| match row.opening {
        Opening::Days { until, .. } => until,
        Opening::OnGrant { .. } => panic!("{:?}", row.opening),
    });
    until.max()
}

#[test]
fn two_last_days_of_the_contract_are_asked_about() {
    let doc = |clause: &str| Doc {
        basis: "Договор № 1 от 01.02.2026, действует до 31.12.2027".into(),
        clause51: format!("5.1. Поручение действует {clause}."),
        ..Doc::of(&[with(TERM, "на срок договора")])
    };
    let mut apart = read_doc(&doc("в течение срока основного договора (до 31 января 2027 г. включительно)"));
    assert!(asked(&apart, "CONTRACT_END_UNCLEAR") && apart.rows_to_activate().is_empty());
    let question = apart.open_questions().iter().find(|question| question.code == "CONTRACT_END_UNCLEAR").unwrap();
    assert_eq!((question.path.as_str(), question.default.as_deref()), ("contract.end", Some("2027-01-31")));
    answer(&mut apart, 0, "contract.end", "31.12.2027").unwrap();
    assert_eq!((apart.open_questions().len(), last_day(&apart)), (0, day("2027-12-31")));

    for bound in [
        "в течение срока основного договора, но не дольше чем до 31 января 2027",
        "до окончания договора, но в любом случае до 31.01.2027",
        "до 31.01.2027",
    ] {
        let reading = read_doc(&doc(bound));
        assert_eq!(reading.document.contract.end, day("2027-12-31"), "{bound}");
        assert_eq!(reading.document.last_day(), day("2027-01-31"), "the earlier of both is the mandate's: {bound}");
        assert_eq!((reading.status, last_day(&reading)), (Status::Accepted, day("2027-01-31")), "{bound}");
    }
    let same = read_doc(&doc("в течение срока основного договора (до 31 декабря 2027 г.)"));
    assert_eq!((same.status, last_day(&same)), (Status::Accepted, day("2027-12-31")));
    for doubtful in [
        "в течение срока договора или до 31.01.2027",
        "в течение срока договора, но не менее чем до 31.01.2027",
        "в течение срока договора. Отчёт сдаётся до 31.01.2027",
        "до 31.12.2027, но не позднее 31.02.2027",
    ] {
        assert!(asked(&read_doc(&doc(doubtful)), "MANDATE_TERM_UNCLEAR"), "{doubtful}");
    }
    let twice = Doc { before: p("Поручение действует до 30.06.2026."), ..doc("до 31.01.2027") };
    assert!(asked(&read_doc(&twice), "MANDATE_TERM_UNCLEAR"));
}

#[test]
fn a_term_of_the_mandate_in_other_words_is_asked_about() {
    let read = |clause: &str| read_doc(&Doc { clause51: clause.into(), ..Doc::of(&[ROW]) });
    for clause in [
        "5.1. Поручение вступает в силу с 01.03.2026 и действует до 30.06.2026.",
        "5.1. Срок действия поручения: до 30.06.2026.",
        "5.1. Настоящее поручение вступает в силу с даты подписания и действует 3 (три) месяца.",
    ] {
        let reading = read(clause);
        assert!(asked(&reading, "MANDATE_TERM_UNCLEAR") && reading.rows_to_activate().is_empty(), "{clause}");
    }
    let plain = "5.1. Поручение вступает в силу с даты подписания и действует в течение срока договора.";
    assert_eq!(read(plain).status, Status::Accepted);
}

#[test]
fn a_review_bounds_a_mandate_that_ends_earlier_no_further() {
    let mut reading = read_doc(&Doc {
        clause51: "5.1. Поручение действует до 31.03.2026.".into(), ..Doc::of(&[ROW])
    });
    answer(&mut reading, 0, "contract.review", "30.05.2026").unwrap();
    assert_eq!(reading.document.last_day(), day("2026-03-31"));
    answer(&mut reading, 0, "contract.end", "31.12.2026").unwrap();
    assert_eq!(reading.document.last_day(), day("2026-03-31"));
}

#[test]
fn only_until_makes_a_date_of_the_basis_the_last_day() {
    let of = |basis: &str| Doc { basis: basis.into(), ..Doc::of(&[with(TERM, "на срок договора")]) };
    for basis in [
        "Договор № 1 от 01.02.2026, действует до 31.12.2026",
        "Договор № 1 от 01.02.2026 (срок действия: по 31 декабря 2026 г. включительно)",
        "Договор № 1 от 01.02.2026, действует с 01.02.2026 по 31.12.2026 (далее — договор)",
        "Contract No. 1 of 2026-02-01, in force until 2026-12-31",
    ] {
        let reading = read_doc(&of(basis));
        assert_eq!((reading.status, last_day(&reading)), (Status::Accepted, day("2026-12-31")), "{basis}");
    }
    for basis in [
        "Договор № 1 от 01.02.2026, действует с 01.03.2026",
        "Договор № 1 от 01.02.2026, срок оплаты до 15.03.2026",
        "Договор № 1 от 01.02.2026, вступает в действие не ранее 01.03.2026, срок — не ранее 01.04.2026",
        "Договор № 1 от 01.02.2026, действует не ранее чем до 01.03.2026",
        "Договор № 1 от 01.02.2026, действует до 31.12.2026, а в части расчётов до полного исполнения",
        "Договор № 1 от 01.02.2026, действует до 31.02.2027",
        "Договор № 1 до 31.12.2027",
    ] {
        let reading = read_doc(&of(basis));
        assert!(asked(&reading, "CONTRACT_END_UNCLEAR") && reading.rows_to_activate().is_empty(), "{basis}");
        assert!(!asked(&reading, "CONTRACT_END_UNKNOWN"), "one question for one day: {basis}");
        assert_eq!(reading.document.contract.end, None, "{basis}");
    }
    let mut endless = read_doc(&of("Договор № 1 от 01.02.2026, действует с 01.03.2026"));
    answer(&mut endless, 0, "contract.review", "30.05.2026").unwrap();
    assert_eq!((endless.open_questions().len(), last_day(&endless)), (0, day("2026-05-30")));
}

#[test]
fn a_head_over_several_columns_is_parted_or_asked_about() {
    let head = |lower: &str| {
        let upper: String = HEAD[..4].iter().map(|cell| tc("<w:vMerge w:val=\"restart\"/>", &p(cell))).collect();
        let rest = tc("<w:vMerge/>", "<w:p/>").repeat(4);
        let line = if lower.is_empty() { String::new() } else { tr_raw("", &(rest + lower)) };
        tr_raw("", &(upper + &tc("<w:gridSpan w:val=\"2\"/>", &p("Срок доступа")))) + &line
    };
    let parts = |from: &str, until: &str| tc("", &p(from)) + &tc("", &p(until));
    let read = |lower: &str, term: &str| {
        let row = tr_raw("", &(cells(0, &ROW[..4]) + term));
        read_doc(&Doc { table: tbl(&(head(lower) + &row)), ..Doc::default() })
    };
    let parted = read(&parts("с", "по"), &parts("01.03.2026", "31.08.2026"));
    assert_eq!((parted.status, parted.rows.len()), (Status::Accepted, 1), "{:?}", parted.questions);
    assert_eq!((parted.rows[0].term.start, parted.rows[0].term.end), (day("2026-03-01"), day("2026-08-31")));

    for lower in ["", &parts("начало", "прочее"), &parts("по", "с")] {
        let reading = read(lower, &parts("01.03.2026", "31.08.2026"));
        assert!(asked(&reading, "COLUMNS_DISAGREE") && reading.rows_to_activate().is_empty(), "{lower}");
    }
    let mut blank = read("", &parts("01.03.2026", ""));
    assert!(asked(&blank, "COLUMNS_DISAGREE"), "a first day alone is no last day");
    answer(&mut blank, 1, "term", "31.08.2026").unwrap();
    assert_eq!(last_day(&blank), day("2026-08-31"));
    let whole = read("", &tc("<w:gridSpan w:val=\"2\"/>", &p("до 31.08.2026")));
    assert_eq!((whole.status, last_day(&whole)), (Status::Accepted, day("2026-08-31")));
}

#[test]
fn text_that_is_struck_through_is_asked_about() {
    let styles = format!(
        "<w:styles xmlns:w=\"{}\"><w:style w:styleId=\"Gone\"><w:rPr><w:strike/></w:rPr></w:style>\
         <w:style w:styleId=\"Heir\"><w:basedOn w:val=\"Gone\"/></w:style>\
         <w:style w:styleId=\"Back\"><w:basedOn w:val=\"Gone\"/><w:rPr><w:strike w:val=\"0\"/></w:rPr></w:style></w:styles>",
        crate::docx::W
    );
    let styled = |doc: Doc| Doc { extra: vec![("word/styles.xml".into(), styles.clone().into_bytes())], ..doc };
    for property in [
        "<w:strike/>",
        "<w:dstrike w:val=\"true\"/>",
        "<w:strike/><w:dstrike w:val=\"false\"/>",
        "<w:rStyle w:val=\"Gone\"/>",
        "<w:rStyle w:val=\"Heir\"/>",
    ] {
        let level = format!("<w:p>{}{}</w:p>", run("просмотр, "), struck(property, "выгрузка"));
        let mut reading = read_doc(&styled(row_with(LEVEL, &level)));
        assert!(asked(&reading, "STRUCK_TEXT_IN_CELL") && !asked(&reading, "TRACKED_CHANGE_IN_CELL"), "{property}");
        assert!(reading.warnings.iter().any(|code| code == "STRUCK_TEXT_PRESENT"));
        assert_eq!(reading.open_questions().len(), 1, "only the cell is asked about");
        assert_eq!(reading.open_questions()[0].other.as_deref(), Some("просмотр, выгрузка"), "{property}");
        answer(&mut reading, 1, "level", "просмотр").unwrap();
        assert_eq!(reading.rows_to_activate()[0].levels.len(), 1);
    }
    let term = read_doc(&term_cell(&format!("<w:p>{}</w:p>", struck("<w:strike/>", "до 31.12.2026"))));
    assert!(asked(&term, "STRUCK_TEXT_IN_CELL") && asked(&term, "TERM_MISSING"), "a struck term is none");
    let paragraph = format!("<w:p><w:pPr><w:pStyle w:val=\"Heir\"/></w:pPr>{}</w:p>", run("до 31.12.2026"));
    assert!(asked(&read_doc(&styled(term_cell(&paragraph))), "STRUCK_TEXT_IN_CELL"));

    for property in ["<w:strike w:val=\"0\"/>", "<w:dstrike w:val=\"false\"/>", "<w:rStyle w:val=\"Back\"/>"] {
        let live = styled(term_cell(&format!("<w:p>{}</w:p>", struck(property, "до 31.12.2026"))));
        assert_eq!(one(&live).outcome, Outcome::Accept, "{property}");
    }
    let mark = "<w:p><w:pPr><w:rPr><w:strike/></w:rPr></w:pPr><w:r><w:t>до 31.12.2026</w:t></w:r></w:p>";
    assert_eq!(one(&term_cell(mark)).outcome, Outcome::Accept, "the mark of a paragraph carries no text");
}

#[test]
fn what_is_struck_through_outside_the_table_is_asked_about() {
    let clause = format!("<w:p>{}{}</w:p>", run("Договор действует "), struck("<w:strike/>", "до 31.01.2027"));
    let parties = tbl(&tr_raw("", &(tc("", &p("Основание")) + &tc("", &clause))));
    for before in [clause, parties] {
        let mut reading = read_doc(&Doc { before, ..Doc::of(&[ROW]) });
        assert!(asked(&reading, "STRUCK_TEXT_OUTSIDE") && reading.rows_to_activate().is_empty());
        answer(&mut reading, 0, "notes", "confirm").unwrap();
        assert_eq!(reading.rows_to_activate().len(), 1);
    }
}

#[test]
fn a_style_of_a_paragraph_hides_like_one_of_characters() {
    let styles = format!(
        "<w:styles xmlns:w=\"{}\"><w:style w:styleId=\"H\"><w:rPr><w:vanish/></w:rPr></w:style></w:styles>",
        crate::docx::W
    );
    let hidden = format!("<w:p><w:pPr><w:pStyle w:val=\"H\"/></w:pPr>{}</w:p>", run("до 31.12.2030"));
    let mut doc = term_cell(&(hidden + &p("до 31.12.2026")));
    doc.extra.push(("word/styles.xml".into(), styles.into_bytes()));
    let row = one(&doc);
    assert!(row.term.end == day("2026-12-31") && has(&row, "HIDDEN_TEXT_PRESENT"), "{:?}", row.term);
}

#[test]
fn boxes_to_tick_are_asked_about() {
    let form = |kind: &str| {
        format!(
            "<w:r><w:fldChar w:fldCharType=\"begin\"><w:ffData>{kind}</w:ffData></w:fldChar></w:r>\
             <w:r><w:instrText>FORMCHECKBOX</w:instrText></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r>"
        )
    };
    let unticked = form("<w:checkBox><w:default w:val=\"0\"/></w:checkBox>");
    let list = form("<w:ddList><w:listEntry w:val=\"выгрузка\"/></w:ddList>");
    for content in [
        format!("<w:p>{}</w:p><w:p>{unticked}{}</w:p>", run("просмотр"), run("выгрузка")),
        format!("<w:p>{}{list}</w:p>", run("просмотр")),
        p("☒ просмотр\n☐ выгрузка"),
        p("просмотр, \u{F0A8}выгрузка"),
    ] {
        let reading = read_doc(&row_with(LEVEL, &content));
        assert!(asked(&reading, "CELL_HOLDS_MORE_THAN_TEXT") && reading.rows_to_activate().is_empty(), "{content}");
    }
    let data = read_doc(&row_with(1, &p("☒ телефон\n☐ e-mail")));
    assert!(asked(&data, "CELL_HOLDS_MORE_THAN_TEXT"));
    let field = form("<w:textInput/>") + &run("просмотр");
    assert_eq!(one(&row_with(LEVEL, &format!("<w:p>{field}</w:p>"))).outcome, Outcome::Accept, "its text is text");
}

#[test]
fn a_minus_beside_a_level_is_asked_about() {
    for cell in ["просмотр; выгрузка -", "просмотр; -выгрузка", "просмотр\n- выгрузка", "просмотр +, выгрузка −"]
    {
        let reading = read_doc(&Doc::of(&[with(LEVEL, cell)]));
        assert!(asked(&reading, "ACCESS_LEVEL_UNKNOWN") && reading.rows_to_activate().is_empty(), "{cell}");
    }
    let bullets = one(&Doc::of(&[with(LEVEL, "- просмотр\n- ответы")]));
    assert_eq!((bullets.outcome, bullets.access_levels.len()), (Outcome::Accept, 2));
}

#[test]
fn another_column_that_speaks_of_the_same_is_asked_about() {
    let head = |more: &'static str| [&HEAD[..], &[more]].concat();
    let row = |more: &'static str| [&ROW[..], &[more]].concat();
    for (column, said, field) in [("Права", "только просмотр заявок", "level"), ("Действует до", "30.06.2026", "term")]
    {
        let mut reading = read_doc(&table(&head(column), &[&row(said)]));
        let question = &reading.open_questions()[0];
        assert_eq!((question.code.as_str(), question.path.as_str()), ("COLUMNS_DISAGREE", field));
        assert_eq!((question.other.as_deref(), reading.open_questions().len()), (Some(said), 1));
        assert!(reading.rows_to_activate().is_empty());
        answer(&mut reading, 1, field, if field == "term" { said } else { "просмотр" }).unwrap();
        assert_eq!(reading.rows_to_activate().len(), 1);
    }
    for (column, said) in [("Права", "просмотр"), ("Права", "—"), ("Ограничения", "-"), ("Ограничения", "")]
    {
        assert_eq!(read_doc(&table(&head(column), &[&row(said)])).status, Status::Accepted, "{column}: {said}");
    }
    for (column, said) in
        [("Ограничения", "без выгрузки"), ("", "кроме выгрузки"), ("№ п/п", "до 30.06.2026"), ("Начало", "01.03.2026")]
    {
        let head = if column == "Начало" { [&HEAD[..], &["С", column]].concat() } else { head(column) };
        let row = if column == "Начало" { [&ROW[..], &["01.02.2026", said]].concat() } else { row(said) };
        let mut reading = read_doc(&table(&head, &[&row]));
        assert!(asked(&reading, "COLUMN_NOT_READ") && reading.rows_to_activate().is_empty(), "{column}");
        assert_eq!(answer(&mut reading, 0, "columns", "maybe"), Err("ANSWER_NOT_A_CHOICE".into()));
        answer(&mut reading, 0, "columns", "confirm").unwrap();
        assert_eq!(reading.rows_to_activate().len(), 1, "{column}");
    }
}

#[test]
fn a_remark_that_may_bound_rows_is_asked_about() {
    let over = |said: &str| tr_raw("", &tc("<w:gridSpan w:val=\"5\"/>", &p(said)));
    let note = "* Доступ предоставляется не позднее 31.03.2026";
    for table in
        [tr(&HEAD) + &over(note) + &tr(&ROW), tr(&HEAD) + &tr(&ROW) + &over(note), over(note) + &tr(&HEAD) + &tr(&ROW)]
    {
        let mut reading = read_doc(&Doc { table: tbl(&table), ..Doc::default() });
        assert!(asked(&reading, "NOTE_IN_TABLE") && reading.rows_to_activate().is_empty());
        answer(&mut reading, 0, "notes", "confirm").unwrap();
        assert_eq!((reading.open_questions().len(), reading.rows_to_activate().len()), (0, 1));
    }
    let remark = [&HEAD[..], &["Примечание"]].concat();
    for (said, asks) in [("только просмотр заявок", true), ("до 30.06.2026", true), ("без спешки", false)]
    {
        let reading = read_doc(&table(&remark, &[&[&ROW[..], &[said]].concat()]));
        assert_eq!(asked(&reading, "NOTE_IN_TABLE"), asks, "{said}");
    }
    let narrow = tr_raw("", &tc("<w:gridSpan w:val=\"2\"/>", &p("не позднее 31.03.2026")));
    let reading = read_doc(&Doc { table: tbl(&(tr(&HEAD) + &tr(&ROW) + &narrow)), ..Doc::default() });
    assert!(asked(&reading, "ROW_TOO_FEW_CELLS"), "a cell over some columns is no title");
}

#[test]
fn the_column_of_the_first_day_keeps_what_is_odd_about_it() {
    let read = |from: &str, until: &str| {
        let head = tr(&[&HEAD[..4], &["С", "По"]].concat());
        let row = tr_raw("", &(cells(0, &ROW[..4]) + &tc("", from) + &tc("", until)));
        read_doc(&Doc { table: tbl(&(head + &row)), ..Doc::default() })
    };
    let until = p("31.12.2026");
    let plain = read(&p("01.03.2026"), &until);
    assert_eq!((plain.status, plain.rows[0].term.start), (Status::Accepted, day("2026-03-01")));
    let tracked = format!(
        "<w:p><w:del><w:r><w:delText>01.06.2026</w:delText></w:r></w:del><w:ins>{}</w:ins></w:p>",
        run("01.03.2026")
    );
    let changed = read(&tracked, &until);
    let question = &changed.open_questions()[0];
    assert_eq!((question.code.as_str(), question.path.as_str()), ("TRACKED_CHANGE_IN_CELL", "term"));
    assert_eq!(changed.rows[0].raw.term, "с 01.03.2026 по 31.12.2026");
    let gone = format!("<w:p>{}</w:p>", struck("<w:strike/>", "01.06.2026"));
    assert!(asked(&read(&gone, &until), "STRUCK_TEXT_IN_CELL"), "also where nothing else stands in it");
    let note = format!("<w:p>{}<w:r><w:footnoteReference w:id=\"1\"/></w:r></w:p>", run("01.03.2026"));
    assert!(asked(&read(&note, &until), "CELL_HOLDS_MORE_THAN_TEXT"));
}

#[test]
fn a_row_that_a_tracked_change_brought_is_asked_about() {
    let inserted = tr_raw("<w:ins w:id=\"1\" w:author=\"x\"/>", &cells(0, &with(LEVEL, "ответы")));
    let mut reading = read_doc(&Doc { table: tbl(&(tr(&HEAD) + &tr(&ROW) + &inserted)), ..Doc::default() });
    assert!(asked(&reading, "ROW_INSERTED") && reading.rows[0].outcome == Outcome::Accept);
    assert!(reading.rows_to_activate().is_empty());
    answer(&mut reading, 2, "row", "keep").unwrap();
    assert_eq!(reading.rows_to_activate().len(), 2);
}

#[test]
fn versions_of_a_text_that_differ_are_asked_about() {
    let versions = |choice: &str, fallback: &str| {
        let fallback =
            if fallback.is_empty() { String::new() } else { format!("<mc:Fallback>{fallback}</mc:Fallback>") };
        format!("<mc:AlternateContent><mc:Choice Requires=\"x\">{choice}</mc:Choice>{fallback}</mc:AlternateContent>")
    };
    let later = run("до 31.12.2026");
    for fallback in [run("до 30.06.2026"), String::new(), "<w:r/>".to_owned()] {
        let cell = format!("<w:p>{}</w:p>", versions(&later, &fallback));
        assert!(asked(&read_doc(&term_cell(&cell)), "CELL_HOLDS_MORE_THAN_TEXT"), "{fallback}");
    }
    let row = |until: &'static str| Doc::of(&[with(TERM, until)]).table;
    let mut tables =
        read_doc(&Doc { table: versions(&row("до 31.12.2026"), &row("до 30.06.2026")), ..Doc::default() });
    assert!(asked(&tables, "CONTENT_VERSIONS_DIFFER") && tables.rows_to_activate().is_empty());
    answer(&mut tables, 0, "notes", "confirm").unwrap();
    assert_eq!(tables.rows_to_activate().len(), 1);
    let alike = read_doc(&Doc { table: versions(&row("до 31.12.2026"), &row("до 31.12.2026")), ..Doc::default() });
    assert_eq!(alike.status, Status::Accepted);
}
