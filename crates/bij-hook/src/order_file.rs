//! The order to stop that was put down for an experiment.

use bij_core::{ExperimentId, Layout, Order};
use bij_host::{files, logged};

/// An order is a line of JSON.
const CAP: u64 = 16 * 1024;

/// The order that is in force, if one is. What cannot be read or makes no sense is logged.
pub fn read_order(layout: &Layout, id: &ExperimentId) -> Option<Order> {
    let text = files::read_own(&layout.order(id), CAP, layout);
    let text = logged(text, "the order cannot be read").flatten()?;
    logged(serde_json::from_str(&text), "the order makes no sense")
}
