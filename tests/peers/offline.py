"""The Python module of docs/offline.md, in the hands of a service.

Environment: COUNTERSIGN_SNIPPET, the file with the module, and COUNTERSIGN_CHECKER, the arguments of its Checker as JSON.
Reads lines of JSON: {"token": …} is answered by `accepted` or `refused`, {"poll": true} by `polled` or `failed`.
"""

import importlib.util
import json
import os
import sys

import requests

spec = importlib.util.spec_from_file_location("checker", os.environ["COUNTERSIGN_SNIPPET"])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
checker = module.Checker(**json.loads(os.environ["COUNTERSIGN_CHECKER"]))


def answer(asked):
    if "poll" in asked:
        try:
            checker.poll()
        except requests.RequestException as error:
            print(error, file=sys.stderr)
            return "failed"
        return "polled"
    # Anything else than this one error would be the service's error 500.
    try:
        checker.check(asked["token"])
    except module.Refused:
        return "refused"
    return "accepted"


for line in sys.stdin:
    print(answer(json.loads(line)), flush=True)
