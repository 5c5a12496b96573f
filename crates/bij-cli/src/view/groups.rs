//! Groups of runs that share slots.

use std::io::{self, Write};

use bij_core::queue::SlotsFrom;
use bij_core::request::GroupStatus;
use serde::Serialize;

use super::escape::visible;
use super::table::{Cell, Column, Table};
use super::{Format, Tone, View, time};

/// Groups with their slots and runs: `bij groups`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Groups(pub(crate) Vec<GroupStatus>);

impl View for Groups {
    fn text(&self, out: &mut dyn Write, format: &Format) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            Column::left("GROUP"),
            Column::right("SLOTS"),
            Column::left("SET BY").dispensable(2),
            Column::right("RUNNING"),
            Column::right("WAITING"),
            Column::left("PAUSED").dispensable(1).flexible(),
        ]);
        self.0.iter().for_each(|group| table.row(cells(group, format)));
        table.write(out, format)
    }
}

fn cells<'a>(group: &'a GroupStatus, format: &Format) -> [Cell<'a>; 6] {
    let paused = group.paused_by.as_ref().map(|by| {
        let since = group.paused_since.map(|since| time::ago(since, format.now));
        format!("{} by {}", since.unwrap_or_default(), visible(by)).trim_start().to_owned()
    });
    [
        group.name.as_str().into(),
        group.slots.map_or_else(|| "infinity".to_owned(), |slots| slots.to_string()).into(),
        set_by(group.slots_from).into(),
        group.running.to_string().into(),
        group.waiting.to_string().into(),
        Cell::new(Tone::Busy, paused.unwrap_or_default()),
    ]
}

const fn set_by(slots_from: Option<SlotsFrom>) -> &'static str {
    match slots_from {
        Some(SlotsFrom::Operator) => "bij groups",
        Some(SlotsFrom::Settings) => "coordinator.toml",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_shows_its_slots_runs_and_pause() {
        let group = |name: &str, slots, paused: Option<&str>| GroupStatus {
            name: name.parse().unwrap(),
            slots,
            slots_from: slots.map(|_| SlotsFrom::Settings),
            paused_by: paused.map(ToOwned::to_owned),
            paused_since: paused.map(|_| "2026-11-23T22:00:05Z".parse().unwrap()),
            running: 1,
            waiting: 12,
        };
        let groups =
            Groups(vec![group("default", None, None), group("night", Some(2), Some("alice"))]);
        let text = |width| {
            let mut out = Vec::new();
            groups.text(&mut out, &Format { width, ..Format::for_test() }).unwrap();
            String::from_utf8(out).unwrap()
        };
        insta::assert_snapshot!(text(None));
        insta::assert_snapshot!(text(Some(40)));
        insta::assert_json_snapshot!(groups);
    }
}
