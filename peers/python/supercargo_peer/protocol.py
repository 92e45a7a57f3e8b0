"""The documents of the protocol between the benchmark and a peer; src/benchmark/protocol.rs explains them."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FORMAT = "supercargo-peer/1"


class CannotState(Exception):
    """The instance has something that the peer has no notion of."""


class NothingFound(Exception):
    """There is no plan within the budget."""


@dataclass
class Plan:
    """What a peer found. Money is in dollars per hour, time in seconds."""

    nodes: list[dict[str, Any]]
    solve_seconds: float
    bound: float | None = None
    first_plan_seconds: float | None = None
    trajectory: list[dict[str, float | None]] = field(default_factory=list)


def respond(version: str, solve: Callable[[dict[str, Any]], Plan]) -> None:
    """Reads a request, has `solve` plan for it, and writes the answer."""
    start = time.monotonic()
    # Solvers greet their user on standard output, which is for the answer alone.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer: dict[str, Any] = {"format": FORMAT, "version": version, "solveSeconds": 0.0}
    try:
        request = json.load(sys.stdin)
        if request["format"] != FORMAT:
            raise ValueError(f"the request is of format `{request['format']}`, this is for {FORMAT}")
        plan = solve(request)
        answer |= {
            "status": "solved",
            "nodes": plan.nodes,
            "bound": plan.bound,
            "firstPlanSeconds": plan.first_plan_seconds,
            "trajectory": plan.trajectory,
            "solveSeconds": plan.solve_seconds,
        }
    except CannotState as unstated:
        answer |= {"status": "cannotState", "reason": str(unstated)}
    except NothingFound as nothing:
        answer |= {"status": "nothingFound", "reason": str(nothing), "solveSeconds": time.monotonic() - start}
    except (KeyError, TypeError, ValueError) as error:
        answer |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    with out:
        json.dump(answer, out)
        out.write("\n")
