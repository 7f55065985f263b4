//! Too little of something: open files, memory, space on disk.

use super::{Bench, FETCH, Struck, spread};
use crate::skip::skip;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

fn struck(line: &'static str, output: Output) -> Struck<'static> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Without memory or files to begin with, the loader says so with 127, and the program aborts.
    let code = output.status.code().filter(|code| ![101, 127, 134].contains(code));
    Struck { line, stdout: text(&output.stdout), stderr: text(&output.stderr), code }
}

/// Under a limit of open files or of memory a command is done or refused, never half.
#[test]
fn a_limit_of_files_or_memory_leaves_no_half_release() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip("prlimit is not installed, so no limit was tried");
    }
    let Some(bench) = Bench::new() else { return };
    let base = bench.told();
    let files = (3..=32).map(|files| format!("--nofile={files}"));
    let memory = (16..=256).step_by(8).map(|mebibytes| format!("--as={}", mebibytes << 20));
    let (mut done, mut refused) = (0, 0);
    for limit in spread(files.chain(memory).collect(), 14) {
        for (member, line) in [("Sasha", FETCH), ("Lena", "revoke Sasha Romashka/CRM")] {
            bench.put_back("ready");
            let mut limited = bench.program("prlimit", member);
            let output = limited.arg(&limit).arg(crate::support::binary()).args(line.split(' ')).output().unwrap();
            *(if output.status.success() { &mut done } else { &mut refused }) += 1;
            bench.judge(base, &struck(line, output), &format!("{line} under {limit}"));
        }
    }
    let _ = writeln!(std::io::stderr(), "limits: {done} commands done, {refused} refused");
    assert!(done > 1 && refused > 1, "{done} {refused}");
}

/// A small file system of its own over one directory of the vault.
struct Small(PathBuf);

impl Small {
    fn over(path: PathBuf) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "none"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }

    /// Leaves so many KiB free.
    fn fill(&self, free: u64) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        let len = file.metadata().unwrap().len();
        file.set_len(len.saturating_sub(free * 1024)).unwrap();
        filler
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// On a full disk a release or a revocation is done or refused in words, a refusal releases nothing, `doctor` warns
/// before, and with space again everything goes on.
#[test]
fn a_full_disk_releases_nothing_that_is_not_recorded() {
    let Some(bench) = Bench::new() else { return };
    let base = bench.told();
    let (mut done, mut refused) = (0, 0);
    for dir in super::DIRS {
        let Some(small) = Small::over(bench.world.path(dir)) else {
            return skip("a file system of 2 MiB cannot be mounted here (needs root), so no disk was full");
        };
        for free in spread((0..=60).step_by(2).collect(), 5) {
            let asked = [
                ("Sasha", FETCH),
                ("Lena", "revoke Sasha Romashka/CRM"),
                ("Sasha", "fetch Romashka/Bot --field password"),
            ];
            for (member, line) in asked {
                bench.put_back("ready");
                let filler = small.fill(free);
                let output = bench.run(member, line);
                std::fs::remove_file(filler).unwrap();
                *(if output.status.success() { &mut done } else { &mut refused }) += 1;
                let at = format!("{line} with {free} KiB free for {dir}");
                let mut told = struck(line, output);
                if line.contains("Bot") {
                    // Never hers: there is no record of a release to expect, and 4 is the answer where there is room.
                    assert!(told.stdout.is_empty() && told.code != Some(0), "{at}");
                    told.code = told.code.filter(|code| *code != 4);
                }
                bench.judge(base, &told, &at);
            }
        }
        let warned = bench.run("Olga", "doctor");
        let said = String::from_utf8_lossy(&warned.stdout).into_owned();
        assert!(dir != "vault" || said.contains("MiB free") && said.contains("free some space"), "{said}");
        drop(small);
    }
    let _ = writeln!(std::io::stderr(), "a full disk: {done} commands done, {refused} refused");
    assert!(done > 4 && refused > 4, "{done} {refused}");
}
