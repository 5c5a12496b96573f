//! What it has seen so far.

use serde::{Deserialize, Serialize};

use crate::eye::Sight;

/// Survives its death.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Diary {
    /// Looks taken in this run.
    pub(crate) looks: u64,
    /// The look after which it fell silent, once it has.
    pub(crate) silent_after: Option<u64>,
    /// The run came to its end.
    pub(crate) done: bool,
    most_processes: u64,
    fewest_processes: Option<u64>,
    interruptions: u64,
    looks_traced: u64,
    /// The kernel's count at the look before; not kept, for the next life counts from 0.
    #[serde(skip)]
    interruptions_before: u64,
}

impl Diary {
    /// Takes down one look.
    pub(crate) fn note(&mut self, sight: &Sight) {
        let Sight { processes, interruptions, resident: _, tracer } = *sight;
        self.looks += 1;
        if let Some(processes) = processes {
            self.most_processes = self.most_processes.max(processes);
            let fewest = self.fewest_processes.map_or(processes, |fewest| fewest.min(processes));
            self.fewest_processes = Some(fewest);
        }
        if let Some(interruptions) = interruptions {
            self.interruptions += interruptions.saturating_sub(self.interruptions_before);
            self.interruptions_before = interruptions;
        }
        self.looks_traced += u64::from(tracer.is_some());
    }

    /// Everything seen, in a sentence.
    pub(crate) fn summary(&self) -> String {
        let company = match self.fewest_processes {
            None => "no processes in sight".to_owned(),
            Some(fewest) if fewest == self.most_processes => format!("{fewest} processes in sight"),
            Some(fewest) => format!("{fewest} to {} processes in sight", self.most_processes),
        };
        let looks = self.looks;
        let interrupted = self.interruptions;
        let traced = match self.looks_traced {
            0 => "never traced".to_owned(),
            times => format!("traced at {times} looks"),
        };
        format!("{looks} looks, {company}, interrupted {interrupted} times, {traced}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(processes: u64, interruptions: u64) -> Sight {
        Sight { processes: Some(processes), interruptions: Some(interruptions), ..Sight::default() }
    }

    #[test]
    fn counts_go_on_across_lives_though_the_kernel_begins_anew() {
        let mut diary = Diary::default();
        diary.note(&sight(5, 10));
        diary.note(&sight(9, 12));
        let mut reborn: Diary =
            serde_json::from_slice(&serde_json::to_vec(&diary).unwrap()).unwrap();
        reborn.note(&sight(7, 3));
        assert_eq!(
            reborn.summary(),
            "3 looks, 5 to 9 processes in sight, interrupted 15 times, never traced"
        );
    }

    #[test]
    fn what_the_sandbox_hides_is_not_made_up() {
        let mut diary = Diary::default();
        diary.note(&Sight { tracer: Some(1), ..Sight::default() });
        assert_eq!(
            diary.summary(),
            "1 looks, no processes in sight, interrupted 0 times, traced at 1 looks"
        );
    }
}
