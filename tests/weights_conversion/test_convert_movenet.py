"""A graph model of TensorFlow.js becomes a LiteRT file."""

import base64
import json

import numpy as np
import pytest

from keras_shufflenet.litert.interpreter import open_interpreter, run_images
from tests.rounding import EPSILON32
from weights_conversion.convert_movenet import convert, main, unfused


def attributes(*fused):
    """Return what the converter of TensorFlow.js writes for a fused convolution."""
    return {
        "T": {"type": "DT_FLOAT"},
        "strides": {"list": {"i": ["1", "1", "1", "1"]}},
        "padding": {"s": base64.b64encode(b"VALID").decode()},
        "data_format": {"s": base64.b64encode(b"NHWC").decode()},
        "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
        "num_args": {"i": str(len(fused) > 0 and 1)},
        "fused_ops": {"list": {"s": [base64.b64encode(name.encode()).decode() for name in fused]}},
        "epsilon": {"f": 0.0},
    }


@pytest.fixture
def model(tmp_path):
    """A convolution with float16 weights, a float32 bias and ReLU6; and what it computes."""
    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.02, (1, 1, 3, 4)).astype(np.float16)
    bias = random.normal(0, 1, 4).astype(np.float32)
    (tmp_path / "model.bin").write_bytes(kernel.tobytes() + bias.tobytes())
    shape = {"dim": [{"size": str(n)} for n in (1, 4, 4, 3)]}
    content = {
        "signature": {"inputs": {"image:0": {}}, "outputs": {"out:0": {}}},
        "modelTopology": {
            "node": [
                {"name": "kernel", "op": "Const"},
                {"name": "bias", "op": "Const"},
                {
                    "name": "image",
                    "op": "Placeholder",
                    "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": {"shape": shape}},
                },
                {
                    "name": "out",
                    "op": "_FusedConv2D",
                    "input": ["image", "kernel", "bias"],
                    "attr": attributes("BiasAdd", "Relu6"),
                },
            ]
        },
        "weightsManifest": [
            {
                "paths": ["model.bin"],
                "weights": [
                    {
                        "name": "kernel",
                        "shape": [1, 1, 3, 4],
                        "dtype": "float32",
                        "quantization": {"dtype": "float16", "original_dtype": "float32"},
                    },
                    {"name": "bias", "shape": [4], "dtype": "float32"},
                ],
            }
        ],
    }
    path = tmp_path / "model.json"
    path.write_text(json.dumps(content))

    def compute(images):
        return np.clip(images @ kernel[0, 0].astype(np.float64) + bias, 0, 6)

    return path, compute


def test_the_file_computes_what_the_graph_says(model, tmp_path):
    path, compute = model
    output = tmp_path / "model.tflite"
    assert main([str(path), str(output)]) == 0
    images = np.random.default_rng(1).uniform(0, 255, (1, 4, 4, 3)).astype(np.float32)
    (found,) = run_images(open_interpreter(output), images)
    expected = compute(images)
    assert 0 < expected.min() + expected.max() < 12
    np.testing.assert_allclose(found, expected, rtol=0, atol=64 * EPSILON32 * 6)


def test_damaged_weights_and_unknown_operators_are_refused(model):
    path, _ = model
    (path.parent / "model.bin").write_bytes(b"1234" * 11)
    with pytest.raises(ValueError, match=r"must have 40 bytes\. Received: 44"):
        convert(path)
    node = {"name": "x", "op": "_FusedConv2D", "input": [], "attr": attributes("BiasAdd", "Elu")}
    with pytest.raises(ValueError, match=r"may be fused\. Received: \['BiasAdd', 'Elu'\]"):
        unfused(node)
