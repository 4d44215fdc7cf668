import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.training.curves import COLORS, PANEL, draw_curves

ROWS = [{"epoch": float(n), "loss": 3.0 / n, "rate": 0.1} for n in range(1, 11)]


def drawn(tmp_path, rows, panels):
    draw_curves(rows, tmp_path / "curves.png", panels)
    with Image.open(tmp_path / "curves.png") as picture:
        return np.asarray(picture).astype(int)


def places(pixels, color):
    """Pixels of a color, as (x, y) from the left lower corner."""
    y, x = np.nonzero(np.abs(pixels - color).sum(axis=-1) < 30)
    return x, pixels.shape[0] - y


def test_a_falling_loss_is_drawn_as_one(tmp_path):
    pixels = drawn(tmp_path, ROWS, [("loss",)])
    assert pixels.shape == (PANEL[1], PANEL[0], 3)
    x, y = places(pixels[40:], COLORS[0])  # below the legend
    assert y[x < 140].min() > y[x > 400].max() + 100


def test_panels_without_numbers_are_left_out(tmp_path):
    rows = [*ROWS, {"epoch": 11.0, "loss": float("nan"), "AP": 0.5}]
    assert drawn(tmp_path, rows, [("loss", "val_loss"), ("PCK",), ("AP",), ("rate",)]).shape[1] == (
        3 * PANEL[0]
    )
    draw_curves(ROWS, tmp_path / "none.png", [("PCK",)])
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("values", [(0.0,), (1e-9, 1e-9), (-3.0, 4.0), (1e12, 2e12)])
def test_any_numbers_can_be_drawn(tmp_path, values):
    rows = [{"epoch": n + 1.0, "loss": value} for n, value in enumerate(values)]
    x, _ = places(drawn(tmp_path, rows, [("loss",)])[40:], COLORS[0])
    assert len(x) > 0
