//! The `grid` command.

fn main() -> std::process::ExitCode {
    grid::cli::main()
}
