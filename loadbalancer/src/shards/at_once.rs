//! Several at once: the first one here, the others in threads of their own.

use std::thread::{self, ScopedJoinHandle};

/// Threads at the same time, beside this one. More are asked one group after the other.
const MOST: usize = 16;

/// Does this with each of them, and returns what comes of it, in their order.
pub fn at_once<I: Sync, T: Send>(items: &[I], act: impl Fn(&I) -> T + Sync) -> Vec<T> {
    items.chunks(MOST).flat_map(|some| together(some, &act)).collect()
}

fn together<I: Sync, T: Send>(items: &[I], act: &(impl Fn(&I) -> T + Sync)) -> Vec<T> {
    let Some((first, others)) = items.split_first() else { return Vec::new() };
    thread::scope(|scope| {
        let spawn = |item| thread::Builder::new().name("shards-ask".into()).spawn_scoped(scope, move || act(item)).ok();
        let others: Vec<_> = others.iter().map(|item| (item, spawn(item))).collect();
        let mut results = vec![act(first)];
        // Where the system has no thread, it is done here.
        results.extend(others.into_iter().map(|(item, thread)| match thread.map(ScopedJoinHandle::join) {
            Some(Ok(result)) => result,
            _ => act(item),
        }));
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_in_their_order() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(at_once(&items, |item| item * 2), (0..200).step_by(2).collect::<Vec<_>>());
        assert!(at_once(&[0_u8; 0], |item| *item).is_empty());
    }
}
