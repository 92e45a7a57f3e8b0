"""The workloads and NodePools of a request, as far as a program of bins and items can state them.

What cannot be stated raises `CannotState`: a plan that ignores a rule would be refused, and one that keeps a rule that is not there
would cost too much.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from supercargo_peer.protocol import CannotState
from supercargo_peer.quantity import amount

HOSTNAME = "kubernetes.io/hostname"
_OWN_ANNOTATIONS = "supercargo.io/"
_WORKLOADS = {"Deployment", "ReplicaSet", "StatefulSet", "Job"}
_ALIASES = {
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.ebs.csi.aws.com/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
# Labels that this has no values for, or that a node gets beside its offering.
_UNSTATED_LABELS = {"topology.k8s.aws/zone-id", "karpenter.k8s.aws/instance-tenancy", HOSTNAME}


@dataclass(frozen=True)
class Requirement:
    """One line of node affinity."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def admits(self, label: str | None) -> bool:
        """Whether a node whose label has this value (none where it has no such label) meets it, as kube-scheduler sees it."""
        if self.operator in ("NotIn", "DoesNotExist"):
            return label is None or (self.operator == "NotIn" and label not in self.values)
        if label is None:
            return False
        if self.operator == "In":
            return label in self.values
        if self.operator == "Exists":
            return True
        try:
            return int(label) > int(self.values[0]) if self.operator == "Gt" else int(label) < int(self.values[0])
        except ValueError:
            return False


Alternatives = tuple[tuple[Requirement, ...], ...]


@dataclass(frozen=True)
class Spec:
    """What a pod asks for. Equal specs are one class of items."""

    requests: tuple[tuple[str, int], ...]
    alternatives: Alternatives
    tolerations: tuple[tuple[str | None, ...], ...]

    def accepts(self, labels: dict[str, str], taints: list[dict[str, str]]) -> bool:
        """Whether such a node is one for the pod, room aside."""
        meets = any(all(one.admits(labels.get(one.key)) for one in terms) for terms in self.alternatives)
        return meets and all(any(_tolerates(toleration, taint) for toleration in self.tolerations) for taint in taints)


@dataclass
class Workload:
    """Pods of one spec."""

    spec: Spec
    pods: list[str]
    most_per_node: int | None
    apart_from: set[int] = field(default_factory=set)


@dataclass
class Pool:
    """A NodePool."""

    name: str
    node_class: str
    labels: dict[str, str]
    requirements: list[Requirement]
    taints: list[dict[str, str]]
    limits: dict[str, int]


@dataclass
class Cluster:
    """What is to be planned."""

    workloads: list[Workload]
    daemons: list[Spec]
    pools: list[Pool]
    node_classes: dict[str, dict[str, Any]]


def read(request: dict[str, Any]) -> Cluster:
    """Reads a request. Raises `CannotState` for what no program of bins and items says."""
    instance = request["instance"]
    if instance.get("commitments") is not None:
        raise CannotState("Reserved Instances and Savings Plans")
    if instance.get("maxSpotPoolShare") is not None:
        raise CannotState("a limit on the share of a Spot pool")
    objects = list(_flat(instance["objects"]))
    for unknown in ("Node", "NodeClaim", "NodeOverlay"):
        if any(of["kind"] == unknown for of in objects):
            raise CannotState(f"{unknown}s")
    for of in objects:
        _statable(of, f"{of['kind']} {of['metadata'].get('name')}")
    templates = {(of["kind"], _namespace(of), of["metadata"]["name"]): of for of in objects if of["kind"] in _WORKLOADS | {"Pod"}}
    workloads, peers = [], []
    for asked in request["pods"]:
        key = (asked["kind"], asked["namespace"], asked["name"])
        pods_exist = asked["kind"] != "Pod" and any(("Pod", asked["namespace"], name) in templates for name in asked["pods"])
        if key not in templates or pods_exist:
            raise CannotState(f"pods of {asked['kind']} {asked['name']}, whose manifest does not say all of them")
        manifest = templates[key]
        if manifest["spec"].get("volumeClaimTemplates"):
            raise CannotState(f"volumes of {asked['kind']} {asked['name']}")
        pod = manifest if asked["kind"] == "Pod" else manifest["spec"]["template"]
        where = f"{asked['kind']} {asked['name']}"
        _statable(pod, where)
        spec = pod["spec"]
        names = [f"{asked['namespace']}/{name}" for name in asked["pods"]]
        rules = _per_node(spec, pod.get("metadata", {}).get("labels") or {}, asked["namespace"], where)
        workloads.append(Workload(_pod_spec(spec, where), names, rules.most))
        peers.append((asked["namespace"], pod.get("metadata", {}).get("labels") or {}, rules))
    for at, (namespace, _, rules) in enumerate(peers):
        for other, (theirs, labels, _) in enumerate(peers):
            if theirs != namespace or other == at:
                continue
            if any(_selects(selector, labels) for selector in rules.spread):
                raise CannotState(f"a topology spread constraint that counts pods of several workloads ({workloads[at].pods[0]})")
            if any(_selects(selector, labels) for selector in rules.apart):
                workloads[at].apart_from.add(other)
                workloads[other].apart_from.add(at)
    daemons = [
        _pod_spec(of["spec"]["template"]["spec"], f"DaemonSet {of['metadata']['name']}", daemon=True)
        for of in objects
        if of["kind"] == "DaemonSet"
    ]
    pools = [_pool(of) for of in objects if of["kind"] == "NodePool"]
    if not pools:
        raise CannotState("a cluster without NodePools")
    weights = {of["spec"].get("weight") or 0 for of in objects if of["kind"] == "NodePool"}
    if len(weights) > 1:
        raise CannotState("NodePools of several weights")
    return Cluster(workloads, daemons, pools, {of["metadata"]["name"]: of for of in objects if of["kind"] == "EC2NodeClass"})


def _flat(objects: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for of in objects:
        if of["kind"] == "List":
            yield from _flat(of.get("items", []))
        else:
            yield of


def _namespace(of: dict[str, Any]) -> str:
    return of["metadata"].get("namespace") or "default"


def _statable(of: dict[str, Any], where: str) -> None:
    for key in (of.get("metadata") or {}).get("annotations") or {}:
        if key.startswith(_OWN_ANNOTATIONS):
            raise CannotState(f"the annotation {key} of {where}")


def _requirement(term: dict[str, Any], where: str) -> Requirement:
    key = _ALIASES.get(term["key"], term["key"])
    if key in _UNSTATED_LABELS:
        raise CannotState(f"the label {key} that {where} asks for")
    if term["operator"] not in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"):
        raise CannotState(f"the operator {term['operator']} of {where}")
    if term.get("minValues") is not None:
        raise CannotState(f"minValues of {where}")
    return Requirement(key, term["operator"], tuple(term.get("values") or ()))


def _pod_spec(spec: dict[str, Any], where: str, daemon: bool = False) -> Spec:
    """The spec of a pod. What ties a DaemonSet's pods to others means nothing for the room that they take."""
    if spec.get("resources") or spec.get("resourceClaims"):
        raise CannotState(f"resources of {where} as a whole")
    affinity = spec.get("affinity") or {}
    node = affinity.get("nodeAffinity") or {}
    if not daemon:
        if node.get("preferredDuringSchedulingIgnoredDuringExecution"):
            raise CannotState(f"preferences of {where}")
        if any(
            not ({"emptyDir", "configMap", "secret", "downwardAPI", "projected", "hostPath"} & set(of)) for of in spec.get("volumes") or []
        ):
            raise CannotState(f"volumes of {where}")
        containers = (spec.get("containers") or []) + (spec.get("initContainers") or [])
        if any(port.get("hostPort") for of in containers for port in of.get("ports") or []):
            raise CannotState(f"host ports of {where}")
    selector = [
        _requirement({"key": key, "operator": "In", "values": [text]}, where) for key, text in (spec.get("nodeSelector") or {}).items()
    ]
    required = (node.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    terms = [{}] if required is None else required
    if any(term.get("matchFields") for term in terms):
        raise CannotState(f"matchFields of {where}")
    alternatives = tuple(tuple(selector + [_requirement(of, where) for of in term.get("matchExpressions") or []]) for term in terms)
    tolerations = [
        (of.get("key"), of.get("operator", "Equal"), of.get("value", ""), of.get("effect")) for of in spec.get("tolerations") or []
    ]
    return Spec(tuple(sorted(_requests(spec).items())), alternatives, tuple(sorted(tolerations, key=str)))


def _requests(spec: dict[str, Any]) -> dict[str, int]:
    """What the pod takes of a node: its containers together, or the init container that needs most, and the overhead."""

    def of(container: dict[str, Any]) -> dict[str, int]:
        resources = container.get("resources") or {}
        asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        return {name: amount(name, text) for name, text in asked.items()}

    def plus(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        return {name: a.get(name, 0) + b.get(name, 0) for name in a | b}

    def most(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        return {name: max(a.get(name, 0), b.get(name, 0)) for name in a | b}

    sidecars: dict[str, int] = {}
    while_starting: dict[str, int] = {}
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars = plus(sidecars, of(container))
            while_starting = most(while_starting, sidecars)
        else:
            while_starting = most(while_starting, plus(sidecars, of(container)))
    running = sidecars
    for container in spec.get("containers") or []:
        running = plus(running, of(container))
    overhead = {name: amount(name, text) for name, text in (spec.get("overhead") or {}).items()}
    total = plus(most(running, while_starting), overhead)
    return {name: number for name, number in total.items() if number > 0} | {"pods": 1}


@dataclass
class _PerNode:
    most: int | None = None
    spread: list[dict[str, Any]] = field(default_factory=list)
    apart: list[dict[str, Any]] = field(default_factory=list)


def _per_node(spec: dict[str, Any], labels: dict[str, str], namespace: str, where: str) -> _PerNode:
    """How many pods of a workload a node may have, and whose pods must not be there."""
    made = _PerNode()
    for of in spec.get("topologySpreadConstraints") or []:
        if of.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
            raise CannotState(f"preferences of {where}")
        plain = of["topologyKey"] == HOSTNAME and not of.get("matchLabelKeys") and not of.get("minDomains")
        selector = of.get("labelSelector") or {}
        if not plain or not selector or not _selects(selector, labels):
            raise CannotState(f"the topology spread constraint of {where} on {of['topologyKey']}")
        made.spread.append(selector)
        # A node that is not bought yet has none of them, so this many is always allowed.
        made.most = min(made.most or of["maxSkew"], of["maxSkew"])
    affinity = spec.get("affinity") or {}
    if affinity.get("podAffinity"):
        raise CannotState(f"the pod affinity of {where}")
    anti = affinity.get("podAntiAffinity") or {}
    if anti.get("preferredDuringSchedulingIgnoredDuringExecution"):
        raise CannotState(f"preferences of {where}")
    for term in anti.get("requiredDuringSchedulingIgnoredDuringExecution") or []:
        elsewhere = term.get("namespaceSelector") is not None or set(term.get("namespaces") or [namespace]) != {namespace}
        if term["topologyKey"] != HOSTNAME or elsewhere or term.get("matchLabelKeys") or term.get("mismatchLabelKeys"):
            raise CannotState(f"the anti-affinity of {where} on {term['topologyKey']}")
        selector = term.get("labelSelector")
        if selector is None:
            continue
        if _selects(selector, labels):
            made.most = 1
        made.apart.append(selector)
    return made


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    terms = [Requirement(key, "In", (text,)) for key, text in (selector.get("matchLabels") or {}).items()]
    terms += [Requirement(of["key"], of["operator"], tuple(of.get("values") or ())) for of in selector.get("matchExpressions") or []]
    return all(term.admits(labels.get(term.key)) for term in terms)


def _tolerates(toleration: tuple[str | None, ...], taint: dict[str, str]) -> bool:
    key, operator, text, effect = toleration
    if effect and effect != taint["effect"]:
        return False
    if not key:
        return operator == "Exists"
    return key == taint["key"] and (operator == "Exists" or text == taint.get("value", ""))


def _pool(manifest: dict[str, Any]) -> Pool:
    name, template = manifest["metadata"]["name"], manifest["spec"]["template"]
    if manifest["spec"].get("replicas") is not None:
        raise CannotState(f"the static NodePool {name}")
    spec = template["spec"]
    where = f"NodePool {name}"
    requirements = [_requirement(of, where) for of in spec.get("requirements") or []]
    labels = {_ALIASES.get(key, key): text for key, text in ((template.get("metadata") or {}).get("labels") or {}).items()}
    for one in requirements:
        if not offered(one.key):
            if one.operator != "In" or len(one.values) != 1:
                raise CannotState(f"the label {one.key} that {where} leaves open")
            labels[one.key] = one.values[0]
    # A NodePool's labels are requirements too.
    requirements += [Requirement(key, "In", (text,)) for key, text in labels.items() if offered(key)]
    node_class = spec["nodeClassRef"]["name"]
    labels |= {"karpenter.sh/nodepool": name, "karpenter.k8s.aws/ec2nodeclass": node_class}
    labels |= {"karpenter.sh/registered": "true", "karpenter.sh/initialized": "true"}
    taints = spec.get("taints") or []
    if any(taint["effect"] == "PreferNoSchedule" for taint in taints):
        raise CannotState(f"preferences of {where}")
    limits = {key: amount(key, text) for key, text in (manifest["spec"].get("limits") or {}).items()}
    return Pool(name, node_class, labels, requirements, taints, limits)


def offered(key: str) -> bool:
    """Whether the offering decides the label, not the NodePool."""
    prefixes = ("karpenter.k8s.aws/instance-", "topology.kubernetes.io/", "node.kubernetes.io/", "karpenter.sh/", "kubernetes.io/")
    return key.startswith(prefixes)
