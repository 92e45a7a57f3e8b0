"""Room and labels of every type that the embedded catalog sells, and their pieces."""

import csv
import unittest
from pathlib import Path

from supercargo_peer import catalog, quantity
from supercargo_peer.protocol import CannotState

ROOT = Path(__file__).parents[3]
EMBEDDED = {file.name: file.read_text() for file in (ROOT / "pricing-cache" / "us-east-1").iterdir()}


def embedded() -> dict[str, catalog.InstanceType]:
    return {of.name: of for of in catalog.read(EMBEDDED).types}


class Allocatable(unittest.TestCase):
    def test_an_m5_xlarge_is_as_documented(self) -> None:
        of = embedded()["m5.xlarge"]
        for family, pods in (("AL2023", 58), ("Bottlerocket", 58)):
            room = catalog.NodeClass({"spec": {"amiFamily": family}}).allocatable(of)
            self.assertEqual((room["cpu"], room["memory"], room["pods"]), (3920, 14162 * catalog.MIB, pods))
            self.assertEqual(room["ephemeral-storage"], 17 * catalog.GIB)

    def test_kubelet_settings_count(self) -> None:
        kubelet = {
            "maxPods": 20,
            "kubeReserved": {"memory": "1Gi"},
            "systemReserved": {"cpu": "100m"},
            "evictionHard": {"memory.available": "5%", "nodefs.available": "100%"},
        }
        node_class = catalog.NodeClass({"spec": {"amiFamily": "AL2023", "kubelet": kubelet}})
        of = embedded()["m5.xlarge"]
        capacity, room = node_class.capacity(of), node_class.allocatable(of)
        self.assertEqual((room["pods"], room["cpu"]), (20, 3820))
        self.assertEqual(room["memory"], capacity["memory"] - catalog.GIB - -(-capacity["memory"] // 20))
        self.assertEqual(room["ephemeral-storage"], 19 * catalog.GIB)

    def test_images_without_a_formula_are_refused(self) -> None:
        with self.assertRaises(CannotState):
            catalog.NodeClass({"spec": {"amiFamily": "Windows2022"}})

    def test_it_agrees_with_the_reference(self) -> None:
        path = ROOT.parent / "shared" / "data" / "allocatable-reference.csv"
        if not path.exists():
            self.skipTest(f"{path} is not there")
        types, node_class, compared = embedded(), catalog.NodeClass(), 0
        exempt = {"memory", "pods"}  # of types with several cards: docs/allocatable.md explains each
        for row in csv.DictReader(path.read_text().splitlines()):
            of = types.get(row["instance_type"])
            if of is None:
                continue
            compared += 1
            room = node_class.allocatable(of)
            several = len(of.facts["interfaces_per_card"].split()) > 1
            for resource in ("cpu", "memory", "pods", "ephemeral-storage", "nvidia.com/gpu"):
                if row[resource] and not (several and resource in exempt):
                    self.assertEqual(room.get(resource, 0), quantity.amount(resource, row[resource]), (of.name, resource))
            for key in ("category", "family", "generation", "size", "cpu", "memory", "cpu-manufacturer", "gpu-name", "local-nvme"):
                label = f"karpenter.k8s.aws/instance-{key}"
                self.assertEqual(of.labels.get(label, ""), row[label], (of.name, label))
        self.assertGreater(compared, 1000)


class Quantities(unittest.TestCase):
    def test_they_are_exact_and_rounded_up(self) -> None:
        for resource, text, expected in (
            ("cpu", "250m", 250),
            ("cpu", "1.5", 1500),
            ("cpu", "100u", 1),
            ("memory", "1.5Gi", 3 * 2**29),
            ("memory", "128974848", 128974848),
            ("memory", "1e3", 1000),
            ("memory", "1E", 10**18),
        ):
            self.assertEqual(quantity.amount(resource, text), expected, text)
        with self.assertRaises(ValueError):
            quantity.amount("memory", "1Zi")


if __name__ == "__main__":
    unittest.main()
