"""Rebuilds pricing-cache/<region>/ from package registries. The same pins give the same bytes: sorted, no time of the run."""

import argparse
import filecmp
import hashlib
import re
import sys
import tempfile
from pathlib import Path

import sources
import spot_estimate

REGION = "us-east-1"
CACHE = Path(__file__).resolve().parent.parent
FILES = [f"{REGION}/{name}" for name in ["catalog.properties", "ebs.csv", "instance-types.csv", "offerings.csv", "spot.csv"]]
FILES += ["us-gov/on-demand.csv", "us-gov/on-demand.properties"]

# List prices of us-east-1 in micro-dollars per GiB and month, capacity alone (https://aws.amazon.com/ebs/pricing/).
# The newest of them, gp3's, has been in force since its launch on EBS_AS_OF.
EBS_MICROS = {"gp2": 100_000, "gp3": 80_000, "io1": 125_000, "io2": 125_000, "sc1": 15_000, "st1": 45_000, "standard": 50_000}
EBS_AS_OF = "2020-12-01"

ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
CATEGORY = re.compile(r"^([a-z]+)(?:-\d+tb)?\d+.*\.")


def dollars(micros):
    """At least four decimals, six when they are needed."""
    text = f"{micros // 1_000_000}.{micros % 1_000_000:06}"
    return text[:-2] if text.endswith("00") else text


def optional(value):
    return "" if value is None else str(value)


def yes(flag):
    return "true" if flag else "false"


def architecture(facts):
    known = [ARCHITECTURES[name] for name in facts["ProcessorInfo"]["SupportedArchitectures"] if name in ARCHITECTURES]
    return known[0] if known else None


def devices(entries, manufacturer=None):
    """`name:manufacturer:count:memory MiB:cores` of each kind."""
    return ";".join(
        ":".join(
            str(part)
            for part in [
                entry["Name"],
                entry.get("Manufacturer", manufacturer),
                entry["Count"],
                entry.get("MemoryInfo", {}).get("SizeInMiB", 0),
                entry.get("CoreInfo", {}).get("Count", 0),
            ]
        )
        for entry in sorted(entries, key=lambda entry: entry["Name"])
    )


def instance_type_row(name, facts, tables):
    """One line of instance-types.csv, by column."""
    cpu, network, storage = facts["ProcessorInfo"], facts["NetworkInfo"], facts.get("InstanceStorageInfo", {})
    ebs, usage = facts["EbsInfo"], facts["SupportedUsageClasses"]
    cards = sorted(network["NetworkCards"], key=lambda card: card["NetworkCardIndex"])
    if [card["NetworkCardIndex"] for card in cards] != list(range(len(cards))):
        raise SystemExit(f"{name}: network cards are not numbered from 0")
    optimized = ebs.get("EbsOptimizedInfo", {}) if ebs["EbsOptimizedSupport"] == "default" else {}
    return {
        "instance_type": name,
        "architecture": architecture(facts),
        "vcpus": facts["VCpuInfo"]["DefaultVCpus"],
        "memory_mib": facts["MemoryInfo"]["SizeInMiB"],
        "cpu_manufacturer": cpu["Manufacturer"],
        "clock_mhz": round(cpu.get("SustainedClockSpeedInGhz", 0) * 1000),
        "hypervisor": facts.get("Hypervisor", ""),
        "bare_metal": yes(facts["BareMetal"]),
        "burstable": yes(facts["BurstablePerformanceSupported"]),
        "current_generation": yes(facts["CurrentGeneration"]),
        "on_demand": yes("on-demand" in usage),
        "spot": yes("spot" in usage),
        "nested_virtualization": yes("nested-virtualization" in cpu.get("SupportedFeatures", [])),
        "enclaves": yes(facts["NitroEnclavesSupport"] == "supported"),
        "interfaces_per_card": " ".join(str(card["MaximumNetworkInterfaces"]) for card in cards),
        "default_card": network["DefaultNetworkCardIndex"],
        "ipv4_per_interface": network["Ipv4AddressesPerInterface"],
        "ena": yes(network["EnaSupport"] != "unsupported"),
        "efa_interfaces": network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0),
        "branch_interfaces": tables["branch_interfaces"].get(name, 0),
        "encryption_in_transit": yes(network["EncryptionInTransitSupported"]),
        "bandwidth_mbps": optional(tables["bandwidth_mbps"].get(name)),
        "ebs_bandwidth_mbps": optional(optimized.get("MaximumBandwidthInMbps")),
        "instance_store_gb": optional(storage.get("TotalSizeInGB")),
        "instance_store_nvme": yes(storage.get("NvmeSupport", "unsupported") != "unsupported"),
        "gpus": devices(facts.get("GpuInfo", {}).get("Gpus", [])),
        "accelerators": devices(facts.get("InferenceAcceleratorInfo", {}).get("Accelerators", [])),
        "neuron_devices": devices(facts.get("NeuronInfo", {}).get("NeuronDevices", []), manufacturer="AWS"),
        "ebs_attachments": optional(ebs.get("MaximumEbsAttachments")),
        "ebs_attachments_shared": yes(ebs.get("AttachmentLimitType") != "dedicated"),
    }


def csv_text(header, rows):
    lines = [header] + rows
    for line in lines:
        if any("," in str(cell) or '"' in str(cell) for cell in line):
            raise SystemExit(f"a cell needs quotes, which the format does not have: {line}")
    return "".join(",".join(str(cell) for cell in line) + "\n" for line in lines)


def properties_text(properties):
    return "".join(f"{key} = {value}\n" for key, value in properties.items())


def contents(scratch):
    """Every file by path."""
    facts, zones, facts_day = sources.instance_facts(scratch, REGION)
    tables, prices_day, us_gov_day = sources.karpenter_tables(scratch, REGION)
    on_demand = {name: round(price * 1_000_000) for name, price in tables["on_demand"].items()}
    names = [name for name in sorted(on_demand) if name in facts and name in zones and architecture(facts[name])]
    all_zones = sorted(set().union(*(zones[name] for name in names)))

    rows = [instance_type_row(name, facts[name], tables) for name in names]
    offerings, spot = [], []
    for name in names:
        offerings.append([name, dollars(on_demand[name]), " ".join(sorted(zones[name]))])
        if "spot" in facts[name]["SupportedUsageClasses"]:
            matched = CATEGORY.match(name)
            thousandths = spot_estimate.per_mille(facts[name], matched.group(1) if matched else None)
            price = {zone: spot_estimate.price(on_demand[name], thousandths, name, zone) for zone in zones[name]}
            spot.append([name] + [dollars(price[zone]) if zone in price else "" for zone in all_zones])

    moto = f"EC2 DescribeInstanceTypes and DescribeInstanceTypeOfferings as shipped in moto {sources.MOTO}"
    karpenter = f"karpenter-provider-aws {sources.KARPENTER_VERSION}"
    properties = {
        "region": REGION,
        "instance_types.origin": f"{moto}; branch interfaces and bandwidth from {karpenter}",
        "instance_types.as_of": facts_day,
        "zones.origin": moto,
        "zones.as_of": facts_day,
        "on_demand.origin": f"AWS Price List in {karpenter}",
        "on_demand.as_of": prices_day,
        "spot.kind": "estimate",
        "spot.origin": "a fixed rule on the On-Demand price, pricing-cache/README.md",
        "spot.as_of": prices_day,
        "ebs.origin": "AWS list prices",
        "ebs.as_of": EBS_AS_OF,
    }
    us_gov = tables["on_demand_us_gov"]
    us_gov_rows = [
        [name] + [dollars(round(us_gov[region][name] * 1_000_000)) if name in us_gov[region] else "" for region in sorted(us_gov)]
        for name in sorted(set().union(*us_gov.values()))
    ]
    us_gov_properties = {"origin": f"AWS Price List in {karpenter}", "as_of": us_gov_day}
    return {
        "us-gov/on-demand.csv": csv_text(["instance_type"] + sorted(us_gov), us_gov_rows),
        "us-gov/on-demand.properties": properties_text(us_gov_properties),
        f"{REGION}/catalog.properties": properties_text(properties),
        f"{REGION}/ebs.csv": csv_text(["volume_type", "usd_per_gib_month"], [[t, dollars(p)] for t, p in sorted(EBS_MICROS.items())]),
        f"{REGION}/instance-types.csv": csv_text(list(rows[0]), [list(row.values()) for row in rows]),
        f"{REGION}/offerings.csv": csv_text(["instance_type", "usd_per_hour", "zones"], offerings),
        f"{REGION}/spot.csv": csv_text(["instance_type"] + all_zones, spot),
    }


def write(root, files):
    """The files below `root`, and the MANIFEST that names their digests as sha256sum prints them."""
    manifest = []
    for name in FILES:
        data = files[name].encode()
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        manifest.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (root / "MANIFEST").write_text("".join(manifest))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="rebuild aside and fail if the files here differ")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        files = contents(scratch)
        if not check:
            write(CACHE, files)
            return
        write(scratch / "rebuilt", files)
        paths = ["MANIFEST"] + FILES
        _, differ, missing = filecmp.cmpfiles(CACHE, scratch / "rebuilt", paths, shallow=False)
    if differ or missing:
        sys.exit("differs from what the registries give: " + ", ".join(sorted(differ + missing)))
    print(f"{len(paths)} files equal what the registries give")


if __name__ == "__main__":
    main()
