"""Compare detectors with the golden fixtures."""

import json
import math
from pathlib import Path

import keras
import numpy as np

import keras_shufflenet as ks
from tests.models import golden_nets

NETS = {
    "nanodet_m": "nanodet_m",
    "nanodet_m_0.5x": "nanodet_m_x0_5",
    "nanodet_plus_m": "nanodet_plus_m",
    "nanodet_plus_m_1.5x": "nanodet_plus_m_x1_5",
}


def load(golden: Path, synth, name: str, size: tuple[int, int]) -> keras.Model:
    """The detector of a fixture with its weights, for normalized images of one size."""
    meta = json.loads((golden / "detection" / f"{name}.json").read_text())
    constants = {"project": np.arange(8, dtype=np.float32), "scale": np.float32(1)}
    state = {}
    for key, shape, kind in meta["keys"]:
        constant = constants.get(key.rpartition(".")[2])
        state[key] = synth.synth_tensor(key, shape, kind) if constant is None else constant
    model = ks.create_model(NETS[name], input_shape=(*size, 3), include_preprocessing=False)
    ks.weights.load_state_dict(model, state)
    return model


def errors(golden: Path, synth, name: str, cases: int | None = None) -> dict[str, float]:
    """Largest |ours - reference|, in multiples of the noise, which grows with the numbers.

    Parameters and multiply-adds deviate by 0 or by infinity.
    """
    meta = json.loads((golden / "detection" / f"{name}.json").read_text())
    found = {}
    with np.load(golden / "detection" / f"{name}.npz") as arrays:
        for case in meta["cases"][:cases]:
            x = golden_nets.image(synth, case)
            model = load(golden, synth, name, x.shape[1:3])
            cost = ks.models.ModelStats(meta["parameters_inference"], case["macs"])
            found[f"{case['id']} costs"] = (
                0 if ks.count_params_and_macs(model) == cost else math.inf
            )
            operations = {operation.name: operation for operation in model.operations}
            places = [_place(tap, list(operations)) for tap in case["taps"]]
            taps = [operations[place].output for place in places]
            output, *maps = golden_nets.run(keras.Model(model.input, [model.output, *taps]), x)
            reference = case["output"]
            largest = max(abs(reference["min"]), abs(reference["max"]))
            index, expected = (arrays[f"{case['id']}_output_{key}"] for key in ("index", "value"))
            error = np.abs(output[tuple(index.T)] - expected).max()
            found[f"{case['id']} output"] = float(error / reference["noise"])
            for number, (tap, values) in enumerate(zip(case["taps"], maps, strict=True)):
                index, expected = (
                    arrays[f"{case['id']}_tap_{key}"][number] for key in ("index", "value")
                )
                noise = reference["noise"] * case["tap_statistics"][tap]["max_abs"] / largest
                error = np.abs(golden_nets._sample(values, index) - expected).max()
                found[f"{case['id']} {tap}"] = float(error / noise)
    return found


def _place(tap: str, names: list[str]) -> str:
    start = tap.replace("neck", "neck_out")
    return [name for name in names if name == start or name.startswith(f"{start}_")][-1]
