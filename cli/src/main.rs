//! The command `millpond`.
//!
//! Owns the command line: arguments, progress, signals, exit codes and what is printed. Must not know how a job works:
//! everything it does, a program can do through the crate `millpond`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod apply;
mod args;
mod console;
mod demo;
mod emulator;
mod failure;
mod init;
mod numerals;
mod plan;
mod progress;
mod run;
mod runtime;
mod schema;
mod signals;
mod summary;

use args::{Cli, Command};
use failure::Failure;

// Workers on many threads allocate batches of megabytes; mimalloc gives freed pages back sooner than the system's allocator,
// which is what keeps resident memory near the budget.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    console::start_logging(cli.command.logs());
    let format = cli.command.format();
    match carry_out(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(format),
    }
}

fn carry_out(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(*args),
        Command::Plan(args) => plan::plan(*args),
        Command::Init(args) => init::init(*args),
        Command::Schema => schema::schema(),
        Command::Apply(args) => apply::apply(*args),
        Command::Demo(args) => demo::demo(&args),
        Command::Emulator(args) => emulator::emulator(&args),
    }
}
