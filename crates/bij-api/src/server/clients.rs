//! How many clients are served at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many in all. A descriptor each, of the 1024 that a process has by default.
const IN_ALL: usize = 768;
/// So many of one user who is not root: nobody else can be kept out by one.
const OF_ONE_USER: usize = 256;

/// Those who are here, by user.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients(Arc<Mutex<HashMap<u32, usize>>>);

/// A place for one client; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    clients: Clients,
    uid: u32,
}

impl Clients {
    /// A place for a client of this user, if there is one left.
    pub(super) fn seat(&self, uid: u32) -> Option<Seat> {
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_all: usize = here.values().sum();
        let of_user = here.get(&uid).copied().unwrap_or(0);
        let room = in_all < IN_ALL && (uid == 0 || of_user < OF_ONE_USER);
        room.then(|| {
            here.insert(uid, of_user + 1);
            Seat { clients: self.clone(), uid }
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut here = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_user) = here.get_mut(&self.uid) {
            *of_user -= 1;
            if *of_user == 0 {
                here.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_keep_out_another() {
        let clients = Clients::default();
        let mut seats: Vec<Seat> = std::iter::from_fn(|| clients.seat(1000)).collect();
        assert_eq!(seats.len(), OF_ONE_USER);
        assert!(clients.seat(1001).is_some());
        seats.pop();
        assert!(clients.seat(1000).is_some(), "a place is given back");
        drop(seats);
        assert!(clients.0.lock().unwrap().is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn there_is_an_end_of_places_for_root_too() {
        let clients = Clients::default();
        let seats: Vec<Seat> = std::iter::from_fn(|| clients.seat(0)).collect();
        assert_eq!(seats.len(), IN_ALL);
    }
}
