//! `millpond apply`.

use millpond::{ApplyJob, ApplySettings, Cancellation, SourceSpec};

use crate::args::{ApplyArgs, Format, emulator_of_environment, project_of_environment};
use crate::failure::Failure;
use crate::{console, progress, runtime, signals, summary};

/// Transforms new rows with what an earlier run learned.
pub(crate) fn apply(args: ApplyArgs) -> Result<(), Failure> {
    let cancellation = Cancellation::new();
    let mut settings = ApplySettings::new(args.fitted, SourceSpec::Address(args.input), args.out);
    settings.memory = args.memory;
    settings.slots = args.slots;
    settings.project = project_of_environment();
    settings.credentials = args.credentials.file;
    settings.emulator = args.emulator.or_environment(emulator_of_environment());
    settings.progress = progress::progress(&args.told);
    settings.cancellation = cancellation.clone();
    let report = runtime::block_on(args.slots, async {
        let _watch = signals::watch(cancellation)?;
        Ok(ApplyJob::new(settings).run().await?)
    })?;
    match args.told.format() {
        Format::Json => console::print(&summary::json(&report)?),
        Format::Text if args.told.quiet => {}
        Format::Text => console::print(&summary::of_apply(&report)),
    }
    Ok(())
}
