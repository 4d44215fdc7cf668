"""Real weights on real photographs: ported networks, and the files they become."""

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.inference import Predictor
from keras_shufflenet.metrics.imagenet import count_correct
from tests.noise import assert_exact

# File of weights: network, top-1 and top-5 in PyTorch on the same photographs.
REFERENCE = {
    "shufflenetv2_x0.25_imagenet.pth": ("shufflenet_v2_x0_25", 0.5976, 0.8402),
    "shufflenetv2_x0.33_imagenet.pth": ("shufflenet_v2_x0_33", 0.6317, 0.8585),
    "shufflenetv2_x1.0_imagenet_dequantized.pth": ("shufflenet_v2_x1_0", 0.7744, 0.9341),
    "mobilenet_v2_imagenet_dequantized.pth": ("mobilenet_v2_x1_0", 0.7829, 0.9415),
}
IN_KERAS, *AS_FILES = REFERENCE
QUANTIZED = "shufflenetv2_x1.0_imagenet_dequantized.pth"
PHOTOGRAPHS = 820
NEARLY_TIES = 2  # photographs whose best classes may change places by rounding
QUANTIZATION_LOSS = 0.007  # of top-1, which is promised


def check(scores: np.ndarray, classes: np.ndarray, file: str) -> None:
    for top, expected in zip((1, 5), REFERENCE[file][1:], strict=True):
        correct = count_correct(scores, classes, top)
        assert abs(correct - expected * PHOTOGRAPHS) <= NEARLY_TIES


@pytest.fixture(scope="module")
def labels(shared):
    return shared / "data" / "imagenet_val" / "labels.csv"


@pytest.fixture(scope="module")
def photographs(labels):
    """All photographs as 224 x 224 pixels, and their classes."""
    batches = list(ks.data.classification(labels))
    images, classes = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert len(images) == PHOTOGRAPHS
    return images, classes


@pytest.fixture(scope="module")
def network(shared):
    def load(file: str):
        return ks.create_model(REFERENCE[file][0], weights=shared / "weights" / file)

    return load


@pytest.mark.parametrize("file", AS_FILES)
def test_a_ported_network_equals_its_file_and_has_its_accuracy(
    network, photographs, file, tmp_path
):
    """LiteRT predicts in a fraction of the time of Keras."""
    images, classes = photographs
    model, path = network(file), tmp_path / "float32.tflite"
    ks.export.litert(model, path, comparison_images=images[:1])
    scores = Predictor.load(path).predict(images)
    check(scores, classes, file)
    some = images[:: PHOTOGRAPHS // 4]
    expected = model.predict_on_batch(some)
    assert_exact(expected, model, some)
    assert_exact(scores[:: PHOTOGRAPHS // 4], model, some)


def test_int8_top1(network, photographs, tmp_path):
    images, classes = photographs
    path = tmp_path / "int8.tflite"
    ks.export.litert(
        network(QUANTIZED), path, "int8", [images], num_calibration_samples=24, input_dtype="uint8"
    )
    correct = count_correct(Predictor.load(path).predict(images), classes, 1)
    assert correct / PHOTOGRAPHS >= REFERENCE[QUANTIZED][1] - QUANTIZATION_LOSS


def test_accuracy_of_a_keras_model_in_one_call(network, labels):
    found = ks.metrics.imagenet(network(IN_KERAS), labels, verbose=False)
    assert found["count"] == PHOTOGRAPHS
    for top, expected in zip((1, 5), REFERENCE[IN_KERAS][1:], strict=True):
        assert abs(found[f"top{top}"] - expected) * PHOTOGRAPHS <= NEARLY_TIES
