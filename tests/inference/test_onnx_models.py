"""Networks of ONNX files, as PyTorch libraries export them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from keras_shufflenet.inference.predictor import Predictor
from tests.rounding import EPSILON32

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def save_pooling(path, shape, channels=3):
    """Save a network that averages 4 × 4 pixels of every color into 17 heatmaps of the sum."""
    kernel = np.full((17, channels, 4, 4), 1 / 16, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["heatmaps"], strides=[4, 4])],
        "pooling",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


@pytest.mark.parametrize("batch", [1, "n"])
def test_images_are_normalized_and_outputs_channels_last(tmp_path, batch):
    predictor = Predictor.load(save_pooling(tmp_path / "pose.onnx", [batch, 3, 16, 8]))
    assert (predictor.name, predictor.input_size) == ("pose", (16, 8))
    assert predictor.output_shape == (4, 2, 17)
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 8, 3)).astype("float32")
    normalized = ((images.astype(np.float64) / 255 - MEAN) / STD).sum(axis=-1)
    expected = normalized.reshape(3, 4, 4, 2, 4).mean(axis=(2, 4))[..., None].repeat(17, axis=-1)
    tolerance = 64 * EPSILON32 * np.abs(expected).max()
    np.testing.assert_allclose(predictor.predict(images), expected, rtol=0, atol=tolerance)


def test_any_size(tmp_path):
    predictor = Predictor.load(save_pooling(tmp_path / "pose.onnx", ["n", 3, "h", "w"]), (8, 8))
    assert predictor.output_shape == (2, 2, 17)


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: .*none.onnx"):
        Predictor.load(tmp_path / "none.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"must be an ONNX file .* Received: .*broken.onnx"):
        Predictor.load(broken)
    broken.write_bytes(b"")
    with pytest.raises(ValueError, match=r"the file is empty\)\. Received: .*broken.onnx"):
        Predictor.load(broken)
    gray = save_pooling(tmp_path / "gray.onnx", [1, 1, 16, 8], channels=1)
    with pytest.raises(ValueError, match=r"must take float images.* Received: .*1, 1, 16"):
        Predictor.load(gray)


def test_other_files_are_not_opened(tmp_path):
    path = save_pooling(tmp_path / "pose.onnx", [1, 3, 16, 8])
    onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0, location="w.bin")
    assert (tmp_path / "w.bin").is_file()
    with pytest.raises(ValueError, match=r"weights are in another file.* Received: .*pose\.onnx"):
        Predictor.load(path)
