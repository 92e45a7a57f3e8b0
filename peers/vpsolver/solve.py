"""VPSolver's arc-flow model, solved by HiGHS.

VPSolver writes its graph and the mixed-integer program, and reads a solution of it back; which solver is between is left to its user. The
command-line tools of the package are called as processes, so that one that takes too long can be ended.
"""

import ast
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import highspy
from supercargo_peer import bins
from supercargo_peer.protocol import CannotState, NothingFound, Plan, respond

# VPSolver counts in C's `int`.
_LARGEST = 2**31 - 1


def _instance(of: bins.Bins) -> str:
    """The instance as a .mvp file: dimensions, kinds of bins with room, cost and number, items with number, choices and size."""
    for one in of.bins:
        for at, item in enumerate(of.classes):
            if at not in one.takes and all(need <= has for need, has in zip(item.requests, one.room)):
                raise CannotState(f"pods that are not for every kind of node ({item.pods[0]} not on {one.instance_type})")
    for item in of.classes:
        if item.most_per_node is not None or item.apart_from:
            raise CannotState(f"rules between pods ({item.pods[0]})")
    for pool in of.pools:
        if pool.limits:
            raise CannotState(f"limits of NodePool {pool.name}")
    # Beyond what all items ask for, room makes no difference.
    asked = [sum(item.requests[d] * len(item.pods) for item in of.classes) for d in range(len(of.resources))]
    rooms = [[min(has, most) for has, most in zip(one.room, asked)] for one in of.bins]
    if max(asked, default=0) > _LARGEST:
        raise CannotState("amounts that are too fine for whole numbers of 32 bits")
    lines = [str(len(of.resources)), str(len(of.bins))]
    lines += [" ".join(map(str, [*room, one.price, -1])) for room, one in zip(rooms, of.bins)]
    lines.append(str(len(of.classes)))
    for item in of.classes:
        lines += [f"1 {len(item.pods)}", " ".join(map(str, item.requests))]
    return "\n".join(lines) + "\n"


def _tool(name: str, *arguments: str | Path, deadline: float) -> str:
    """What a tool of VPSolver prints."""
    command = [str(Path(sys.executable).with_name(name)), *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(deadline - time.monotonic(), 0.01), check=False)
    except subprocess.TimeoutExpired:
        raise NothingFound(f"{name} needs longer than the budget for the graph") from None
    sys.stderr.write(done.stdout + done.stderr)
    if done.returncode != 0:
        raise ValueError(f"{name} failed: {done.stdout.strip().splitlines()[-1:]}")
    return done.stdout


def solve(request: dict[str, Any]) -> Plan:
    """The best plan within the budget."""
    of = bins.read(request)
    instance = _instance(of)
    start = time.monotonic()
    if not of.classes:
        return Plan([], 0.0, 0.0, 0.0)
    deadline = start + request["budgetSeconds"]
    with tempfile.TemporaryDirectory() as folder:
        mvp, graph, model, solution = (Path(folder) / name for name in ("instance.mvp", "graph.afg", "model.mps", "values.sol"))
        mvp.write_text(instance)
        _tool("vbp2afg", mvp, graph, deadline=deadline)
        _tool("afg2mps", graph, model, deadline=deadline)
        values, bound, trajectory = _optimum(model, start, deadline, request["seed"])
        solution.write_text("".join(f"{name} {number}\n" for name, number in values.items()))
        # What is left is reading the answer, which is quick and has to end.
        printed = _tool("vbpsol", graph, solution, "0", "1", deadline=time.monotonic() + request["budgetSeconds"] + 10)
    found = next(line for line in printed.splitlines() if line.startswith("PYSOL="))
    _, patterns = ast.literal_eval(found.removeprefix("PYSOL="))
    nodes, next_pod = [], [0] * len(of.classes)
    for one, used in zip(of.bins, patterns):
        for number, items in used:
            for _ in range(number):
                counts: dict[int, int] = {}
                for at, _choice in items:
                    counts[at] = counts.get(at, 0) + 1
                nodes.append(of.node(one, sorted(counts.items()), next_pod))
    first = next((point["seconds"] for point in trajectory if point["cost"] is not None), None)
    return Plan([node for node in nodes if node["pods"]], time.monotonic() - start, bound, first, trajectory)


def _optimum(model: Path, start: float, deadline: float, seed: int) -> tuple[dict[str, int], float, list[dict[str, float | None]]]:
    """Values of the variables that are not 0, the lower bound, and how HiGHS got there."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("time_limit", max(deadline - time.monotonic(), 0.01))
    highs.setOptionValue("random_seed", seed % 2**31)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.readModel(str(model))
    trajectory: list[dict[str, float | None]] = []

    def improved(event: Any) -> None:
        of = event.data_out
        bound = max(of.mip_dual_bound, 0.0) / 1e6
        trajectory.append({"seconds": time.monotonic() - start, "cost": of.objective_function_value / 1e6, "bound": bound})

    highs.cbMipImprovingSolution.subscribe(improved)
    highs.run()
    info = highs.getInfo()
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        raise NothingFound(f"HiGHS found no plan within the budget ({highs.modelStatusToString(highs.getModelStatus())})")
    names, numbers = highs.getLp().col_names_, highs.getSolution().col_value
    values = {name: round(number) for name, number in zip(names, numbers) if round(number) > 0}
    bound = max(info.mip_dual_bound, 0.0) / 1e6
    trajectory.append({"seconds": time.monotonic() - start, "cost": info.objective_function_value / 1e6, "bound": bound})
    return values, bound, trajectory


if __name__ == "__main__":
    respond(f"vpsolver {version('pyvpsolver')} with highs {version('highspy')}", solve)
