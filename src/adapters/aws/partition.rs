//! What depends on the partition that a region belongs to: where its prices are asked for, and in which currency they are.

/// Where a region's On-Demand prices come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PriceList {
    /// The Price List answers, in that region's endpoint, with amounts in that currency.
    At {
        /// The region of the endpoint.
        endpoint: &'static str,
        /// As the Price List writes it.
        currency: &'static str,
    },
    /// The partition has no Price List.
    None,
}

impl PriceList {
    /// The Price List for `region`. There are four endpoints in all; the nearest is taken.
    pub(super) fn of(region: &str) -> Self {
        let endpoint = match region.split('-').next() {
            _ if region.starts_with("us-gov-") || region.contains("-iso") => return Self::None,
            Some("cn") => return Self::At { endpoint: "cn-northwest-1", currency: "CNY" },
            Some("ap") => "ap-south-1",
            Some("eu") => "eu-central-1",
            _ => "us-east-1",
        };
        Self::At { endpoint, currency: "USD" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_endpoint_of_the_partition_is_asked() {
        let at = |endpoint, currency| PriceList::At { endpoint, currency };
        let cases = [
            ("us-east-1", at("us-east-1", "USD")),
            ("sa-east-1", at("us-east-1", "USD")),
            ("ap-southeast-5", at("ap-south-1", "USD")),
            ("eu-north-1", at("eu-central-1", "USD")),
            ("cn-north-1", at("cn-northwest-1", "CNY")),
            ("us-gov-west-1", PriceList::None),
            ("us-iso-east-1", PriceList::None),
            ("eu-isoe-west-1", PriceList::None),
        ];
        for (region, expected) in cases {
            assert_eq!(PriceList::of(region), expected, "{region}");
        }
    }
}
