//! From patterns to the units on each node.
//!
//! The program counts units of one class as one; here each node gets its own. Units with pods of higher priority are dealt first. Where a
//! limit per node keeps the units of a class apart, each node takes from those with most left, which succeeds whenever any way of
//! dealing does (Gale and Ryser).
//!
//! Where the program leaves pods unplaced, units are taken off so that every rule over a label keeps; on some node that may take
//! away the pods that others have to share it with. Those go too, until every rule holds.

use crate::planning::arrangement::{Arrangement, Role};
use crate::planning::program::TierProgram;
use crate::solver::Solution;

/// A node of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeUnits {
    /// Index into the program's shapes.
    pub(super) shape: usize,
    /// `(unit, how many)`; never empty.
    pub(super) units: Vec<(usize, u32)>,
}

/// The units on each node of `solution`.
pub(super) fn deal(program: &TierProgram, solution: &Solution) -> Vec<NodeUnits> {
    let mut quantities = program.quantities(solution);
    loop {
        let nodes = deal_out(program, solution, &mut quantities.clone());
        let mut alone = false;
        for (unit, count) in nodes.iter().flat_map(|node| lonely(&program.arrangement, &node.units)) {
            quantities[unit] -= count;
            alone = true;
        }
        if !alone {
            return nodes;
        }
        program.arrangement.mend(&mut quantities);
    }
}

/// Deals what is `left` of each unit.
fn deal_out(program: &TierProgram, solution: &Solution, left: &mut [u32]) -> Vec<NodeUnits> {
    let mut nodes = Vec::new();
    for pattern in &solution.patterns {
        for _ in 0..pattern.nodes {
            let taken = pattern
                .counts
                .iter()
                .flat_map(|&(class, count)| take(&program.arrangement, &program.members[class], count, left));
            let units: Vec<(usize, u32)> = taken.collect();
            if !units.is_empty() {
                nodes.push(NodeUnits { shape: pattern.shape, units });
            }
        }
    }
    nodes
}

/// Units on a node that a rule asks for company which is not there.
fn lonely<'a>(arrangement: &'a Arrangement, units: &'a [(usize, u32)]) -> impl Iterator<Item = (usize, u32)> + 'a {
    let roles = |unit: usize| arrangement.units[unit].roles.iter();
    let members = move |rule: usize| -> u32 {
        let counts = |unit: usize| roles(unit).any(|&(of, role)| of == rule && role != Role::Guard);
        units.iter().filter(|entry| counts(entry.0)).map(|entry| entry.1).sum()
    };
    let lacks = move |&(rule, role): &(usize, Role)| {
        let least = arrangement.rules[rule].least;
        role != Role::Member && least > 0 && members(rule) < least
    };
    units.iter().copied().filter(move |&(unit, _)| roles(unit).any(lacks))
}

/// Takes `count` of a class out of its units: `(unit, how many)`.
fn take(arrangement: &Arrangement, units: &[usize], count: u32, left: &mut [u32]) -> Vec<(usize, u32)> {
    let mut taken: Vec<(usize, u32)> = Vec::new();
    let cap = units.first().and_then(|&unit| arrangement.units[unit].cap);
    let mut wanted = count;
    let Some(cap) = cap else {
        for &unit in units {
            let now = wanted.min(left[unit]);
            if now > 0 {
                left[unit] -= now;
                wanted -= now;
                taken.push((unit, now));
            }
            if wanted == 0 {
                break;
            }
        }
        return taken;
    };
    while wanted > 0 {
        let held = |unit: usize, taken: &[(usize, u32)]| taken.iter().find(|entry| entry.0 == unit).map_or(0, |entry| entry.1);
        let open = units.iter().copied().filter(|&unit| left[unit] > 0 && held(unit, &taken) < cap.most);
        let Some(unit) = open.max_by_key(|&unit| (left[unit], std::cmp::Reverse(unit))) else { break };
        left[unit] -= 1;
        wanted -= 1;
        match taken.iter_mut().find(|entry| entry.0 == unit) {
            Some(entry) => entry.1 += 1,
            None => taken.push((unit, 1)),
        }
    }
    taken
}
