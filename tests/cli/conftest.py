import keras
import pytest

from keras_shufflenet import synthetic_people
from keras_shufflenet._layer_names import CLASS_NAMES
from keras_shufflenet.cli import main
from keras_shufflenet.models import PoseEstimator
from keras_shufflenet.models._model_data import attach_data
from tests.detection.test_decoding import put, raw

PERSON = 1  # its number among the classes of the detector


@pytest.fixture
def command(capsys, monkeypatch):
    """Run the command line in this process: (exit code, output, errors)."""
    monkeypatch.setenv("COLUMNS", "200")  # rich wraps lines

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return exit_info.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Six synthetic people: (json, folder of images)."""
    folder = tmp_path_factory.mktemp("people")
    return tuple(
        synthetic_people.create_dataset(folder, 6, image_size=(96, 96), workers=1, verbose=False)
    )


@pytest.fixture(scope="session")
def pose_file(shallow, tmp_path_factory):
    """A small pose net that knows nothing; its maps are of the size of a trained net's."""
    keras.utils.set_random_seed(0)
    with shallow():
        model = PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=(64, 64))
    kernel = model.get_layer("head_final").kernel
    kernel.assign(1000 * kernel)
    path = tmp_path_factory.mktemp("models") / "pose.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def detector_file(tmp_path_factory):
    """A detector that takes every image as a whole for a person of a score of 0.9."""
    output = raw(126)
    put(output, 120, 0.9, (7, 7, 7, 7), PERSON)  # of stride 32
    x = inputs = keras.Input((64, 96, 3))
    x = attach_data(x, CLASS_NAMES, ["cat", "person"])
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(output.size, kernel_initializer="zeros", name="bias")(x)
    model = keras.Model(inputs, keras.layers.Reshape(output.shape)(x), name="finder")
    model.get_layer("bias").bias.assign(output.ravel())
    model.save(path := tmp_path_factory.mktemp("models") / "detector.keras")
    return path


@pytest.fixture(scope="session")
def tiny_pose_file(tmp_path_factory):
    """A pose net of one convolution."""
    return save_pose_net(tmp_path_factory.mktemp("models") / "pose.keras", 17)


def save_pose_net(path, keypoints):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64, 48, 3))
    x = keras.layers.AveragePooling2D(4)(inputs)
    keras.Model(inputs, keras.layers.Conv2D(keypoints, 3, padding="same")(x)).save(path)
    return path
