//! Prints every document through LibreOffice: they open, and each stays a few pages of A4.

use mandatum::paperwork::{Lang, docx};
use std::process::Command;

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        let line = format!("SKIPPED: '{program}' is not installed, so no document was opened by an office program\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        assert!(std::env::var_os("MANDATUM_TEST_NO_SKIP").is_none(), "nothing may be skipped: {line}");
    }
    found
}

#[test]
fn an_office_program_opens_every_document() {
    if !has("soffice") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Kept where a person can look at the pages.
    let out = std::env::var_os("PAPERWORK_PAGES").map_or_else(|| dir.path().to_owned(), Into::into);
    std::fs::create_dir_all(&out).unwrap();
    let mut files = Vec::new();
    for lang in [Lang::Ru, Lang::En] {
        for (name, sheet) in crate::facts::all(lang) {
            let file = out.join(format!("{name}-{}.docx", lang.tag()));
            std::fs::write(&file, docx(&sheet).unwrap()).unwrap();
            files.push(file);
        }
    }
    // A table over several pages, with words no column can hold.
    let long = out.join("long-ru.docx");
    std::fs::write(&long, docx(&crate::facts::long_report()).unwrap()).unwrap();
    files.push(long);
    // And what a browser would print.
    let page = out.join("termination-ru-page.html");
    let (_, act) = crate::facts::all(Lang::Ru).into_iter().find(|(name, _)| *name == "termination").unwrap();
    std::fs::write(&page, mandatum::paperwork::html(&act)).unwrap();
    let profile = format!("-env:UserInstallation=file://{}", dir.path().join("profile").display());
    let mut office = Command::new("soffice");
    office.arg(profile).args(["--headless", "--convert-to", "pdf", "--outdir"]).arg(&out).args(&files);
    let ran = office.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for file in files {
        let pdf =
            std::fs::read(file.with_extension("pdf")).unwrap_or_else(|_| panic!("{} did not open", file.display()));
        assert!(pdf.starts_with(b"%PDF-"), "{}", file.display());
        let text = String::from_utf8_lossy(&pdf);
        let pages = text.matches("/Type/Page").count() - text.matches("/Type/Pages").count();
        assert!((1..=12).contains(&pages), "{} has {pages} pages", file.display());
    }
}
