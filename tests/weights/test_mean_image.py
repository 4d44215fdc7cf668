import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models._builder import Preprocessing, prepend_preprocessing
from keras_shufflenet.weights import CheckpointError, read_mean_image
from tests.rounding import EPSILON32, rounding_error

XML = """<?xml version="1.0"?>
<opencv_storage><MeanImg type_id="opencv-matrix"><rows>224</rows><cols>224</cols><dt>"3f"</dt>
<data>{}</data></MeanImg></opencv_storage>
"""


@pytest.fixture
def bgr():
    return np.random.default_rng(0).uniform(90, 130, (224, 224, 3)).round(3).astype("float32")


@pytest.fixture
def path(tmp_path, bgr):
    file = tmp_path / "mean.xml"
    file.write_text(XML.format(" ".join(str(value) for value in bgr.ravel())))
    return file


def subtracted(mean, shape):
    image = keras.Input(shape)
    model = keras.Model(image, prepend_preprocessing(image, Preprocessing(mean)))
    size = (224 if shape[0] is None else shape[0], 224 if shape[1] is None else shape[1])
    return -keras.ops.convert_to_numpy(model(np.zeros((1, *size, 3), "float32")))[0]


def test_it_is_turned_to_rgb(path, bgr):
    np.testing.assert_array_equal(read_mean_image(path), bgr[:, :, ::-1])


def test_it_is_subtracted_as_it_is_at_its_own_size(path, bgr):
    found = subtracted(read_mean_image(path), (224, 224, 3))
    np.testing.assert_array_equal(found, bgr[:, :, ::-1])


def test_it_is_resized_to_other_sizes_and_becomes_a_color_for_open_ones():
    ramp = np.broadcast_to(np.arange(224.0)[:, None, None], (224, 224, 3)).astype("float32")
    tolerance = rounding_error(ramp, 8, EPSILON32)
    half = subtracted(ramp, (112, 56, 3))
    np.testing.assert_allclose(
        half[1:-1, :, 0].mean(1), np.arange(1, 111) * 2 + 0.5, atol=tolerance
    )
    color = subtracted(ramp, (None, None, 3))
    np.testing.assert_allclose(color, np.full_like(color, 111.5), atol=tolerance)


def test_large_takes_it(monkeypatch, path):
    large = ks.models.shufflenet_v2_large
    monkeypatch.setattr(large, "LARGE_UNITS", (1, 1, 1, 1))
    model = ks.ShuffleNetV2Large(read_mean_image(path), input_shape=(32, 32, 3), classes=2)
    layer = model.get_layer("preprocessing")
    assert tuple(layer.axis) == (1, 2, 3)


@pytest.mark.parametrize(
    "content",
    [b"", b"<a/>", b"not xml", b"<o><MeanImg><data>1 2 3</data></MeanImg></o>",
     b"<o><MeanImg><data>one</data></MeanImg></o>",
     b'<!DOCTYPE o [<!ENTITY a "b">]><o><MeanImg><data>&a;</data></MeanImg></o>'],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "mean.xml"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"mean image.*Received: .*mean.xml|mean.xml"):
        read_mean_image(file)
