"""The peers that are installed, asked as the benchmark asks them."""

import csv
import json
import subprocess
import unittest
from pathlib import Path
from typing import Any

from tests.test_bins import deployment, files, pool, request

PEERS = Path(__file__).parents[2]


def prices() -> dict[str, float]:
    return {row["instance_type"]: float(row["usd_per_hour"]) for row in csv.DictReader(files()["offerings.csv"].splitlines())}


class Peers(unittest.TestCase):
    def answer(self, peer: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What the peer says; the test is skipped where it is not installed."""
        done = subprocess.run([PEERS / peer / "run"], input=json.dumps(asked), capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 127:
            self.assertIn(f"run peers/{peer}/setup", done.stderr)
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def cost(self, answer: dict[str, Any], asked: dict[str, Any]) -> float:
        """What a plan for all pods costs."""
        self.assertEqual(answer["status"], "solved", answer)
        placed = sorted(pod for node in answer["nodes"] for pod in node["pods"])
        wanted = sorted(f"{of['namespace']}/{name}" for of in asked["pods"] for name in of["pods"])
        self.assertEqual(placed, wanted)
        return sum(prices()[node["instanceType"]] for node in answer["nodes"])

    # Eight pods of 1.5 cores are two on an m6g.xlarge at $0.154, one on an m5.large at $0.096, or ten on a c5.4xlarge at $0.68: four of the
    # first are the least.
    asked = request(pool(), deployment("a", 8, "1500m"))
    least = 4 * 0.154

    def test_cp_sat_proves_the_optimum(self) -> None:
        answer = self.answer("cp-sat", self.asked)
        self.assertAlmostEqual(self.cost(answer, self.asked), self.least)
        self.assertAlmostEqual(answer["bound"], self.least)
        self.assertEqual(answer["trajectory"][-1]["cost"], self.least)

    def test_vpsolver_proves_the_optimum(self) -> None:
        answer = self.answer("vpsolver", self.asked)
        self.assertAlmostEqual(self.cost(answer, self.asked), self.least)
        self.assertAlmostEqual(answer["bound"], self.least)

    def test_karpenter_grows_one_node(self) -> None:
        answer = self.answer("karpenter", self.asked)
        self.assertEqual([node["instanceType"] for node in answer["nodes"]], ["c5.4xlarge"])
        self.assertAlmostEqual(self.cost(answer, self.asked), 0.68)

    def test_what_a_peer_cannot_state_is_an_answer(self) -> None:
        committed = json.loads(json.dumps(self.asked))
        committed["instance"]["commitments"] = {"reservedInstances": []}
        for peer in ("cp-sat", "vpsolver", "karpenter"):
            with self.subTest(peer):
                answer = self.answer(peer, committed)
                self.assertEqual((answer["status"], answer["reason"]), ("cannotState", "Reserved Instances and Savings Plans"))

    def test_pods_that_fit_nowhere_are_left(self) -> None:
        asked = request(pool(), deployment("a", 8, "1500m"), deployment("huge", 1, "400"))
        for peer in ("cp-sat", "vpsolver", "karpenter"):
            with self.subTest(peer):
                answer = self.answer(peer, asked)
                placed = {pod for node in answer["nodes"] for pod in node["pods"]}
                self.assertEqual(len(placed), 8)
                self.assertNotIn("default/huge-0", placed)


if __name__ == "__main__":
    unittest.main()
