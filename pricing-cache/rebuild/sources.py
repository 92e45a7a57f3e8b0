"""Fetches what the catalog is made of: a wheel from PyPI and a module from the Go proxy, both pinned by version and digest."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

MOTO = "5.2.5"
KARPENTER_MODULE = "github.com/aws/karpenter-provider-aws"
KARPENTER_VERSION = "v1.15.1"
KARPENTER_SUM = "h1:6eH///KgWKDwD2R6wHRnKGN8Vu8OHueaXjNdx64TnuY="
PRICES = "pkg/providers/pricing/zz_generated.pricing_aws.go"
US_GOV_PRICES = "pkg/providers/pricing/zz_generated.pricing_aws_us_gov.go"
BANDWIDTH = "pkg/providers/instancetype/zz_generated.bandwidth.go"
LIMITS = "pkg/providers/instancetype/zz_generated.vpclimits.go"


def instance_facts(scratch, region):
    """DescribeInstanceTypes by name, zones by type, and the day of the data, from the wheel of moto."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        + ["--only-binary", ":all:", "--require-hashes", "-r", HERE / "requirements.txt", "-d", scratch],
        check=True,
    )
    with zipfile.ZipFile(scratch / f"moto-{MOTO}-py3-none-any.whl") as wheel:

        def read(name):
            return json.loads(gzip.decompress(wheel.read(f"moto/ec2/resources/{name}.json.gz")))

        facts = read("instance_types")
        zones = {}
        for offering in read(f"instance_type_offerings/availability-zone/{region}"):
            zones.setdefault(offering["InstanceType"], set()).add(offering["Location"])
        packed = wheel.getinfo("moto/ec2/resources/instance_types.json.gz").date_time
    return facts, zones, "%04d-%02d-%02d" % packed[:3]


def karpenter_tables(scratch, region):
    """On-Demand prices, branch interfaces and bandwidth by type, and the days of the prices of the region and of AWS GovCloud, from the
    Karpenter provider.

    The four generated files are compiled as they are, without the rest of the module.
    """
    build = scratch / "karpenter-tables"
    shutil.copytree(HERE / "karpenter-tables", build)
    environment = dict(os.environ, GOFLAGS="-mod=mod", GOWORK="off")

    # The download answers with an error when the local Go is older than the module asks for; the files are there all the
    # same, and their digest is the one of the checksum database.
    asked = subprocess.run(
        ["go", "mod", "download", "-json", f"{KARPENTER_MODULE}@{KARPENTER_VERSION}"],
        cwd=scratch, env=environment, stdout=subprocess.PIPE, text=True, check=False,
    )
    if not asked.stdout.strip():
        raise SystemExit(f"{KARPENTER_MODULE} {KARPENTER_VERSION}: the download failed, see above")
    module = json.loads(asked.stdout)
    if module.get("Sum") != KARPENTER_SUM:
        raise SystemExit(f"{KARPENTER_MODULE} {KARPENTER_VERSION}: digest {module.get('Sum')}, expected {KARPENTER_SUM}")

    target = build / "karpenter-provider-aws"
    target.mkdir()
    (target / "go.mod").write_text(f"module {KARPENTER_MODULE}\n\ngo 1.24\n")
    with zipfile.ZipFile(module["Zip"]) as archive:
        for path in [PRICES, US_GOV_PRICES, BANDWIDTH, LIMITS]:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(archive.read(f"{KARPENTER_MODULE}@{KARPENTER_VERSION}/{path}"))

    def day(path):
        return re.search(r"generated at (\d{4}-\d{2}-\d{2})T", (target / path).read_text()[:2000]).group(1)

    environment["GOFLAGS"] = "-mod=readonly"
    printed = subprocess.run(
        ["go", "run", ".", region], cwd=build, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(printed.stdout), day(PRICES), day(US_GOV_PRICES)
