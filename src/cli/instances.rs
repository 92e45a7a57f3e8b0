//! What the user says of instances in general: Karpenter's two settings, and where the memory that nodes reported is kept.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::Offset;

use super::{Failure, xdg};
use crate::adapters::files::discovered_memory;
use crate::domain::cluster::ClusterView;
use crate::domain::discovered_memory::Day;
use crate::domain::instance_settings::{InstanceSettings, MemoryShare};
use crate::report::summary::count;

/// Settings of instances, for every command that plans.
#[derive(Debug, Args)]
pub(super) struct InstanceArgs {
    /// Share of an instance's memory that hypervisor and firmware keep, from 0 to below 1: Karpenter's option of that name.
    #[arg(long, value_name = "SHARE", default_value = "0.075", value_parser = memory_share, env = "VM_MEMORY_OVERHEAD_PERCENT")]
    vm_memory_overhead_percent: MemoryShare,
    /// Network interfaces of every node that give no addresses to pods: Karpenter's option of that name.
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u16), env = "RESERVED_ENIS")]
    reserved_enis: u16,
    #[command(flatten)]
    table: TableArgs,
}

/// Where the memory that nodes reported is kept.
#[derive(Debug, Args)]
pub(super) struct TableArgs {
    /// File with the memory that nodes reported (`catalog learn`); if not given, one in the user's state folder.
    #[arg(long, value_name = "FILE", env = "SUPERCARGO_DISCOVERED_MEMORY")]
    discovered_memory: Option<PathBuf>,
}

impl InstanceArgs {
    /// The settings, with the reports that still count today.
    pub(super) fn settings(&self) -> Result<InstanceSettings, Failure> {
        let mut discovered = match self.table.path() {
            Some(path) => discovered_memory::read(&path).map_err(Failure::input)?,
            None => Default::default(),
        };
        discovered.forget_before(today());
        Ok(InstanceSettings {
            vm_memory_overhead: self.vm_memory_overhead_percent,
            reserved_enis: i64::from(self.reserved_enis),
            discovered_memory: discovered,
        })
    }
}

impl TableArgs {
    /// The file that is named, or the user's own; `None` where the user has no home.
    pub(super) fn path(&self) -> Option<PathBuf> {
        if let Some(given) = &self.discovered_memory {
            return Some(given.clone());
        }
        Some(xdg::folder("XDG_STATE_HOME", ".local/state")?.join("discovered-memory.csv"))
    }

    /// The file to write to.
    pub(super) fn place(&self) -> Result<PathBuf, Failure> {
        let mend = "set XDG_STATE_HOME, or use --discovered-memory";
        self.path().ok_or_else(|| Failure::Input(format!("there is no home folder for the user's state\n  hint: {mend}")))
    }
}

/// Today, in UTC.
pub(super) fn today() -> Day {
    discovered_memory::day_of(Offset::UTC.to_datetime(Timestamp::now()).date())
}

/// What is planned with memory that nodes reported; `None` where there is none for the NodeClasses of `cluster`.
pub(super) fn notice(cluster: &ClusterView) -> Option<String> {
    let known = |images: &str| cluster.node_classes.values().any(|class| class.images.identity == images);
    let reports = cluster.instance_settings.discovered_memory.iter();
    let types = reports.filter(|(_, images, _)| known(images)).count();
    let have = if types == 1 { "has" } else { "have" };
    (types > 0)
        .then(|| format!("{} {have} the memory that nodes reported (supercargo catalog learn)", count(types, "instance type")))
}

fn memory_share(text: &str) -> Result<MemoryShare, String> {
    MemoryShare::parse(text)
        .ok_or_else(|| "a share is from 0 to below 1 with at most six decimals, such as 0.075 for 7.5 %".to_owned())
}
