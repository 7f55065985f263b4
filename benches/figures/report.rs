//! The table that is printed.

use crate::measure::Costs;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

/// The table, a row for each figure.
#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 4]>,
    notes: Vec<String>,
}

impl Report {
    pub fn row(&mut self, work: &str, reach: &str, measured: &str, verdict: &str) {
        eprintln!("  {work}: {measured} {verdict}");
        self.rows.push([work, reach, measured, verdict].map(str::to_owned));
    }

    pub fn ratio(&mut self, work: &str, reach: &str, measured: &str, found: Duration, floor: Duration, most: f64) {
        let ratio = found.as_secs_f64() / floor.as_secs_f64();
        self.row(work, reach, measured, &format!("{ratio:.2} × {}", verdict(ratio <= most)));
    }

    pub fn bound(&mut self, work: &str, reach: &str, found: f64, most: f64, unit: &str) {
        self.row(work, reach, &format!("{found:.1} {unit}"), verdict(found <= most));
    }

    pub fn duration(&mut self, work: &str, reach: &str, costs: &Costs, item: &str, most_ms: f64) {
        let found = costs.wall(item).as_secs_f64() * 1e3;
        self.row(work, reach, &costs.shown(item), verdict(found <= most_ms));
    }

    pub fn note(&mut self, note: &str) {
        eprintln!("{note}");
        self.notes.push(note.to_owned());
    }

    pub fn text(&self, small: bool) -> String {
        let mut text = String::from("| work | reach | measured | |\n|---|---|---|---|\n");
        for [work, reach, measured, verdict] in &self.rows {
            let _ = writeln!(text, "| {work} | {reach} | {measured} | {verdict} |");
        }
        let _ = writeln!(text, "\nMedians of processes in turns. {}", self.notes.join(". "));
        if small {
            text.push_str("Small sizes: the bounds are meant for the whole run.\n");
        }
        text
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSES" }
}

pub fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

pub fn mib(kib: f64) -> f64 {
    kib / 1024.0
}

/// What else this machine does: the load of 1, 5 and 15 minutes, and its cores.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| "unknown".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!("{} on {cores} cores", load.join(" "))
}

pub fn progress(what: &str, done: usize, total: usize) {
    if done.is_multiple_of((total / 10).max(1)) {
        eprintln!("  {done} of {total} {what}");
    }
}
