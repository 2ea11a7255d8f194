//! Locking a mutex whose data stays valid after a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if a thread panicked while it held the lock.
///
/// This is correct only if the data is valid after each single change, as it is in all mutexes of this
/// program.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutex_is_usable_after_a_panic() {
        let mutex = Mutex::new(1);
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let mut guard = lock(&mutex);
                *guard = 2;
                panic!("with the guard held");
            });
            panicking.join().expect_err("a panic");
        });
        assert_eq!(*lock(&mutex), 2);
    }
}
