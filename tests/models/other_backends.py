"""A program: networks on another backend, as far as they are from their references.

`KERAS_BACKEND=jax python -m tests.models.other_backends GOLDEN PLAN` prints the errors as one JSON
object. PLAN is one of lists of names: of fixtures of "nets" and "detectors", of which it computes
the first case, and of networks in "channels_first".
"""

import json
import sys
from pathlib import Path

from tests.models import channels_first, golden_detectors, golden_nets
from tests.shortcuts import shallow

if __name__ == "__main__":
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    sys.path.insert(0, str(folder))
    import synth as rule

    found: dict = {
        "detectors": {
            name: golden_detectors.errors(folder, rule, name, cases=1) for name in plan["detectors"]
        },
        "nets": {},
    }
    for name in plan["nets"]:
        model = golden_nets.load(folder, rule, name, cases=1)
        found["nets"][name] = golden_nets.errors(folder, rule, name, model, cases=1)
    with shallow():
        found["channels_first"] = {
            name: channels_first.difference(name) for name in plan["channels_first"]
        }
    print(json.dumps(found))
