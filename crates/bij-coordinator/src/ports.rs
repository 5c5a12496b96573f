//! Adapters that a coordinator works with.

use std::marker::PhantomData;
use std::sync::Arc;

use bij_core::port::{Board, DefinitionSource, Handover, Ledger, RunQueue, UnitManager};

/// Types of the adapters of a coordinator.
pub trait Ports: 'static {
    /// Starts, stops and queries units.
    type Units: UnitManager + 'static;
    /// Keeps the queue and the ledger. Its calls block: see [`serve`](crate::serve()).
    type Store: RunQueue + Ledger;
    /// Finds definitions.
    type Definitions: DefinitionSource;
    /// Reads the machine.
    type Board: Board;
    /// Hands data over to hooks.
    type Handover: Handover;
}

/// Adapters of a coordinator.
pub struct Adapters<P: Ports> {
    /// Starts, stops and queries units; shared with the operations under way.
    pub units: Arc<P::Units>,
    /// Keeps the queue and the ledger.
    pub store: P::Store,
    /// Finds definitions.
    pub definitions: P::Definitions,
    /// Reads the machine.
    pub board: P::Board,
    /// Hands data over to hooks.
    pub handover: P::Handover,
}

/// [`Ports`] of five given adapter types, as [`Adapters::new`] infers them.
#[derive(Debug)]
pub struct AdapterSet<U, S, D, B, H>(PhantomData<(U, S, D, B, H)>);

impl<U, S, D, B, H> Ports for AdapterSet<U, S, D, B, H>
where
    U: UnitManager + 'static,
    S: RunQueue + Ledger + 'static,
    D: DefinitionSource + 'static,
    B: Board + 'static,
    H: Handover + 'static,
{
    type Units = U;
    type Store = S;
    type Definitions = D;
    type Board = B;
    type Handover = H;
}

impl<U, S, D, B, H> Adapters<AdapterSet<U, S, D, B, H>>
where
    AdapterSet<U, S, D, B, H>:
        Ports<Units = U, Store = S, Definitions = D, Board = B, Handover = H>,
{
    /// Returns adapters of any types, for callers that do not name a [`Ports`] type of their own.
    pub const fn new(units: Arc<U>, store: S, definitions: D, board: B, handover: H) -> Self {
        Self { units, store, definitions, board, handover }
    }
}
