//! Tests of decisions about small worlds, by concern, and properties of all decisions.

mod admissible;
mod carry_out;
mod cycle;
mod dependency_gate;
mod gates;
mod gpu_memory;
mod health;
mod order;
mod power_mode;
mod properties;
mod recovery;
mod report;
mod settled;
mod submit;
mod unit_starts;
mod unit_stops;
