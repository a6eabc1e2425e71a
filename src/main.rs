//! The program: parses the command line and hands over to the library.

use std::process::ExitCode;

use porchlight::{cli, run};

fn main() -> ExitCode {
    cli::exit(run::run(&cli::parse()))
}
