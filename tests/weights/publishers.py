"""Random numbers under the publishers' own keys, which the golden fixtures list."""

import json
from pathlib import Path

import numpy as np

NETS = {
    "megvii_shufflenet_v1_g3_0.5x": "megvii/shufflenet_v1",
    "mmcls_shufflenet_v1_1.0": "mmcls/shufflenet_v1",
    "mmpose_shufflenetv1_coco_256x192": "mmpose/shufflenet_v1",
    "mmpose1_shufflenetv1_coco_256x192": "mmpose_v1/shufflenet_v1",
    "megvii_shufflenet_v2_plus_small": "megvii/shufflenet_v2_plus",
    "megvii_oneshot": "megvii/one_shot",
    "detnas_coco_fpn_300m": "megvii/detnas",
    "detnas_coco_fpn_3.8g": "megvii/detnas_deep",
    "torchvision_shufflenet_v2_x1_0": "torchvision/shufflenet_v2",
    "megvii_shufflenet_v2_0.5x": "megvii/shufflenet_v2",
    "mmcls_shufflenet_v2_1.0": "mmcls/shufflenet_v2",
    "mmpose_shufflenetv2_coco_256x192": "mmpose/shufflenet_v2",
    "mmpose1_shufflenetv2_coco_256x192": "mmpose_v1/shufflenet_v2",
    "torchvision_mobilenet_v2_1.0": "torchvision/mobilenet_v2",
    "mmcls_mobilenet_v2_1.0": "mmcls/mobilenet_v2",
    "mmpose_mobilenetv2_coco_256x192": "mmpose/mobilenet_v2",
}


def state_dict(shared: Path, net: str) -> dict[str, np.ndarray]:
    """Random numbers under the keys of a fixture, in its order."""
    records = json.loads((shared / "golden" / "nets" / f"{net}.json").read_text())["keys"]
    draw = np.random.default_rng(0)
    return {
        key: draw.random(shape, np.float32) if kind == "float32" else np.zeros(shape, kind)
        for key, shape, kind in records
    }
