"""A fake AWS for the tests: EC2 and the Price List on one port of the loopback interface.

Prints `listening on PORT` once it answers, and ends when its standard input ends, so that it never outlives the tests.

What is to go wrong is set for each access key, so that tests do not meet each other's faults:

    PUT /_fake/faults/KEY    a list of {"action", "skip": 0, "times": 1} with one of
                             "error": [code, HTTP status, message], "html": HTTP status, "truncate": true, "hold": true
    GET /_fake/calls/KEY     what was asked: [[action, region of the signature], ...]
    PUT /_fake/release/KEY   lets go of answers that are held
    PUT /_fake/spot/KEY      a number by which Spot prices are multiplied from now on
"""

import json
import logging
import os
import re
import sys
import threading
from urllib.parse import parse_qsl

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

import ec2
import price_list
import regions

# Held answers are let go after this many seconds at the latest, lest a broken test hangs.
LONGEST_HOLD = 60

_lock = threading.Lock()
_faults, _calls, _released, _spot_factors = {}, {}, {}, {}


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
    elif (method, what) == ("PUT", "release"):
        released(key).set()
    elif (method, what) == ("GET", "calls"):
        with _lock:
            return price_list.answer(_calls.get(key, []))
    else:
        return price_list.answer({}, "404 Not Found")
    return price_list.answer({})


def answer(environ, body):
    """The answer to a signed request."""
    signature = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if not signature:
        return ec2.error("MissingAuthenticationToken", "The request is not signed.", 403)
    key, region_name, service = signature.groups()
    form = dict(parse_qsl(body.decode(), keep_blank_values=True)) if service == "ec2" else {}
    action = form.get("Action") or environ.get("HTTP_X_AMZ_TARGET", "").split(".")[-1]
    with _lock:
        _calls.setdefault(key, []).append([action, region_name])

    fault = next_fault(key, action) or {}
    if "error" in fault:
        code, status, message = fault["error"]
        return (ec2 if service == "ec2" else price_list).error(code, message, status)
    if "html" in fault:
        return f"{fault['html']} Error", [("Content-Type", "text/html")], b"<html><body>Something went wrong</body></html>"
    if "hold" in fault:
        released(key).wait(LONGEST_HOLD)
    if service == "ec2":
        with _lock:
            factor = _spot_factors.get(key, 1)
        status, headers, data = ec2.handle(regions.region(region_name, factor), form, environ, body)
    elif service == "pricing":
        status, headers, data = price_list.handle(region_name, action, body)
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
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(f"listening on {server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
