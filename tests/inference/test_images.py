import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.inference.image_io import to_array, to_arrays, to_pillow


@pytest.fixture
def gradient():
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 6, columns * 4, rows + columns], axis=-1).astype(np.uint8)


def test_path_pillow_and_arrays_are_the_same_image(tmp_path, gradient):
    path = tmp_path / "image.png"
    Image.fromarray(gradient).save(path)
    for image in (path, str(path), Image.open(path), gradient, gradient.astype(np.float32)):
        np.testing.assert_array_equal(to_array(image), gradient)


def test_grey_becomes_rgb():
    assert to_array(np.full((5, 7), 9, np.uint8)).shape == (5, 7, 3)
    assert to_pillow(Image.new("L", (7, 5), 9)).mode == "RGB"


def test_a_photograph_is_turned_upright(tmp_path, gradient):
    path = tmp_path / "turned.png"
    turned = Image.fromarray(np.rot90(gradient))
    exif = turned.getexif()
    exif[0x0112] = 6  # "rotate by 90 degrees clockwise to see it upright"
    turned.save(path, exif=exif)
    np.testing.assert_array_equal(to_array(path), gradient)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: .*nowhere\.jpg"):
        to_array(tmp_path / "nowhere.jpg")


def test_a_broken_file_is_named(tmp_path, gradient):
    path = tmp_path / "broken.jpg"
    Image.fromarray(gradient).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match=r"a complete file.*Received: .*broken\.jpg"):
        to_array(path)


@pytest.mark.parametrize("shape", [(4,), (4, 5, 1), (1, 4, 5, 3), (0, 5, 3)])
def test_arrays_of_no_image_are_refused(shape):
    with pytest.raises(ValueError, match="Received: shape"):
        to_array(np.zeros(shape, np.uint8))


def test_several_images_are_a_list_and_not_one_image(gradient):
    for images in ([gradient, gradient], np.stack([gradient, gradient])):
        assert [each.shape for each in to_arrays(images)] == [(40, 60, 3)] * 2
    assert to_arrays([]) == []
    for image in (gradient, gradient[..., 0], Image.fromarray(gradient), "photo.jpg"):
        with pytest.raises(ValueError, match=r"`images` must be a list of images.*Received"):
            to_arrays(image)


def test_an_image_of_zero_to_one_is_warned_of(gradient):
    with pytest.warns(UserWarning, match=r"multiply one of 0\.\.1 by 255\. Received: 0 to"):
        to_array(gradient / 255)
    to_array(np.zeros((4, 5, 3)))  # black in any range
