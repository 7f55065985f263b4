//! What a command asks of the system, as strace tells it.

use super::Bench;
use std::path::PathBuf;
use std::process::Output;

/// The calls that change files, make changes durable or read them. Others change nothing that stays.
const CALLS: &str = "openat,write,pwrite64,writev,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,\
                     unlinkat,ftruncate,fallocate,mkdir,mkdirat,fchmod,fchown,close,read,pread64";

/// One call: the so-manieth of its name in a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    pub name: String,
    pub nth: usize,
    /// What it is about, for messages.
    pub on: String,
}

/// What is done to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// SIGKILL before it is carried out.
    Kill,
    /// SIGABRT, as a panic of the program that ships ends in.
    Abort,
    /// It is not carried out, and this error comes back.
    Error(&'static str),
}

/// What became of a command under strace.
pub struct Traced {
    pub output: Output,
    /// The fault came to pass.
    pub struck: bool,
}

impl Bench {
    /// The calls a command makes on the vault's files and to answer.
    pub fn calls_of(&self, member: &str, line: &str) -> Vec<Call> {
        let dir = self.world.dir.path().display().to_string();
        let trace = self.strace(member, line, &["-y", "-e", &format!("trace={CALLS}")]).1;
        named(&trace)
            .filter(|(call, line)| line.contains(&dir) || (call.name == "write" && line.contains("write(1<")))
            .map(|(call, line)| {
                let on = line.find(&dir).map_or("the answer", |at| &line[at + dir.len()..]);
                let on = on.split(['"', '>', '(']).next().unwrap_or_default().to_owned();
                Call { on, ..call }
            })
            .collect()
    }

    /// Every request for memory a command makes of the system.
    pub fn allocations_of(&self, member: &str, line: &str) -> Vec<Call> {
        let trace = self.strace(member, line, &["-e", "trace=mmap,brk,mremap"]).1;
        named(&trace).map(|(call, _)| call).collect()
    }

    /// Runs a command whose call meets a fault.
    pub fn struck(&self, member: &str, line: &str, call: &Call, fault: Fault) -> Traced {
        let what = match fault {
            Fault::Kill => "signal=KILL".to_owned(),
            Fault::Abort => "signal=ABRT".to_owned(),
            Fault::Error(error) => format!("error={error}"),
        };
        let (name, nth) = (&call.name, call.nth);
        let (traced, inject) = (format!("trace={name}"), format!("inject={name}:{what}:when={nth}"));
        let (output, trace) = self.strace(member, line, &["-e", &traced, "-e", &inject]);
        let struck = ["(INJECTED)", "killed by SIGKILL", "killed by SIGABRT"].iter().any(|said| trace.contains(said));
        Traced { output, struck }
    }

    /// Runs a command under strace; gives its output and the trace.
    pub fn strace(&self, member: &str, line: &str, options: &[&str]) -> (Output, String) {
        let trace: PathBuf = self.world.path("trace");
        let mut strace = self.program("strace", member);
        strace.args(["-f", "-o", trace.to_str().unwrap()]).args(options);
        let output = strace.arg(crate::support::binary()).args(line.split(' ')).output().unwrap();
        (output, std::fs::read_to_string(&trace).unwrap())
    }
}

/// Each line of a trace that begins a call, with how many of its name there were.
pub fn named(trace: &str) -> impl Iterator<Item = (Call, &str)> {
    let mut seen: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    trace.lines().filter_map(move |line| {
        let (name, _) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let nth = seen.entry(name).and_modify(|count| *count += 1).or_insert(1);
        plain.then(|| (Call { name: name.to_owned(), nth: *nth, on: String::new() }, line))
    })
}
