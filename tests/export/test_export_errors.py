"""What cannot be exported, and what is left behind then: nothing."""

import importlib
import sys

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.litert import schema

SIZE = (64, 64)


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    inputs = keras.Input((*SIZE, 3))
    return keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int4"}, "`precision` must be one of 'float32', 'float16', 'int8'"),
        ({"input_dtype": "int8"}, "`input_dtype` must be one of 'float32', 'uint8' for float32"),
        ({"output_dtype": "uint8"}, "`output_dtype` must be one of 'float32' for float32"),
        ({"precision": "int8"}, "int8 requires a `representative_dataset`"),
        ({"input_size": 64}, r"\(height, width\) in pixels"),
        ({"input_size": (64, 64, 3)}, r"\(height, width\) in pixels"),
        ({"comparison_images": np.zeros((0, *SIZE, 3))}, "N at least 1"),
        ({"comparison_images": np.full((1, *SIZE, 3), np.nan)}, "finite images"),
        ({"optimize": "yes"}, "`optimize` must be True or False"),
        ({"per_channel": 1}, "`per_channel` must be True or False"),
        ({"precision": "int16x8", "per_channel": False}, "`per_channel` must be True for int16x8"),
        ({"evaluate": 3}, "a function of a path"),
        ({"labels": {"cat": 0}}, "a list with a name for each class"),
        ({"codec": "msra"}, "`codec` must be a HeatmapCodec"),
        ({"input_size": (32, 32)}, r"`input_size` must be \(64, 64\)"),
    ],
)
def test_bad_arguments(tiny, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*Received: "):
        ks.export.litert(tiny, tmp_path / "a.tflite", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ([], "at least one image"),
        ([np.zeros((2, 8, 8, 3))], r"shape \(N, 64, 64, 3\)"),
        ([np.full((2, *SIZE, 3), np.nan)], "finite"),
        ([np.full((2, *SIZE, 3), 7.0)], "real images"),
        ([np.random.default_rng(0).normal(size=(2, *SIZE, 3))], "pixels 0..255"),
        ([{"image": 1}], "the batch {'image': 1}"),
        (["cat.jpg"], "the batch 'cat.jpg'"),
    ],
)
def test_bad_calibration(tiny, tmp_path, calibration, message):
    with pytest.raises(ValueError, match=f"{message}|Received: {message}") as error:
        ks.export.litert(tiny, tmp_path / "a.tflite", "int8", calibration, input_dtype="uint8")
    assert "Received: " in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_no_calibration_images(tiny, photographs, tmp_path):
    with pytest.raises(ValueError, match="`num_calibration_samples` must be a positive integer"):
        ks.export.litert(
            tiny, tmp_path / "a.tflite", "int8", [photographs(2)], num_calibration_samples=0
        )
    with pytest.raises(
        ValueError, match=r"a positive integer. Received: num_calibration_samples=2\.5"
    ):
        ks.export.litert(
            tiny, tmp_path / "a.tflite", "int8", [photographs(2)], num_calibration_samples=2.5
        )


def test_paths_that_cannot_be_written(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.tflite"):
        ks.export.litert(tiny, tmp_path / "a.lite")
    with pytest.raises(ValueError, match=r"a string or a pathlib\.Path\. Received: path=None"):
        ks.export.litert(tiny, None)
    (tmp_path / "b.tflite").mkdir()
    with pytest.raises(IsADirectoryError, match="must not be a folder"):
        ks.export.litert(tiny, tmp_path / "b.tflite")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"folder of `path` must be writable .*Received: path="):
        ks.export.litert(tiny, tmp_path / "file" / "a.tflite")


def test_not_a_model(tmp_path):
    with pytest.raises(ValueError, match=r"keras\.Model"):
        ks.export.litert(lambda images: images, tmp_path / "a.tflite")
    with pytest.raises(FileNotFoundError):
        ks.export.litert(tmp_path / "none.keras", tmp_path / "a.tflite")
    for write in (ks.export.litert, ks.export.onnx):
        with pytest.raises(ValueError, match=r"of a \.keras file\. Received: 'b\.tflite'"):
            write("b.tflite", tmp_path / ("a.tflite" if write is ks.export.litert else "a.onnx"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("precision", ["float32", "int8", "onnx"])
def test_weights_that_are_not_finite(tiny, photographs, tmp_path, precision, value):
    model = keras.models.clone_model(tiny)
    layer = model.layers[-1]
    layer.bias.assign([0, value])
    arguments = (tmp_path / "a.tflite", precision, [photographs(2)])
    write = ks.export.litert
    if precision == "onnx":
        write, arguments = ks.export.onnx, (tmp_path / "a.onnx",)
    with pytest.raises(ValueError, match=f"finite weights.*Received: .* in {layer.name}/bias of"):
        write(model, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_models_that_do_not_take_one_batch_of_images(tmp_path):
    vector = keras.Input((4,))
    images = [keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3))]
    two = keras.Model(images, keras.layers.Add()(images))
    for model in (keras.Model(vector, keras.layers.Dense(2)(vector)), two):
        with pytest.raises(ValueError, match="one input of images"):
            ks.export.litert(model, tmp_path / "a.tflite")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_operation_without_builtin_operator_is_named(photographs, tmp_path, precision):
    inputs = keras.Input((*SIZE, 3))
    model = keras.Model(inputs, keras.ops.erf(inputs))
    target = tmp_path / "a.tflite"
    target.write_bytes(b"what was there before")
    with pytest.raises(ks.export.ExportError, match=r"Received: Erf$"):
        ks.export.litert(model, target, precision, [photographs(2)])
    assert [path.name for path in tmp_path.iterdir()] == ["a.tflite"]
    assert target.read_bytes() == b"what was there before"


def test_what_litert_cannot_run_is_not_written(photographs, tmp_path, monkeypatch):
    """Untrained networks of 16-bit activations overflow in the runtime's preparation."""
    keras.utils.set_random_seed(0)
    model = ks.ShuffleNetV2(width=0.25, input_shape=(*SIZE, 3), classes=10)
    with pytest.raises(
        ks.export.ExportError, match=r"`optimize=False` may help\. Received: precision='int16x8'"
    ):
        ks.export.litert(model, tmp_path / "a.tflite", "int16x8", [photographs(2)])
    assert list(tmp_path.iterdir()) == []


def test_without_the_runtime_the_extra_is_named(tiny, tmp_path, monkeypatch):
    ks.export.litert(tiny, tmp_path / "a.tflite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match=r"pip install keras-shufflenet\[export\]"):
        ks.inference.Predictor.load(tmp_path / "a.tflite")
    with pytest.raises(ImportError, match=r"pip install keras-shufflenet\[export\]"):
        importlib.reload(schema)


def test_other_backends_are_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"requires Keras' TensorFlow backend.*Received: .*'jax'"):
        ks.export.litert(tiny, tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []
