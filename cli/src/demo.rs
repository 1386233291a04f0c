//! `millpond demo`: a table, a service and a run, all on this machine.
//!
//! Owns the order of the show and what is left behind. The table is made in `demo/clicks.rs`.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use millpond::{ByteSize, Cancellation, ErrorKind, Job, JobSettings, Recipe, SourceSpec};
use millpond_emulator::{Emulator, RunningEmulator};
use tokio::task::JoinSet;

use crate::args::{DemoArgs, Told};
use crate::failure::Failure;
use crate::numerals::{count, time};
use crate::{console, emulator, progress, runtime, signals, summary};

mod clicks;
mod shell;
mod stage;

use shell::Shell;
use stage::Stage;

/// The recipe, the same as the example.
const RECIPE: &str = include_str!("../../examples/clicks.yaml");

/// The table as BigQuery names it.
const TABLE: &str = "bigquery://demo.shop.clicks";

/// So small a table would come as a single stream; several are what a large one is read by.
const STREAMS: NonZeroU32 = match NonZeroU32::new(4) {
    Some(streams) => streams,
    None => NonZeroU32::MIN,
};

/// A budget to keep to; the run needs far less.
const MEMORY: ByteSize = ByteSize::gib(1);

/// Shows the whole path in a few seconds.
pub(crate) fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let stage = Stage::set(&args.out)?;
    runtime::block_on(None, show(stage, args))
}

async fn show(stage: Stage, args: &DemoArgs) -> Result<(), Failure> {
    let began = std::time::Instant::now();
    generate(stage.table(), args.rows).await?;
    console::print(&format!(
        "generated {} clicks in {}: {}\n",
        count(args.rows),
        time(began.elapsed().as_secs_f64()),
        stage.table().display()
    ));
    stage.write_recipe(RECIPE)?;

    let running = Emulator::builder()
        .data_dir(stage.data())
        .streams(STREAMS)
        .start()
        .await
        .map_err(emulator::refused)?;
    console::print(&format!(
        "serving them as {TABLE} at {}\n",
        running.endpoint()
    ));
    let report = run(&stage, &running).await?;
    console::print(&format!("\n{}", summary::of_run(&report)));
    let stage = stage.keep();
    console::print(&format!(
        "\n{}",
        next_commands(
            &Shell::of_this_process(),
            &stage,
            args.keep.then(|| running.endpoint())
        )
    ));
    if args.keep {
        return emulator::serve_until_signal(running).await;
    }
    running.shutdown().await;
    Ok(())
}

/// Makes the table on a thread of its own, which a signal stops.
async fn generate(table: PathBuf, rows: u64) -> Result<(), Failure> {
    let cancellation = Cancellation::new();
    let mut work = JoinSet::new();
    let stop = cancellation.clone();
    work.spawn_blocking(move || clicks::write_table(&table, rows, &stop));
    let result = signals::unless_signalled(async {
        match work.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(panic)) => Err(Failure::new(
                ErrorKind::Sink,
                format!("generating the table failed: {panic}"),
            )),
            None => Ok(()),
        }
    })
    .await;
    if result.is_err() {
        cancellation.cancel(ErrorKind::Interrupted);
        // The files can be removed only when nobody writes to them any more.
        while work.join_next().await.is_some() {}
    }
    result
}

/// Runs the recipe over the emulator.
async fn run(stage: &Stage, running: &RunningEmulator) -> Result<millpond::JobReport, Failure> {
    let cancellation = Cancellation::new();
    let settings = JobSettings {
        source: Some(SourceSpec::Address(TABLE.to_owned())),
        output: Some(stage.out()),
        memory: Some(MEMORY),
        emulator: Some(running.endpoint()),
        progress: progress::progress(&Told {
            quiet: false,
            json: false,
        }),
        cancellation: cancellation.clone(),
        ..JobSettings::default()
    };
    let job = Job::from_recipe(Recipe::from_yaml(RECIPE)?, settings)?;
    let _watch = signals::watch(cancellation)?;
    Ok(job.run().await?)
}

/// Three commands that work as they stand, and a fourth while the table is served.
fn next_commands(shell: &Shell, stage: &Path, endpoint: Option<String>) -> String {
    let path = |name: &str| shell.quote(&stage.join(name));
    let files = path("data/demo/shop/clicks/*.parquet");
    let recipe = path("clicks.yaml");
    let program = shell.program();
    let mut text = format!(
        "Try next:\n\
         \n  # the same recipe on the Parquet files themselves: the same numbers\n  \
         {program} run {recipe} --source {files} --out {}\n\
         \n  # what a run would read, in how many passes, and its split as SQL\n  \
         {program} plan {recipe} --source {files}\n\
         \n  # new rows through what was learned\n  \
         {program} apply --fitted {} --input {files} --out {}\n",
        path("out-from-parquet"),
        path("out/fitted.json"),
        path("applied"),
    );
    if let Some(endpoint) = endpoint {
        text.push_str(&format!(
            "\nStill serving until Ctrl-C; from another terminal:\n\n  \
             {program} run {recipe} --source {TABLE} --emulator {endpoint} --out {}\n",
            path("out-again")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn the_commands_are_commands() {
        let shell = Shell::new("./target/release/millpond");
        let text = next_commands(
            &shell,
            Path::new("./my demo"),
            Some("http://127.0.0.1:1".to_owned()),
        );
        let mut found = 0;
        for line in text.lines().filter(|l| l.starts_with("  ./target")) {
            // Only quotes around whole words are used, so that blanks inside them are the only trap.
            let words = line.trim().replace("my demo", "my-demo");
            let words = words.split(' ').map(|w| w.trim_matches('\''));
            Cli::try_parse_from(words).unwrap();
            found += 1;
        }
        assert_eq!(found, 4, "{text}");
        assert!(text.contains("'./my demo/out/fitted.json'"), "{text}");
    }
}
