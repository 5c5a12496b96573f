//! Limits of concurrent connections.
//!
//! A slot is one connection. Slots are in pools, so that callers who may only query never take the slots of callers who
//! may change things. A full pool gives a new connection the slot of an idle connection, of the user who holds the most
//! slots; the number of slots of one user is also limited. The owner of the coordinator (root, and with it the hooks)
//! connects to a socket of its own, which has its own pool.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// After this time without traffic, a connection is idle even if it awaits an answer, because it may have sent an
/// incomplete message.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Number of slots on the owner's socket.
pub(super) const OWNER_SLOTS: usize = 192;

/// Limits of one pool. A slot is one descriptor of the 1024 that a process has by default.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    slots: usize,
    slots_per_user: usize,
    /// Number of large answers at the same time, until they are written; each takes some megabytes.
    answers: usize,
    answers_per_user: usize,
}

/// A pool of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pool {
    /// Connections to the owner's socket. When all slots are taken, new ones wait in its backlog.
    Owner,
    /// Connections of group members, and of the owner, to the public socket.
    Trusted,
    /// Connections of all other users.
    Others,
}

impl Pool {
    const fn bounds(self) -> Bounds {
        match self {
            Self::Owner => Bounds {
                slots: OWNER_SLOTS,
                slots_per_user: OWNER_SLOTS,
                answers: 8,
                answers_per_user: 8,
            },
            Self::Trusted => {
                Bounds { slots: 256, slots_per_user: 256, answers: 8, answers_per_user: 8 }
            }
            Self::Others => {
                Bounds { slots: 256, slots_per_user: 32, answers: 8, answers_per_user: 2 }
            }
        }
    }
}

/// The connections of one socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients(Arc<Mutex<ConnectionSlots>>);

#[derive(Debug, Default)]
struct ConnectionSlots {
    /// The slots in use, in the order of arrival.
    taken: BTreeMap<u64, SlotState>,
    next: u64,
    /// Permits for large answers of each pool, and of each user in it; a user's are removed with the last slot.
    answers: BTreeMap<(Pool, Option<u32>), Arc<Semaphore>>,
}

#[derive(Debug)]
struct SlotState {
    uid: u32,
    pool: Pool,
    /// Time of the last traffic.
    active: Instant,
    /// Whether it has sent data since the last message to it.
    awaits_answer: bool,
    leave: watch::Sender<bool>,
}

/// The slot of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    clients: Clients,
    nth: u64,
    leaves: watch::Receiver<bool>,
    /// Permits that are held until the answer is written.
    answer: Mutex<Vec<OwnedSemaphorePermit>>,
}

impl Clients {
    /// Returns a slot in `pool` for a new connection of this user; `None` if there is none. After the rights of the user
    /// have been looked up, [`ConnectionSlot::move_to`] may change the pool.
    pub(super) fn slot(&self, uid: u32, pool: Pool) -> Option<ConnectionSlot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.make_room(uid, pool, None).then(|| {
            let (leave, leaves) = watch::channel(false);
            let nth = slots.next;
            slots.next += 1;
            let taken =
                SlotState { uid, pool, active: Instant::now(), awaits_answer: false, leave };
            slots.taken.insert(nth, taken);
            ConnectionSlot { clients: self.clone(), nth, leaves, answer: Mutex::default() }
        })
    }
}

impl ConnectionSlots {
    /// Makes sure that a slot is free, evicting another connection if necessary; returns whether there is one. `own` is not
    /// counted and never evicted.
    fn make_room(&mut self, uid: u32, pool: Pool, own: Option<u64>) -> bool {
        let bounds = pool.bounds();
        let mut by_user: BTreeMap<u32, usize> = BTreeMap::new();
        for (nth, taken) in &self.taken {
            if taken.pool == pool && !*taken.leave.borrow() && Some(*nth) != own {
                *by_user.entry(taken.uid).or_default() += 1;
            }
        }
        let of_user = by_user.get(&uid).copied().unwrap_or(0);
        if of_user >= bounds.slots_per_user {
            // A connection that awaits an answer is worth more than a new one of the same user.
            return self.evict(uid, pool, own, SlotState::is_idle);
        }
        if by_user.values().sum::<usize>() < bounds.slots {
            return true;
        }
        let Some((most, count)) = by_user.into_iter().max_by_key(|(_, count)| *count) else {
            return false;
        };
        count > of_user
            && (self.evict(most, pool, own, SlotState::is_idle)
                || self.evict(most, pool, own, |_| true))
    }

    /// Evicts the connection of a user with the oldest traffic; returns whether there was one.
    fn evict(
        &mut self,
        uid: u32,
        pool: Pool,
        own: Option<u64>,
        may_go: impl Fn(&SlotState) -> bool,
    ) -> bool {
        let candidates = self.taken.iter().filter(|(nth, taken)| {
            taken.uid == uid
                && taken.pool == pool
                && Some(**nth) != own
                && !*taken.leave.borrow()
                && may_go(taken)
        });
        let Some((_, goes)) = candidates.min_by_key(|(_, taken)| taken.active) else {
            return false;
        };
        goes.leave.send_replace(true);
        true
    }

    fn answers(&mut self, pool: Pool, uid: Option<u32>) -> Arc<Semaphore> {
        let bounds = pool.bounds();
        let count = if uid.is_some() { bounds.answers_per_user } else { bounds.answers };
        let semaphore = self.answers.entry((pool, uid));
        Arc::clone(semaphore.or_insert_with(|| Arc::new(Semaphore::new(count))))
    }
}

impl SlotState {
    fn is_idle(&self) -> bool {
        !self.awaits_answer || self.active.elapsed() > BUSY_TIMEOUT
    }
}

impl ConnectionSlot {
    /// Returns as soon as the connection is evicted. Cancel-safe.
    pub(super) async fn evicted(&self) {
        let mut leaves = self.leaves.clone();
        // The sender lives as long as the slot.
        let _ = leaves.wait_for(|leave| *leave).await;
    }

    /// Returns the pool of the slot.
    pub(super) fn pool(&self) -> Option<Pool> {
        let slots = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.taken.get(&self.nth).map(|taken| taken.pool)
    }

    /// Moves the connection to a slot in another pool; returns `false` if there is none.
    pub(super) fn move_to(&self, pool: Pool) -> bool {
        let mut slots = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(uid) = slots.taken.get(&self.nth).map(|taken| taken.uid) else { return false };
        let has_room = slots.make_room(uid, pool, Some(self.nth));
        if let Some(taken) = slots.taken.get_mut(&self.nth).filter(|_| has_room) {
            taken.pool = pool;
        }
        has_room
    }

    /// Records that the connection has sent data.
    pub(super) fn received(&self) {
        self.touch(true);
    }

    /// Records that a whole message was written to the connection.
    pub(super) fn written(&self) {
        self.touch(false);
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn touch(&self, awaits_answer: bool) {
        let mut slots = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = slots.taken.get_mut(&self.nth) {
            (taken.active, taken.awaits_answer) = (Instant::now(), awaits_answer);
        }
    }

    /// Waits for a permit for a large answer, which is held until the answer is written. The permits limit the memory of
    /// answers, and the work that other clients wait for.
    pub(super) async fn large_answer(&self) {
        let (of_user, in_all) = {
            let mut slots = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((uid, pool)) = slots.taken.get(&self.nth).map(|it| (it.uid, it.pool)) else {
                return;
            };
            (slots.answers(pool, Some(uid)), slots.answers(pool, None))
        };
        // The user's permit comes first, so that no user blocks a permit that others could use. The semaphores are never
        // closed.
        let Ok(of_user) = of_user.acquire_owned().await else { return };
        let Ok(in_all) = in_all.acquire_owned().await else { return };
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.extend([of_user, in_all]);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut slots = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = slots.taken.remove(&self.nth) else { return };
        if !slots.taken.values().any(|taken| taken.uid == left.uid) {
            slots.answers.retain(|(_, uid), _| *uid != Some(left.uid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_leaving(slot: &ConnectionSlot) -> bool {
        *slot.leaves.borrow()
    }

    #[test]
    fn a_flood_of_one_user_affects_only_that_user() {
        let clients = Clients::default();
        let others = Pool::Others.bounds();
        let slots: Vec<ConnectionSlot> =
            (0..others.slots_per_user).filter_map(|_| clients.slot(1000, Pool::Others)).collect();
        slots[0].received();
        let newest = clients.slot(1000, Pool::Others).unwrap();
        assert!(is_leaving(&slots[1]) && !is_leaving(&slots[0]), "the oldest idle one is evicted");
        for slot in &slots {
            slot.received();
        }
        newest.received();
        assert!(clients.slot(1000, Pool::Others).is_none(), "all await an answer");
        assert!(clients.slot(1001, Pool::Others).is_some());
        drop(slots);
        drop(newest);
        assert!(clients.0.lock().unwrap().taken.is_empty(), "closed connections leave no state");
    }

    #[test]
    fn floods_of_many_users_block_neither_a_new_user_nor_a_member() {
        let clients = Clients::default();
        let flood: Vec<ConnectionSlot> = (20_001..20_021)
            .flat_map(|uid| (0..50).map(move |_| uid))
            .filter_map(|uid| {
                let slot = clients.slot(uid, Pool::Others)?;
                slot.received();
                Some(slot)
            })
            .collect();
        let staying = flood.iter().filter(|slot| !is_leaving(slot)).count();
        assert_eq!(staying, Pool::Others.bounds().slots);
        let stranger = clients.slot(1000, Pool::Others).unwrap();
        assert!(!is_leaving(&stranger));
        let member = clients.slot(1001, Pool::Others).unwrap();
        assert!(member.move_to(Pool::Trusted));
        for uid in 20_001..20_021 {
            drop(clients.slot(uid, Pool::Others));
        }
        assert!(
            !is_leaving(&member) && !is_leaving(&stranger),
            "users with few slots are not evicted"
        );
    }

    #[tokio::test]
    async fn large_answers_wait_for_one_another_until_they_are_written() {
        let clients = Clients::default();
        let slots: Vec<ConnectionSlot> =
            (0..3).filter_map(|_| clients.slot(1000, Pool::Others)).collect();
        slots[0].large_answer().await;
        slots[1].large_answer().await;
        let third = slots[2].large_answer();
        let waits = tokio::time::timeout(Duration::from_millis(20), third).await;
        assert!(waits.is_err(), "two at a time per user");
        let other = clients.slot(1001, Pool::Others).unwrap();
        other.large_answer().await;
        slots[0].written();
        slots[2].large_answer().await;
    }
}
