"""What the fake AWS sells: types and zones as moto has them, prices from the project's embedded catalog."""

import csv
from decimal import Decimal
from pathlib import Path

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

CATALOG = Path(__file__).resolve().parents[3] / "pricing-cache" / "us-east-1"
HOME = "us-east-1"
# Every other region is dearer by this factor, so that a test can tell whose price it has.
ELSEWHERE = Decimal("1.1")
# Of the types sold in a zone elsewhere, the Spot price is this share of the On-Demand price.
SPOT_SHARE = Decimal("0.4")
# moto knows no region of AWS GovCloud: this one sells what another sells, in zones of its own name.
ALIASES = {"us-gov-west-1": "us-west-2"}
EBS = {"gp2": "0.10", "gp3": "0.08", "io1": "0.125", "io2": "0.125", "sc1": "0.015", "st1": "0.045", "standard": "0.05"}


def rows(name):
    with open(CATALOG / name, newline="") as file:
        return {row["instance_type"]: row for row in csv.DictReader(file)}


ON_DEMAND = {name: Decimal(row["usd_per_hour"]) for name, row in rows("offerings.csv").items()}
SPOT = {
    name: {zone: Decimal(price) for zone, price in row.items() if zone != "instance_type" and price}
    for name, row in rows("spot.csv").items()
}


class Region:
    """Zones by type, and prices as exact decimals."""

    def __init__(self, name, spot_factor):
        self.name = name
        self.spot_factor = spot_factor
        self.zones = {}
        model = ALIASES.get(name, name)
        for offering in INSTANCE_TYPE_OFFERINGS["availability-zone"][model]:
            if offering["InstanceType"] in INSTANCE_TYPES:
                zone = offering["Location"].replace(model, name)
                self.zones.setdefault(offering["InstanceType"], set()).add(zone)
        self.factor = Decimal(1) if name == HOME else ELSEWHERE
        self.on_demand = {name: price * self.factor for name, price in ON_DEMAND.items() if name in self.zones}

    def spot(self, zone):
        """Spot prices in a zone by type."""
        if self.name == HOME:
            return {name: prices[zone] * self.spot_factor for name, prices in sorted(SPOT.items()) if zone in prices}
        sold = [name for name in sorted(SPOT) if zone in self.zones.get(name, ()) and name in self.on_demand]
        prices = {name: (self.on_demand[name] * SPOT_SHARE).quantize(Decimal("0.000001")) for name in sold}
        return {name: price * self.spot_factor for name, price in prices.items()}

    def ebs(self):
        """Prices of volumes in dollars per GiB and month."""
        return {name: Decimal(price) * self.factor for name, price in EBS.items()}


_known = {}


def region(name, spot_factor=1):
    """The region of that name, or None. Its Spot prices are so many times those at first."""
    if ALIASES.get(name, name) not in INSTANCE_TYPE_OFFERINGS["availability-zone"]:
        return None
    if (name, spot_factor) not in _known:
        _known[name, spot_factor] = Region(name, spot_factor)
    return _known[name, spot_factor]
