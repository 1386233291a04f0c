//! `millpond run`.

use millpond::{Cancellation, EarlierWork, Job, JobReport, JobSettings, Recipe, SourceSpec};

use crate::args::{
    Format, RecipeChanges, RunArgs, emulator_of_environment, project_of_environment,
};
use crate::failure::Failure;
use crate::{console, progress, runtime, signals, summary};

/// Runs a recipe and tells how it went.
pub(crate) fn run(args: RunArgs) -> Result<(), Failure> {
    let (recipe, settings) = prepare(Recipe::from_yaml_file(&args.recipe)?, args.changes);
    let settings = JobSettings {
        output: args.out,
        earlier_work: if args.restart {
            EarlierWork::Discard
        } else {
            EarlierWork::Continue
        },
        batch_rows: args.batch_rows,
        checkpoint: args.checkpoint,
        spill_quota: args.spill_quota,
        temp_dir: args.temp_dir,
        progress: progress::progress(&args.told),
        ..settings
    };
    let report = carry_out(recipe, settings)?;
    match args.told.format() {
        Format::Json => console::print(&summary::json(&report)?),
        Format::Text if args.told.quiet => {}
        Format::Text => console::print(&summary::of_run(&report)),
    }
    Ok(())
}

/// The recipe and settings as changed on the command line.
pub(crate) fn prepare(mut recipe: Recipe, changes: RecipeChanges) -> (Recipe, JobSettings) {
    if changes.limit.is_some() {
        recipe.limit = changes.limit;
    }
    let settings = JobSettings {
        source: changes.source.map(SourceSpec::Address),
        memory: changes.memory,
        slots: changes.slots,
        project: changes.bigquery.project,
        default_project: project_of_environment(),
        max_bytes: changes.bigquery.max_bytes,
        credentials: changes.credentials.file,
        emulator: changes.emulator.or_environment(emulator_of_environment()),
        ..JobSettings::default()
    };
    (recipe, settings)
}

/// Runs a job on its own threads; signals end it cleanly.
fn carry_out(recipe: Recipe, settings: JobSettings) -> Result<JobReport, Failure> {
    let cancellation = Cancellation::new();
    let slots = settings.slots;
    let settings = JobSettings {
        cancellation: cancellation.clone(),
        ..settings
    };
    let job = Job::from_recipe(recipe, settings)?;
    runtime::block_on(slots, async {
        let _watch = signals::watch(cancellation)?;
        Ok(job.run().await?)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn the_command_line_wins_over_the_recipe() {
        let recipe = Recipe::from_yaml(include_str!("../../examples/churn.yaml")).unwrap();
        let line = "millpond run r.yaml --source a.csv --memory 3GiB --slots 2 --limit 10 --credentials key.json --emulator localhost:1";
        let Command::Run(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            unreachable!("asked for run");
        };
        let (recipe, settings) = prepare(recipe, args.changes);
        assert_eq!(recipe.limit, Some(10));
        assert_eq!(
            settings.source,
            Some(SourceSpec::Address("a.csv".to_owned()))
        );
        assert_eq!(settings.memory.unwrap().as_u64(), 3 << 30);
        assert_eq!(settings.slots, Some(2));
        assert_eq!(
            settings.credentials.as_deref(),
            Some(std::path::Path::new("key.json"))
        );
        assert_eq!(settings.emulator.as_deref(), Some("http://localhost:1"));
    }
}
