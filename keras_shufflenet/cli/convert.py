"""`keras-shufflenet convert`: a checkpoint as a Keras file, or the other way round."""

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_shufflenet._files import check_output
from keras_shufflenet.cli.options import MODEL_FILES, import_tensorflow, parse_keypoints
from keras_shufflenet.weights import SAVE_FORMATS
from keras_shufflenet.weights.catalog import get_entry

EXAMPLES = """
keras-shufflenet convert shufflenet_v2_x1_0.torchvision x1_0.keras
keras-shufflenet convert ShuffleNetV2+.Small.pth.tar plus.weights.h5 \
--model shufflenet_v2_plus_small
keras-shufflenet convert last.ckpt small.keras --model mobilenet_v2_x0_35 --no-ema
keras-shufflenet convert runs/pose/model.keras pose.safetensors \
--model pose_shufflenet_v2_x1_0_coco_256x192
"""


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="WEIGHTS",
            help="Name of published weights (see `models`), or a checkpoint file.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="File to write: .keras, .weights.h5 or .safetensors."),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Name of the network; required for files, known for published weights."),
    ] = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            help="Keypoints of a pose estimator: coco, mpii, or the json of a skeleton. Default: "
            "those in the name of --model."
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Parameter names in a .safetensors file, such as torchvision/shufflenet_v2. "
            "Defaults to those of the network's publisher."
        ),
    ] = None,
    ema: Annotated[
        bool | None,
        typer.Option(
            "--ema/--no-ema",
            help="Whether to take the averaged (EMA) weights of a checkpoint. By default they are "
            "taken if there are some.",
        ),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            help="What precedes the names of the network's tensors in a checkpoint of several "
            'networks, such as "student.". Defaults to the prefix of the only one that matches.'
        ),
    ] = None,
) -> None:
    """Convert weights to another file format."""
    check_output("output", output, SAVE_FORMATS)
    if model is None and Path(source).is_file():
        raise ValueError(f"--model is required for a file. Received: {source}")
    if model is None:
        model = get_entry(source).model
    if model.endswith(MODEL_FILES):
        raise ValueError(f"--model must be the name of a network. Received: {model}")
    own: dict[str, Any] = {}
    if keypoints is not None:
        own["keypoints"] = parse_keypoints(keypoints)
    if own and not model.startswith("pose_"):
        raise ValueError(f"--keypoints are for pose estimators. Received: --model {model}")
    import_tensorflow()
    import keras_shufflenet as ks

    if model.startswith("pose_"):
        from keras_shufflenet.models.pose import weights_encoding

        own["encoding"] = weights_encoding(source, model)
    network = ks.create_model(model, weights=None, **own)
    ks.weights.load(network, source, model_name=model, ema=ema, prefix=prefix)
    ks.weights.save(network, output, layout=layout)
    typer.echo(f"{output}  {output.stat().st_size / 1e6:.1f} MB")
