//! The same work for each of many items, on every core there is: opening and verifying thousands of records, judging
//! thousands of secrets.

use std::panic::resume_unwind;

/// Fewer items than this are done where they are.
const FEW: usize = 64;

/// Each item's result, in order.
pub fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // Asking for them takes longer than a few items do.
    let cores = if items.len() < FEW { 1 } else { std::thread::available_parallelism().map_or(1, usize::from).min(8) };
    if cores == 1 {
        return items.iter().map(work).collect();
    }
    let (share, work) = (items.len().div_ceil(cores), &work);
    std::thread::scope(|scope| {
        let threads = items.chunks(share).map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
