"""The Price List's GetProducts. Every product is a JSON text inside the page, as AWS writes it."""

import base64
import json
from decimal import Decimal

from moto.ec2.models.instance_types import INSTANCE_TYPES

import regions

# Where AWS has a Price List.
ENDPOINTS = {"us-east-1", "eu-central-1", "ap-south-1"}
PAGE = 100
HEADERS = [("Content-Type", "application/x-amz-json-1.1")]
# Products that no filter of a careful client lets through, on a page of their own: what differs from m5.large at 12.5 dollars.
ODD = [
    {"operatingSystem": "Windows", "licenseModel": "No License required"},
    {"operatingSystem": "RHEL"},
    {"preInstalledSw": "SQL Std"},
    {"tenancy": "Dedicated"},
    {"tenancy": "Host"},
    {"capacitystatus": "UnusedCapacityReservation"},
    {"regionCode": "ap-northeast-1"},
]


def answer(document, status="200 OK"):
    return status, HEADERS, json.dumps(document).encode()


def error(code, message, status):
    return answer({"__type": f"com.amazonaws.pricing#{code}", "Message": message}, f"{status} Error")


def terms(sku, unit, price, kind="OnDemand"):
    """Terms with one price; with None for one that is not there."""
    amounts = {} if price is None else {"USD": f"{price:.10f}"}
    dimension = {"unit": unit, "endRange": "Inf", "rateCode": f"{sku}.T.D", "beginRange": "0", "appliesTo": [], "pricePerUnit": amounts}
    term = {"priceDimensions": {f"{sku}.T.D": dimension}, "sku": sku, "effectiveDate": "2026-11-01T00:00:00Z", "offerTermCode": "T", "termAttributes": {}}
    return {kind: {f"{sku}.T": term}}


def product(family, attributes, sku, listed):
    made = {"productFamily": family, "attributes": dict(attributes, servicecode="AmazonEC2"), "sku": sku}
    return {"product": made, "serviceCode": "AmazonEC2", "terms": listed, "version": "20261120000000", "publicationDate": "2026-11-20T00:00:00Z"}


def instance(region, name, price, metal=False, **changes):
    facts = INSTANCE_TYPES.get(name, {})
    attributes = {
        "instanceType": name,
        "regionCode": region.name,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "tenancy": "Dedicated" if metal else "Shared",
        "vcpu": str(facts.get("VCpuInfo", {}).get("DefaultVCpus", 0)),
        "locationType": "AWS Region",
        "operation": "RunInstances",
    }
    family = "Compute Instance (bare metal)" if metal else "Compute Instance"
    sku = name.replace(".", "").replace("-", "").upper()
    return product(family, attributes | changes, sku, terms(sku, "Hrs", price))


def products(region):
    """Every product of the region that a filter can choose."""
    made = []
    for name, price in sorted(region.on_demand.items()):
        metal = INSTANCE_TYPES[name]["BareMetal"]
        made.append(instance(region, name, price, metal))
        if name.endswith(".large"):
            made.append(instance(region, name, price * 2, operatingSystem="Windows"))
            made.append(instance(region, name, Decimal(0), capacitystatus="AllocatedCapacityReservation"))
    for name, price in region.ebs().items():
        attributes = {"volumeApiName": name, "regionCode": region.name, "locationType": "AWS Region"}
        made.append(product("Storage", attributes, name.upper(), terms(name.upper(), "GB-Mo", price)))
    return made


def odd_products(region):
    """What a careless client would take for prices."""
    dear = Decimal("12.5")
    made = [instance(region, "m5.large", dear, **changes) for changes in ODD]
    reserved = instance(region, "m5.large", dear)
    reserved["terms"] = terms("R", "Hrs", dear, kind="Reserved")
    nothing = instance(region, "m5.large", dear)
    del nothing["terms"]
    made += [reserved, nothing, instance(region, "m5.large", None), instance(region, "m5.large", Decimal(0))]
    once = instance(region, "m5.large", dear)
    once["terms"] = terms("Q", "Quantity", dear)
    return made + [once]


def get_products(request):
    asked = {one["Field"]: one["Value"] for one in request.get("Filters", [])}
    if request.get("ServiceCode") != "AmazonEC2" or any(one["Type"] != "TERM_MATCH" for one in request.get("Filters", [])):
        return error("InvalidParameterException", "The tests ask for EC2 with exact matches.", 400)
    region = regions.region(asked.get("regionCode"))
    if region is None:
        return answer({"FormatVersion": "aws_v1", "PriceList": []})

    def matches(one):
        known = dict(one["product"]["attributes"], productFamily=one["product"]["productFamily"])
        return all(known.get(field) == value for field, value in asked.items())

    found = [one for one in products(region) if matches(one)]
    if asked.get("tenancy") == "Shared":
        found += odd_products(region)
    size = min(request.get("MaxResults", PAGE), PAGE)
    start = int(base64.b64decode(request["NextToken"]).decode()) if "NextToken" in request else 0
    made = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(one) for one in found[start : start + size]]}
    if start + size < len(found):
        made["NextToken"] = base64.b64encode(str(start + size).encode()).decode()
    return answer(made)


def handle(endpoint_region, action, body):
    """The answer of the Price List in `endpoint_region`."""
    if endpoint_region not in ENDPOINTS:
        return error("AccessDeniedException", f"There is no Price List in {endpoint_region}.", 400)
    if action != "GetProducts":
        return error("InvalidParameterException", f"The fake has no {action}.", 400)
    return get_products(json.loads(body))
