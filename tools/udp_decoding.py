"""Errors of UDP's decoders by the distance of keypoints to the border of the heatmap.

    python tools/udp_decoding.py --results-csv results/udp_decoding.csv

Synthetic people are cropped at random, so that keypoints lie near the border, and their heatmaps
are made as networks make them: lower and wider than the targets, with smooth noise. "udp" blurs
with a border of zeros and keeps the maximum, "udp_v0" mirrors the heatmap at its border.
"""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

import keras_shufflenet as ks
from keras_shufflenet._results import append_row
from keras_shufflenet.keypoints import HeatmapCodec
from keras_shufflenet.keypoints.blur import blur
from keras_shufflenet.keypoints.boxes import PIXEL_STD, box_to_center_scale
from keras_shufflenet.keypoints.codec import Decoding
from keras_shufflenet.synthetic_people import create_dataset

PROGRAM = "python tools/udp_decoding.py"
INPUT_SIZE = (256, 192)
DECODINGS: tuple[Decoding, ...] = ("udp_v0", "udp")
EDGES = (0.0, 1.0, 2.0, 4.0, 8.0, 32.0)  # heatmap pixels
SIGMAS = (1.6, 2.8)  # of predicted peaks; targets have 2
HEIGHTS = (0.3, 1.0)
NOISE, NOISE_KERNEL = 0.15, 9  # amplitude before its blur
SHIFT, SCALE = 0.25, (0.7, 1.2)  # of the crops, in sizes of the box


def cropped_keypoints(count: int, generator: np.random.Generator) -> np.ndarray:
    """Return keypoints (n, 2) in heatmap pixels of crops, those inside of the heatmap."""
    codec = HeatmapCodec(INPUT_SIZE, encoding="udp")
    with TemporaryDirectory() as folder:
        people = create_dataset(folder, count, verbose=False)
        instances = ks.data.load_keypoint_dataset(people.annotations, people.image_dir).instances
    center, scale = box_to_center_scale(instances.bboxes, INPUT_SIZE)
    center += generator.uniform(-SHIFT, SHIFT, scale.shape) * scale * PIXEL_STD
    scale *= generator.uniform(*SCALE, (len(scale), 1))
    matrix = codec.crop_matrix(center, scale)
    points = instances.keypoints @ matrix[:, :, :2].transpose(0, 2, 1) + matrix[:, None, :, 2]
    points = (points / codec.stride)[instances.keypoints_visible > 0]
    last = np.array(codec.heatmap_size[::-1]) - 1
    return points[((points >= 0) & (points <= last)).all(axis=1)]


def predicted(points: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return heatmaps (n, h, w, 1) of points in heatmap pixels, as networks predict them."""
    height, width = HeatmapCodec(INPUT_SIZE).heatmap_size
    count = len(points)
    sigma = generator.uniform(*SIGMAS, (count, 2))
    x, y = (
        np.exp(-(((np.arange(length) - points[:, i, None]) / sigma[:, i, None]) ** 2) / 2)
        for i, length in enumerate((width, height))
    )
    maps = generator.uniform(*HEIGHTS, (count, 1, 1)) * y[:, :, None] * x[:, None, :]
    noise = blur(generator.normal(0, NOISE, maps.shape), NOISE_KERNEL, "reflect")
    return (maps + noise)[..., None].astype(np.float32)


def main(
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append rows to.")] = None,
    count: Annotated[int, typer.Option(help="Number of synthetic people.", min=1)] = 400,
) -> None:
    """Print the mean error of each decoder by the distance to the border."""
    generator = np.random.default_rng(0)
    points = cropped_keypoints(count, generator)
    maps = predicted(points, generator)
    last = np.array(maps.shape[2:0:-1]) - 1
    distance = np.minimum(points, last - points).min(axis=1)
    errors = {}
    for decoding in DECODINGS:
        codec = HeatmapCodec(INPUT_SIZE, encoding="udp", decoding=decoding)
        found = codec.decode(maps)[0][:, 0] / codec.stride
        errors[decoding] = np.linalg.norm(found - points, axis=1)
    console = Console()
    for low, high in pairwise(EDGES):
        chosen = (distance >= low) & (distance < high)
        row: dict[str, float | str] = {
            "distance": f"{low:g} to {high:g}",
            "keypoints": int(chosen.sum()),
            **{f"{name} mean": float(errors[name][chosen].mean()) for name in DECODINGS},
            **{f"{name} median": float(np.median(errors[name][chosen])) for name in DECODINGS},
        }
        console.print(row)
        if results_csv is not None:
            append_row(results_csv, row, PROGRAM)


if __name__ == "__main__":
    typer.run(main)
