import numpy as np
import pytest

from keras_shufflenet.inference.image_grid import BACKGROUND, image_grid, overlay_heatmaps


def plain(height, width, color):
    return np.full((height, width, 3), color, np.uint8)


def test_pictures_stand_in_rows():
    images = [plain(50, 50, 10 * n + 100) for n in range(5)]
    sheet = image_grid(images, columns=3, tile=(50, 40), margin=5)
    assert sheet.shape == (5 + 2 * 55, 5 + 3 * 45, 3)
    assert (sheet[5 + 25, 5 + 20] == 100).all()
    assert (sheet[5 + 25, 5 + 2 * 45 + 20] == 120).all()
    assert (sheet[5 + 55 + 25, 5 + 45 + 20] == 140).all()
    assert tuple(sheet[5 + 55 + 25, 5 + 2 * 45 + 20]) == BACKGROUND


def test_a_picture_keeps_its_proportions():
    sheet = image_grid([plain(10, 40, 255)], tile=(40, 40), margin=0)
    assert sheet.shape == (40, 40, 3)
    white = (sheet == 255).all(axis=-1)
    assert white.any(axis=0).sum() == 40
    assert white.any(axis=1).sum() == 10


def test_titles_are_written_below():
    bare = image_grid([plain(40, 40, 0)], tile=(40, 40))
    titled = image_grid([plain(40, 40, 0)], tile=(40, 40), titles=["one"])
    assert titled.shape[0] > bare.shape[0]
    assert titled[48:].max() > 200


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        ([], {}, "at least one image"),
        ([plain(4, 4, 0)], {"columns": 0}, "`columns`.*Received: columns=0"),
        ([plain(4, 4, 0)], {"titles": ["a", "b"]}, "`titles`.*Received: 2"),
    ],
)
def test_what_makes_no_sheet(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        image_grid(images, **arguments)


def test_a_peak_glows_at_its_place():
    heatmaps = np.zeros((16, 12, 2))
    heatmaps[4, 3, 1] = 1
    glowing = overlay_heatmaps(plain(64, 48, 0), heatmaps).astype(int).sum(axis=-1)
    assert np.unravel_index(glowing.argmax(), glowing.shape) == pytest.approx((18, 14), abs=1)
    assert glowing[40:].max() == 0


def test_no_opacity_no_heat():
    image = plain(64, 48, 77)
    np.testing.assert_array_equal(overlay_heatmaps(image, np.ones((16, 12, 2)), 0), image)


def test_heatmaps_have_three_axes():
    with pytest.raises(ValueError, match=r"Received: shape \(1, 16, 12, 2\)"):
        overlay_heatmaps(plain(64, 48, 0), np.zeros((1, 16, 12, 2)))
