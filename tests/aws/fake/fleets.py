"""CreateFleet as EC2 answers it: the pool is chosen by strategy and price, a pool has only so many instances, and a client token counts
once. moto starts the instances; it would take the first override whatever it costs."""

import hashlib
import re
import threading
from decimal import Decimal
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import moto.ec2.models.fleets as moto_fleets
from moto.ec2.models import ec2_backends

OVERRIDE = re.compile(r"LaunchTemplateConfigs\.(\d+)\.Overrides\.(\d+)\.(\w+)")
# Of an override that came to nothing, what the error says about it, by the name in the answer.
SAID = {"instanceType": "InstanceType", "subnetId": "SubnetId", "availabilityZone": "AvailabilityZone", "imageId": "ImageId"}
UNKNOWN_PRICE = Decimal(10**9)

_lock = threading.Lock()
_pools, _answers = {}, {}
_moto_init = moto_fleets.Fleet.__init__


def _init(self, backend, *arguments, **named):
    """moto's fleet, whose instances then have what moto leaves out: security groups and the Spot request."""
    _moto_init(self, backend, *arguments, **named)
    started = [(request.id, request.instance) for request in self.spot_requests]
    started += [(None, item["instance"]) for item in self.on_demand_instances]
    given = self.launch_template_configs[0]["LaunchTemplateSpecification"]
    if "LaunchTemplateName" in given:
        template = backend.get_launch_template_by_name(given["LaunchTemplateName"])
    else:
        template = backend.get_launch_template(given["LaunchTemplateId"])
    data = template.latest_version().data
    interfaces = data.get("NetworkInterfaces", [])
    groups = [group for interface in interfaces for group in interface.get("Groups", [])] or data.get("SecurityGroupIds", [])
    for spot_request, instance in started:
        if spot_request:
            instance.spot_instance_request_id = spot_request
        if groups:
            found = [backend.get_security_group_from_id(group) for group in dict.fromkeys(groups)]
            instance.security_groups = [group for group in found if group]


moto_fleets.Fleet.__init__ = _init


def set_pools(key, pools):
    """How many instances the account `key` can still start from each pool, or why it can start none."""
    with _lock:
        _pools[key] = pools


def left(key, pool):
    """How many more `pool` gives, None for any number; and the code of the error for all beyond."""
    pools = _pools.get(key, {})
    told = pools.get(pool, pools.get("*"))
    return (0, told) if isinstance(told, str) else (told, "InsufficientInstanceCapacity")


def message(code, override):
    kind, zone = override.get("InstanceType"), override.get("AvailabilityZone")
    if code == "InsufficientInstanceCapacity":
        return f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone})."
    return f"The fake has {code} for {kind} in {zone}."


def failed(override, lifecycle, code, said):
    told = "".join(f"<{name}>{escape(override[given])}</{name}>" for name, given in SAID.items() if given in override)
    return (
        f"<item><launchTemplateAndOverrides><overrides>{told}</overrides></launchTemplateAndOverrides>"
        f"<lifecycle>{lifecycle}</lifecycle><errorCode>{code}</errorCode><errorMessage>{escape(said)}</errorMessage></item>"
    )


def overrides(account, region, form):
    """The overrides of all templates by their two numbers, each with its zone."""
    found = {}
    for name, value in form.items():
        part = OVERRIDE.fullmatch(name)
        if part:
            found.setdefault((int(part[1]), int(part[2])), {})[part[3]] = value
    for override in found.values():
        if "AvailabilityZone" not in override and "SubnetId" in override:
            subnet = ec2_backends[account][region.name].get_subnet(override["SubnetId"])
            override["AvailabilityZone"] = subnet.availability_zone
    return found


def choose(key, region, form, found):
    """What is started, as (numbers, override, how many), and the errors of what is not. Takes it from the pools."""
    lifecycle = form.get("TargetCapacitySpecification.DefaultTargetCapacityType", "on-demand")
    wanted = int(form["TargetCapacitySpecification.TotalTargetCapacity"])
    of = "SpotOptions" if lifecycle == "spot" else "OnDemandOptions"
    prioritized = "prioritized" in form.get(f"{of}.AllocationStrategy", "")

    def rank(entry):
        kind, zone = entry[1]["InstanceType"], entry[1].get("AvailabilityZone")
        prices = region.spot(zone) if lifecycle == "spot" else region.on_demand
        price, priority = prices.get(kind, UNKNOWN_PRICE), Decimal(entry[1].get("Priority", UNKNOWN_PRICE))
        return (priority, price, entry[0]) if prioritized else (price, priority, entry[0])

    started, errors = [], []
    with _lock:
        for numbers, override in sorted(found.items(), key=rank):
            if wanted == 0:
                break
            kind, zone = override["InstanceType"], override.get("AvailabilityZone")
            if zone not in region.zones.get(kind, ()):
                said = f"Your requested instance type ({kind}) is not supported in your requested Availability Zone ({zone})."
                errors.append(failed(override, lifecycle, "InvalidFleetConfiguration", said))
                continue
            pool = f"{kind}/{zone}/{lifecycle}"
            most, code = left(key, pool)
            taken = wanted if most is None else min(wanted, most)
            if taken:
                started.append((numbers, taken))
                wanted -= taken
                if most is not None:
                    _pools[key][pool] = most - taken
            if wanted:
                errors.append(failed(override, lifecycle, code, message(code, override)))
    return started, errors


def create_fleet(account, key, region, form, ask_moto):
    """The answer's inner XML, or moto's own answer where it is an error. `ask_moto` takes the body of a request."""
    found = overrides(account, region, form)
    started, errors = choose(key, region, form, found)
    common = {name: value for name, value in form.items() if not name.startswith("LaunchTemplateConfigs.")}
    fleet, instances = "fleet-00000000-0000-0000-0000-000000000000", ""
    for (config, override), taken in started:
        narrowed = dict(common, **{"TargetCapacitySpecification.TotalTargetCapacity": str(taken)})
        prefix = f"LaunchTemplateConfigs.{config}."
        for name, value in form.items():
            if name.startswith(f"{prefix}Overrides.{override}."):
                narrowed["LaunchTemplateConfigs.1.Overrides.1." + name.rsplit(".", 1)[1]] = value
            elif name.startswith(prefix) and not name.startswith(f"{prefix}Overrides."):
                narrowed["LaunchTemplateConfigs.1." + name.removeprefix(prefix)] = value
        answer = ask_moto(urlencode(narrowed).encode())
        text = answer[2].decode()
        if not answer[0].startswith("200"):
            return answer
        fleet = re.search(r"<fleetId>([^<]+)", text)[1]
        inner = re.search(r"<fleetInstanceSet>(.*)</fleetInstanceSet>", text, re.DOTALL)
        instances += inner[1] if inner else ""
    return f"<fleetId>{fleet}</fleetId><errorSet>{''.join(errors)}</errorSet><fleetInstanceSet>{instances}</fleetInstanceSet>"


def once(key, region, form, make):
    """The answer that a client token had before, or what `make` makes. None where it came with other parameters."""
    token = form.get("ClientToken")
    if not token:
        return make()
    told = {name: value for name, value in form.items() if name != "ClientToken"}
    digest = hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest()
    with _lock:
        known = _answers.get((key, region.name, token))
    if known:
        return known[1] if known[0] == digest else None
    answer = make()
    if answer[0].startswith("200"):
        with _lock:
            _answers[key, region.name, token] = (digest, answer)
    return answer
