//! The tables that are printed.

use comfy_table::{CellAlignment, Table, presets};

use super::goals::Metric;
use super::ledger::{Ledger, Verdict};
use super::taken::Taken;
use crate::load::LaneReport;

/// Every number that was measured, beside its goals.
pub(crate) fn results(ledger: &Ledger) -> String {
    let mut table = plain(&["#", "what", "median (min-max)", "must", "near the limit", "verdict"]);
    for metric in Metric::all() {
        let Some(summary) = ledger.summary(metric) else { continue };
        let goal = metric.goal();
        let digits = |value| goal.unit.digits(value);
        let (median, min, max) = (digits(summary.median), digits(summary.min), digits(summary.max));
        let measured = format!("{median}{} ({min}-{max})", goal.unit.suffix());
        let verdict = match summary.verdict(&goal) {
            Verdict::Near if goal.near.is_none() => "met",
            Verdict::Near => "near",
            Verdict::Met if goal.must.is_none() => "not near",
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
        };
        let (must, near) = (goal.unit.show_bound(goal.must), goal.unit.show_bound(goal.near));
        table.add_row([goal.row, goal.what, &measured, &must, &near, verdict]);
    }
    format!("\n{table}\n")
}

/// Every run of the generator lane by lane, for whoever doubts a ratio. What is of the whole run stands at
/// its first lane.
pub(crate) fn runs(runs: &[Taken]) -> String {
    let mut table = plain(&[
        "run",
        "round",
        "server us/req",
        "core busy",
        "generator us/req",
        "others",
        "lane",
        "req/s",
        "refused",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "max us",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for taken in runs {
        for (number, lane) in taken.report.lanes.iter().enumerate() {
            let whole = if number == 0 { of_run(taken) } else { Default::default() };
            table.add_row(whole.into_iter().chain(of_lane(lane)));
        }
    }
    format!("{table}\n")
}

fn of_run(taken: &Taken) -> [String; 6] {
    [
        taken.label.clone(),
        taken.round.to_string(),
        format!("{:.2}", taken.cpu_us()),
        format!("{:.2}", taken.core_busy()),
        format!("{:.2}", taken.generator_us()),
        format!("{:.2}", taken.others),
    ]
}

fn of_lane(lane: &LaneReport) -> [String; 7] {
    let latency = lane.latency;
    [
        lane.name.clone(),
        format!("{:.0}", lane.per_second),
        format!("{:.1}%", lane.refused as f64 * 100.0 / lane.answers.max(1) as f64),
        format!("{:.0}", latency.p50_us),
        format!("{:.0}", latency.p99_us),
        format!("{:.0}", latency.p999_us),
        format!("{:.0}", latency.max_us),
    ]
}

fn plain(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(titles.iter().copied());
    table
}
