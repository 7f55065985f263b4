//! Hands a secret to the clipboard for a while.
//!
//! On X11 and Wayland a clipboard holds nothing: whoever copied answers each paste, and the content is gone with that
//! process. So a second process of this program, the owner, stays behind for as many seconds as asked. It gets the
//! secret through a pipe, never through arguments or the environment; of the environment it gets only what names the
//! display. It has a session of its own, so it outlives the shell, and tells us `ok` only after it has read the secret
//! back from the clipboard.
//!
//! Guarantees. Nobody's later copy is cleared: when another program takes the clipboard over, the owner ends at once,
//! and when the time is over it ends too, and the content with it; there is no "compare, then clear" to lose a race.
//! The content carries the hint by which clipboard managers leave passwords out of their history
//! (`x-kde-passwordManagerHint`); one that ignores the hint keeps the secret, and we cannot know.
//!
//! What is left behind when the owner is killed (`kill -9`, or the machine's session ends): nothing on the clipboard,
//! the display server drops the content with the connection; no file, since nothing was written to one; its memory is
//! freed without being wiped, as is the copy that the clipboard library held (the kernel clears pages before it gives
//! them to others). A program that pasted has what it pasted. The time does not run while the machine sleeps.
//!
//! On macOS and Windows the system itself holds the content: there the owner waits and then clears it if it is still
//! the same, and a killed owner leaves the secret on the clipboard.

use super::terminal::{escape, raw_stdin, read_at_most};
use crate::agent::Secret;
use arboard::Clipboard;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The hidden command that [`own_from_stdin`] implements.
pub const OWNER_COMMAND: &str = "clipboard-owner";

/// How long the owner may take to have the secret on the clipboard.
const PATIENCE: Duration = Duration::from_secs(3);

/// The owner's answer when the secret is on the clipboard.
const DONE: &str = "ok";

/// More than anybody pastes, in bytes; and what a pipe takes without a reader, so that we never hang on a silent owner.
const MAX_SECRET: usize = 64 * 1024;

/// The longest the owner holds on: if the display server dies it may not notice, and sits its time out with the secret
/// in memory.
const MAX_TIME: Duration = Duration::from_secs(3600);

/// All of the environment that the owner gets: where the display is and how to be let in.
const DISPLAY_VARIABLES: [&str; 6] =
    ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XAUTHORITY", "HOME", "SystemRoot"];

/// Why the secret is not on the clipboard.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// No X11 and no Wayland display.
    #[error("there is no clipboard here (no X11 or Wayland display): print the secret with --show or --field")]
    NoDisplay,
    /// The owner said why.
    #[error("the clipboard cannot be used: {0}. Print the secret with --show or --field")]
    Refused(String),
    /// The owner said nothing in time.
    #[error("the clipboard did not answer in time: print the secret with --show or --field")]
    Silent,
    /// Not text, nothing at all, or too long.
    #[error("the secret is not text that a clipboard can hold (at most 64 KiB): write it to a file with --field")]
    NotText,
    /// The owner could not be started.
    #[error("the program that holds the clipboard did not start: {0}")]
    NotStarted(#[source] io::Error),
}

/// Puts a secret on the clipboard for so many seconds, an hour at most, and returns once it is there.
pub fn hand_over(secret: &Secret, seconds: u64) -> Result<(), ClipError> {
    let fits = |text: &str| (1..=MAX_SECRET).contains(&text.len()) && !text.contains('\0');
    if !secret.expose_str().is_some_and(fits) {
        return Err(ClipError::NotText);
    }
    if !has_display() {
        return Err(ClipError::NoDisplay);
    }
    let program = std::env::current_exe().map_err(ClipError::NotStarted)?;
    let mut owner = owner_command(Command::new(program), seconds).spawn().map_err(ClipError::NotStarted)?;
    let answer = tell_and_hear(&mut owner, secret);
    if answer.is_err() {
        // An owner that failed, or is late, must not put the secret there after we said it is not.
        let _ = owner.kill();
        let _ = owner.wait();
    }
    answer
}

/// What the hidden command runs: takes the clipboard with the secret from standard input, answers one line, and holds
/// it until the time is over or somebody else copies. Returns the exit code.
pub fn own_from_stdin(seconds: u64) -> i32 {
    // Fails only for a group leader: somebody started us by hand from a shell.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
    match take(seconds) {
        Ok(()) => 0,
        Err(reason) => {
            answer(&reason);
            1
        }
    }
}

/// The owner's process, before it is started.
fn owner_command(mut command: Command, seconds: u64) -> Command {
    command.arg(OWNER_COMMAND).arg(seconds.to_string());
    command.env_clear();
    command.envs(DISPLAY_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // Not ours to keep busy: the directory may be unmounted while the clipboard is held.
    #[cfg(unix)]
    command.current_dir("/");
    command
}

/// Gives the owner its secret and waits for its one line.
fn tell_and_hear(owner: &mut Child, secret: &Secret) -> Result<(), ClipError> {
    let (Some(mut stdin), Some(stdout)) = (owner.stdin.take(), owner.stdout.take()) else {
        return Err(ClipError::NotStarted(io::ErrorKind::BrokenPipe.into()));
    };
    // An owner that died before it read has said why on its output; so this error waits for that.
    let told = stdin.write_all(secret.expose());
    drop(stdin);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let heard = BufReader::new(stdout.take(1000)).read_line(&mut line);
        let _ = sender.send(heard.map(|_| line));
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(line)) if line.trim_end() == DONE => told.map_err(ClipError::NotStarted),
        Ok(Ok(line)) if !line.trim().is_empty() => Err(ClipError::Refused(escape(line.trim()))),
        Ok(_) => Err(ClipError::NotStarted(told.err().unwrap_or(io::ErrorKind::UnexpectedEof.into()))),
        Err(_) => Err(ClipError::Silent),
    }
}

/// Holds the clipboard; an error is a sentence for the one who asked.
fn take(seconds: u64) -> Result<(), String> {
    let secret = raw_stdin().and_then(|mut stdin| read_at_most(&mut stdin, MAX_SECRET));
    let secret = secret.map_err(|error| error.to_string())?;
    let text = secret.expose_str().ok_or("the secret is not text")?.to_owned();
    let mut clipboard = Clipboard::new().map_err(|error| sentence(&error))?;
    let (sender, replaced) = mpsc::channel();
    // Setting blocks until the content is replaced, so it has a thread of its own, which ends with the process.
    thread::spawn(move || sender.send(hold(&mut clipboard, text)));
    confirm(&secret, &replaced)?;
    answer(DONE);
    if replaced.recv_timeout(Duration::from_secs(seconds).min(MAX_TIME)) == Err(mpsc::RecvTimeoutError::Timeout) {
        release(&secret);
    }
    Ok(())
}

/// Waits until the clipboard gives the secret back, which on Wayland is the only sign that it was taken. Half of the
/// patience is ours: the other side must still hear our reason.
fn confirm(secret: &Secret, replaced: &mpsc::Receiver<Result<(), String>>) -> Result<(), String> {
    let pause = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / 2 / pause.as_millis() {
        if holds(secret) {
            return Ok(());
        }
        match replaced.try_recv() {
            Ok(Err(reason)) => return Err(reason),
            Ok(Ok(())) if cfg!(target_os = "linux") => return Err("another program took it over at once".to_owned()),
            _ => thread::sleep(pause),
        }
    }
    Err("it does not give back what was put there".to_owned())
}

fn holds(secret: &Secret) -> bool {
    let read = Clipboard::new().and_then(|mut clipboard| clipboard.get_text());
    read.is_ok_and(|text| Secret::new(text.into_bytes()) == *secret)
}

/// Offers the text until another program copies. `wait_until` would not do: on Wayland the library ignores its deadline
/// and returns at once.
#[cfg(target_os = "linux")]
fn hold(clipboard: &mut Clipboard, text: String) -> Result<(), String> {
    use arboard::SetExtLinux;
    clipboard.set().exclude_from_history().wait().text(text).map_err(|error| sentence(&error))
}

/// Gives the text to the system; then waits as if nobody ever copied, since the system does not tell.
#[cfg(not(target_os = "linux"))]
fn hold(clipboard: &mut Clipboard, text: String) -> Result<(), String> {
    #[cfg(target_os = "macos")]
    use arboard::SetExtApple;
    #[cfg(windows)]
    use arboard::SetExtWindows;
    clipboard.set().exclude_from_history().text(text).map_err(|error| sentence(&error))?;
    loop {
        thread::park();
    }
}

/// Nothing to do: the content ends with this process, and only if it is still ours.
#[cfg(target_os = "linux")]
fn release(_: &Secret) {}

#[cfg(not(target_os = "linux"))]
fn release(secret: &Secret) {
    if holds(secret) {
        let _ = Clipboard::new().and_then(|mut clipboard| clipboard.clear());
    }
}

#[cfg(target_os = "linux")]
fn has_display() -> bool {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    named("WAYLAND_DISPLAY") || named("DISPLAY")
}

#[cfg(not(target_os = "linux"))]
fn has_display() -> bool {
    true
}

fn sentence(error: &arboard::Error) -> String {
    match error {
        arboard::Error::Unknown { description } => description.trim_end_matches('.').to_owned(),
        other => other.to_string().trim_end_matches('.').to_owned(),
    }
}

/// One line to whoever started us; if they are gone, the secret is held all the same.
fn answer(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{}", escape(line));
    let _ = stdout.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"kX7-not-in-arguments";

    /// A shell in the owner's place.
    fn answered_by(script: &str) -> Result<(), ClipError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut owner = command.spawn().map_err(ClipError::NotStarted)?;
        let answer = tell_and_hear(&mut owner, &Secret::copy_of(SECRET));
        let _ = owner.kill();
        let _ = owner.wait();
        answer
    }

    #[test]
    #[cfg(unix)]
    fn the_owner_is_believed_only_when_it_says_ok() {
        assert!(matches!(answered_by("cat >/dev/null; echo ok"), Ok(())));
        assert!(matches!(answered_by("cat >/dev/null; echo okay"), Err(ClipError::Refused(said)) if said == "okay"));
        assert!(matches!(answered_by("echo 'no server'"), Err(ClipError::Refused(said)) if said == "no server"));
        assert!(matches!(answered_by("exit 3"), Err(ClipError::NotStarted(_))));
        assert!(matches!(answered_by("exec sleep 9"), Err(ClipError::Silent)));
    }

    #[test]
    #[cfg(unix)]
    fn the_secret_goes_through_the_pipe_whole() {
        let script = r#"[ "$(cat)" = kX7-not-in-arguments ] && echo ok || echo differs"#;
        assert!(answered_by(script).is_ok());
    }

    #[test]
    #[cfg(unix)]
    fn what_the_owner_says_cannot_drive_the_terminal() {
        let refused = answered_by(r"cat >/dev/null; printf '\033[2Jx\n'").err().map(|error| error.to_string());
        assert!(refused.is_some_and(|said| said.contains("\\u{1b}[2Jx") && !said.contains('\x1b')));
    }

    #[test]
    #[cfg(unix)]
    fn the_owner_gets_the_seconds_and_nothing_of_ours_but_the_display() {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"echo "$0 $1"; exec env"#]);
        let output = owner_command(shell, 45).output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let (arguments, environment) = said.split_once('\n').unwrap_or_default();
        assert_eq!(arguments, "clipboard-owner 45");
        // The shell adds some of its own; cargo's, which this test runs with, are not inherited.
        let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
        for name in environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name) {
            assert!(DISPLAY_VARIABLES.contains(&name) || shells.contains(&name), "{name}");
        }
        assert!(environment.contains("PWD=/\n"));
    }

    #[test]
    fn what_is_no_text_is_refused_before_anything_starts() {
        for bytes in [&b"\xff\xfe"[..], b"a\0b", b"", &[b'x'; MAX_SECRET + 1]] {
            assert!(matches!(hand_over(&Secret::copy_of(bytes), 1), Err(ClipError::NotText)));
        }
    }

    #[test]
    fn every_refusal_names_the_other_way() {
        for error in [ClipError::NoDisplay, ClipError::Refused("x".to_owned()), ClipError::Silent] {
            let said = error.to_string();
            assert!(said.contains("--show") && said.contains("--field"), "{said}");
        }
    }
}
