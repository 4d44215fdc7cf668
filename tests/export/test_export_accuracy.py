"""Real weights, real photographs: what quantization costs. The others are in results/."""

import numpy as np

import keras_shufflenet as ks

FLOAT_TOP1 = 0.7744  # in PyTorch on the same 820 images
ALLOWED_LOSS = 0.007


def test_int8_top1(shared, tmp_path):
    batches = list(ks.data.classification(shared / "data" / "imagenet_val" / "labels.csv"))
    photographs, classes = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    weights = shared / "weights" / "shufflenetv2_x1.0_imagenet_dequantized.pth"
    model = ks.create_model("shufflenet_v2_x1_0", weights=str(weights))
    path = tmp_path / "int8.tflite"
    ks.export.litert(
        model, path, "int8", [photographs], num_calibration_samples=50, input_dtype="uint8"
    )
    scores = ks.inference.Predictor.load(path).predict(photographs)
    top1 = np.mean(scores.argmax(axis=-1) == classes)
    assert top1 >= FLOAT_TOP1 - ALLOWED_LOSS
