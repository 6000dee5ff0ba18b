//! The worker process.

use std::process::ExitCode;

fn main() -> ExitCode {
    grid_worker::ml::runtime::prepare_process();
    match grid_worker::ml::runtime::check_version() {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(6),
    }
}
