"""Operators that the delegates do not support, by static lists."""

from types import SimpleNamespace

import keras
import pytest

import keras_shufflenet as ks
from keras_shufflenet.litert.delegates import EDGE_TPU, GPU, NNAPI, Refusal, refusals
from keras_shufflenet.litert.schema import Operator, Tensor, read_operators


def tensor(*shape, dtype="int8", constant=False, scale=0.5):
    return Tensor(shape, dtype, constant, ((scale,), (0,)))


def operator(name, *inputs, output=None, **options):
    inputs = inputs or (tensor(1, 8, 8, 4),)
    return Operator(name, inputs, (output or inputs[0],), SimpleNamespace(**options))


KERNEL = tensor(8, 1, 1, 4, constant=True)
BIAS = tensor(8, dtype="int32", constant=True)
IMAGE = tensor(1, 8, 8, 4)


@pytest.mark.parametrize(
    ("delegate", "refused", "reason"),
    [
        (GPU, operator("ARG_MAX"), "no such operator"),
        (GPU, operator("CUSTOM:FlexErf"), "no such operator"),
        (GPU, operator("RELU_0_TO_1"), "no such operator"),
        (GPU, operator("RESHAPE", tensor(1, 8, 8, 2, 2)), "5 axes"),
        (GPU, operator("CONV_2D", tensor(1, 8, 8, 4, dtype="int16")), "int16"),
        (GPU, operator("CAST", tensor(1, 8, 8, 3, dtype="uint8")), "from uint8"),
        (GPU, operator("SLICE", tensor(1, 8)), "2 axes"),
        (GPU, operator("MUL", tensor(1, 8, 1, 4), tensor(1, 1, 8, 4)), "both sides broadcast"),
        (GPU, operator("GATHER", IMAGE, tensor(2, 2, dtype="int32", constant=True)), "indices"),
        (NNAPI, operator("PACK"), "no such operator"),
        (NNAPI, operator("CONV_2D", IMAGE, KERNEL), "no bias"),
        (NNAPI, operator("CONV_2D", tensor(1, 8, 8, 12), KERNEL, BIAS), "groups"),
        (NNAPI, operator("MEAN", output=tensor(1, 4, scale=0.25)), "other scales"),
        (NNAPI, operator("CONCATENATION", fusedActivationFunction=1), "fused activation"),
        (EDGE_TPU, operator("DEPTH_TO_SPACE"), "no such operator"),
        (EDGE_TPU, operator("HARD_SWISH"), "no such operator"),
        (EDGE_TPU, operator("RELU", tensor(1, 8, dtype="float32")), "float32"),
        (
            EDGE_TPU,
            operator("STRIDED_SLICE", ellipsisMask=0, newAxisMask=0, shrinkAxisMask=2),
            "shrunk axis",
        ),
        (EDGE_TPU, operator("SOFTMAX", tensor(1, 20_000)), "16000"),
    ],
)
def test_refused(delegate, refused, reason):
    assert reason in delegate.refuses(refused)


@pytest.mark.parametrize("delegate", [GPU, NNAPI, EDGE_TPU])
@pytest.mark.parametrize(
    "taken",
    [
        operator("CONV_2D", IMAGE, KERNEL, BIAS),
        operator("CONCATENATION", IMAGE, IMAGE, fusedActivationFunction=0),
        operator("STRIDED_SLICE", ellipsisMask=0, newAxisMask=0, shrinkAxisMask=0),
        operator("QUANTIZE", output=tensor(1, 8, 8, 4, scale=0.25)),
        operator("DEQUANTIZE", tensor(8, dtype="float16", constant=True)),
    ],
)
def test_taken(delegate, taken):
    assert delegate.refuses(taken) is None


def test_the_same_refusals_are_counted():
    found = refusals([operator("ARG_MAX"), operator("PACK"), operator("ARG_MAX")])
    assert found["GPU"] == (Refusal("ARG_MAX", 2, "no such operator"),)
    assert found["NNAPI"] == (Refusal("PACK", 1, "no such operator"),)
    assert str(found["GPU"][0]) == "2 ARG_MAX (no such operator)"


def test_operators_of_a_file(exported):
    file = exported("pose_deconv", "int8")
    operators = read_operators(file.path.read_bytes())
    assert len(operators) == sum(file.report.operators.values())
    first = operators[0]
    assert (first.name, first.inputs[0].dtype, first.outputs[0].dtype) == (
        *("QUANTIZE", "float32"),
        "int8",
    )
    assert first.inputs[0].shape == (1, 64, 64, 3)
    stem = next(op for op in operators if op.name == "CONV_2D")
    kernel, bias = stem.inputs[1:]
    assert kernel.constant
    assert bias.constant
    assert len(kernel.quantization[0]) == kernel.shape[0]
    assert stem.outputs[0] in stem.activations
    assert kernel not in stem.activations


def test_what_the_optimized_deconvolutions_need(exported):
    """The Edge TPU has no DEPTH_TO_SPACE; the ends of the network are real numbers."""
    report = exported("pose_deconv", "int8").report
    assert report.delegates["GPU"] == ()
    refused = {refusal.operator: refusal for refusal in report.delegates["EdgeTPU"]}
    assert set(refused) == {"DEPTH_TO_SPACE", "QUANTIZE", "DEQUANTIZE"}
    assert refused["DEPTH_TO_SPACE"].count == report.operators["DEPTH_TO_SPACE"]
    float_report = exported("pose_deconv").report
    assert float_report.delegates["GPU"] == float_report.delegates["NNAPI"] == ()
    assert sum(r.count for r in float_report.delegates["EdgeTPU"]) == sum(
        float_report.operators.values()
    )
    assert "operators (float32)" in str(float_report)


def test_requantizing_operators_are_counted(photographs, tmp_path):
    same = operator("QUANTIZE", output=tensor(1, 8, 8, 4, scale=0.25))
    bytes_in = operator("QUANTIZE", tensor(1, 8, dtype="uint8"), output=tensor(1, 8))
    assert (same.requantizes, bytes_in.requantizes) == (True, False)
    inputs = keras.Input((16, 16, 3))
    shared = keras.layers.Conv2D(4, 1)(inputs)
    ends = [
        keras.layers.Conv2D(4, 1)(keras.layers.Concatenate()([shared, factor * shared]))
        for factor in (20.0, 0.05)
    ]
    model = keras.Model(inputs, keras.layers.Add()(ends))
    path = tmp_path / "a.tflite"
    report = ks.export.litert(model, path, "int8", [photographs(4, (16, 16))], optimize=False)
    assert (report.requantizes, report.operators["QUANTIZE"]) == (1, 2)
