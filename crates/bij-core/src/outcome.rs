//! The outcome of idempotent actions.

/// Whether an idempotent action changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The requested state already existed.
    Unchanged,
    /// The action brought about the requested state.
    Changed,
}
