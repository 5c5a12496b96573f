//! What a coordinator is given to work with.

use std::sync::Arc;

use bij_core::port::{Board, DefinitionSource, Handover, Ledger, RunQueue, UnitManager};

/// Names the adapters that a coordinator works with.
pub trait Ports: 'static {
    /// Starts, stops and looks at units.
    type Units: UnitManager + 'static;
    /// Keeps the queue and the ledger. Its calls block: see [`serve`](crate::serve).
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
