"""OR-tools CP-SAT on a compact model.

    minimise    sum of price_b y_sb                              nodes s = 1..K, bins b
    subject to  sum_b y_sb <= 1                                  a node is of one kind, or none
                sum_c r_cd x_sc <= sum_b room_bd y_sb            for each resource d
                x_sc <= m_c sum_{b takes c} y_sb                 only pods that may be there
                sum_s x_sc = n_c                                 all pods of class c
                price of node s >= price of node s + 1           nodes are alike: dearest first

`K` is the largest number of nodes that a plan no dearer than the first one can have, where that is small enough; the bound holds for
every plan then, and is left out otherwise.
"""

import os
import time
from importlib.metadata import version
from typing import Any

from ortools.sat.python import cp_model
from supercargo_peer import bins, greedy
from supercargo_peer.protocol import CannotState, NothingFound, Plan, respond

# Variables of the largest model: beyond it, presolve takes longer than the budgets of the tracks.
_MOST_VARIABLES = 20_000
# Workers: with fewer CP-SAT leaves out those that find bounds, also on machines with fewer cores.
_LEAST_WORKERS = 8
# Nodes beyond those of the first plan, where not all can be had.
_SPARE_NODES = 1.25


class _Progress(cp_model.CpSolverSolutionCallback):
    """Notes plans and bounds."""

    def __init__(self, start: float, trajectory: list[dict[str, float | None]], bounded: bool) -> None:
        super().__init__()
        self._start, self._trajectory, self._bounded = start, trajectory, bounded

    def on_solution_callback(self) -> None:
        cost = self.objective_value / 1e6
        bound = self.best_objective_bound / 1e6 if self._bounded else None
        self._trajectory.append({"seconds": time.monotonic() - self._start, "cost": cost, "bound": bound})


def _slots(of: bins.Bins, first: list[greedy.Packed], cost: int) -> tuple[int, bool]:
    """Nodes of the model, and whether every plan that matters has as many at most."""
    pods = sum(len(one.pods) for one in of.classes)
    enough = min(pods, cost // min(one.price for one in of.bins))
    each = len(of.bins) + len(of.classes)
    affordable = _MOST_VARIABLES // each
    if enough <= affordable:
        return enough, True
    slots = min(affordable, round(len(first) * _SPARE_NODES) + 1)
    if slots < len(first):
        raise CannotState(f"{len(first)} nodes with {len(of.bins)} kinds of nodes and {len(of.classes)} kinds of pods (too large)")
    return slots, False


def solve(request: dict[str, Any]) -> Plan:
    """The best plan within the budget."""
    of = bins.read(request)
    start = time.monotonic()
    if not of.classes:
        return Plan([], 0.0, 0.0, 0.0)
    first = greedy.pack(of)
    if first is None:
        raise NothingFound("the limits of the NodePools leave no room for all pods")
    cost = sum(of.bins[node.bin].price for node in first)
    found_first = time.monotonic() - start
    trajectory: list[dict[str, float | None]] = [{"seconds": found_first, "cost": cost / 1e6, "bound": None}]
    slots, bounded = _slots(of, first, cost)
    model, kinds, counts = _model(of, slots)
    hint = sorted(first, key=lambda node: -of.bins[node.bin].price)
    for slot in range(slots):
        for number, chosen in enumerate(kinds[slot]):
            model.add_hint(chosen, slot < len(hint) and hint[slot].bin == number)
        for at, count in enumerate(counts[slot]):
            model.add_hint(count, hint[slot].counts.get(at, 0) if slot < len(hint) else 0)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = max(request["budgetSeconds"] - (time.monotonic() - start), 0.01)
    solver.parameters.random_seed = request["seed"] % 2**31
    solver.parameters.num_workers = max(_LEAST_WORKERS, os.cpu_count() or 1)
    # The linear relaxation is what the bound comes from.
    solver.parameters.linearization_level = 2

    def note_bound(bound: float) -> None:
        best = min(point["cost"] for point in trajectory if point["cost"] is not None)
        trajectory.append({"seconds": time.monotonic() - start, "cost": best, "bound": bound / 1e6})

    if bounded:
        solver.best_bound_callback = note_bound
    status = solver.solve(model, _Progress(start, trajectory, bounded))
    next_pod = [0] * len(of.classes)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) and solver.objective_value <= cost:
        bought = [(slot, number) for slot in range(slots) for number in range(len(of.bins)) if solver.boolean_value(kinds[slot][number])]
        nodes = [
            of.node(of.bins[number], [(at, solver.value(count)) for at, count in enumerate(counts[slot])], next_pod)
            for slot, number in bought
        ]
    else:
        nodes = [of.node(of.bins[node.bin], sorted(node.counts.items()), next_pod) for node in first]
    nodes = [node for node in nodes if node["pods"]]
    known = bounded and status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN)
    bound = solver.best_objective_bound / 1e6 if known and solver.best_objective_bound > 0 else None
    return Plan(nodes, time.monotonic() - start, bound, found_first, trajectory)


def _model(of: bins.Bins, slots: int) -> tuple[cp_model.CpModel, list[list[cp_model.IntVar]], list[list[cp_model.IntVar]]]:
    """The model, and its variables by node: which kind it is, and its pods by class."""
    model = cp_model.CpModel()
    kinds = [[model.new_bool_var(f"y{slot}_{number}") for number in range(len(of.bins))] for slot in range(slots)]
    most = [_most(of, at) for at in range(len(of.classes))]
    counts = [[model.new_int_var(0, most[at], f"x{slot}_{at}") for at in range(len(of.classes))] for slot in range(slots)]
    apart = [(at, other) for at, item in enumerate(of.classes) for other in item.apart_from if at < other]
    for slot in range(slots):
        model.add_at_most_one(kinds[slot])
        for dimension in range(len(of.resources)):
            asked = sum(item.requests[dimension] * counts[slot][at] for at, item in enumerate(of.classes) if item.requests[dimension])
            model.add(asked <= sum(one.room[dimension] * kinds[slot][number] for number, one in enumerate(of.bins)))
        for at in range(len(of.classes)):
            takes = [number for number, one in enumerate(of.bins) if at in one.takes]
            if len(takes) < len(of.bins):
                model.add(counts[slot][at] <= most[at] * sum(kinds[slot][number] for number in takes))
        for at, other in apart:
            is_there = model.new_bool_var(f"z{slot}_{at}_{other}")
            model.add(counts[slot][at] <= most[at] * is_there)
            model.add(counts[slot][other] <= most[other] * (1 - is_there))
    prices = [sum(one.price * kinds[slot][number] for number, one in enumerate(of.bins)) for slot in range(slots)]
    for slot in range(slots - 1):
        model.add(prices[slot] >= prices[slot + 1])
    for at, item in enumerate(of.classes):
        model.add(sum(counts[slot][at] for slot in range(slots)) == len(item.pods))
    for number, pool in enumerate(of.pools):
        for name, limit in pool.limits.items():
            taken = [
                greedy.counted(one, name) * kinds[slot][kind]
                for slot in range(slots)
                for kind, one in enumerate(of.bins)
                if one.pool == number
            ]
            model.add(sum(taken) <= limit)
    model.minimize(sum(prices))
    return model, kinds, counts


def _most(of: bins.Bins, at: int) -> int:
    """Pods of a class that one node can have."""
    item = of.classes[at]
    fits = max(min(has // need for need, has in zip(item.requests, one.room) if need) for one in of.bins if at in one.takes)
    return min(len(item.pods), fits, len(item.pods) if item.most_per_node is None else item.most_per_node)


if __name__ == "__main__":
    respond(f"ortools {version('ortools')} CP-SAT", solve)
