"""What is read of a request, what cannot be stated, and the first plan."""

import copy
import unittest
from typing import Any

from supercargo_peer import bins, cluster, greedy
from supercargo_peer.protocol import CannotState

from tests.test_catalog import EMBEDDED

KEPT = ("m5.large", "m5.xlarge", "m6g.xlarge", "c5.4xlarge")
_WHOLE = ("catalog.properties", "ebs.csv")


def files() -> dict[str, str]:
    """The embedded catalog with a few types."""
    made = {}
    for name, text in EMBEDDED.items():
        lines = text.splitlines(keepends=True)
        kept = lines[:1] + [line for line in lines[1:] if line.split(",")[0] in KEPT]
        made[name] = text if name in _WHOLE else "".join(kept)
    return made


def deployment(name: str, pods: int, cpu: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": pods, "template": template}}


def pool(**spec: Any) -> dict[str, Any]:
    requirements = [{"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}]
    node_class = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    node = {"nodeClassRef": node_class, "requirements": requirements}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "default"},
        "spec": {"template": {"spec": node}, **spec},
    }


def request(*objects: dict[str, Any]) -> dict[str, Any]:
    pods = [
        {
            "kind": "Deployment",
            "namespace": "default",
            "name": of["metadata"]["name"],
            "pods": [f"{of['metadata']['name']}-{number}" for number in range(of["spec"]["replicas"])],
        }
        for of in objects
        if of["kind"] == "Deployment"
    ]
    instance = {"objects": list(objects), "catalog": {"inline": files()}}
    return {"format": "supercargo-peer/1", "budgetSeconds": 5, "seed": 1, "instance": instance, "pods": pods}


def spread(key: str, app: str) -> list[dict[str, Any]]:
    return [{"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": app}}}]


class Reading(unittest.TestCase):
    def test_alike_pods_are_one_class_in_units_of_their_divisor(self) -> None:
        made = bins.read(request(pool(), deployment("a", 2, "500m"), deployment("b", 3, "500m"), deployment("c", 1, "1500m")))
        self.assertEqual([len(one.pods) for one in made.classes], [5, 1])
        self.assertEqual(dict(zip(made.resources, made.units)), {"cpu": 500, "memory": 2**30, "pods": 1})
        self.assertEqual([one.requests for one in made.classes], [[1, 1, 1], [3, 1, 1]])

    def test_the_cheapest_zone_of_a_type_stands_for_all(self) -> None:
        made = bins.read(request(pool(), deployment("a", 1, "500m")))
        self.assertEqual(len({one.instance_type for one in made.bins}), len(made.bins))
        self.assertEqual(min(one.price for one in made.bins), 96_000)  # m5.large, On-Demand

    def test_selectors_and_taints_decide_who_goes_where(self) -> None:
        arm = deployment("arm", 1, "1", nodeSelector={"kubernetes.io/arch": "arm64"})
        made = bins.read(request(pool(), arm, deployment("any", 1, "1")))
        takes = {one.instance_type: sorted(made.classes[at].pods[0] for at in one.takes) for one in made.bins}
        self.assertEqual(takes["m6g.xlarge"], ["default/any-0", "default/arm-0"])
        self.assertNotIn("default/arm-0", takes["m5.large"])
        tainted = pool()
        tainted["spec"]["template"]["spec"]["taints"] = [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]
        tolerant = deployment("t", 1, "1", tolerations=[{"key": "dedicated", "operator": "Exists"}])
        made = bins.read(request(tainted, deployment("a", 1, "1"), tolerant))
        self.assertEqual([one.pods for one in made.classes], [["default/t-0"]])

    def test_daemons_take_their_room(self) -> None:
        daemon = {"kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {"template": deployment("d", 1, "1")["spec"]["template"]}}
        with_daemon = bins.read(request(pool(), daemon, deployment("a", 1, "10m")))
        without = bins.read(request(pool(), deployment("a", 1, "10m")))
        room = [{one.instance_type: one.room[0] for one in made.bins}["m5.large"] for made in (with_daemon, without)]
        self.assertEqual(room[1] - room[0], 100)

    def test_init_containers_and_sidecars_count_as_kubernetes_counts_them(self) -> None:
        def of(cpu: str, **more: str) -> dict[str, Any]:
            return {"name": "i", "resources": {"requests": {"cpu": cpu}}, **more}

        spec = {"initContainers": [of("100m", restartPolicy="Always"), of("2")], "overhead": {"cpu": "10m"}}
        made = cluster.read(request(pool(), deployment("a", 1, "500m", **spec)))
        self.assertEqual(dict(made.workloads[0].spec.requests)["cpu"], 2110)

    def test_rules_about_nodes_are_stated(self) -> None:
        apart = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}]
        anti = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}}
        on_hosts = deployment("a", 2, "1", topologySpreadConstraints=spread("kubernetes.io/hostname", "a"))
        made = bins.read(request(pool(), on_hosts, deployment("b", 1, "1", affinity=anti)))
        self.assertEqual([one.most_per_node for one in made.classes], [1, None])
        self.assertEqual([one.apart_from for one in made.classes], [{1}, {0}])

    def test_what_cannot_be_stated_is_named(self) -> None:
        annotated = deployment("a", 1, "1")
        annotated["spec"]["template"]["metadata"]["annotations"] = {"supercargo.io/atomic-group": "g"}
        preferred = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}}
        several = pool()
        several["spec"]["template"]["spec"]["requirements"].append({"key": "team", "operator": "In", "values": ["x", "y"]})
        node = {"kind": "Node", "metadata": {"name": "n"}}
        for what, objects in (
            ("atomic-group", [annotated]),
            (
                "topology.kubernetes.io/zone",
                [deployment("a", 1, "1", topologySpreadConstraints=spread("topology.kubernetes.io/zone", "a"))],
            ),
            ("preferences", [deployment("a", 1, "1", affinity=preferred)]),
            ("volumes", [deployment("a", 1, "1", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])]),
            ("the label team", [several]),
            ("Nodes", [node]),
        ):
            with self.subTest(what), self.assertRaisesRegex(CannotState, what):
                bins.read(request(*([] if several in objects else [pool()]), *objects))
        committed = request(pool(), deployment("a", 1, "1"))
        committed["instance"]["commitments"] = {}
        with self.assertRaises(CannotState):
            bins.read(committed)


class FirstPlan(unittest.TestCase):
    def test_every_pod_has_one_place_with_room(self) -> None:
        made = bins.read(request(pool(), deployment("a", 7, "1500m"), deployment("b", 30, "250m")))
        packed = greedy.pack(made)
        assert packed is not None
        next_pod = [0] * len(made.classes)
        pods = [pod for node in packed for pod in made.node(made.bins[node.bin], sorted(node.counts.items()), next_pod)["pods"]]
        self.assertEqual(len(pods), 37)
        self.assertEqual(len(set(pods)), 37)
        for node in packed:
            for dimension, has in enumerate(made.bins[node.bin].room):
                taken = sum(made.classes[at].requests[dimension] * count for at, count in node.counts.items())
                self.assertLessEqual(taken, has)

    def test_limits_hold(self) -> None:
        asked = request(pool(limits={"cpu": "4"}), deployment("a", 7, "1500m"))
        self.assertIsNone(greedy.pack(bins.read(asked)))
        relaxed = copy.deepcopy(asked)
        relaxed["instance"]["objects"][0]["spec"]["limits"] = {"cpu": "100"}
        self.assertIsNotNone(greedy.pack(bins.read(relaxed)))


if __name__ == "__main__":
    unittest.main()
