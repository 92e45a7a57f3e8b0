//! How amounts, lists of names and pods are written in explanations.

use std::collections::BTreeSet;

use crate::domain::labels;
use crate::domain::money::UsdPerHour;
use crate::domain::resources::{ATTACHMENTS, ResourceName};
use crate::planning::terms::{Counts, Term};

/// Values and names that a sentence lists before it says how many more there are.
const MOST_LISTED: usize = 4;

/// `a`, `a and b`, `a, b, c and 7 more`.
pub(super) fn listed(names: &BTreeSet<String>) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let more = names.len().saturating_sub(MOST_LISTED);
    let rest = format!("{more} more");
    if more > 0 {
        names.truncate(MOST_LISTED);
        names.push(&rest);
    }
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// `pods with app=web`, `pods of the claim shop/data`, `pods of Deployment shop/cart`.
pub(super) fn pods_of(term: &Term) -> String {
    match &term.counts {
        Counts::OfClaim(claim) => format!("pods of the claim {claim}"),
        Counts::OfWorkload(rules) => format!("pods of {}", rules.workload),
        Counts::Selected(selector) => match &selector.labels {
            Some(labels) => format!("pods with {labels}"),
            None => "no pod".to_owned(),
        },
    }
}

/// What the values of a topology label are called where people have a word for them.
pub(super) fn domains_of(key: &str) -> &str {
    match key {
        labels::HOSTNAME => "nodes",
        labels::ZONE => "zones",
        labels::CAPACITY_TYPE => "capacity types",
        labels::SPOT_POOL => "Spot pools",
        other => other,
    }
}

/// An amount as a person says it: `191.69 cores`, `3.5 GiB`, `2 nvidia.com/gpu`, `1 node`.
pub(super) fn amount(resource: &str, amount: i64) -> String {
    let plural = |noun: &str| if amount == 1 { noun.to_owned() } else { format!("{noun}s") };
    match resource {
        ResourceName::CPU => {
            format!("{} {}", decimal(i128::from(amount)), if amount == 1_000 { "core" } else { "cores" })
        }
        ResourceName::MEMORY | ResourceName::EPHEMERAL_STORAGE => {
            let unit = if resource == ResourceName::MEMORY { "memory" } else { "ephemeral storage" };
            match (i128::from(amount) * 1_000) >> 30 {
                0 => format!("{amount} bytes of {unit}"),
                thousandths => format!("{} GiB of {unit}", decimal(thousandths)),
            }
        }
        ResourceName::PODS => format!("{amount} {}", plural("pod slot")),
        ResourceName::NODES => format!("{amount} {}", plural("node")),
        ResourceName::COST => format!("${}/h", UsdPerHour::from_micros(amount)),
        other => match other.strip_prefix(ATTACHMENTS) {
            Some(driver) => format!("{amount} attached {} of {driver}", plural("volume")),
            None => format!("{amount} {other}"),
        },
    }
}

/// The same without rounding: what is said is what has to be set.
pub(super) fn exact_amount(resource: &str, of: i64) -> String {
    const MIB: i64 = 1 << 20;
    let unit = match resource {
        ResourceName::MEMORY => "memory",
        ResourceName::EPHEMERAL_STORAGE => "ephemeral storage",
        _ => return amount(resource, of),
    };
    match of {
        whole if (i128::from(whole) * 1_000) % (1 << 30) == 0 && whole != 0 => amount(resource, of),
        whole if whole % MIB == 0 => format!("{} MiB of {unit}", whole / MIB),
        _ => format!("{of} bytes of {unit}"),
    }
}

/// Thousandths as a decimal without trailing zeros.
fn decimal(thousandths: i128) -> String {
    let text =
        format!("{}{}.{:03}", if thousandths < 0 { "-" } else { "" }, thousandths.abs() / 1_000, thousandths.abs() % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        let cases = [
            (ResourceName::CPU, 191_690, "191.69 cores"),
            (ResourceName::CPU, 1_000, "1 core"),
            (ResourceName::MEMORY, 3_758_096_384, "3.5 GiB of memory"),
            (ResourceName::MEMORY, 5, "5 bytes of memory"),
            (ResourceName::NODES, 1, "1 node"),
            (ResourceName::PODS, 29, "29 pod slots"),
            (ResourceName::COST, 1_500_000, "$1.5000/h"),
            ("nvidia.com/gpu", 8, "8 nvidia.com/gpu"),
            ("attachable-volumes-csi-ebs.csi.aws.com", 1, "1 attached volume of ebs.csi.aws.com"),
        ];
        for (resource, number, expected) in cases {
            assert_eq!(amount(resource, number), expected);
        }
    }

    #[test]
    fn what_has_to_be_set_is_not_rounded() {
        let cases = [
            (3_758_096_384, "3.5 GiB of memory"),
            (7_577 << 20, "7577 MiB of memory"),
            ((1 << 30) + 1, "1073741825 bytes of memory"),
        ];
        for (number, expected) in cases {
            assert_eq!(exact_amount(ResourceName::MEMORY, number), expected);
        }
        assert_eq!(exact_amount(ResourceName::CPU, 2_500), "2.5 cores");
    }

    #[test]
    fn lists_stay_short() {
        let names = |count: u8| (0..count).map(|n| char::from(b'a' + n).to_string()).collect::<BTreeSet<_>>();
        assert_eq!(listed(&names(1)), "a");
        assert_eq!(listed(&names(2)), "a and b");
        assert_eq!(listed(&names(6)), "a, b, c, d and 2 more");
    }
}
