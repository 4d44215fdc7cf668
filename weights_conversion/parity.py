"""Compare the networks with PyTorch: same weights, same input, largest difference.

    python weights_conversion/parity.py 'shufflenet_v1*'
    python weights_conversion/parity.py shufflenet_v2_x1_0 --checkpoint shufflenetv2_x1.pth

The PyTorch side is `torch_networks.py`. Without a checkpoint the weights are random, statistics of
batch normalization included. Needs torch: `pip install keras-shufflenet[conversion]`.
"""

import fnmatch
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import keras
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

import keras_shufflenet as ks
from keras_shufflenet.weights._state_dict import fitting_layouts

sys.path.insert(0, str(Path(__file__).parent))

TOLERANCE = 1e-4  # of the output's standard deviation

console = Console()


class Parity(NamedTuple):
    """Largest difference of the outputs, in their standard deviations; of which layout."""

    layout: str
    difference: float


def randomize(model: keras.Model, seed: int) -> None:
    """Random statistics and scales, so that no normalization is idle."""
    draw = np.random.default_rng(seed)
    ranges = {"gamma": (0.8, 1.2), "moving_variance": (0.6, 1.6)}
    for variable in model.weights:
        if "preprocessing" in variable.path:
            continue
        if variable.name in ranges:
            variable.assign(draw.uniform(*ranges[variable.name], variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(draw.normal(0, 0.1, variable.shape))


def build(name: str, size: int) -> keras.Model:
    """The network without preprocessing and softmax, or the pose estimator in its own size."""
    if name.startswith("pose_"):
        return ks.create_model(name, include_preprocessing=False)
    return ks.create_model(
        name,
        input_shape=(size, size, 3),
        include_preprocessing=False,
        classifier_activation=None,
    )


def compare(name: str, size: int = 96, checkpoint: Path | None = None, seed: int = 0) -> Parity:
    """Run a network of the registry in Keras and in PyTorch.

    Args:
        name: of the registry.
        size: height and width of the input in pixels.
        checkpoint: file with the weights; random ones by default.
        seed: of the input and of random weights.
    """
    import torch
    from torch_networks import NETWORKS

    model = build(name, size)
    if checkpoint is None:
        randomize(model, seed)
    else:
        ks.weights.load(model, checkpoint)
    layout = next(layout.name for layout in fitting_layouts(model) if layout.name in NETWORKS)
    state = ks.weights.state_dict(model, layout)
    tensors = {key: torch.from_numpy(array.copy()) for key, array in state.items()}
    shape = (2, *model.input_shape[1:])
    x = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    with torch.inference_mode():
        expected = NETWORKS[layout](tensors, torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    theirs = expected.numpy()
    ours = keras.ops.convert_to_numpy(model(x, training=False))
    if ours.ndim == 4:
        ours = ours.transpose(0, 3, 1, 2)
    return Parity(layout, float(np.abs(ours - theirs).max() / theirs.std()))


def parity(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of networks.")] = "*",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights of the one network that the pattern names.")
    ] = None,
    size: Annotated[int, typer.Option(help="Height and width of the input.")] = 96,
) -> None:
    """Report how far networks are from PyTorch."""
    known = ks.list_models() + ks.list_models(task="pose")
    names = [name for name in known if fnmatch.fnmatch(name, pattern)]
    if not names or (checkpoint is not None and len(names) != 1):
        raise typer.BadParameter(f"the pattern must name networks. Received: {pattern}: {names}")
    table = Table("network", "layout", "difference / std of the output")
    worst = 0.0
    for name in track(names, console=console):
        found = compare(name, size, checkpoint)
        worst = max(worst, found.difference)
        table.add_row(name, found.layout, f"{found.difference:.1e}")
    console.print(table)
    raise typer.Exit(int(not worst <= TOLERANCE))


if __name__ == "__main__":
    typer.run(parity)
