//! `grid bench`.

use super::args::{BenchTrainArgs, PrecisionArg, TableFormat};
use super::failure::{Exit, Failure};
use super::report::form;
use super::status::print_json;
use super::workspace::SpecText;
use crate::domain::{BaseModel, Precision, Workload};
use crate::{report, runner, spec};

/// `grid bench train`.
pub fn train(args: &BenchTrainArgs) -> Result<Exit, Failure> {
    let environment = |error: runner::RunError| Failure::new(Exit::Environment, error);
    let program = runner::worker_program().map_err(environment)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let rounds = runner::Rounds { count: args.rounds.max(1), steps: args.steps.max(1) };
    let mut speeds = vec![];
    for workload in workloads(args)? {
        let threads = args.threads.unwrap_or(cores);
        speeds.push(runner::measure(&program, workload, threads, rounds).map_err(environment)?);
    }
    let table = report::speed(&speeds);
    match args.format {
        TableFormat::Json => print_json(&speeds)?,
        format => print!("{}", form(&table, format)),
    }
    Ok(Exit::Done)
}

fn workloads(args: &BenchTrainArgs) -> Result<Vec<Workload>, Failure> {
    let mut bases = vec![];
    match &args.spec {
        Some(path) => {
            for cell in SpecText::read(path, &[])?.1.cells {
                let BaseModel::Trained(base) = cell.recipe.base else { continue };
                let base = (base.model, base.training.batch_size, base.sequence_length, base.training.precision);
                if !bases.contains(&base) {
                    bases.push(base);
                }
            }
            if bases.is_empty() {
                let reason = format!("{}: no model is trained from random weights there", path.display());
                return Err(Failure::text(Exit::Usage, reason));
            }
        }
        None => {
            let model =
                spec::shape(&args.model).map_err(|problems| Failure::text(Exit::Usage, problems.to_string()))?;
            bases = [Precision::F32, Precision::Bf16].map(|precision| (model.clone(), 16, 256, precision)).into();
        }
    }
    if !args.precision.is_empty() {
        bases.dedup_by(|a, b| a.0 == b.0 && (a.1, a.2) == (b.1, b.2));
    }
    let asked: Vec<Precision> = args
        .precision
        .iter()
        .map(|precision| match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        })
        .collect();
    let workloads = bases.into_iter().flat_map(|(model, batch_size, sequence_length, own)| {
        let precisions = if asked.is_empty() { vec![own] } else { asked.clone() };
        precisions.into_iter().map(move |precision| Workload {
            model: model.clone(),
            batch_size: args.batch_size.unwrap_or(batch_size),
            sequence_length: args.sequence_length.unwrap_or(sequence_length),
            precision,
            device: args.device.clone(),
            initial: None,
        })
    });
    Ok(workloads.collect())
}
