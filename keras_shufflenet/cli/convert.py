"""`keras-shufflenet convert`: a publisher's checkpoint as a file of Keras, or the other way round."""

from pathlib import Path
from typing import Annotated

import typer

from keras_shufflenet.cli.options import MODEL_FILES

EXAMPLES = """
keras-shufflenet convert shufflenet_v2_x1_0.torchvision x1_0.keras
keras-shufflenet convert ShuffleNetV2+.Small.pth.tar plus.weights.h5 --model shufflenet_v2_plus_small
keras-shufflenet convert runs/pose/model.keras pose.safetensors \
--model pose_shufflenet_v2_x1_0_coco_256x192
"""


def convert(
    source: Annotated[
        str,
        typer.Argument(help="Name of published weights, see `models`, or a file."),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="File: .keras, .weights.h5 or .safetensors.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Network of a file; published weights have their own.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Names of the tensors in a .safetensors file.")
    ] = None,
) -> None:
    """Load weights into their network and write them in another format."""
    import keras_shufflenet as ks

    if model is None and Path(source).is_file():
        raise ValueError(f"a file needs --model, the name of its network. Received: {source}")
    if model is None:
        model = ks.weights.get_entry(source).model
    if model.endswith(MODEL_FILES):
        raise ValueError(f"--model is the name of a network. Received: {model}")
    ks.weights.save(ks.create_model(model, weights=source), output, layout=layout)
    typer.echo(f"{output}  {output.stat().st_size / 1e6:.1f} MB")
