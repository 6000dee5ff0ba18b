//! Work on several items at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Works on the items in order, `parallel` at a time, until all are done or the work on one fails or ends everything by
/// returning false. Work that has begun is finished.
///
/// # Errors
/// The first failure.
pub(super) fn work_in_parallel<T: Sync, E: Send>(
    items: &[T],
    parallel: u32,
    work: impl Fn(&T) -> Result<bool, E> + Sync,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let end = Mutex::new((false, None));
    let lock = || end.lock().expect("no panic holds it");
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
            if lock().0 {
                return;
            }
            match work(item) {
                Ok(true) => {}
                Ok(false) => lock().0 = true,
                Err(error) => {
                    let mut end = lock();
                    end.0 = true;
                    end.1.get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| (0..parallel).for_each(|_| drop(scope.spawn(run))));
    end.into_inner().expect("no panic held it").1.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_are_done_unless_the_work_on_one_ends_it() {
        let done = AtomicUsize::new(0);
        let items: Vec<usize> = (0..50).collect();
        let count = |item: &usize, last: Result<bool, usize>| {
            done.fetch_add(1, Ordering::SeqCst);
            if *item == 7 { last } else { Ok(true) }
        };
        let run = |parallel, last| {
            done.store(0, Ordering::SeqCst);
            (work_in_parallel(&items, parallel, |item| count(item, last)), done.load(Ordering::SeqCst))
        };
        assert_eq!(run(3, Ok(true)), (Ok(()), 50));
        assert_eq!(run(1, Ok(false)), (Ok(()), 8));
        assert_eq!(run(1, Err(9)), (Err(9), 8));
        assert!(run(4, Err(9)).1 < 50);
    }
}
