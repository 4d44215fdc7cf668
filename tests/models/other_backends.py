"""A program: networks on another backend, as far as they are from their references.

`KERAS_BACKEND=jax python -m tests.models.other_backends GOLDEN PLAN` prints the errors as one JSON
object. PLAN is one of lists of names: of fixtures of "nets" and "detectors", of which it computes
the first case, of networks in "channels_first", in "onnx" of those whose ONNX file is compared
with the network, and in "supernets" of spaces in which a path is compared with the network.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import keras_shufflenet as ks
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.search import Architecture, Supernet, search_space
from tests.models import channels_first, golden_detectors, golden_nets
from tests.shortcuts import four_units, shallow


def onnx_difference(name: str) -> float:
    """Return the largest difference between the outputs of a network and of its ONNX file."""
    model = ks.create_model(name, classes=4, input_shape=(32, 32, 3))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    with TemporaryDirectory() as folder:
        path = ks.export.onnx(model, Path(folder, "network.onnx"))
        return float(np.abs(Predictor.load(path)(images) - Predictor.load(model)(images)).max())


def supernet_difference(name: str) -> float:
    """Return the largest difference between the logits of a path and those of the network."""
    with four_units():
        space, architecture = search_space(name, (0.6, 1.0)), Architecture((3, 1, 2, 0))
        network = space.build(architecture, input_shape=(32, 32, 3), classifier_activation=None)
        supernet = Supernet.of(network, space)
        supernet.select(architecture)
        images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
        found = [
            Predictor.load(m)(images) for m in (supernet.model, supernet.extract(architecture))
        ]
    return float(np.abs(found[0] - found[1]).max() / np.abs(found[1]).max())


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
        found["onnx"] = {name: onnx_difference(name) for name in plan["onnx"]}
    found["supernets"] = {name: supernet_difference(name) for name in plan["supernets"]}
    print(json.dumps(found))
