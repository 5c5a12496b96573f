//! Orders to stop, recorded for the hooks and the experiment.

pub(crate) use bij_definitions::write_order;
