"""Networks in ONNX files as PyTorch libraries export them, such as mmpose's: by ONNX Runtime."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._requirements import check_installed

# Of ImageNet, with which mmpose, mmdetection and torchvision normalize RGB in 0..1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


class ONNXModel(NamedTuple):
    """A network of an ONNX file.

    Attributes:
        session: ONNX Runtime's session.
        input_size: (height, width) of its images, or None if they vary.
        is_single: Whether it takes one image at a time.
    """

    session: Any
    input_size: tuple[int, int] | None
    is_single: bool

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name, feature maps channels last.

        Args:
            images: (N, H, W, 3) RGB 0..255.
        """
        planes = ((images / 255 - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)
        name = self.session.get_inputs()[0].name
        batches = np.split(planes, len(planes)) if self.is_single else [planes]
        parts = [self.session.run(None, {name: batch}) for batch in batches]
        outputs = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        names = [output.name for output in self.session.get_outputs()]
        return {
            name: np.moveaxis(values, 1, -1) if values.ndim == 4 else values
            for name, values in zip(names, outputs, strict=True)
        }


def open_onnx(path: Path, num_threads: int | None = None) -> ONNXModel:
    """Open a network that takes images (N, 3, H, W), RGB by ImageNet's mean and standard deviation.

    Args:
        path: The ONNX file.
        num_threads: Threads of an operator; by default ONNX Runtime's own choice.

    Raises:
        FileNotFoundError: If the file is missing.
        ImportError: If onnxruntime is missing.
        ValueError: If the file is broken, or takes something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`source` must be an existing file. Received: {path}")
    check_installed("An .onnx file", "runtimes", ("onnxruntime",))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    options.log_severity_level = 3
    # Threads that wait for work do so asleep: beside a training they would take its cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options)
    except Exception as error:  # of classes that ONNX Runtime does not export
        reason = str(error).partition("\n")[0]
        raise ValueError(f"`source` must be an ONNX file ({reason}). Received: {path}") from error
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or inputs[0].type != "tensor(float)":
        raise ValueError(
            "An ONNX file must take float images (N, 3, H, W). Received: "
            f"{[(each.name, each.type, each.shape) for each in inputs]} in {path}"
        )
    size = (shape[2], shape[3]) if all(isinstance(n, int) for n in shape[2:]) else None
    return ONNXModel(session, size, shape[0] == 1)
