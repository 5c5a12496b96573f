//! Orders to stop, recorded for the hooks and the experiment.

pub(crate) use bij_definition::write_order;
