"""A first plan: node after node, the one that holds most for its price."""

from dataclasses import dataclass

from supercargo_peer.bins import Bin, Bins


@dataclass
class Packed:
    """A node with its pods: class and count."""

    bin: int
    counts: dict[int, int]


def pack(of: Bins) -> list[Packed] | None:
    """A plan, or nothing where limits get in the way."""
    left = [len(one.pods) for one in of.classes]
    worth = [min(_share(one, of, at) for one in of.bins if at in one.takes) for at in range(len(of.classes))]
    order = sorted(range(len(of.classes)), key=lambda at: -worth[at])
    spent: dict[tuple[int, str], int] = {}
    made: list[Packed] = []
    while any(left):
        best: tuple[float, int, dict[int, int]] | None = None
        for number, one in enumerate(of.bins):
            if not _within_limits(one, of, spent):
                continue
            counts = _fill(one, of, order, left)
            value = sum(worth[at] * count for at, count in counts.items())
            if value > 0 and (best is None or one.price / value < best[0]):
                best = (one.price / value, number, counts)
        if best is None:
            return None
        _, number, counts = best
        # The same node again and again, as long as there are pods for it.
        while all(left[at] >= count for at, count in counts.items()) and _within_limits(of.bins[number], of, spent):
            for at, count in counts.items():
                left[at] -= count
            for name in of.pools[of.bins[number].pool].limits:
                key = (of.bins[number].pool, name)
                spent[key] = spent.get(key, 0) + counted(of.bins[number], name)
            made.append(Packed(number, dict(counts)))
    return made


def counted(of: Bin, resource: str) -> int:
    """What a node takes of the limit on a resource of its NodePool."""
    return 1 if resource == "nodes" else of.capacity.get(resource, 0)


def _within_limits(one: Bin, of: Bins, spent: dict[tuple[int, str], int]) -> bool:
    limits = of.pools[one.pool].limits
    return all(spent.get((one.pool, name), 0) + counted(one, name) <= most for name, most in limits.items())


def _share(one: Bin, of: Bins, at: int) -> float:
    """What the share of the bin that a pod takes costs, at least."""
    requests = of.classes[at].requests
    return one.price * max(need / has for need, has in zip(requests, one.room) if need)


def _fill(one: Bin, of: Bins, order: list[int], left: list[int]) -> dict[int, int]:
    room, counts = list(one.room), {}
    for at in order:
        item = of.classes[at]
        if left[at] == 0 or at not in one.takes or any(other in counts for other in item.apart_from):
            continue
        fits = min(has // need for need, has in zip(item.requests, room) if need)
        count = min(left[at], fits, left[at] if item.most_per_node is None else item.most_per_node)
        if count > 0:
            counts[at] = count
            room = [has - need * count for need, has in zip(item.requests, room)]
    return counts
