"""Small networks and the files they become. Converting takes seconds: every file is made once."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from tests.export.mediapipe_reader import MARK

SIZE = (64, 64)
PYRAMID_CHANNELS = 12
READER = Path(__file__).with_name("mediapipe_reader.py")
PYTHON = Path(__file__).parents[2] / ".venv" / "mediapipe" / "bin" / "python"


def smooth_images(count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Images of blurred color spots that hold whole numbers 0..255, as photographs do."""
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    return np.round(keras.ops.image.resize(coarse, size, interpolation="bilinear"))


def _randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every layer weights of a size that keeps the activations alive."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape
            layer.gamma.assign(generator.uniform(0.8, 1.2, channels))
            layer.beta.assign(generator.normal(0, 0.2, channels))
            layer.moving_mean.assign(generator.normal(0, 0.1, channels))
            layer.moving_variance.assign(generator.uniform(0.5, 1.5, channels))
        elif hasattr(layer, "kernel"):
            *area, inputs, outputs = layer.kernel.shape
            variance = 4 / (inputs + outputs) / np.prod(area)
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                variance = 1.3 / np.prod(area)
            layer.kernel.assign(generator.normal(0, np.sqrt(variance), layer.kernel.shape))
    return model


@dataclass(frozen=True)
class Exported:
    """A model, the file made of it, and the report."""

    model: keras.Model
    path: Path
    report: ks.export.Report

    def predict(self, images: np.ndarray) -> np.ndarray:
        return ks.inference.Predictor.load(self.path).predict(images)


@pytest.fixture(scope="session")
def randomize():
    return _randomize


@pytest.fixture(scope="session")
def photographs():
    return smooth_images


@pytest.fixture(scope="session")
def images(photographs) -> np.ndarray:
    return photographs(16)


@pytest.fixture(scope="session")
def classifier(shallow) -> keras.Model:
    with shallow():
        return _randomize(ks.ShuffleNetV2(width=0.25, input_shape=(*SIZE, 3), classes=10))


@pytest.fixture(scope="session")
def pose(shallow):
    """Make a pose estimator with a head."""

    def make(head: str) -> keras.Model:
        with shallow():
            model = ks.PoseEstimator("shufflenet_v2_x0_25", head=head, input_size=SIZE)
        return _randomize(model)

    return make


@pytest.fixture(scope="session")
def pose_light(pose) -> keras.Model:
    return pose("light")


@pytest.fixture(scope="session")
def pose_fpn(pose) -> keras.Model:
    return pose("fpn")


@pytest.fixture(scope="session")
def pose_deconv(pose) -> keras.Model:
    return pose("deconv")


@pytest.fixture(scope="session")
def retinanet(shallow, randomize) -> keras.Model:
    with shallow():
        model = ks.RetinaNet(
            "shufflenet_v2_x0_25",
            classes=["cat", "dog"],
            input_shape=(*SIZE, 3),
            fpn_channels=PYRAMID_CHANNELS,
            head_convs=1,
        )
    return randomize(model)


@pytest.fixture(scope="session")
def exported(request, images, tmp_path_factory):
    """Make (once) the file of a model named by its fixture, with `litert`'s arguments."""
    made = {}

    def make(model_name: str, precision: str = "float32", **arguments) -> Exported:
        key = (model_name, precision, *sorted(arguments.items()))
        if key not in made:
            path = tmp_path_factory.mktemp("exported") / f"{model_name}.tflite"
            model = request.getfixturevalue(model_name)
            report = ks.export.litert(model, path, precision, [images], **arguments)
            made[key] = Exported(model, path, report)
        return made[key]

    return make


@pytest.fixture(scope="session")
def mediapipe(tmp_path_factory):
    """Run a command of mediapipe_reader.py: all in one process, which takes seconds to start."""
    if not PYTHON.is_file():
        pytest.skip("MediaPipe's environment is not here: `make test` makes it")

    def run(*arguments):
        process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise AssertionError(f"MediaPipe failed: {log.read_text()}")

    log = tmp_path_factory.mktemp("mediapipe") / "log.txt"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        log.open("w") as errors,
        subprocess.Popen([PYTHON, READER], stderr=errors, **pipes) as process,
    ):
        yield run
        process.stdin.close()
