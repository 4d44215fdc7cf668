"""Ranges of maps between convolutions, cut off where that loses less than it gains.

The converter takes the least and the greatest value that a tensor had on the calibration images.
What depthwise convolutions make has long tails: with a smaller range the steps are finer, and a few
values are cut off. What leaves a ReLU is cut off when the network is lowered.
"""

from typing import Any

import numpy as np

from keras_shufflenet.litert.interpreter import open_interpreter
from keras_shufflenet.litert.schema import operator_name, pack, schema

STEPS = 255
MOST_IMAGES = 32  # every tensor of each is looked at
# Of the range on the images: among these the one of least squared error is looked for.
FRACTIONS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3)
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def cut_ranges(calibrated: bytes, images: np.ndarray) -> bytes:
    """Cut off the ranges of what convolutions without activation hand on to convolutions.

    The criterion is OCTAV's (Sakr et al., arXiv 2206.06501): the squared error of rounding and of
    cutting off together.

    Args:
        calibrated: a float file whose tensors have ranges.
        images: (N, H, W, 3) as it takes them.

    Returns:
        The file with other ranges.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(calibrated, 0))
    tensors = model.subgraphs[0].tensors
    ranges = {index: _range(tensors[index]) for index in _linear_maps(model)}
    errors = {index: np.zeros(len(FRACTIONS)) for index in ranges}
    interpreter = open_interpreter(calibrated, keep_tensors=True)
    source = interpreter.get_input_details()[0]["index"]
    for image in images[:: max(1, len(images) // MOST_IMAGES)]:
        interpreter.set_tensor(source, image[np.newaxis])
        interpreter.invoke()
        for index, (low, high) in ranges.items():
            errors[index] += _errors(interpreter.get_tensor(index), low, high)
    for index, (low, high) in ranges.items():
        fraction = FRACTIONS[int(errors[index].argmin())]
        tensors[index].quantization.min = [fraction * low]
        tensors[index].quantization.max = [fraction * high]
    return pack(model, len(calibrated))


def _range(tensor: Any) -> tuple[float, float]:
    return float(tensor.quantization.min[0]), float(tensor.quantization.max[0])


def _linear_maps(model: Any) -> list[int]:
    """Tensors that convolutions without activation make, and that nothing but convolutions read."""
    codes = [
        operator_name(code.customCode, code.builtinCode, code.deprecatedBuiltinCode)
        for code in model.operatorCodes
    ]
    graph = model.subgraphs[0]
    readers: dict[int, set[str]] = {int(index): {"output"} for index in graph.outputs}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(int(index), set()).add(codes[operator.opcodeIndex])
    none = schema.ActivationFunctionType.NONE
    return [
        int(operator.outputs[0])
        for operator in graph.operators
        if codes[operator.opcodeIndex] in CONVOLUTIONS
        and operator.builtinOptions.fusedActivationFunction == none
        and readers.get(int(operator.outputs[0]), {"none"}) <= set(CONVOLUTIONS)
    ]


def _errors(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The squared errors of a tensor's values for each fraction of its range."""
    found = []
    for fraction in FRACTIONS:
        cut = np.clip(values, fraction * low, fraction * high) - values
        step = fraction * (high - low) / STEPS
        found.append(np.square(cut, dtype=np.float64).sum() + values.size * step**2 / 12)
    return np.array(found)
