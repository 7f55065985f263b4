//! The rules of the terminal, in one place.
//!
//! Prompts go to the terminal itself (`/dev/tty`), so they work while standard input and output are pipes; results go
//! to standard output; everything else goes to standard error. A reader that stops reading our output (`| head -1`) is
//! not an error. Whatever comes from outside is escaped before it reaches a terminal: a system named with an escape
//! sequence must not redraw the question it appears in.
//!
//! A secret read here is wrapped at once and wiped on drop, and never passes through the buffers of the standard
//! library, which are not wiped. What cannot be helped: the terminal's own scrollback, and the copy the kernel's line
//! discipline held while it was typed.

use super::memory::lock_memory;
use crate::agent::Secret;
use comfy_table::{ContentLineStyle, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Read, Write};

/// The most that is read from standard input, in bytes.
pub const MAX_STDIN: usize = 16 * 1024 * 1024;

/// The longest line a prompt takes, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Where a verb asks, answers and reports. Tests pass their own.
pub trait Terminal {
    /// Whether results would appear on a screen.
    fn stdout_is_terminal(&self) -> bool;

    /// Whether there is somebody to ask: a controlling terminal, whatever standard input and output are.
    fn can_prompt(&self) -> bool;

    /// Asks for a secret, without echo.
    fn read_secret(&mut self, prompt: &str) -> io::Result<Secret>;

    /// Asks for a line; the line break is not part of the answer.
    fn read_line(&mut self, prompt: &str) -> io::Result<String>;

    /// The whole of standard input, byte for byte; refused beyond `MAX_STDIN`.
    fn read_stdin(&mut self) -> io::Result<Secret>;

    /// Writes a result to standard output, at once and as it is: the caller escapes what is not a result.
    fn out(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Tells the person one line, on standard error; what would break the line is escaped.
    fn say(&mut self, line: &str);

    /// Shows how far a long work is, on standard error, if that is a terminal.
    fn progress(&mut self, what: &str, total: u64) -> Progress;
}

/// The terminal this process was started on.
pub struct RealTerminal;

impl Terminal for RealTerminal {
    fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    fn can_prompt(&self) -> bool {
        open_tty().is_ok()
    }

    fn read_secret(&mut self, prompt: &str) -> io::Result<Secret> {
        // A person takes their time.
        lock_memory();
        let answer = rpassword::prompt_password(escape(prompt)).map_err(explain_no_tty)?;
        Ok(Secret::new(answer.into_bytes()))
    }

    fn read_line(&mut self, prompt: &str) -> io::Result<String> {
        lock_memory();
        let (input, mut output) = open_tty().map_err(explain_no_tty)?;
        output.write_all(escape(prompt).as_bytes())?;
        output.flush()?;
        line_from(&mut BufReader::new(input))
    }

    fn read_stdin(&mut self) -> io::Result<Secret> {
        read_at_most(&mut raw_stdin()?, MAX_STDIN)
    }

    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_result(&mut raw_stdout()?, bytes)
    }

    fn say(&mut self, line: &str) {
        // Nobody is left to tell if this fails.
        let _ = writeln!(io::stderr().lock(), "{}", escape(line));
    }

    fn progress(&mut self, what: &str, total: u64) -> Progress {
        if io::stderr().is_terminal() { Progress::on_stderr(what, total) } else { Progress::silent() }
    }
}

/// A progress bar, or nothing. It is cleared when dropped, so an error that ends the work leaves no half bar behind.
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows nothing: for tests, and where standard error is not a terminal.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Says how much of the total is done.
    pub fn set(&self, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
        }
    }

    fn on_stderr(what: &str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_message(escape(what));
        Self(Some(bar))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Text that is safe to show: control characters (line breaks and tabs too) and whatever is invisible or changes the
/// direction of reading appear as `\u{..}`.
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// Rows under their headers: no borders, a rule under the header, no spaces at the ends of lines. Cells are escaped.
pub fn table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    let quiet = TableStyle::new()
        .header_lines(ContentLineStyle::none().junction(' '))
        .header_separator(LineStyle::none().fill('─').junction('─'))
        .content_lines(ContentLineStyle::none().junction(' '));
    let mut table = Table::new();
    table.load_style(quiet).set_header(headers.iter().map(|header| escape(header)));
    for row in rows {
        table.add_row(row.iter().map(|cell| escape(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

/// A secret without the line break that ends its file: exactly one `\n` or `\r\n` goes, other spaces may be meant.
pub fn trim_secret(secret: Secret) -> Secret {
    let bytes = secret.expose();
    let kept = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n"));
    match kept {
        Some(kept) => Secret::copy_of(kept),
        None => secret,
    }
}

/// Everything a reader gives, refused beyond the limit (in bytes). Outgrown buffers are wiped, which `read_to_end`
/// would not do.
pub(super) fn read_at_most(reader: &mut dyn Read, limit: usize) -> io::Result<Secret> {
    let mut held = vec![0; 4096.min(limit + 1)];
    let mut filled = 0;
    loop {
        if filled == held.len() {
            let mut larger = vec![0; (held.len() * 2).min(limit + 1)];
            larger[..filled].copy_from_slice(&held);
            drop(Secret::new(std::mem::replace(&mut held, larger)));
        }
        match reader.read(&mut held[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                drop(Secret::new(held));
                return Err(error);
            }
        }
        if filled > limit {
            drop(Secret::new(held));
            return Err(io::Error::new(ErrorKind::FileTooLarge, format!("the input is over {limit} bytes")));
        }
    }
    held.truncate(filled);
    Ok(Secret::new(held))
}

/// Invisible, or able to reorder what stands around it.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' // fillers, Arabic mark
        | '\u{180b}'..='\u{180f}' // Mongolian selectors
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' // zero width, breaks, bidi
        | '\u{2800}' | '\u{3164}' | '\u{ffa0}' // blanks that are not spaces
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // selectors, byte order mark, annotation
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}') // musical controls, tags, more selectors
}

fn write_result(writer: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    match writer.write_all(bytes).and_then(|()| writer.flush()) {
        // Whoever read us has what they wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn line_from(reader: &mut dyn BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(MAX_LINE).read_line(&mut line)?;
    if !line.ends_with('\n') {
        // Ctrl-D is not an empty answer: an empty line may mean "yes, the default".
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "the question was not answered"));
    }
    line.pop();
    if line.ends_with('\r') {
        line.pop();
    }
    Ok(line)
}

fn explain_no_tty(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::UnexpectedEof | ErrorKind::InvalidData => error,
        kind if open_tty().is_err() => io::Error::new(kind, "there is no terminal to ask on"),
        _ => error,
    }
}

#[cfg(unix)]
fn open_tty() -> io::Result<(File, File)> {
    let tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    Ok((tty.try_clone()?, tty))
}

#[cfg(not(unix))]
fn open_tty() -> io::Result<(File, File)> {
    let input = OpenOptions::new().read(true).write(true).open("CONIN$")?;
    let output = OpenOptions::new().read(true).write(true).open("CONOUT$")?;
    Ok((input, output))
}

/// Standard input without the library's buffer, which would keep a copy.
#[cfg(unix)]
pub(super) fn raw_stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Standard output without the library's buffer, which would keep a copy.
#[cfg(unix)]
fn raw_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
pub(super) fn raw_stdin() -> io::Result<io::StdinLock<'static>> {
    Ok(io::stdin().lock())
}

#[cfg(not(unix))]
fn raw_stdout() -> io::Result<io::StdoutLock<'static>> {
    // The console of Windows takes text, which the library translates.
    Ok(io::stdout().lock())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn what_could_deceive_is_escaped_and_names_are_not() {
        for plain in ["ООО «Ромашка» — CRM", "naïve café", "日本 100%", "a\\b", ""] {
            assert_eq!(escape(plain), plain);
        }
        let rows = [
            ("a\x1b[2Kb", "a\\u{1b}[2Kb"),
            ("a\nb\tc\r", "a\\u{a}b\\u{9}c\\u{d}"),
            ("\u{202e}fdp.exe", "\\u{202e}fdp.exe"),
            ("ad\u{200b}min\u{feff}", "ad\\u{200b}min\\u{feff}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{e0041}\u{2066}", "\\u{e0041}\\u{2066}"),
        ];
        for (raw, shown) in rows {
            assert_eq!(escape(raw), shown);
        }
    }

    #[test]
    fn a_table_lines_up_in_cyrillic_and_shows_no_control_characters() {
        let rows = vec![
            vec!["Битрикс24".to_owned(), "до 31.12".to_owned()],
            vec!["CRM\x1b[31m".to_owned(), "日本".to_owned()],
            vec!["x\ny".to_owned(), String::new()],
        ];
        let drawn = table(&["система", "срок"], rows);
        let expected = [
            "система        срок",
            "────────────────────────",
            "Битрикс24      до 31.12",
            "CRM\\u{1b}[31m  日本",
            "x\\u{a}y",
        ];
        assert_eq!(drawn, expected.join("\n"));
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(table(&["a", "b"], vec![]).lines().next(), Some("a  b"));
    }

    #[test]
    fn one_line_break_goes_and_no_more() {
        let rows: [(&[u8], &[u8]); 7] = [
            (b"a\n", b"a"),
            (b"a\r\n", b"a"),
            (b"a\n\n", b"a\n"),
            (b" a ", b" a "),
            (b"a\r", b"a\r"),
            (b"\n", b""),
            (b"", b""),
        ];
        for (read, kept) in rows {
            assert_eq!(trim_secret(Secret::copy_of(read)).expose(), kept);
        }
    }

    #[test]
    fn input_is_read_whole_to_the_limit_and_refused_beyond() {
        for size in [0, 1, 4095, 4096, 4097, 8192, 9999, 10_000] {
            let bytes: Vec<u8> = (0..size).map(|n: usize| n as u8).collect();
            let secret = read_at_most(&mut Cursor::new(&bytes), 10_000);
            assert!(secret.is_ok_and(|secret| secret.expose() == bytes), "{size}");
        }
        let refused = read_at_most(&mut Cursor::new(vec![7; 10_001]), 10_000).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::FileTooLarge));
    }

    #[test]
    fn an_interrupted_read_goes_on() {
        struct Twice(u8);
        impl Read for Twice {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(ErrorKind::Interrupted.into()),
                    2 => {
                        buffer[0] = b'x';
                        Ok(1)
                    }
                    _ => Ok(0),
                }
            }
        }
        assert!(read_at_most(&mut Twice(0), 10).is_ok_and(|secret| secret.expose() == b"x"));
    }

    #[test]
    fn a_reader_that_left_is_success_and_a_full_disk_is_not() {
        struct Failing(ErrorKind);
        impl Write for Failing {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(write_result(&mut Failing(ErrorKind::BrokenPipe), b"x").is_ok());
        assert!(write_result(&mut Failing(ErrorKind::StorageFull), b"x").is_err());
        let mut written = Vec::new();
        assert!(write_result(&mut written, b"result\n").is_ok());
        assert_eq!(written, b"result\n");
    }

    #[test]
    fn a_line_ends_at_its_break_and_no_answer_is_an_error() {
        let read = |text: &str| line_from(&mut Cursor::new(text.to_owned())).map_err(|error| error.kind());
        assert_eq!(read("да\nнет\n"), Ok("да".to_owned()));
        assert_eq!(read("y\r\n"), Ok("y".to_owned()));
        assert_eq!(read("\n"), Ok(String::new()));
        assert_eq!(read(""), Err(ErrorKind::UnexpectedEof));
        assert_eq!(read("half"), Err(ErrorKind::UnexpectedEof));
        assert_eq!(line_from(&mut Cursor::new(b"\xff\n")).map_err(|e| e.kind()), Err(ErrorKind::InvalidData));
    }
}
