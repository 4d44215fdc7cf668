"""Checkpoints as their publishers pack them: the golden fixtures' keys, random numbers."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Fixture to the catalog's entry: one of each network and publisher.
NETS = {
    "megvii_shufflenet_v1_g3_0.5x": "shufflenet_v1_x0_5_g3.megvii",
    "megvii_shufflenet_v1_g8_0.5x": "shufflenet_v1_x0_5_g8.megvii",
    "mmcls_shufflenet_v1_1.0": "shufflenet_v1_x1_0_g3_mmcls.mmcls",
    "mmpose_shufflenetv1_coco_256x192": "pose_shufflenet_v1_x1_0_g3_mmcls_coco_256x192.mmpose",
    "mmpose1_shufflenetv1_coco_256x192": "pose_shufflenet_v1_x1_0_g3_mmcls_coco_256x192.mmpose_v1",
    "torchvision_shufflenet_v2_x1_0": "shufflenet_v2_x1_0.torchvision",
    "megvii_shufflenet_v2_0.5x": "shufflenet_v2_x0_5_megvii.megvii",
    "mmcls_shufflenet_v2_1.0": "shufflenet_v2_x1_0.mmcls",
    "mmpose_shufflenetv2_mpii_256x256": "pose_shufflenet_v2_x1_0_mpii_256x256.mmpose",
    "mmpose1_shufflenetv2_coco_256x192": "pose_shufflenet_v2_x1_0_coco_256x192.mmpose_v1",
    "megvii_shufflenet_v2_plus_small": "shufflenet_v2_plus_small.megvii",
    "megvii_oneshot": "one_shot.megvii",
    "detnas_coco_fpn_300m": "detnas_coco_fpn_300m.megvii",
    "torchvision_mobilenet_v2_1.0": "mobilenet_v2_x1_0.torchvision_v2",
    "mmcls_mobilenet_v2_1.0": "mobilenet_v2_x1_0_mmcls.mmcls",
    "mmpose_mobilenetv2_coco_256x192": "pose_mobilenet_v2_x1_0_coco_256x192.mmpose",
}
# What OpenMMLab's runners put beside the state dict.
META = {
    "mmcv_version": "1.0.4",
    "time": "Tue Aug  4 12:00:00 2020",
    "epoch": 210,
    "CLASSES": ("tench", "goldfish"),
    "hook_msgs": {"last_ckpt": "epoch_210.pth"},
    "seed": np.int64(0),
}


def _meta(net: str, shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden" / "nets" / f"{net}.json").read_text())


def state_dict(shared: Path, net: str) -> dict[str, np.ndarray]:
    """Random numbers under the keys of a fixture, in its order."""
    draw = np.random.default_rng(0)
    return {
        key: draw.random(shape, np.float32) if kind == "float32" else np.zeros(shape, kind)
        for key, shape, kind in _meta(net, shared)["keys"]
    }


def pack(shared: Path, net: str, state: dict[str, np.ndarray], path: Path) -> None:
    """Write a state dict into the publisher's container.

    Files of the years before torch 1.6 are in the older one, with the metadata of the modules on
    the dictionary, as `Module.state_dict` leaves it.
    """
    inner = OrderedDict((key, torch.from_numpy(array)) for key, array in state.items())
    inner._metadata = OrderedDict({"": {"version": 1}, "first_conv": {"version": 1}})
    thing: Any = inner
    if "state_dict" in _meta(net, shared)["checkpoint"]["nesting"]:
        thing = {"state_dict": inner}
        if net.startswith("mm"):
            thing = {"meta": META, "state_dict": inner}
        if net.startswith("mmpose1"):
            thing = {**thing, "message_hub": {"log_scalars": OrderedDict(), "resumed_keys": {}}}
    torch.save(thing, path, _use_new_zipfile_serialization=net.startswith("mmpose1"))
