//! `millpond plan`.

use std::path::PathBuf;

use millpond::{Job, PriceList, Recipe};

use crate::args::PlanArgs;
use crate::failure::Failure;
use crate::run::prepare;
use crate::{console, runtime, signals, summary};

/// Shows what a run would do.
pub(crate) fn plan(args: PlanArgs) -> Result<(), Failure> {
    let (recipe, mut settings) = prepare(Recipe::from_yaml_file(&args.recipe)?, args.changes);
    let prices = args
        .prices
        .or_else(|| std::env::var_os("MILLPOND_PRICES").map(PathBuf::from));
    settings.prices = prices.map(PriceList::from_file).transpose()?;
    let slots = settings.slots;
    let job = Job::from_recipe(recipe, settings)?;
    let plan = runtime::block_on(
        slots,
        signals::unless_signalled(async { Ok(job.plan().await?) }),
    )?;
    if args.json {
        console::print(&summary::json(&plan)?);
        return Ok(());
    }
    let mut text = plan.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if args.physical {
        text.push_str("\nphysical plan\n");
        for line in plan.physical_plan.lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
    }
    console::print(&text);
    Ok(())
}
