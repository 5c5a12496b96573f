//! Whether an action did anything.

/// What an idempotent action did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The world already was as asked.
    Unchanged,
    /// The world is now as asked.
    Changed,
}
