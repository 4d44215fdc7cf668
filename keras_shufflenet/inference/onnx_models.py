"""Networks in ONNX files, run by ONNX Runtime.

Files of `export.onnx` and of Keras' own export take pixels, as Keras models do. Those of PyTorch
libraries, such as mmpose, take normalized images, channels first.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._files import received_path
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.litert.metadata import ModelMetadata

# Of ImageNet, with which mmpose, mmdetection and torchvision normalize RGB in 0..1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
RGB = 3
DATA_FORMAT = "data_format"  # key in the metadata of files of `export.onnx`
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
TO_CHANNELS_FIRST = (0, 3, 1, 2)


class ONNXModel(NamedTuple):
    """A network of an ONNX file.

    Attributes:
        session: ONNX Runtime's session.
        is_channels_last: Whether its images are (N, H, W, C), not (N, C, H, W).
        takes_pixels: Whether its images are 0..255, not normalized with `MEAN` and `STD`.
        metadata: What the file says about itself.
    """

    session: Any
    is_channels_last: bool
    takes_pixels: bool
    metadata: ModelMetadata

    @property
    def shape(self) -> tuple[Any, ...]:
        """(batch, height, width, channels) of its images; sides that vary are names or None."""
        shape = tuple(self.session.get_inputs()[0].shape)
        return shape if self.is_channels_last else (shape[0], *shape[2:], shape[1])

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) of its images, or None if they vary."""
        _, height, width, _ = self.shape
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name, feature maps channels last.

        Args:
            images: (N, H, W, C) 0..255.
        """
        pixels = images if self.takes_pixels else (images / 255 - MEAN) / STD
        given = pixels.astype(np.float32)
        if not self.is_channels_last:
            given = given.transpose(TO_CHANNELS_FIRST)
        name, batch = self.session.get_inputs()[0].name, self.shape[0]
        parts = [
            self.session.run(None, {name: _filled(part, batch)})
            for part in (
                np.split(given, range(batch, len(given), batch))
                if isinstance(batch, int)
                else [given]
            )
        ]
        outputs = [np.concatenate(arrays)[: len(given)] for arrays in zip(*parts, strict=True)]
        names = [output.name for output in self.session.get_outputs()]
        is_turned = not self.is_channels_last
        return {
            name: np.moveaxis(values, 1, -1) if is_turned and values.ndim == 4 else values
            for name, values in zip(names, outputs, strict=True)
        }


def open_onnx(path: Path, num_threads: int | None = None) -> ONNXModel:
    """Open a network of images.

    Args:
        path: The ONNX file.
        num_threads: Threads of an operator; by default ONNX Runtime's own choice.

    Raises:
        FileNotFoundError: If the file is missing.
        ImportError: If onnxruntime is missing.
        ValueError: If the file is broken, refers to another file, or takes something else.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"`source` must be an existing file. Received: {received_path(path)}"
        )
    check_installed("An .onnx file", "onnx", ("onnxruntime",))
    try:
        session = _open_session(path.read_bytes(), num_threads)
    except Exception as error:  # of classes that ONNX Runtime does not export
        reason = str(error).partition("\n")[0]
        if path.stat().st_size == 0:
            reason = "the file is empty"
        elif "External data" in reason:
            reason = "its weights are in another file, which is not opened"
        raise ValueError(f"`source` must be an ONNX file ({reason}). Received: {path}") from error
    return _describe(session, path)


def run_onnx(content: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    """Run the content of an ONNX file on images as `ONNXModel.run` takes them."""
    return _describe(_open_session(content, None), "the graph").run(images)


def _open_session(content: bytes, num_threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    options.log_severity_level = 3
    # Threads that wait for work do so asleep: beside a training they would take its cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights in other files are looked for in a folder that cannot exist.
    options.add_session_config_entry(EXTERNAL_FOLDER, os.devnull)
    return onnxruntime.InferenceSession(content, options)


def _describe(session: Any, name: Any) -> ONNXModel:
    """Return the model of a session, as its metadata and the shape of its input tell."""
    inputs = session.get_inputs()
    shape = tuple(inputs[0].shape)
    texts = session.get_modelmeta().custom_metadata_map
    if DATA_FORMAT in texts:
        is_last, takes_pixels = texts[DATA_FORMAT] == "channels_last", True
    else:  # Keras' models take images channels last, and pixels; those of PyTorch are normalized
        is_last = takes_pixels = shape[-1:] == (RGB,) and shape[1:2] != (RGB,)
    is_image = len(shape) == 4 and (DATA_FORMAT in texts or is_last or shape[1] == RGB)
    if len(inputs) != 1 or not is_image or inputs[0].type != "tensor(float)":
        raise ValueError(
            "An ONNX file must take float images, (N, 3, H, W) or (N, H, W, 3). Received: "
            f"{[(each.name, each.type, each.shape) for each in inputs]} in {name}"
        )
    try:
        metadata = ModelMetadata.from_files(texts)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"The metadata of an ONNX file must be that of `export.onnx` ({error}). "
            f"Received: {name}"
        ) from error
    return ONNXModel(session, is_last, takes_pixels, metadata)


def _filled(images: np.ndarray, batch: Any) -> np.ndarray:
    """Return as many images as the file takes; the last one is repeated."""
    missing = batch - len(images) if isinstance(batch, int) else 0
    return np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
