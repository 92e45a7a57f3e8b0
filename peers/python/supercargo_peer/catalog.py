"""The catalog of an instance (docs/catalog.md), labels of its types, and what a node offers to pods (docs/allocatable.md)."""

import csv
import io
import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from supercargo_peer.protocol import CannotState
from supercargo_peer.quantity import amount, value

MIB = 2**20
GIB = 2**30
_VM_MEMORY_OVERHEAD = Fraction(75, 1000)
_ARM_RESERVED_MIB = 64
_AWS = "karpenter.k8s.aws/"
_SCHEME = re.compile(r"^([a-z]+)(-[0-9]+tb)?([0-9]+).*\.")
_DEVICE_RESOURCES = {"NVIDIA": "nvidia.com/gpu", "AMD": "amd.com/gpu", "Habana": "habana.ai/gaudi"}
_FAMILIES = {"al2": "AL2", "al2023": "AL2023", "bottlerocket": "Bottlerocket"}
_POD_VOLUME = {"AL2": "/dev/xvda", "AL2023": "/dev/xvda", "Bottlerocket": "/dev/xvdb"}


@dataclass(frozen=True)
class Offering:
    """Something to buy; the price is in micro-dollars per hour."""

    zone: str
    capacity_type: str
    price: int


@dataclass
class InstanceType:
    """A type: its line in `instance-types.csv`, its labels, and how it is sold."""

    facts: dict[str, str]
    labels: dict[str, str]
    offerings: list[Offering] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.facts["instance_type"]


@dataclass
class Catalog:
    """All of it."""

    region: str
    zones: list[str]
    types: list[InstanceType]


def read(files: dict[str, str]) -> Catalog:
    """Reads the files of a catalog, by name."""
    properties = dict(line.split("=", 1) for line in files["catalog.properties"].splitlines() if "=" in line and line[0] != "#")
    region = {key.strip(): text.strip() for key, text in properties.items()}["region"]
    rows = {name: list(csv.DictReader(io.StringIO(files[name]))) for name in ("instance-types.csv", "offerings.csv", "spot.csv")}
    zones = next(csv.reader(io.StringIO(files["spot.csv"])))[1:]
    types = {row["instance_type"]: InstanceType(row, _labels(row, region)) for row in rows["instance-types.csv"]}
    for row in rows["offerings.csv"]:
        if row["usd_per_hour"] and row["instance_type"] in types:
            price = micros(row["usd_per_hour"])
            types[row["instance_type"]].offerings += [Offering(zone, "on-demand", price) for zone in row["zones"].split()]
    for row in rows["spot.csv"]:
        if row["instance_type"] in types:
            types[row["instance_type"]].offerings += [Offering(zone, "spot", micros(row[zone])) for zone in zones if row[zone]]
    return Catalog(region, zones, list(types.values()))


def micros(dollars: str) -> int:
    """Micro-dollars."""
    return math.ceil(Fraction(dollars) * 10**6)


def _devices(text: str) -> list[tuple[str, str, int, int, int]]:
    """Devices of a type: name, manufacturer, count, MiB of memory, cores."""
    fields = [device.split(":") for device in text.split(";") if device]
    return [(name, maker, int(count), int(memory or 0), int(cores or 0)) for name, maker, count, memory, cores in fields]


def _kebab(text: str) -> str:
    return text.replace(" ", "-").lower()


def _labels(facts: dict[str, str], region: str) -> dict[str, str]:
    """The labels that the type decides, as the AWS provider v1.15.1 gives them."""
    name = facts["instance_type"]
    family, _, size = name.partition(".")
    labels = {
        "node.kubernetes.io/instance-type": name,
        "kubernetes.io/arch": facts["architecture"],
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": region,
        _AWS + "instance-cpu": facts["vcpus"],
        _AWS + "instance-memory": facts["memory_mib"],
        _AWS + "instance-cpu-manufacturer": _kebab(facts["cpu_manufacturer"]),
        _AWS + "instance-cpu-sustained-clock-speed-mhz": facts["clock_mhz"],
        _AWS + "instance-hypervisor": facts["hypervisor"],
        _AWS + "instance-encryption-in-transit-supported": facts["encryption_in_transit"],
        _AWS + "instance-family": family,
        _AWS + "instance-size": size,
        _AWS + "instance-capability-flex": str("-flex" in family).lower(),
    }
    if scheme := _SCHEME.match(name):
        labels |= {_AWS + "instance-category": scheme[1], _AWS + "instance-generation": scheme[3]}
    if facts["bandwidth_mbps"]:
        labels[_AWS + "instance-network-bandwidth"] = facts["bandwidth_mbps"]
    if facts["ebs_bandwidth_mbps"]:
        labels[_AWS + "instance-ebs-bandwidth"] = facts["ebs_bandwidth_mbps"]
    if facts["instance_store_gb"] and facts["instance_store_nvme"] == "true":
        labels[_AWS + "instance-local-nvme"] = facts["instance_store_gb"]
    gpus, accelerators, neurons = (_devices(facts[column]) for column in ("gpus", "accelerators", "neuron_devices"))
    if len(gpus) == 1:
        gpu, maker, count, memory, _ = gpus[0]
        labels |= {_AWS + "instance-gpu-name": _kebab(gpu), _AWS + "instance-gpu-manufacturer": _kebab(maker)}
        labels |= {_AWS + "instance-gpu-count": str(count), _AWS + "instance-gpu-memory": str(memory)}
    if len(neurons) == 1 or (len(accelerators) == 1 and not neurons):
        device, maker, count, _, _ = neurons[0] if neurons else accelerators[0]
        labels |= {_AWS + "instance-accelerator-name": _kebab(device), _AWS + "instance-accelerator-count": str(count)}
        labels[_AWS + "instance-accelerator-manufacturer"] = "aws" if neurons else _kebab(maker)
    return labels


class NodeClass:
    """What an EC2NodeClass says about the room on a node; without one, Amazon Linux 2023 is assumed."""

    def __init__(self, manifest: dict[str, Any] | None = None) -> None:
        manifest = manifest or {"spec": {"amiSelectorTerms": [{"alias": "al2023@latest"}]}}
        name, spec = manifest.get("metadata", {}).get("name", ""), manifest.get("spec", {})
        for unknown in ("networkInterfaces", "cpuOptions", "enclaveOptions", "connectionTracking", "placementGroupSelector"):
            if spec.get(unknown):
                raise CannotState(f"spec.{unknown} of EC2NodeClass {name}")
        status = manifest.get("status") or {}
        if status.get("capacityReservations"):
            raise CannotState(f"capacity reservations of EC2NodeClass {name}")
        alias = next((term["alias"] for term in spec.get("amiSelectorTerms", []) if term.get("alias")), "")
        self.family = spec.get("amiFamily") or _FAMILIES.get(alias.partition("@")[0], alias)
        if self.family not in _POD_VOLUME:
            raise CannotState(f"images `{self.family}` of EC2NodeClass {name}")
        self.zones = {subnet["zone"] for subnet in status.get("subnets", [])} or None
        self.kubelet: dict[str, Any] = spec.get("kubelet") or {}
        self.raid0 = spec.get("instanceStorePolicy") == "RAID0"
        self.devices: list[dict[str, Any]] = spec.get("blockDeviceMappings") or []

    def runs_on(self, of: InstanceType) -> bool:
        """Whether the image starts there: Amazon Linux 2023 needs Armv8.2, which the first Graviton is not."""
        return self.family != "AL2023" or not of.name.startswith("a1.")

    def capacity(self, of: InstanceType) -> dict[str, int]:
        """Resources of a node before anything is reserved."""
        facts, made = of.facts, {"cpu": int(of.facts["vcpus"]) * 1000}
        mib = int(facts["memory_mib"]) - (_ARM_RESERVED_MIB if facts["architecture"] == "arm64" else 0)
        made["memory"] = max(mib - math.ceil(mib * _VM_MEMORY_OVERHEAD), 0) * MIB
        made["ephemeral-storage"] = self._storage(facts)
        made["pods"] = self._pods(facts)
        made["vpc.amazonaws.com/pod-eni"] = int(facts["branch_interfaces"])
        made["vpc.amazonaws.com/efa"] = int(facts["efa_interfaces"])
        for _, maker, count, _, _ in _devices(facts["gpus"]):
            resource = _DEVICE_RESOURCES.get(maker)
            if resource:
                made[resource] = made.get(resource, 0) + count
        neurons = _devices(facts["neuron_devices"])
        if neurons:
            made["aws.amazon.com/neuron"] = sum(device[2] for device in neurons)
            made["aws.amazon.com/neuroncore"] = neurons[0][2] * neurons[0][4]
        return made

    def allocatable(self, of: InstanceType) -> dict[str, int]:
        """Resources that pods, DaemonSets included, may ask for."""
        facts, capacity = of.facts, self.capacity(of)
        counted = self._pods(facts) if self.family == "Bottlerocket" else _interface_pods(facts)
        reserved = {"cpu": _reserved_cpu(int(facts["vcpus"])), "memory": (11 * counted + 255) * MIB, "ephemeral-storage": GIB}
        reserved |= {name: amount(name, text) for name, text in (self.kubelet.get("kubeReserved") or {}).items()}
        for name, text in (self.kubelet.get("systemReserved") or {}).items():
            reserved[name] = reserved.get(name, 0) + amount(name, text)
        thresholds = self.kubelet.get("evictionHard") or {}
        reserved["memory"] += _threshold(thresholds.get("memory.available", "100Mi"), capacity["memory"])
        reserved["ephemeral-storage"] += _threshold(thresholds.get("nodefs.available", "10%"), capacity["ephemeral-storage"])
        return {name: max(total - reserved.get(name, 0), 0) for name, total in capacity.items()}

    def _pods(self, facts: dict[str, str]) -> int:
        most = self.kubelet.get("maxPods")
        if isinstance(most, str):
            raise CannotState("an expression in spec.kubelet.maxPods")
        pods = _interface_pods(facts) if most is None else int(most)
        per_core = self.kubelet.get("podsPerCore") or 0
        return min(pods, per_core * int(facts["vcpus"])) if per_core and self.family != "Bottlerocket" else pods

    def _storage(self, facts: dict[str, str]) -> int:
        if self.raid0 and facts["instance_store_gb"]:
            return int(facts["instance_store_gb"]) * 10**9
        sizes = [(device, (device.get("ebs") or {}).get("volumeSize")) for device in self.devices]
        root = next((size for device, size in sizes if device.get("rootVolume")), None)
        mapped = next((size for device, size in sizes if size and device.get("deviceName") == _POD_VOLUME[self.family]), None)
        return amount("ephemeral-storage", root or mapped or "20Gi")


def _interface_pods(facts: dict[str, str]) -> int:
    """Pods that the interfaces of the default card have addresses for, and two of the host's network."""
    interfaces = int(facts["interfaces_per_card"].split()[int(facts["default_card"])])
    return interfaces * (int(facts["ipv4_per_interface"]) - 1) + 2 if interfaces else 0


def _reserved_cpu(vcpus: int) -> int:
    """Milli-cores: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the others."""
    parts = [(0, 1, 600), (1, 2, 100), (2, 4, 50), (4, vcpus, 25)]
    return sum(max(min(vcpus, until) - since, 0) * 1000 * share // 10_000 for since, until, share in parts)


def _threshold(text: str, total: int) -> int:
    """What has to stay free of `total`; 100 % switches the threshold off."""
    text = str(text)
    if not text.endswith("%"):
        return math.ceil(value(text))
    share = Fraction(text[:-1])
    return 0 if share == 100 else math.ceil(total * share / 100)
