//! `supercargo catalog learn`: remembers how much memory nodes have, so that later plans need not guess.

use super::args::LearnArgs;
use super::{Answer, Failure};
use crate::adapters::files::{discovered_memory, manifests};
use crate::cli::input::sources;
use crate::cli::instances::today;
use crate::cli::output;
use crate::domain::discovered_memory::MemoryReport;
use crate::report::summary::count;

/// Puts what the Nodes report into the table, of which it prints the file, and says how much of it counts. Exit code 1 when no Node
/// says anything.
pub(super) fn run(args: &LearnArgs) -> Result<Answer, Failure> {
    let readings = manifests::load(&sources(&args.filenames)?).map_err(Failure::input)?.memory_readings;
    if readings.is_empty() {
        output::say(
            "note: nothing to learn: the input has no Node with the label karpenter.sh/registered=true, its memory, an image that its \
             EC2NodeClass still has, and that EC2NodeClass",
        );
        return Ok(Answer::No);
    }
    let path = args.table.place()?;
    let day = today();
    let learned = discovered_memory::update(&path, |table| {
        table.forget_before(day);
        let mut count = 0;
        for reading in &readings {
            count +=
                usize::from(table.learn(&reading.instance_type, &reading.images, MemoryReport { bytes: reading.bytes, day }));
        }
        count
    });
    let learned = learned.map_err(Failure::input)?;
    output::say(&format!("note: {learned} of {} counted; the others are above what is known", count(readings.len(), "report")));
    output::print(&format!("{}\n", path.display()))?;
    Ok(Answer::Yes)
}
