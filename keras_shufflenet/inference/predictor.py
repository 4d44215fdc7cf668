"""One interface to run Keras models, `.tflite` and ONNX files and functions on images.

Keras is imported for Keras models only: a `.tflite` file requires NumPy and ai-edge-litert.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_shufflenet._requirements import FLOAT, check_memory
from keras_shufflenet.inference.keras_models import (
    create_published,
    is_model_name,
    load_keras,
    read_metadata,
)
from keras_shufflenet.inference.keras_outputs import (
    ONLY,
    is_channels_first,
    name_outputs,
    output_names,
)
from keras_shufflenet.inference.onnx_models import open_onnx
from keras_shufflenet.litert import interpreter as runtime
from keras_shufflenet.litert.metadata import ModelMetadata

if TYPE_CHECKING:
    import keras

BATCH = 32  # limits the memory of a Keras model's activations
RGB = 3

Run = Callable[[np.ndarray], dict[str, Any]]
Shape = tuple[int | None, ...]


class Predictor:
    """Maps images to float32 outputs: a Keras model, an exported file or any function.

    Create one with `Predictor.load`.

    Attributes:
        name: Name of the model, of the file (without its suffix) or of the function.
        channels: Number of channels of the images: 3 for RGB, 1 for gray.
        metadata: Labels, codec and skeleton, as far as the model knows them.
    """

    def __init__(
        self,
        run: Run,
        *,
        name: str,
        input_size: tuple[int, int] | None = None,
        channels: int = RGB,
        output_shapes: dict[str, Shape] | None = None,
        metadata: ModelMetadata | None = None,
    ) -> None:
        if input_size is not None:
            pixels = input_size[0] * input_size[1]
            check_memory("input_size", input_size, pixels * channels * FLOAT)
        self._run = run
        self.name = name
        self.channels = channels
        self._input_size = input_size
        self._output_shapes = output_shapes
        self.metadata = metadata or ModelMetadata()

    @classmethod
    def load(
        cls,
        source: Any,
        input_size: tuple[int, int] | None = None,
        *,
        num_threads: int | None = None,
    ) -> "Predictor":
        """Create a predictor.

        Args:
            source: A `keras.Model`; the path of a `.keras` or `.tflite` file, or of an `.onnx` file
                of `export.onnx`, of Keras' own export, or of PyTorch libraries such as mmpose,
                which takes normalized images channels first; the name of a model with published
                weights, which are taken; a function that maps images (N, H, W, 3) float32 RGB
                0..255 to an array (N, ...); or a predictor.
            input_size: (height, width) for a source with a variable input size.
            num_threads: Threads of a `.tflite` or `.onnx` file. Defaults to one per core, at most
                four for `.tflite` files.

        Raises:
            FileNotFoundError: If the file is missing, or published weights cannot be downloaded.
            ImportError: If ai-edge-litert is missing for a `.tflite` file, or onnxruntime for an
                `.onnx` file.
            ValueError: If the file is broken or of another kind, there is no model of the name, or
                `input_size` contradicts the model.
        """
        if isinstance(source, Predictor):
            predictor = source
        elif _is_keras(source):
            predictor = _from_keras(source)
        elif isinstance(source, str) and is_model_name(source):
            predictor = _from_keras(create_published(source))
        elif isinstance(source, (str, Path)):
            predictor = _from_file(Path(source), num_threads)
        elif callable(source):
            predictor = _from_function(source)
        else:
            raise ValueError(
                "`source` must be a keras.Model, a path or a function. "
                f"Received: {type(source).__name__} {source!r}"
            )
        return predictor._sized(input_size)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Run a model with one output.

        Args:
            images: RGB images (N, H, W, 3) 0..255 (or what the model takes: gray images have one
                channel), float32 or uint8.

        Returns:
            (N, ...) float32.

        Raises:
            ValueError: If the images have another shape, or the model has several outputs.
        """
        found = self.outputs(images)
        if len(found) != 1:
            raise ValueError(
                "`predict` requires a model with one output; `outputs` returns them all. "
                f"Received: {self.name} with the outputs {', '.join(found)}"
            )
        return next(iter(found.values()))

    __call__ = predict

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model, and return all of its outputs by name.

        Args:
            images: As for `predict`.

        Returns:
            Arrays (N, ...), float32, in the order of the model.

        Raises:
            ValueError: If the images have another shape.
        """
        images = np.asarray(images)
        size = self._input_size
        channels = images.shape[-1:] == (self.channels,)
        if images.ndim != 4 or not channels or size not in (None, images.shape[1:3]):
            height, width = size or ("H", "W")
            raise ValueError(
                f"`images` must have the shape (N, {height}, {width}, {self.channels}) for "
                f"{self.name}. Received: shape {images.shape}"
            )
        if len(images) == 0:
            shapes = self._output_shapes or {ONLY: ()}
            return {
                name: np.zeros((0, *(n or 0 for n in shape)), np.float32)
                for name, shape in shapes.items()
            }
        found = self._run(images.astype(np.float32, copy=False))
        return {name: np.asarray(values, np.float32) for name, values in found.items()}

    @property
    def has_input_size(self) -> bool:
        """Whether `predict` takes images of a single size."""
        return self._input_size is not None

    @property
    def input_size(self) -> tuple[int, int]:
        """The (height, width) in pixels of the images.

        Raises:
            ValueError: If the model takes images of any size.
        """
        if self._input_size is None:
            raise ValueError(
                f"`input_size` must be (height, width) for {self.name}, which takes images of any "
                "size. Received: input_size=None"
            )
        return self._input_size

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the outputs for one image, without the batch axis, by name.

        A model that does not declare them is run once.

        Raises:
            ValueError: If the model takes images of any size.
        """
        shapes = self._output_shapes
        if shapes is None or any(None in shape for shape in shapes.values()):
            found = self.outputs(np.zeros((1, *self.input_size, self.channels), np.float32))
            shapes = self._output_shapes = {name: x.shape[1:] for name, x in found.items()}
        return {name: tuple(int(n or 0) for n in shape) for name, shape in shapes.items()}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the only output for one image, without the batch axis.

        Raises:
            ValueError: If the model takes images of any size, or has several outputs.
        """
        shapes = self.output_shapes
        if len(shapes) != 1:
            raise ValueError(
                "The model must have one output. "
                f"Received: {self.name} with the outputs {', '.join(shapes)}"
            )
        return next(iter(shapes.values()))

    def _sized(self, input_size: tuple[int, int] | None) -> "Predictor":
        """Return the predictor with an `input_size` if the source has none."""
        if input_size is None or self._input_size == tuple(input_size):
            return self
        if self._input_size is not None:
            raise ValueError(
                f"`input_size` must be {self._input_size} for {self.name}, or None. "
                f"Received: input_size={input_size!r}"
            )
        height, width = input_size
        return Predictor(
            self._run,
            name=self.name,
            input_size=(height, width),
            channels=self.channels,
            output_shapes=self._output_shapes,
            metadata=self.metadata,
        )


def _from_function(function: Callable[[np.ndarray], Any]) -> Predictor:
    name = getattr(function, "__name__", type(function).__name__)
    return Predictor(lambda images: {ONLY: function(images)}, name=name)


def _is_keras(source: Any) -> bool:
    """Return whether it is a Keras model; there is none if Keras was never imported."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(source, keras.Model)


def _from_keras(model: "keras.Model") -> Predictor:
    declared = hasattr(model, "inputs")  # a subclassed model has no shapes
    names = output_names(model) if declared else None

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        starts = range(0, len(images), BATCH)
        parts = [
            name_outputs(names, model.predict_on_batch(images[start : start + BATCH]))
            for start in starts
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    if names is None:
        return Predictor(run, name=model.name)
    _check_single("the model", model.name, len(model.inputs))
    if is_channels_first(model):
        raise ValueError(
            "`source` must be a channels-last model. "
            f"Received: {model.name}, channels first, with the input shape {model.input_shape}"
        )
    if len(model.input_shape) != 4:
        raise ValueError(
            "`source` must be a model of images (N, H, W, C). "
            f"Received: {model.name} with the input shape {model.input_shape}"
        )
    _, height, width, channels = model.input_shape
    shapes = {
        name: tuple(output.shape[1:]) for name, output in zip(names, model.outputs, strict=True)
    }
    return Predictor(
        run,
        name=model.name,
        input_size=None if None in (height, width) else (height, width),
        channels=channels,
        output_shapes=shapes,
        metadata=read_metadata(model) if len(shapes) == 1 else None,
    )


def _from_file(path: Path, num_threads: int | None) -> Predictor:
    if path.suffix == ".tflite":
        return _from_tflite(path, num_threads)
    if path.suffix == ".keras":
        return _from_keras(load_keras(path))
    if path.suffix == ".onnx":
        return _from_onnx(path, num_threads)
    raise ValueError(
        "`source` must end in .keras, .tflite or .onnx, or be the name of a published model. "
        f"Received: {str(path)!r}"
    )


def _from_tflite(path: Path, num_threads: int | None) -> Predictor:
    interpreter = runtime.open_interpreter(path, num_threads)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _check_single("the file", str(path), len(inputs))
    shape = inputs[0]["shape"]
    if len(shape) != 4:
        raise ValueError(
            f"A .tflite file must take images (N, H, W, C). Received: {tuple(shape)} in {path}"
        )
    names = runtime.output_names(interpreter)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, runtime.run_images(interpreter, images), strict=True))

    return Predictor(
        run,
        name=path.stem,
        input_size=(int(shape[1]), int(shape[2])),
        channels=int(shape[3]),
        output_shapes={
            name: tuple(int(n) for n in details["shape"][1:])
            for name, details in zip(names, outputs, strict=True)
        },
        metadata=ModelMetadata.read(path),
    )


def _from_onnx(path: Path, num_threads: int | None) -> Predictor:
    model = open_onnx(path, num_threads)
    return Predictor(
        model.run,
        name=path.stem,
        input_size=model.input_size,
        channels=model.shape[-1],
        metadata=model.metadata,
    )


def _check_single(what: str, name: str, inputs: int) -> None:
    if inputs != 1:
        raise ValueError(
            f"{what.capitalize()} must have one input of images. "
            f"Received: {name} with {inputs} inputs"
        )
