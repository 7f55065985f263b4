//! The line before the gate: one caller at a time works for everybody who waits.
//!
//! While one batch is made durable the next one gathers; whoever stands in front of it does the work for all of it. So
//! many releases share one durable commit, and a single caller waits for nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The most that is done in one go: what waits longest bounds how long everybody waits.
const MOST: usize = 64;

/// Callers in line, each with a task, each given its result.
pub struct Line<T, R> {
    waiting: Mutex<Waiting<T, R>>,
}

struct Waiting<T, R> {
    /// Whether somebody works, or was told to.
    led: bool,
    tasks: VecDeque<(T, Arc<Place<R>>)>,
}

struct Place<R> {
    said: Mutex<Option<Said<R>>>,
    changed: Condvar,
}

enum Said<R> {
    Lead,
    Done(R),
}

impl<T, R> Default for Line<T, R> {
    fn default() -> Self {
        Self { waiting: Mutex::new(Waiting { led: false, tasks: VecDeque::new() }) }
    }
}

impl<T, R> Line<T, R> {
    /// Stands in line with a task until it is done, by this caller or by another one. `work` gives one result for each
    /// task, in their order.
    pub fn pass(&self, task: T, work: impl FnOnce(Vec<T>) -> Vec<R>) -> R {
        let place = Arc::new(Place { said: Mutex::new(None), changed: Condvar::new() });
        let mut waiting = locked(&self.waiting);
        waiting.tasks.push_back((task, Arc::clone(&place)));
        let leads = !std::mem::replace(&mut waiting.led, true);
        drop(waiting);
        if !leads && let Said::Done(result) = place.wait() {
            return result;
        }
        self.lead(work)
    }

    /// Works for everybody in line; this caller stands in front of it.
    fn lead(&self, work: impl FnOnce(Vec<T>) -> Vec<R>) -> R {
        let mut waiting = locked(&self.waiting);
        let most = waiting.tasks.len().min(MOST);
        let (tasks, places): (Vec<T>, Vec<Arc<Place<R>>>) = waiting.tasks.drain(..most).unzip();
        drop(waiting);
        let mut results = work(tasks).into_iter();
        let own = results.next();
        // The next leader begins before these are told: its work is what everybody waits for.
        let mut waiting = locked(&self.waiting);
        match waiting.tasks.front() {
            Some((_, next)) => next.say(Said::Lead),
            None => waiting.led = false,
        }
        drop(waiting);
        for (place, result) in places.iter().skip(1).zip(results) {
            place.say(Said::Done(result));
        }
        own.unwrap_or_else(|| unreachable!("one result for each task"))
    }
}

impl<R> Place<R> {
    fn say(&self, said: Said<R>) {
        *locked(&self.said) = Some(said);
        self.changed.notify_one();
    }

    fn wait(&self) -> Said<R> {
        let mut said = locked(&self.said);
        loop {
            match said.take() {
                Some(said) => return said,
                None => said = self.changed.wait(said).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn everybody_gets_their_own_result_and_never_two_work_at_once() {
        let (line, working, batches) = (Line::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for caller in 0..16_u32 {
                let (line, working, batches) = (&line, &working, &batches);
                scope.spawn(move || {
                    for round in 0..200_u32 {
                        let task = caller * 1000 + round;
                        let doubled = line.pass(task, |tasks| {
                            assert_eq!(working.fetch_add(1, Ordering::SeqCst), 0);
                            assert!(tasks.len() <= MOST);
                            batches.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            working.fetch_sub(1, Ordering::SeqCst);
                            tasks.into_iter().map(|task| task * 2).collect()
                        });
                        assert_eq!(doubled, task * 2);
                    }
                });
            }
        });
        assert!(batches.load(Ordering::SeqCst) < 16 * 200, "nobody ever shared a batch");
    }
}
