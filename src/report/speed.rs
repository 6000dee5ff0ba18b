//! The tables of `grid bench`.

use super::human;
use super::table::{Cell, Table};
use crate::domain::{BenchResult, GenerationResult, Phases};

/// The table of training speeds: one column per workload, one row per measure.
pub fn speed(speeds: &[BenchResult]) -> Table {
    let threads = speeds.first().map_or(0, |speed| speed.ready.threads);
    let device = speeds.first().map_or("", |speed| &speed.workload.device);
    let mut rows = vec![
        row("parameters", speeds, |s| Cell::Label(human::grouped(s.workload.model.parameters()))),
        row("tokens per step", speeds, |s| Cell::Count(s.workload.tokens())),
        row("tokens/s", speeds, |s| Cell::Number(s.tokens_per_second(), 0)),
        row("MFLOP/token", speeds, |s| Cell::Number(s.flops_per_token() / 1e6, 1)),
        row("GFLOP/s", speeds, |s| Cell::Number(s.tokens_per_second() * s.flops_per_token() / 1e9, 0)),
        row("matrix product, GFLOP/s", speeds, |s| Cell::Number(s.ready.matmul_flops / 1e9, 0)),
        row("MFU (share of that), %", speeds, |s| Cell::Number(100.0 * s.utilization(), 1)),
        row("peak memory", speeds, |s| Cell::Label(human::bytes(s.peak_bytes()))),
    ];
    type Part = (&'static str, fn(&Phases) -> f64);
    let parts: [Part; 5] = [
        ("forward, % of the time", |phases| phases.forward),
        ("head and loss", |phases| phases.head),
        ("backward", |phases| phases.backward),
        ("optimizer", |phases| phases.optimizer),
        ("waiting for data", |phases| phases.data),
    ];
    for (name, part) in parts {
        rows.push(row(name, speeds, |s| match &s.profiled.phases {
            Some(phases) => Cell::Number(100.0 * part(phases) / s.profiled.seconds, 1),
            None => Cell::Missing,
        }));
    }
    let heads = ["".to_owned()].into_iter().chain(speeds.iter().map(|s| s.workload.label())).collect();
    let rounds = speeds.first().map_or(0, |speed| speed.rounds.len());
    Table {
        title: format!("training speed on {device}, {threads} threads"),
        heads,
        labels: 1,
        rows,
        notes: vec![format!(
            "Speeds are medians of {rounds} rounds. The matrix product is the fastest of ten products of large square matrices \
             in the same process."
        )],
        ..Table::default()
    }
}

fn row(name: &str, speeds: &[BenchResult], cell: impl Fn(&BenchResult) -> Cell) -> Vec<Cell> {
    [Cell::Label(name.to_owned())].into_iter().chain(speeds.iter().map(cell)).collect()
}

/// The speeds of generation: one column per workload.
pub fn generation_speed(speeds: &[GenerationResult]) -> Table {
    let row = |name: &str, cell: fn(&GenerationResult) -> Cell| {
        [Cell::Label(name.to_owned())].into_iter().chain(speeds.iter().map(cell)).collect()
    };
    let threads = speeds.first().map_or(0, |speed| speed.ready.threads);
    let device = speeds.first().map_or("", |speed| &speed.workload.device);
    let rounds = speeds.first().map_or(0, |speed| speed.rounds.len());
    let name = |speed: &GenerationResult| speed.workload.precision.name().to_owned();
    Table {
        title: format!("generation speed on {device}, {threads} threads"),
        heads: ["".to_owned()].into_iter().chain(speeds.iter().map(name)).collect(),
        labels: 1,
        rows: vec![
            row("prompts", |s| Cell::Count(s.workload.prompts.into())),
            row("tokens of a prompt", |s| Cell::Count(s.workload.prompt_length.into())),
            row("new tokens of a reply", |s| Cell::Count(s.workload.new_tokens.into())),
            row("new tokens/s", |s| Cell::Number(s.tokens_per_second(), 0)),
            row("peak memory", |s| Cell::Label(human::bytes(s.peak_bytes()))),
        ],
        notes: vec![format!("Speeds are medians of {rounds} rounds; the time includes that of reading the prompts.")],
        ..Table::default()
    }
}
