//! The queue of one camera's motion that waits to be stored. Never waits for the database.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::watcher::Motion;
use crate::base::lock::lock;
use crate::camera::identity::Identity;

/// The largest number of motions that wait. The queue fills only while the database fails.
const MAX_WAITING: usize = 32;

/// The queue of one camera.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Notifies the task that stores motion.
    changed: Notify,
    closed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    is_closed: bool,
}

/// Motion, and which camera of which owner had the id at that time.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) identity: Identity,
    pub(super) motion: Motion,
}

impl Item {
    /// Returns whether `other` is the beginning or the end of the same motion.
    pub(super) fn is_same_motion(&self, other: &Self) -> bool {
        self.motion.began_at == other.motion.began_at
    }
}

impl Queue {
    /// Adds motion. Its end replaces its beginning, if that still waits. Returns false if motion is lost, because too much
    /// waits: not the first one, because that may be the end of a stored event, but the next one.
    pub(super) fn add(&self, item: Item) -> bool {
        let mut waiting = lock(&self.waiting);
        let items = &mut waiting.items;
        let has_lost =
            if let Some(last) = items.back_mut().filter(|last| last.is_same_motion(&item)) {
                *last = item;
                false
            } else {
                items.push_back(item);
                items.len() > MAX_WAITING && items.remove(1).is_some()
            };
        drop(waiting);
        self.changed.notify_one();
        !has_lost
    }

    /// Puts motion back that could not be stored. If its end waits, that is enough.
    pub(super) fn put_back(&self, item: Item) {
        let mut waiting = lock(&self.waiting);
        let items = &mut waiting.items;
        if items.front().is_none_or(|next| !next.is_same_motion(&item)) {
            items.push_front(item);
        }
    }

    /// Notes that there will be no further motion.
    pub(super) fn close(&self) {
        lock(&self.waiting).is_closed = true;
        self.changed.notify_one();
        self.closed.notify_one();
    }

    /// Waits until the queue is closed. Only the first call after that returns.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Waits for the next motion, and takes it from the queue. Returns `None` if the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Item> {
        loop {
            {
                let mut waiting = lock(&self.waiting);
                if let Some(item) = waiting.items.pop_front() {
                    return Some(item);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use futures_util::FutureExt as _;

    use super::*;

    fn item(began: u64, ended: Option<u64>) -> Item {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let motion =
            Motion { began_at: at(began), ended_at: ended.map(at), boxes: Vec::new(), peak: 0.1 };
        Item { identity: Identity::default(), motion }
    }

    /// Takes everything from the queue. Returns the beginnings, and whether there is an end.
    fn all(queue: &Queue) -> Vec<(u64, bool)> {
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs()
        };
        std::iter::from_fn(|| queue.next().now_or_never().flatten())
            .map(|item| (seconds(item.motion.began_at), item.motion.ended_at.is_some()))
            .collect()
    }

    #[test]
    fn an_end_replaces_the_beginning_that_waits() {
        let queue = Queue::default();
        assert!(
            queue.add(item(1, None)) && queue.add(item(1, Some(2))) && queue.add(item(3, None))
        );
        assert_eq!(all(&queue), [(1, true), (3, false)]);
        // The beginning cannot be stored, and the motion ends in the meantime.
        assert!(queue.add(item(5, Some(6))));
        queue.put_back(item(5, None));
        assert_eq!(all(&queue), [(5, true)]);
        queue.put_back(item(7, None));
        assert!(queue.add(item(7, Some(8))));
        assert_eq!(all(&queue), [(7, true)]);
    }

    #[test]
    fn the_first_and_the_last_motion_stay_if_too_much_waits() {
        let queue = Queue::default();
        let lost = (1..=40).filter(|began| !queue.add(item(*began, Some(*began)))).count();
        assert_eq!(lost, 8);
        let left: Vec<_> = all(&queue).into_iter().map(|(began, _)| began).collect();
        assert_eq!(left, std::iter::once(1).chain(10..=40).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_first() {
        let queue = Queue::default();
        assert!(queue.add(item(1, None)));
        queue.close();
        queue.closed().await;
        assert!(queue.next().await.is_some() && queue.next().await.is_none());
    }
}
