"""Build the networks of the golden fixtures and measure how far they are from their reference."""

import json
import math
from pathlib import Path

import keras
import numpy as np

import keras_shufflenet as ks
from tests.shortcuts import unset_weights

TOLERANCE = 20  # multiples of the reference's own noise, as the fixtures ask for
LOGITS = {"include_preprocessing": False, "classifier_activation": None}
POSE_BACKBONES = {
    "shufflenetv1": "shufflenet_v1_x1_0_g3_mmcls",
    "shufflenetv2": "shufflenet_v2_x1_0",
    "mobilenetv2": "mobilenet_v2_x1_0",
}
NETS = {
    **{
        f"megvii_shufflenet_v1_g{groups}_{width}x": (
            f"shufflenet_v1_x{width}_g{groups}".replace(".", "_")
        )
        for groups, widths in ((3, ("0.5", "1.0", "1.5")), (8, ("0.5", "1.0", "2.0")))
        for width in widths
    },
    "mmcls_shufflenet_v1_1.0": "shufflenet_v1_x1_0_g3_mmcls",
    "megvii_shufflenet_v2_plus_small": "shufflenet_v2_plus_small",
    "megvii_shufflenet_v2_plus_large": "shufflenet_v2_plus_large",
    "megvii_shufflenet_v2_large": "shufflenet_v2_large",
    "megvii_shufflenet_v2_exlarge": "shufflenet_v2_exlarge",
    "megvii_oneshot": "one_shot",
    "detnas_coco_fpn_300m": "detnas_coco_fpn_300m",
    "detnas_coco_retinanet_300m": "detnas_coco_retinanet_300m",
    "detnas_voc_fpn_300m": "detnas_voc_fpn_300m",
    "detnas_coco_fpn_3.8g": "detnas_coco_fpn_3_8g",
    **{
        f"megvii_shufflenet_v2_{width}x": (f"shufflenet_v2_x{width}_megvii".replace(".", "_"))
        for width in ("0.5", "1.0", "2.0")
    },
    **{
        f"torchvision_shufflenet_v2_x{width}": f"shufflenet_v2_x{width}"
        for width in ("0_5", "1_0", "2_0")
    },
    "mmcls_shufflenet_v2_1.0": "shufflenet_v2_x1_0",
    "torchvision_mobilenet_v2_0.5": "mobilenet_v2_x0_5",
    "torchvision_mobilenet_v2_1.0": "mobilenet_v2_x1_0",
    "mmcls_mobilenet_v2_1.0": "mobilenet_v2_x1_0_mmcls",
    "mmpose_shufflenetv1_coco_256x192": None,
    "mmpose_shufflenetv1_coco_384x288": None,
    "mmpose1_shufflenetv1_coco_256x192": None,
    "mmpose_shufflenetv2_coco_256x192": None,
    "mmpose1_shufflenetv2_coco_256x192": None,
    "mmpose_shufflenetv2_mpii_256x256": None,
    "mmpose_mobilenetv2_coco_256x192": None,
    "mmpose_mobilenetv2_mpii_256x256": None,
}

LARGEST = ("shufflenet_v2_large", "shufflenet_v2_exlarge")
PATH = (2, 1, 0, 3, 1, 3, 0, 2, 2, 0, 1, 1, 3, 0, 2, 3, 3, 1, 0, 2)
SUPERNETS = {
    "spos_supernet_path": lambda **a: ks.OneShotNet(PATH, affine=False, **a),
    "detnas_supernet_300m_path": lambda **a: ks.DetNAS(PATH, split="standard", **a),
}


def load_fixture(golden: Path, name: str):
    nets = golden / "nets"
    with np.load(nets / f"{name}.npz") as arrays:
        return json.loads((nets / f"{name}.json").read_text()), dict(arrays)


def build(name: str, size) -> keras.Model:
    """The network of a fixture for normalized images of `size` (height, width; None: any)."""
    if name in SUPERNETS:
        return SUPERNETS[name](input_shape=(*size, 3), **LOGITS)
    if NETS[name] is not None:
        return ks.create_model(NETS[name], input_shape=(*size, 3), **LOGITS)
    _, net, keypoints, _ = name.split("_")
    return ks.PoseEstimator(
        POSE_BACKBONES[net], keypoints=keypoints, input_size=size, include_preprocessing=False
    )


def state_dict(synth, meta) -> dict[str, np.ndarray]:
    return {
        record[0]: synth.synth_tensor(record[-1] if len(record) > 3 else record[0], *record[1:3])
        for record in meta["keys"]
    }


def image(synth, case) -> np.ndarray:
    source = case["input"]
    nchw = synth.synth_input(source["seed"], source["shape"], source["low"], source["high"])
    return np.ascontiguousarray(nchw.transpose(0, 2, 3, 1))


def _units(model: keras.Model) -> list[str]:
    """Beginnings of the names of the units' layers, in the order of the network."""
    names = ["_".join(layer.name.split("_")[:2]) for layer in model.layers]
    stages = dict.fromkeys(name for name in names if name.startswith("stage"))
    blocks = dict.fromkeys(name.split("_")[0] for name in names if name.startswith("block"))
    return list(stages or blocks)


def _tap_outputs(model: keras.Model, taps: list[dict]) -> list[keras.KerasTensor]:
    """The tensor of each tap: of the last operation whose name begins with the tap's."""
    operations = {operation.name: operation for operation in model.operations}
    units = iter(_units(model))
    starts = {"pool": "stem_pool", "gap": "avg_pool", "last_se": "head_se", "fc": "head_fc"}
    mobilenet_stages = dict(zip(range(1, 8), (0, 2, 5, 9, 12, 15, 16), strict=True))
    outputs = []
    for tap in taps:
        start = starts.get(tap["name"], tap["name"])
        if start.startswith("unit "):
            stem = "block" in _units(model)[0] and start == "unit features.0"
            start = "stem" if stem else next(units)
        elif start.startswith("deconv"):
            start = f"head_{start}"
        elif start.startswith("stage") and "block" in _units(model)[0]:
            start = f"block{mobilenet_stages[int(start[5:])]}"
        matching = [n for n in operations if n == start or n.startswith(f"{start}_")]
        if start == "stem":
            matching = [n for n in matching if not n.startswith("stem_pool")]
        outputs.append(operations[matching[-1]].output)
    return outputs


def _sample(maps: np.ndarray, index: np.ndarray) -> np.ndarray:
    n, c, h, w = index.T.astype(int)
    return maps[n, c] if maps.ndim == 2 else maps[n, h, w, c]


def run(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    """Outputs as arrays; op by op where that is faster than compiling a graph used once."""
    if keras.backend.backend() == "jax":
        return model.predict_on_batch(x)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def load(golden: Path, synth, name: str, cases: int | None = None) -> keras.Model:
    """The network of a fixture with its weights: of any size if the sizes of its cases differ."""
    meta, _ = load_fixture(golden, name)
    sizes = {tuple(case["input"]["shape"][2:]) for case in meta["cases"][:cases]}
    with unset_weights():
        model = build(name, sizes.pop() if len(sizes) == 1 else (None, None))
    weights = state_dict(synth, meta)
    if name in SUPERNETS:
        weights = ks.weights.supernet_path(weights, PATH)
    ks.weights.load_state_dict(model, weights)
    return model


def errors(
    golden: Path, synth, name: str, model: keras.Model, cases: int | None = None
) -> dict[str, float]:
    """Largest |ours - reference| of outputs and taps, in multiples of the reference's noise.

    Parameters and multiply-adds deviate by 0 or by infinity.

    Args:
        golden: folder of the fixtures.
        synth: the module that makes their weights.
        name: of the fixture.
        model: the fixture's network, from `load`.
        cases: how many of its inputs, None for all.
    """
    meta, arrays = load_fixture(golden, name)
    result = {}
    for case in meta["cases"][:cases]:
        x = image(synth, case)
        size = x.shape[1:3]
        if name in NETS:
            macs = meta["macs"]["x".join(map(str, size))]
            cost = ks.models.ModelStats(meta["parameters_inference"], macs)
            same = ks.count_params_and_macs(model, None if model.input.shape[1] else size) == cost
            if NETS[name] is not None and size == (224, 224):
                same &= ks.models.MODEL_STATS[NETS[name]] == cost
            result[f"{case['id']} parameters and MACs"] = 0.0 if same else math.inf
        tapped = _tap_outputs(model, case["taps"])
        output, *maps = run(keras.Model(model.input, [model.output, *tapped]), x)
        for tap, values, index, expected in zip(
            case["taps"],
            maps,
            arrays[f"{case['id']}_tap_index"],
            arrays[f"{case['id']}_tap_value"],
            strict=True,
        ):
            error = np.abs(_sample(values, index) - expected).max()
            result[f"{case['id']} {tap['name']}"] = float(error / tap["noise"])
        result[f"{case['id']} output"] = _output_error(case, arrays, output)
    return result


def check(found: dict[str, float]) -> None:
    assert len(found) > 5
    assert {key: value for key, value in found.items() if not value <= TOLERANCE} == {}


def _output_error(case, arrays, output) -> float:
    if "logits" in case:
        error = np.abs(output - arrays[f"{case['id']}_logits"]).max()
        return float(error / case["logits"]["noise"])
    error = np.abs(_sample(output, arrays["a_heatmap_index"]) - arrays["a_heatmap_value"]).max()
    return float(error / case["heatmap"]["noise"])
