//! A sheet as one HTML page for printing: no script, nothing fetched, every text escaped.

use super::sheet::{Block, Sheet, Signature, Table, blank_if_empty, shown, shown_in_cell, tears};
use std::fmt::Write;

/// A4, a serif face that readers have, heads of tables repeated.
const STYLE: &str = "\
body{font-family:'PT Serif','Times New Roman','Liberation Serif',serif;font-size:12pt;line-height:1.3;color:#000;\
background:#fff;max-width:17cm;margin:1cm auto;hyphens:manual}\
body.wide{max-width:25.7cm}\
h1{font-size:14pt;text-align:center;margin:0 0 .8em}\
h2{font-size:12pt;margin:1em 0 .4em;break-after:avoid}\
p{margin:0 0 .5em;text-align:justify}\
p.left{text-align:left;overflow-wrap:anywhere}\
p.item{display:flex}\
p.item b{flex:0 0 1cm;font-weight:normal}\
p.item span{flex:1 1 0;min-width:0}\
p.note,p.source{font-size:9.5pt;text-align:left;overflow-wrap:anywhere}\
.dateline{display:flex;justify-content:space-between;margin-bottom:1em}\
table{border-collapse:collapse;width:100%;table-layout:fixed;font-size:9.5pt;margin:.3em 0 1em}\
thead{display:table-header-group}\
tr{break-inside:avoid}\
p:has(+table){break-after:avoid}\
th,td{border:.5pt solid #000;padding:2pt 4pt;vertical-align:top;text-align:left;overflow-wrap:break-word}\
.signatures{display:flex;flex-wrap:wrap;gap:1cm;margin:1.5em 0 1em;break-inside:avoid}\
.signatures div{flex:1 1 6cm;display:flex;flex-direction:column}\
.signatures div span:last-child{margin-top:auto;padding-top:1.2em}\
footer{font-size:9pt;border-top:.5pt solid #000;margin-top:2em;padding-top:.3em}\
@media print{body{max-width:none;margin:0}}";

/// The page. The same sheet always gives the same text.
pub fn html(sheet: &Sheet) -> String {
    let mut page = String::new();
    let title = escape(&shown(&sheet.title));
    let (size, class) = if sheet.landscape { ("A4 landscape", " class=\"wide\"") } else { ("A4", "") };
    let lang = sheet.lang.tag();
    page += &format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{}{STYLE}</style>\n</head>\n\
         <body{class}>\n<h1>{title}</h1>\n",
        paged(sheet, size)
    );
    page += &dateline(sheet);
    sheet.blocks.iter().for_each(|block| page += &written(block));
    page += &ending(sheet);
    page += "</body>\n</html>\n";
    page
}

/// The footer on every page, with its number, where the browser has page margin boxes; it also ends the text.
fn paged(sheet: &Sheet, size: &str) -> String {
    let (page, of) = (sheet.lang.pick("стр.", "page"), sheet.lang.pick("из", "of"));
    let face = "font-family:'PT Serif','Times New Roman','Liberation Serif',serif;font-size:8.5pt";
    format!(
        "@page{{size:{size};margin:2cm 1.5cm 2cm 2.5cm;@bottom-left{{content:'{}';{face}}}\
         @bottom-right{{content:'{page} ' counter(page) ' {of} ' counter(pages);{face}}}}}",
        sheet.footer()
    )
}

fn dateline(sheet: &Sheet) -> String {
    let date = sheet.date.map_or_else(String::new, super::documents::words::day);
    let (place, date) = (blank_if_empty(&sheet.place), blank_if_empty(&date));
    format!("<div class=\"dateline\"><span>{}</span><span>{}</span></div>\n", text(place), text(date))
}

fn written(block: &Block) -> String {
    match block {
        Block::Heading(heading) => format!("<h2>{}</h2>\n", text(heading)),
        Block::Paragraph(paragraph) if tears(paragraph) => format!("<p class=\"left\">{}</p>\n", text(paragraph)),
        Block::Paragraph(paragraph) => format!("<p>{}</p>\n", text(paragraph)),
        Block::Item { number, text: item } => {
            let class = if tears(item) { "item left" } else { "item" };
            format!("<p class=\"{class}\"><b>{}</b> <span>{}</span></p>\n", text(number), text(item))
        }
        Block::Field { label, value } => {
            format!("<p><strong>{}:</strong> {}</p>\n", text(label), text(blank_if_empty(value)))
        }
        Block::Table(table) => tabled(table),
        Block::Signatures(signatures) => {
            let signed: String = signatures.iter().map(signed).collect();
            format!("<div class=\"signatures\">{signed}</div>\n")
        }
        Block::Note(note) => format!("<p class=\"note\">{}</p>\n", text(note)),
    }
}

fn tabled(table: &Table) -> String {
    let mut out = String::from("<table>\n<colgroup>");
    for width in table.widths(1000) {
        let _ = write!(out, "<col style=\"width:{}.{}%\">", width / 10, width % 10);
    }
    out += "</colgroup>\n";
    if table.has_head() {
        let heads: String = table.columns.iter().map(|column| format!("<th>{}</th>", cell(&column.head))).collect();
        let _ = writeln!(out, "<thead><tr>{heads}</tr></thead>");
    }
    out += "<tbody>\n";
    for row in &table.rows {
        let texts = (0..table.columns.len()).map(|at| row.get(at).map_or("", String::as_str));
        let cells: String = texts.map(|value| format!("<td>{}</td>", cell(value))).collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    }
    out += "</tbody>\n</table>\n";
    out
}

fn signed(signature: &Signature) -> String {
    let position =
        if signature.position.is_empty() { String::new() } else { "<br>".to_owned() + &text(&signature.position) };
    let (role, name) = (text(&signature.role), text(blank_if_empty(&signature.name)));
    format!("<div><span>{role}{position}</span> <span>________________ /{name}/</span></div>")
}

fn ending(sheet: &Sheet) -> String {
    let mut out = String::new();
    if let Some(source) = sheet.source_line() {
        let _ = writeln!(out, "<p class=\"source\">{}</p>", text(&source));
    }
    if !sheet.unfilled.is_empty() {
        let list = text(&sheet.unfilled.join("; "));
        let _ = writeln!(out, "<p class=\"note\"><strong>{}:</strong> {list}</p>", sheet.unfilled_heading());
    }
    let _ = writeln!(out, "<footer>{}</footer>", sheet.footer());
    out
}

fn text(raw: &str) -> String {
    escape(&shown(raw)).replace('\n', "<br>")
}

fn cell(raw: &str) -> String {
    escape(&shown_in_cell(raw)).replace('\n', "<br>")
}

fn escape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}
