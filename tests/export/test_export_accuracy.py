"""Real weights, real photographs: what quantization costs. The others are in results/."""

import numpy as np
import pytest

import keras_shufflenet as ks

# Accuracy of the float networks in PyTorch on the same 820 images, and what may get lost.
NETWORKS = {
    "shufflenet_v2_x0_25": ("shufflenetv2_x0.25_imagenet.pth", 0.5976, 0.02),
    "shufflenet_v2_x1_0": ("shufflenetv2_x1.0_imagenet_dequantized.pth", 0.7744, 0.007),
}


@pytest.fixture(scope="module")
def photographs_and_classes(shared):
    batches = list(ks.data.imagenet(shared / "data" / "imagenet_val" / "labels.csv"))
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_top1(shared, photographs_and_classes, tmp_path, name):
    photographs, classes = photographs_and_classes
    weights, float_top1, allowed_loss = NETWORKS[name]
    model = ks.create_model(name, weights=str(shared / "weights" / weights))
    path = tmp_path / "int8.tflite"
    ks.export.litert(model, path, "int8", [photographs], input_dtype="uint8")
    scores = ks.inference.Predictor.load(path).predict(photographs)
    top1 = np.mean(scores.argmax(axis=-1) == classes)
    assert top1 >= float_top1 - allowed_loss
