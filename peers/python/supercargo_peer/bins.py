"""An instance as bins to buy and classes of items to put into them.

A bin is what NodePool, instance type, zone and capacity type amount to for the pods: room after DaemonSets, the classes that it is for,
a price. Bins that another one makes superfluous are left out.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from supercargo_peer import catalog, cluster
from supercargo_peer.protocol import CannotState

# A place to look for domination: beyond this the comparison of all pairs takes longer than it saves.
_MOST_BINS = 20_000


@dataclass
class ItemClass:
    """Pods that are alike."""

    requests: list[int]
    pods: list[str]
    most_per_node: int | None
    apart_from: set[int] = field(default_factory=set)


@dataclass
class Bin:
    """A node to buy; the price is in micro-dollars per hour, the room in the units of `Bins.resources`."""

    price: int
    room: list[int]
    takes: frozenset[int]
    pool: int
    capacity: dict[str, int]
    offering: catalog.Offering
    instance_type: str


@dataclass
class Bins:
    """All of it. `units` are what one unit of a resource in `room` and `requests` stands for."""

    resources: list[str]
    units: list[int]
    classes: list[ItemClass]
    bins: list[Bin]
    pools: list[cluster.Pool]

    def node(self, of: Bin, counts: Iterable[tuple[int, int]], next_pod: list[int]) -> dict[str, Any]:
        """A node of the answer with so many pods of each class; `next_pod` remembers which pods of a class are taken."""
        pods: list[str] = []
        for at, count in counts:
            pods += self.classes[at].pods[next_pod[at] : next_pod[at] + count]
            next_pod[at] += count
        return {
            "nodePool": self.pools[of.pool].name,
            "instanceType": of.instance_type,
            "zone": of.offering.zone,
            "capacityType": of.offering.capacity_type,
            "pods": pods,
        }


def read(request: dict[str, Any]) -> Bins:
    """The bins and items of a request. Pods that no bin holds are left out, as they stay pending in any plan."""
    known = cluster.read(request)
    sold = catalog.read(request["instance"]["catalog"]["inline"])
    workloads = _merged(known.workloads)
    resources = sorted({name for of in workloads for name, _ in of.spec.requests})
    asked = [dict(of.spec.requests) for of in workloads]
    # Sums of requests are multiples of their greatest common divisor, so room is rounded down to one without loss.
    units = [math.gcd(*(of.get(name, 0) for of in asked)) for name in resources]
    classes = [
        ItemClass([of.get(name, 0) // unit for name, unit in zip(resources, units)], one.pods, one.most_per_node, set(one.apart_from))
        for of, one in zip(asked, workloads)
    ]
    node_classes = {name: catalog.NodeClass(of) for name, of in known.node_classes.items()}
    best: dict[tuple[Any, ...], Bin] = {}
    for number, pool in enumerate(known.pools):
        node_class = node_classes.get(pool.node_class) or catalog.NodeClass()
        for of in sold.types:
            if not node_class.runs_on(of):
                continue
            capacity, allocatable = node_class.capacity(of), node_class.allocatable(of)
            for offering in of.offerings:
                if node_class.zones is not None and offering.zone not in node_class.zones:
                    continue
                offered = of.labels | {"topology.kubernetes.io/zone": offering.zone, "karpenter.sh/capacity-type": offering.capacity_type}
                if not all(one.admits(offered.get(one.key)) for one in pool.requirements if cluster.offered(one.key)):
                    continue
                labels = pool.labels | offered
                room = dict(allocatable)
                for daemon in known.daemons:
                    if daemon.accepts(labels, pool.taints):
                        for name, number_asked in daemon.requests:
                            room[name] = room.get(name, 0) - number_asked
                if any(left < 0 for left in room.values()):
                    continue
                scaled = [room.get(name, 0) // unit for name, unit in zip(resources, units)]
                takes = frozenset(
                    at
                    for at, one in enumerate(classes)
                    if all(need <= has for need, has in zip(one.requests, scaled)) and workloads[at].spec.accepts(labels, pool.taints)
                )
                made = Bin(offering.price, scaled, takes, number, capacity, offering, of.name)
                limited = tuple(capacity.get(name, 0) for name in sorted(pool.limits))
                key = (number, tuple(scaled), takes, limited)
                if takes and (key not in best or made.price < best[key].price):
                    best[key] = made
    if len(best) > _MOST_BINS:
        raise CannotState(f"{len(best)} kinds of nodes (too large)")
    bins = _undominated(sorted(best.values(), key=lambda one: (one.price, one.instance_type, one.offering.zone)), known.pools)
    placeable = frozenset().union(*(one.takes for one in bins))
    return _without_lost(Bins(resources, units, classes, bins, known.pools), placeable)


def _merged(workloads: list[cluster.Workload]) -> list[cluster.Workload]:
    """Workloads without rules between pods are told apart by their specs alone."""
    made: list[cluster.Workload] = []
    first: dict[cluster.Spec, int] = {}
    moved: dict[int, int] = {}
    for at, of in enumerate(workloads):
        if of.most_per_node is None and not of.apart_from:
            if of.spec in first:
                made[first[of.spec]].pods += of.pods
                continue
            first[of.spec] = len(made)
        moved[at] = len(made)
        made.append(cluster.Workload(of.spec, list(of.pods), of.most_per_node, of.apart_from))
    for of in made:
        of.apart_from = {moved[other] for other in of.apart_from}
    return made


def _undominated(bins: list[Bin], pools: list[cluster.Pool]) -> list[Bin]:
    """The bins, cheapest first, without those that a cheaper one replaces in every plan."""

    def replaces(one: Bin, other: Bin) -> bool:
        limits = pools[one.pool].limits
        counted = all(one.capacity.get(name, 0) <= other.capacity.get(name, 0) for name in limits)
        same_limits = not limits or (one.pool == other.pool and counted)
        return same_limits and one.takes >= other.takes and all(has >= needed for has, needed in zip(one.room, other.room))

    kept: list[Bin] = []
    for of in bins:
        if not any(replaces(one, of) for one in kept):
            kept.append(of)
    return kept


def _without_lost(made: Bins, placeable: frozenset[int]) -> Bins:
    """Without the classes that no bin holds."""
    number = {old: new for new, old in enumerate(sorted(placeable))}
    classes = [made.classes[old] for old in sorted(placeable)]
    for of in classes:
        of.apart_from = {number[other] for other in of.apart_from if other in number}
    for one in made.bins:
        one.takes = frozenset(number[old] for old in one.takes)
    return Bins(made.resources, made.units, classes, made.bins, made.pools)
