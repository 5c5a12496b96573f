//! Who is served at the same time.
//!
//! A seat is one connection. Seats come in two pools, so that those who may only look never take the
//! place of those who may change things. A pool that is full gives a newcomer the seat of a connection
//! that is idle, of the user who holds the most; the number of seats of one user is bounded, too. The
//! owner of the coordinator (root, and with it the hooks) comes by a socket that no one else can open
//! and has seats of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A connection that has been silent for this long is idle even if it is owed an answer: what it
/// sends may be the beginning of a message that never ends.
const BUSY_AT_MOST: Duration = Duration::from_secs(10);

/// Connections by the owner's own socket that are served at the same time.
pub(super) const OWNERS_SEATS: usize = 192;

/// Bounds of one pool. A seat is one descriptor of the 1024 that a process has by default.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Seats in all.
    in_all: usize,
    /// Seats of one user.
    of_one_user: usize,
    /// Large answers that are made, or on their way, at the same time: each takes some megabytes.
    answers: usize,
    /// The same of one user.
    answers_of_one_user: usize,
}

/// A pool of seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pool {
    /// Those who come by the owner's own socket: more than there are seats wait to be accepted.
    Owner,
    /// Members of the group, and the owner by the socket for everyone.
    Trusted,
    /// Everyone else.
    Others,
}

impl Pool {
    const fn bounds(self) -> Bounds {
        match self {
            Self::Owner => Bounds {
                in_all: OWNERS_SEATS,
                of_one_user: OWNERS_SEATS,
                answers: 8,
                answers_of_one_user: 8,
            },
            Self::Trusted => {
                Bounds { in_all: 256, of_one_user: 256, answers: 8, answers_of_one_user: 8 }
            }
            Self::Others => {
                Bounds { in_all: 256, of_one_user: 32, answers: 8, answers_of_one_user: 2 }
            }
        }
    }
}

/// The connections of one socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients(Arc<Mutex<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    /// By the order of their arrival.
    taken: BTreeMap<u64, Taken>,
    next: u64,
    /// Large answers, by pool and by pool and user; a user's entry is dropped with the last seat.
    answers: BTreeMap<(Pool, Option<u32>), Arc<Semaphore>>,
}

#[derive(Debug)]
struct Taken {
    uid: u32,
    pool: Pool,
    /// When it has said or taken something last.
    active: Instant,
    /// Whether it has said something since it was sent something.
    is_owed: bool,
    leave: watch::Sender<bool>,
}

/// A seat of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    clients: Clients,
    nth: u64,
    leaves: watch::Receiver<bool>,
    /// Held until the answer is written.
    answer: Mutex<Vec<OwnedSemaphorePermit>>,
}

impl Clients {
    /// A seat for a new connection of this user, if one can be had. What the user may is found out
    /// with the seat taken, so it is one of `pool` until [`Seat::move_to`].
    pub(super) fn seat(&self, uid: u32, pool: Pool) -> Option<Seat> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.make_room(uid, pool, None).then(|| {
            let (leave, leaves) = watch::channel(false);
            let nth = seats.next;
            seats.next += 1;
            let taken = Taken { uid, pool, active: Instant::now(), is_owed: false, leave };
            seats.taken.insert(nth, taken);
            Seat { clients: self.clone(), nth, leaves, answer: Mutex::default() }
        })
    }
}

impl Seats {
    /// Makes sure that there is a seat, if need be that of another connection. `own` is not counted
    /// and never loses its seat.
    fn make_room(&mut self, uid: u32, pool: Pool, own: Option<u64>) -> bool {
        let bounds = pool.bounds();
        let mut by_user: BTreeMap<u32, usize> = BTreeMap::new();
        for (nth, taken) in &self.taken {
            if taken.pool == pool && !*taken.leave.borrow() && Some(*nth) != own {
                *by_user.entry(taken.uid).or_default() += 1;
            }
        }
        let of_user = by_user.get(&uid).copied().unwrap_or(0);
        if of_user >= bounds.of_one_user {
            // Its own flood: a connection that is being answered is worth more than a new one.
            return self.send_away(uid, pool, own, Taken::is_idle);
        }
        if by_user.values().sum::<usize>() < bounds.in_all {
            return true;
        }
        let Some((most, count)) = by_user.into_iter().max_by_key(|(_, count)| *count) else {
            return false;
        };
        count > of_user
            && (self.send_away(most, pool, own, Taken::is_idle)
                || self.send_away(most, pool, own, |_| true))
    }

    /// Has the connection of a user leave that has been silent for the longest time.
    fn send_away(
        &mut self,
        uid: u32,
        pool: Pool,
        own: Option<u64>,
        may_go: impl Fn(&Taken) -> bool,
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
        let count = if uid.is_some() { bounds.answers_of_one_user } else { bounds.answers };
        let semaphore = self.answers.entry((pool, uid));
        Arc::clone(semaphore.or_insert_with(|| Arc::new(Semaphore::new(count))))
    }
}

impl Taken {
    fn is_idle(&self) -> bool {
        !self.is_owed || self.active.elapsed() > BUSY_AT_MOST
    }
}

impl Seat {
    /// Returns as soon as another connection needs the seat. Cancel-safe.
    pub(super) async fn is_needed(&self) {
        let mut leaves = self.leaves.clone();
        // The sender lives as long as the seat.
        let _ = leaves.wait_for(|leave| *leave).await;
    }

    /// The pool that it is of.
    pub(super) fn pool(&self) -> Option<Pool> {
        let seats = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.taken.get(&self.nth).map(|taken| taken.pool)
    }

    /// Takes a seat of another pool in place of this one; returns `false` if none can be had.
    pub(super) fn move_to(&self, pool: Pool) -> bool {
        let mut seats = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(uid) = seats.taken.get(&self.nth).map(|taken| taken.uid) else { return false };
        let has_room = seats.make_room(uid, pool, Some(self.nth));
        if let Some(taken) = seats.taken.get_mut(&self.nth).filter(|_| has_room) {
            taken.pool = pool;
        }
        has_room
    }

    /// The connection has said something.
    pub(super) fn heard(&self) {
        self.touch(true);
    }

    /// The connection has taken a whole message.
    pub(super) fn answered(&self) {
        self.touch(false);
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn touch(&self, is_owed: bool) {
        let mut seats = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.taken.get_mut(&self.nth) {
            (taken.active, taken.is_owed) = (Instant::now(), is_owed);
        }
    }

    /// Waits for the turn of a large answer, which lasts until the answer is written: as many as may be
    /// made at the same time bound the memory that they take, and the work that others wait for.
    pub(super) async fn large_answer(&self) {
        let (of_user, in_all) = {
            let mut seats = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((uid, pool)) = seats.taken.get(&self.nth).map(|it| (it.uid, it.pool)) else {
                return;
            };
            (seats.answers(pool, Some(uid)), seats.answers(pool, None))
        };
        // The user's own first, so that no user waits with a turn that others could use. They are
        // never closed.
        let Ok(of_user) = of_user.acquire_owned().await else { return };
        let Ok(in_all) = in_all.acquire_owned().await else { return };
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.extend([of_user, in_all]);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = seats.taken.remove(&self.nth) else { return };
        if !seats.taken.values().any(|taken| taken.uid == left.uid) {
            seats.answers.retain(|(_, uid), _| *uid != Some(left.uid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_leaving(seat: &Seat) -> bool {
        *seat.leaves.borrow()
    }

    #[test]
    fn one_users_flood_meets_only_that_user() {
        let clients = Clients::default();
        let others = Pool::Others.bounds();
        let seats: Vec<Seat> =
            (0..others.of_one_user).filter_map(|_| clients.seat(1000, Pool::Others)).collect();
        seats[0].heard();
        let newest = clients.seat(1000, Pool::Others).unwrap();
        assert!(is_leaving(&seats[1]) && !is_leaving(&seats[0]), "the oldest idle one leaves");
        for seat in &seats {
            seat.heard();
        }
        newest.heard();
        assert!(clients.seat(1000, Pool::Others).is_none(), "all are being answered");
        assert!(clients.seat(1001, Pool::Others).is_some());
        drop(seats);
        drop(newest);
        assert!(clients.0.lock().unwrap().taken.is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn many_users_together_keep_out_neither_a_newcomer_nor_a_member() {
        let clients = Clients::default();
        let flood: Vec<Seat> = (20_001..20_021)
            .flat_map(|uid| (0..50).map(move |_| uid))
            .filter_map(|uid| {
                let seat = clients.seat(uid, Pool::Others)?;
                seat.heard();
                Some(seat)
            })
            .collect();
        let staying = flood.iter().filter(|seat| !is_leaving(seat)).count();
        assert_eq!(staying, Pool::Others.bounds().in_all);
        let stranger = clients.seat(1000, Pool::Others).unwrap();
        assert!(!is_leaving(&stranger));
        let member = clients.seat(1001, Pool::Others).unwrap();
        assert!(member.move_to(Pool::Trusted));
        for uid in 20_001..20_021 {
            drop(clients.seat(uid, Pool::Others));
        }
        assert!(!is_leaving(&member) && !is_leaving(&stranger), "a small share is never taken");
    }

    #[tokio::test]
    async fn large_answers_wait_for_one_another_until_they_are_written() {
        let clients = Clients::default();
        let seats: Vec<Seat> = (0..3).filter_map(|_| clients.seat(1000, Pool::Others)).collect();
        seats[0].large_answer().await;
        seats[1].large_answer().await;
        let third = seats[2].large_answer();
        let waits = tokio::time::timeout(Duration::from_millis(20), third).await;
        assert!(waits.is_err(), "two at a time of one user");
        let other = clients.seat(1001, Pool::Others).unwrap();
        other.large_answer().await;
        seats[0].answered();
        seats[2].large_answer().await;
    }
}
