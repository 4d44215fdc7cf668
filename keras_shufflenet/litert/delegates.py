"""Operators that mobile delegates do not support and leave to the CPU.

No delegate is run: the tables follow the sources of the delegates. XNNPACK needs no table, because
it is part of LiteRT and reports the operators that it delegates.

Sources: `gpu_compatibility.cc` and `model_builder.cc` of TensorFlow Lite for the GPU,
`nnapi_delegate.cc` at API level 30 for NNAPI, and Coral's page of supported operations for the Edge
TPU. The compiler of the Edge TPU creates a single partition: all operators after the first
unsupported one run on the CPU, too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from keras_shufflenet.litert.schema import Operator

Rule = Callable[[Operator], str | None]


@dataclass(frozen=True)
class Refusal:
    """Operators of one kind that a delegate leaves to the CPU.

    Attributes:
        operator: LiteRT's name, such as "CAST".
        count: Number of such operators in the file.
        reason: What the delegate does not support.
    """

    operator: str
    count: int
    reason: str

    def __str__(self) -> str:
        """For example "2 CAST (uint8)"."""
        return f"{self.count} {self.operator} ({self.reason})"


@dataclass(frozen=True)
class Delegate:
    """The operators that a delegate supports.

    Attributes:
        name: Name in reports.
        operators: LiteRT's names of the supported operators.
        dtypes: Supported dtypes of activations.
        rank: Maximum rank of a tensor.
        rules: Further conditions by operator: a function that returns the violated one, or None.
    """

    name: str
    operators: frozenset[str]
    dtypes: frozenset[str]
    rank: int
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def refuses(self, operator: Operator) -> str | None:
        """Return why the delegate does not support an operator; None if it does."""
        if operator.name == "DEQUANTIZE" and operator.inputs[0].constant:
            return None  # delegates read float16 weights directly
        if operator.name not in self.operators:
            return "no such operator"
        odd = sorted({tensor.dtype for tensor in operator.activations} - self.dtypes)
        if odd:
            return " and ".join(odd)
        axes = max((len(tensor.shape) for tensor in operator.activations), default=0)
        if axes > self.rank:
            return f"{axes} axes"
        rule = self.rules.get(operator.name)
        return rule(operator) if rule else None


def refusals(operators: Iterable[Operator]) -> dict[str, tuple[Refusal, ...]]:
    """Return what each delegate leaves to the CPU, the most frequent first.

    Args:
        operators: All operators of a file, from `schema.read_operators`.
    """
    operators = list(operators)
    return {delegate.name: _refused(delegate, operators) for delegate in DELEGATES}


def _refused(delegate: Delegate, operators: list[Operator]) -> tuple[Refusal, ...]:
    reasons = [(operator.name, delegate.refuses(operator)) for operator in operators]
    counts = Counter((name, reason) for name, reason in reasons if reason is not None)
    return tuple(Refusal(name, count, reason) for (name, reason), count in counts.most_common())


def _fused_activation(operator: Operator) -> str | None:
    fused = operator.options and operator.options.fusedActivationFunction
    return "fused activation" if fused else None


def _groups(operator: Operator) -> str | None:
    image, kernel = operator.inputs[:2]
    return "groups" if image.shape[-1] != kernel.shape[-1] else None


def _slice_masks(operator: Operator) -> str | None:
    options = operator.options
    masks = options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask
    return "ellipsis, new axis or shrunk axis" if masks else None


def _gpu_cast(operator: Operator) -> str | None:
    dtype = operator.inputs[0].dtype
    return f"from {dtype}" if dtype in ("int8", "uint8") else None


def _gpu_slice(operator: Operator) -> str | None:
    axes = len(operator.inputs[0].shape)
    if axes not in (3, 4):
        return f"{axes} axes"
    return _slice_masks(operator) if operator.name == "STRIDED_SLICE" else None


def _gpu_multiplication(operator: Operator) -> str | None:
    first, second = (tensor.shape for tensor in operator.inputs)
    if len(first) != len(second):
        return None
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return "both sides broadcast" if min(differences) < 0 < max(differences) else None


def _gpu_indices(operator: Operator) -> str | None:
    indices = operator.inputs[1]
    return None if len(indices.shape) == 1 and indices.dtype == "int32" else "indices"


def _no_bias(operator: Operator) -> str | None:
    return "no bias" if len(operator.inputs) < 3 else None


def _nnapi_convolution(operator: Operator) -> str | None:
    return _no_bias(operator) or _groups(operator)


def _nnapi_mean(operator: Operator) -> str | None:
    same = operator.inputs[0].quantization == operator.outputs[0].quantization
    return None if same else "input and output have other scales"


def _edge_tpu_softmax(operator: Operator) -> str | None:
    return "more than 16000 classes" if operator.inputs[0].shape[-1] > 16_000 else None


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


GPU = Delegate(
    name="GPU",
    operators=_names(
        """ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D COS DEPTHWISE_CONV_2D
        DEPTH_TO_SPACE DEQUANTIZE DIV ELU EXP FLOOR FULLY_CONNECTED GATHER GELU HARD_SWISH
        LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG PACK PAD PADV2
        POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
        RESIZE_NEAREST_NEIGHBOR RSQRT SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
        SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV"""
    ),
    dtypes=frozenset({"float32", "float16", "int8", "uint8"}),
    rank=4,
    rules={
        "CAST": _gpu_cast,
        "GATHER": _gpu_indices,
        "MUL": _gpu_multiplication,
        "SLICE": _gpu_slice,
        "STRIDED_SLICE": _gpu_slice,
    },
)

NNAPI = Delegate(
    name="NNAPI",
    operators=_names(
        """ABS ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D CAST CONCATENATION CONV_2D DEPTHWISE_CONV_2D
        DEPTH_TO_SPACE DEQUANTIZE DIV EXPAND_DIMS EXP FULLY_CONNECTED GATHER HARD_SWISH LOGISTIC
        MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PAD PADV2 PRELU QUANTIZE RELU RELU6 RELU_N1_TO_1
        RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT
        SQRT SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV"""
    ),
    dtypes=frozenset({"float32", "int8", "uint8"}),
    rank=4,
    rules={
        "CONCATENATION": _fused_activation,
        "CONV_2D": _nnapi_convolution,
        "FULLY_CONNECTED": _no_bias,
        "MEAN": _nnapi_mean,
    },
)

EDGE_TPU = Delegate(
    name="EdgeTPU",
    operators=_names(
        """ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED
        L2_NORMALIZATION LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PACK PAD PRELU QUANTIZE
        REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
        RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE SQUEEZE
        STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV"""
    ),
    dtypes=frozenset({"int8", "uint8"}),
    rank=4,
    rules={
        "AVERAGE_POOL_2D": _fused_activation,
        "CONCATENATION": _fused_activation,
        "CONV_2D": _groups,
        "MAX_POOL_2D": _fused_activation,
        "SOFTMAX": _edge_tpu_softmax,
        "STRIDED_SLICE": _slice_masks,
    },
)

DELEGATES = (GPU, NNAPI, EDGE_TPU)
