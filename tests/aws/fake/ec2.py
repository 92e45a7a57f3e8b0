"""EC2 as the tests need it: moto's answers, with the pages, prices and fleets that moto does not have."""

import base64
import contextlib
import datetime
import io
import re
import threading
import zlib
from xml.sax.saxutils import escape

from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

import fleets

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
XML = [("Content-Type", "text/xml;charset=UTF-8")]
# The largest pages that EC2 gives.
PAGES = {"DescribeInstanceTypes": 100, "DescribeInstanceTypeOfferings": 1000, "DescribeSpotPriceHistory": 1000}

_moto = DomainDispatcherApplication(create_backend_app)
# moto answers one request at a time.
_moto_lock = threading.Lock()
_items = {}


class BadRequest(Exception):
    """A request that EC2 would refuse: code and message."""


def error(code, message, status):
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors><RequestID>fake</RequestID></Response>"
    return f"{status} Error", XML, f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode()


def answer(action, inner):
    body = f'<{action}Response xmlns="{NAMESPACE}"><requestId>fake</requestId>{inner}</{action}Response>'
    return "200 OK", XML, f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode()


def account(environ):
    """The account of the access key that signed: every key has one of its own, so that tests do not meet each other's instances."""
    key = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return f"{zlib.crc32(key[1].encode() if key else b''):012d}"


def moto(environ, body):
    """moto's own answer."""
    said = {}

    def start_response(status, headers, exc_info=None):
        said["status"], said["headers"] = status, headers

    # A queue that is waited on must not hold up everything else.
    waits = "/sqs/" in environ.get("HTTP_AUTHORIZATION", "")
    with contextlib.nullcontext() if waits else _moto_lock:
        inner = dict(environ, CONTENT_LENGTH=str(len(body)), HTTP_X_MOTO_ACCOUNT_ID=account(environ))
        inner["wsgi.input"] = io.BytesIO(body)
        data = b"".join(_moto(inner, start_response))
    return said["status"], said["headers"], data


def instance_type_items(environ):
    """moto's XML of each type by name. It writes all of them at once, which takes seconds, so that is done once."""
    with _moto_lock:
        if _items:
            return _items
    _, _, data = moto(environ, b"Action=DescribeInstanceTypes&Version=2016-11-15")
    text = data.decode()
    start = text.index("<instanceTypeSet>") + len("<instanceTypeSet>")
    found, depth, begin = {}, 0, start
    for tag in re.finditer(r"<(/?)item>", text[start:]):
        if not tag[1]:
            begin = start + tag.start() if depth == 0 else begin
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                item = text[begin : start + tag.end()]
                found[re.search(r"<instanceType>([^<]+)", item)[1]] = item
    with _moto_lock:
        _items.update(found)
    return _items


def filters(form):
    """Values by name of the filter."""
    names = {key.split(".")[1]: value for key, value in form.items() if re.fullmatch(r"Filter\.\d+\.Name", key)}
    return {
        name: {value for key, value in form.items() if key.startswith(f"Filter.{number}.Value.")}
        for number, name in names.items()
    }


def page(action, form, entries):
    """One page of entries, and the element that leads to the next. Tokens say nothing, as those of AWS."""
    size = min(int(form.get("MaxResults", PAGES[action])), PAGES[action])
    start = 0
    if "NextToken" in form:
        try:
            start = int(base64.b64decode(form["NextToken"], validate=True).decode().removeprefix(action))
        except ValueError:
            raise BadRequest("InvalidPaginationToken", "The token is not one of ours.") from None
    token = base64.b64encode(f"{action}{start + size}".encode()).decode()
    more = f"<nextToken>{token}</nextToken>" if start + size < len(entries) else ""
    return "".join(entries[start : start + size]), more


def describe_instance_types(region, form, environ):
    items, wanted = instance_type_items(environ), filters(form)

    def matches(name):
        facts = INSTANCE_TYPES[name]
        values = {
            "supported-virtualization-type": facts["SupportedVirtualizationTypes"],
            "processor-info.supported-architecture": facts["ProcessorInfo"]["SupportedArchitectures"],
        }
        return all(set(values[key]) & allowed for key, allowed in wanted.items())

    entries = [items[name] for name in sorted(region.zones) if matches(name)]
    inner, more = page("DescribeInstanceTypes", form, entries)
    return answer("DescribeInstanceTypes", f"<instanceTypeSet>{inner}</instanceTypeSet>{more}")


def describe_instance_type_offerings(region, form, environ):
    if form.get("LocationType") != "availability-zone":
        raise BadRequest("InvalidParameterValue", "The tests ask for zones alone.")
    entries = [
        f"<item><instanceType>{name}</instanceType><locationType>availability-zone</locationType><location>{zone}</location></item>"
        for name in sorted(region.zones)
        for zone in sorted(region.zones[name])
    ]
    inner, more = page("DescribeInstanceTypeOfferings", form, entries)
    return answer("DescribeInstanceTypeOfferings", f"<instanceTypeOfferingSet>{inner}</instanceTypeOfferingSet>{more}")


def describe_spot_price_history(region, form, environ):
    products = {value for key, value in form.items() if key.startswith("ProductDescription.")}
    if not products <= {"Linux/UNIX", "Linux/UNIX (Amazon VPC)"} or "Linux/UNIX" not in products:
        raise BadRequest("InvalidParameterValue", "The tests ask for Linux.")
    started = datetime.datetime.fromisoformat(form["StartTime"].replace("Z", "+00:00"))
    zone = form["AvailabilityZone"]

    def record(name, price, hours):
        since = (started - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return (
            f"<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription>"
            f"<spotPrice>{price:.6f}</spotPrice><timestamp>{since}</timestamp><availabilityZone>{zone}</availabilityZone></item>"
        )

    entries = []
    for number, (name, price) in enumerate(region.spot(zone).items()):
        entries.append(record(name, price, 2))
        if number % 10 == 0:
            # A price that is no longer in force, before or after the one that is.
            entries.insert(len(entries) - number % 20 // 10, record(name, price * 3, 9))
    inner, more = page("DescribeSpotPriceHistory", form, entries)
    return answer("DescribeSpotPriceHistory", f"<spotPriceHistorySet>{inner}</spotPriceHistorySet>{more}")


def create_fleet(key, region, form, environ, body):
    if form.get("DryRun") == "true" or not any(fleets.OVERRIDE.fullmatch(name) for name in form):
        return moto(environ, body)

    def make():
        made = fleets.create_fleet(account(environ), key, region, form, lambda narrowed: moto(environ, narrowed))
        return answer("CreateFleet", made) if isinstance(made, str) else made

    made = fleets.once(key, region, form, make)
    if made is None:
        raise BadRequest("IdempotentParameterMismatch", "The client token was used before with other parameters.")
    return made


def nothing(action, element):
    """The answer to a question that moto does not know: there is none."""
    return lambda region, form, environ: answer(action, f"<{element}/>")


ACTIONS = {
    "DescribeCapacityReservations": nothing("DescribeCapacityReservations", "capacityReservationSet"),
    "DescribePlacementGroups": nothing("DescribePlacementGroups", "placementGroupSet"),
    "DescribeInstanceTypes": describe_instance_types,
    "DescribeInstanceTypeOfferings": describe_instance_type_offerings,
    "DescribeSpotPriceHistory": describe_spot_price_history,
}


def handle(key, region, form, environ, body):
    """The answer to a request that the access key `key` signed for `region`."""
    if region is None:
        return error("AuthFailure", "Credential should be scoped to a valid region.", 401)
    action = form.get("Action")
    try:
        if action == "CreateFleet":
            return create_fleet(key, region, form, environ, body)
        if action not in ACTIONS:
            return moto(environ, body)
        return ACTIONS[action](region, form, environ)
    except BadRequest as refused:
        return error(refused.args[0], refused.args[1], 400)
