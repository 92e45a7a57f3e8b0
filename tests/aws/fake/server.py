"""A fake AWS for the tests: EC2, the Price List and what else moto has on one port of the loopback interface.

Prints `listening on PORT` once it answers, and ends when its standard input ends, so that it never outlives the tests.
`server.py PORT` listens there in place of any free port.

Every access key is an account of its own: other instances, other queues. What is to go wrong is set for each, so that tests do not meet
each other's faults:

    PUT /_fake/faults/KEY    a list of {"action", "skip": 0, "times": 1} with one of
                             "error": [code, HTTP status, message], "html": HTTP status, "truncate": true, "hold": true
    GET /_fake/calls/KEY     what was asked: [[action, region of the signature], ...]
    PUT /_fake/release/KEY   lets go of answers that are held
    PUT /_fake/spot/KEY      a number by which Spot prices are multiplied from now on
    PUT /_fake/pools/KEY     what CreateFleet can still start: {"m5.large/us-east-1a/spot": 3, "m5.large/us-east-1b/on-demand": 0,
                             "*": "VcpuLimitExceeded"}: so many and then InsufficientInstanceCapacity, or the code of the error for
                             every instance; "*" is every pool that is not named. Pools that are not named have no end
    PUT /_fake/answers/KEY   what EC2 answers to calls that moto does not have, {"DescribePlacementGroups": "<placementGroupSet>..."},
                             whatever is asked
    PUT /_fake/parameters/KEY    SSM parameters, {"/aws/service/...": "ami-..."}: those of AWS, which nobody can write there
"""

import json
import logging
import os
import re
import sys
import threading
import time
from urllib.parse import parse_qsl

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

import ec2
import fleets
import price_list
import regions

# Held answers are let go after this many seconds at the latest, lest a broken test hangs.
LONGEST_HOLD = 60

_lock = threading.Lock()
_faults, _calls, _released, _spot_factors, _parameters, _answers = {}, {}, {}, {}, {}, {}


def next_fault(key, action):
    """The fault that this call meets, if any."""
    with _lock:
        for fault in _faults.get(key, []):
            if fault["action"] != action:
                continue
            if fault.get("skip", 0) > 0:
                fault["skip"] -= 1
            elif fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return fault
    return None


def released(key):
    with _lock:
        return _released.setdefault(key, threading.Event())


def control(method, path, body):
    """What the tests themselves ask."""
    _, _, what, key = path.split("/")
    if (method, what) == ("PUT", "faults"):
        with _lock:
            _faults[key] = json.loads(body)
    elif (method, what) == ("PUT", "spot"):
        with _lock:
            _spot_factors[key] = int(body)
    elif (method, what) == ("PUT", "pools"):
        fleets.set_pools(key, json.loads(body))
    elif (method, what) == ("PUT", "answers"):
        with _lock:
            _answers[key] = json.loads(body)
    elif (method, what) == ("PUT", "parameters"):
        with _lock:
            _parameters[key] = json.loads(body)
    elif (method, what) == ("PUT", "release"):
        released(key).set()
    elif (method, what) == ("GET", "calls"):
        with _lock:
            return price_list.answer(_calls.get(key, []))
    else:
        return price_list.answer({}, "404 Not Found")
    return price_list.answer({})


def get_parameter(key, region_name, environ, body):
    """SSM's GetParameter: what the test wrote, or else what moto has."""
    name = json.loads(body)["Name"]
    with _lock:
        value = _parameters.get(key, {}).get(name)
    if value is None:
        return ec2.moto(environ, body)
    arn = f"arn:aws:ssm:{region_name}::parameter{name}"
    told = {"Name": name, "Type": "String", "Value": value, "Version": 1, "LastModifiedDate": time.time(), "ARN": arn, "DataType": "text"}
    return price_list.answer({"Parameter": told})


def refusal(service, code, status, message):
    """An error as the protocol of `service` writes it."""
    if service == "ec2":
        return ec2.error(code, message, status)
    if service == "iam":
        told = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        return f"{status} Error", ec2.XML, told.encode()
    if service == "eks":
        return f"{status} Error", [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)], json.dumps({"message": message}).encode()
    return price_list.error(code, message, status)


def answer(environ, body):
    """The answer to a signed request."""
    signature = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if not signature:
        return ec2.error("MissingAuthenticationToken", "The request is not signed.", 403)
    key, region_name, service = signature.groups()
    form = dict(parse_qsl(body.decode(), keep_blank_values=True)) if service in ("ec2", "iam") else {}
    action = form.get("Action") or environ.get("HTTP_X_AMZ_TARGET", "").split(".")[-1]
    if service == "eks" and environ["PATH_INFO"].startswith("/clusters/"):
        action = "DescribeCluster"
    with _lock:
        _calls.setdefault(key, []).append([action, region_name])

    fault = next_fault(key, action) or {}
    if "error" in fault:
        code, status, message = fault["error"]
        return refusal(service, code, status, message)
    if "html" in fault:
        return f"{fault['html']} Error", [("Content-Type", "text/html")], b"<html><body>Something went wrong</body></html>"
    if "hold" in fault:
        released(key).wait(LONGEST_HOLD)
    if service == "ec2" and action in _answers.get(key, {}):
        status, headers, data = ec2.answer(action, _answers[key][action])
    elif service == "ec2":
        with _lock:
            factor = _spot_factors.get(key, 1)
        status, headers, data = ec2.handle(key, regions.region(region_name, factor), form, environ, body)
    elif service == "pricing":
        status, headers, data = price_list.handle(region_name, action, body)
    elif service == "ssm" and action == "GetParameter":
        status, headers, data = get_parameter(key, region_name, environ, body)
    else:
        status, headers, data = ec2.moto(environ, body)
    if "truncate" in fault:
        # The connection is closed before as much came as was promised.
        return status, headers + [("Content-Length", str(len(data)))], data[: len(data) // 2]
    return status, headers, data


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    path = environ.get("PATH_INFO", "")
    if path.startswith("/_fake/"):
        status, headers, data = control(environ["REQUEST_METHOD"], path, body)
    else:
        status, headers, data = answer(environ, body)
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers = headers + [("Content-Length", str(len(data)))]
    start_response(status, headers)
    return [data]


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    threading.Thread(target=end_with_input, daemon=True).start()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler)
    print(f"listening on {server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
