"""One interface to run Keras models, `.tflite` files and functions on images.

Keras is imported for Keras models only: a `.tflite` file requires NumPy and ai-edge-litert.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_shufflenet.litert.interpreter import open_interpreter, run_one
from keras_shufflenet.litert.metadata import ModelMetadata

if TYPE_CHECKING:
    import keras

BATCH = 32  # limits the memory of a Keras model's activations

Run = Callable[[np.ndarray], Any]


class Predictor:
    """Maps images to float32 outputs: a Keras model, an exported file or any function.

    Create one with `Predictor.load`.

    Attributes:
        name: Name of the model, of the file (without its suffix) or of the function.
        metadata: Labels, codec and skeleton, as far as the model knows them.
    """

    def __init__(
        self,
        run: Run,
        *,
        name: str,
        input_size: tuple[int, int] | None = None,
        output_shape: tuple[int | None, ...] | None = None,
        metadata: ModelMetadata | None = None,
    ) -> None:
        self._run = run
        self.name = name
        self._input_size = input_size
        self._output_shape = output_shape
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
            source: A `keras.Model`, the path of a `.keras` or `.tflite` file, a function that maps
                images (N, H, W, 3) float32 RGB 0..255 to an array (N, ...), or a predictor.
            input_size: (height, width) for a source with a variable input size.
            num_threads: Threads of the interpreter of a `.tflite` file. Defaults to one per core,
                at most four.

        Raises:
            FileNotFoundError: If the file is missing.
            ImportError: If ai-edge-litert is missing for a `.tflite` file.
            ValueError: If the file is broken or of another kind, or `input_size` contradicts it.
        """
        if isinstance(source, Predictor):
            predictor = source
        elif _is_keras(source):
            predictor = _from_keras(source)
        elif isinstance(source, (str, Path)):
            predictor = _from_file(Path(source), num_threads)
        elif callable(source):
            predictor = cls(source, name=getattr(source, "__name__", type(source).__name__))
        else:
            raise ValueError(
                "`source` must be a keras.Model, a path or a function. "
                f"Received: {type(source).__name__} {source!r}"
            )
        return predictor._sized(input_size)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Run the model.

        Args:
            images: RGB images (N, H, W, 3) 0..255 (or what the model takes), float32 or uint8.

        Returns:
            (N, ...) float32.

        Raises:
            ValueError: If the images have another shape.
        """
        images = np.asarray(images)
        size = self._input_size
        if images.ndim != 4 or images.shape[-1] != 3 or size not in (None, images.shape[1:3]):
            height, width = size or ("H", "W")
            raise ValueError(
                f"`images` must have the shape (N, {height}, {width}, 3) for {self.name}. "
                f"Received: shape {images.shape}"
            )
        if len(images) == 0:
            return np.zeros((0, *(n or 0 for n in self._output_shape or ())), np.float32)
        return np.asarray(self._run(images.astype(np.float32, copy=False)), np.float32)

    __call__ = predict

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
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the output for one image, without the batch axis.

        A model that does not declare it is run once.

        Raises:
            ValueError: If the model takes images of any size.
        """
        shape = self._output_shape
        if shape is None or None in shape:
            shape = self.predict(np.zeros((1, *self.input_size, 3), np.float32)).shape[1:]
            self._output_shape = shape
        return tuple(int(length or 0) for length in shape)

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
            output_shape=self._output_shape,
            metadata=self.metadata,
        )


def _is_keras(source: Any) -> bool:
    """Return whether it is a Keras model; there is none if Keras was never imported."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(source, keras.Model)


def _from_keras(model: "keras.Model") -> Predictor:
    def run(images: np.ndarray) -> np.ndarray:
        batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        return np.concatenate([model.predict_on_batch(batch) for batch in batches])

    if not hasattr(model, "inputs"):  # a subclassed model has no shapes
        return Predictor(run, name=model.name)
    _check_single("the model", model.name, len(model.inputs), len(model.outputs))
    height, width = model.input_shape[1:3]
    size = None if None in (height, width) else (height, width)
    return Predictor(
        run,
        name=model.name,
        input_size=size,
        output_shape=model.output_shape[1:],
        metadata=_describe(model),
    )


def _describe(model: "keras.Model") -> ModelMetadata:
    """Return the model's class names, or ImageNet's for 1000, and the skeleton of heatmaps."""
    from keras_shufflenet.models import class_names, model_skeleton
    from keras_shufflenet.models.imagenet import imagenet_classes

    names = class_names(model)
    if not names and model.output_shape[1:] == (len(imagenet_classes()),):
        names = tuple(words for _, words in imagenet_classes())
    return ModelMetadata(labels=names, skeleton=model_skeleton(model))


def _from_file(path: Path, num_threads: int | None) -> Predictor:
    if path.suffix == ".tflite":
        return _from_tflite(path, num_threads)
    if path.suffix == ".keras":
        return _from_keras(load_keras(path))
    raise ValueError(f"`source` must end in .keras or .tflite. Received: {str(path)!r}")


def load_keras(path: Path) -> "keras.Model":
    """Open a `.keras` file for inference.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The .keras file must exist. Received: {str(path)!r}")
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # a broken file fails in zipfile, json, h5py or Keras
        raise ValueError(
            "The file must be a model that `model.save` of Keras 3 has written "
            f"({_reason(error)}). Received: {str(path)!r}"
        ) from error


def _reason(error: Exception) -> str:
    """Return the first sentence of an error, whose text may fill pages."""
    first, _, _ = " ".join(str(error).split()).partition(". ")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__


def _from_tflite(path: Path, num_threads: int | None) -> Predictor:
    interpreter = open_interpreter(path, num_threads)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _check_single("the file", str(path), len(inputs), len(outputs))
    batch, height, width, _ = _image_shape(inputs[0]["shape"], path)
    if batch != 1:
        raise ValueError(f"A .tflite file must have batch size 1. Received: {batch} in {path}")

    def run(images: np.ndarray) -> np.ndarray:
        return np.stack([run_one(interpreter, image) for image in images])

    shape = tuple(int(n) for n in outputs[0]["shape"][1:])
    return Predictor(
        run,
        name=path.stem,
        input_size=(height, width),
        output_shape=shape,
        metadata=ModelMetadata.read(path),
    )


def _image_shape(shape: np.ndarray, path: Path) -> tuple[int, int, int, int]:
    if len(shape) != 4 or shape[-1] != 3:
        raise ValueError(
            f"A .tflite file must take images (1, H, W, 3). Received: {tuple(shape)} in {path}"
        )
    batch, height, width, channels = (int(n) for n in shape)
    return batch, height, width, channels


def _check_single(what: str, name: str, inputs: int, outputs: int) -> None:
    if inputs != 1 or outputs != 1:
        raise ValueError(
            f"{what.capitalize()} must have one input of images and one output. "
            f"Received: {name} with {inputs} inputs and {outputs} outputs"
        )
