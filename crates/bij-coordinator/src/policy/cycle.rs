//! Finds runs that would wait for each other for ever.

use std::collections::BTreeMap;

use bij_core::queue::{Dependencies, RunRef};
use bij_core::{ExperimentId, RunId};
use thiserror::Error;

use super::State;

/// Experiments whose runs wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", describe(.0))]
pub struct Cycle(pub Vec<ExperimentId>);

/// Returns the message for a cycle, with its remedy.
fn describe(waiting: &[ExperimentId]) -> String {
    match waiting {
        // The name alone means the newest run, which is the one that would wait.
        [alone] => format!(
            "a run of {alone} cannot wait for itself, the newest one: leave that out of `after`, or \
             name an earlier run: {alone}#1"
        ),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            format!("{} wait for each other for ever: leave out one `after`", names.join(", "))
        }
    }
}

/// A run that joins the queue, or a queued run whose dependencies change.
#[derive(Clone, Copy, Debug)]
pub struct Joining<'a> {
    /// The run, if it is in the queue already.
    pub run: Option<&'a RunId>,
    /// Experiment of the run.
    pub experiment: &'a ExperimentId,
    /// Dependencies that the run has or gets.
    pub after: &'a Dependencies,
}

/// Checks that no run would wait for ever because of the joining runs.
///
/// A run can start some day if all (or, with `any`, one) of the runs that it waits for can; a run that is
/// not in the queue may still be submitted. Only runs that are reachable from the joining ones are
/// visited, and the time depends on their number alone.
///
/// # Errors
/// [`Cycle`] with the experiments that wait for each other.
pub fn find_cycle(state: &State, joining: &[Joining<'_>]) -> Result<(), Cycle> {
    // A run without dependencies can start, so it closes no cycle.
    if joining.iter().all(|run| run.after.iter().next().is_none()) {
        return Ok(());
    }
    let graph = Graph::reach(state, joining);
    let stuck = graph.stuck();
    match stuck.iter().position(|stuck| *stuck) {
        None => Ok(()),
        Some(first) => Err(Cycle(graph.around(first, &stuck))),
    }
}

struct Node<'a> {
    experiment: &'a ExperimentId,
    after: &'a Dependencies,
    /// For each dependency its node, if that run is in the queue or joins it.
    on: Vec<Option<usize>>,
}

struct Graph<'a> {
    nodes: Vec<Node<'a>>,
}

impl<'a> Graph<'a> {
    /// Builds the graph of the joining runs and of all runs that they wait for.
    fn reach(state: &'a State, joining: &[Joining<'a>]) -> Self {
        let mut nodes: Vec<Node<'a>> = Vec::new();
        let mut queued: BTreeMap<&'a RunId, usize> = BTreeMap::new();
        // The last joining run of an experiment will be its newest run.
        let mut newest: BTreeMap<&ExperimentId, usize> = BTreeMap::new();
        for (at, &Joining { run, experiment, after }) in joining.iter().enumerate() {
            match run {
                Some(run) => queued.insert(run, at),
                None => newest.insert(experiment, at),
            };
            nodes.push(Node { experiment, after, on: Vec::new() });
        }
        let mut next = 0;
        while next < nodes.len() {
            let after = nodes[next].after;
            for dependency in after.iter() {
                let joined = match &dependency.on {
                    RunRef::Newest(experiment) => newest.get(experiment).copied(),
                    RunRef::Run(_) => None,
                };
                let found = joined.or_else(|| {
                    let run = state.queued(&dependency.on)?;
                    Some(*queued.entry(&run.run).or_insert_with(|| {
                        let (experiment, after) = (&run.run.experiment, &run.terms.after);
                        nodes.push(Node { experiment, after, on: Vec::new() });
                        nodes.len() - 1
                    }))
                });
                nodes[next].on.push(found);
            }
            next += 1;
        }
        Self { nodes }
    }

    /// Returns for each node whether it can never start. A node can start if it waits for no other node, or
    /// only for nodes that can.
    fn stuck(&self) -> Vec<bool> {
        let mut awaited_by: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for on in node.on.iter().flatten() {
                awaited_by[*on].push(at);
            }
        }
        let mut missing: Vec<usize> = self.nodes.iter().map(Node::conditions).collect();
        let mut stuck: Vec<bool> = missing.iter().map(|missing| *missing > 0).collect();
        let mut free: Vec<usize> = (0..stuck.len()).filter(|at| !stuck[*at]).collect();
        while let Some(at) = free.pop() {
            for waiting in &awaited_by[at] {
                missing[*waiting] = missing[*waiting].saturating_sub(1);
                if missing[*waiting] == 0 && std::mem::take(&mut stuck[*waiting]) {
                    free.push(*waiting);
                }
            }
        }
        stuck
    }

    /// Returns the experiments of a cycle that is reachable from the stuck node `from`.
    fn around(&self, from: usize, stuck: &[bool]) -> Vec<ExperimentId> {
        let mut path: Vec<usize> = vec![from];
        let mut step = BTreeMap::from([(from, 0)]);
        let mut last = from;
        // Every stuck node waits for another stuck node.
        while let Some(next) = self.nodes[last].on.iter().flatten().find(|on| stuck[**on]) {
            if let Some(start) = step.insert(*next, path.len()) {
                path.drain(..start);
                break;
            }
            path.push(*next);
            last = *next;
        }
        path.into_iter().map(|at| self.nodes[at].experiment.clone()).collect()
    }
}

impl Node<'_> {
    /// Returns how many of the nodes that it waits for must be able to start first.
    fn conditions(&self) -> usize {
        let in_graph = self.on.iter().flatten().count();
        match self.after {
            Dependencies::All(_) => in_graph,
            // One is enough, and a run that is not in the queue may still be submitted.
            Dependencies::Any(_) => usize::from(in_graph > 0 && in_graph == self.on.len()),
        }
    }
}
