//! What a coordinator is given to work with.

use std::marker::PhantomData;
use std::sync::Arc;

use bij_core::port::{Board, DefinitionSource, Handover, Ledger, RunQueue, UnitManager};

/// Names the adapters that a coordinator works with.
pub trait Ports: 'static {
    /// Starts, stops and looks at units.
    type Units: UnitManager + 'static;
    /// Keeps the queue and the ledger. Its calls block: see [`serve`](crate::serve()).
    type Store: RunQueue + Ledger;
    /// Finds definitions.
    type Definitions: DefinitionSource;
    /// Reads the machine.
    type Board: Board;
    /// Puts down what hooks must find.
    type Handover: Handover;
}

/// The adapters themselves.
pub struct Adapters<P: Ports> {
    /// Starts, stops and looks at units; shared with the starts and stops that are under way.
    pub units: Arc<P::Units>,
    /// Keeps the queue and the ledger.
    pub store: P::Store,
    /// Finds definitions.
    pub definitions: P::Definitions,
    /// Reads the machine.
    pub board: P::Board,
    /// Puts down what hooks must find.
    pub handover: P::Handover,
}

/// Adapters of these kinds together: what [`Adapters::of`] makes of five of them.
#[derive(Debug)]
pub struct Together<U, S, D, B, H>(PhantomData<(U, S, D, B, H)>);

impl<U, S, D, B, H> Ports for Together<U, S, D, B, H>
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

impl<U, S, D, B, H> Adapters<Together<U, S, D, B, H>>
where
    Together<U, S, D, B, H>: Ports<Units = U, Store = S, Definitions = D, Board = B, Handover = H>,
{
    /// Adapters of any kinds, for whoever has no name for them together.
    pub const fn of(units: Arc<U>, store: S, definitions: D, board: B, handover: H) -> Self {
        Self { units, store, definitions, board, handover }
    }
}
