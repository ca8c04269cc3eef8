//! The plan of a prober: its file, and the blocks in it.

use anabranch_plan::{Block, Plan, PlanError};

use crate::error::ProberError;
use crate::options::Options;
use crate::part::find_cursor;

/// Opens the plan.
pub(crate) fn open(options: &Options) -> Result<Plan, ProberError> {
    Plan::open(&options.plan).map_err(|error| refuse_plan(options, error))
}

/// Returns a block, and the slot with which it goes on.
pub(crate) fn open_block(
    options: &Options,
    plan: &Plan,
    number: u32,
) -> Result<(Block, u64), ProberError> {
    let block = plan.block(number, &options.order);
    let block = block.map_err(|error| refuse_plan(options, error))?;
    let begin = options.begin.get(&number).copied().unwrap_or(0);
    if begin > block.end() {
        return Err(ProberError::Option(format!(
            "block {number} ends with slot {} and can't begin with {begin}: that is of another \
             plan",
            block.end()
        )));
    }
    let cursor = find_cursor(&options.parts, number, block.fingerprint(), begin)?;
    Ok((block, cursor))
}

/// Returns what is wrong with the plan, with its file.
pub(crate) fn refuse_plan(options: &Options, error: PlanError) -> ProberError {
    ProberError::Plan {
        path: options.plan.clone(),
        error,
    }
}
