"""Learning curves: the columns of a training's log by epoch, drawn with Pillow."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from PIL import Image, ImageDraw, ImageFont

from keras_shufflenet._files import atomic_write
from keras_shufflenet.training.callbacks import read_log

PANEL = (520, 360)  # width and height in pixels
MARGINS = (72, 44, 20, 48)  # left, top, right, bottom, around the axes
SCALE = 3  # drawn larger and reduced, which smooths the lines
TICKS = 5
TEXT_SIZE = 13
INK, GRID, PAPER = (40, 40, 40), (225, 225, 225), (255, 255, 255)
COLORS = ((31, 119, 180), (214, 90, 20), (44, 140, 60), (148, 80, 180), (120, 90, 60))

Row = Mapping[str, float]
Point = tuple[float, float]


def draw_curves(rows: Sequence[Row], path: Path, panels: Sequence[Sequence[str]]) -> None:
    """Draw the columns of a log by epoch.

    Args:
        rows: Rows with an `epoch` and any columns, as `read_log` returns them.
        path: The image file to write.
        panels: For each panel its columns; those without a number are left out, and so is a panel
            without any.
    """
    drawn = [
        found
        for columns in panels
        if (found := {name: points for name in columns if (points := _points(rows, name))})
    ]
    if not drawn:
        return
    width, height = PANEL
    picture = Image.new("RGB", (SCALE * width * len(drawn), SCALE * height), PAPER)
    for index, curves in enumerate(drawn):
        _draw_panel(ImageDraw.Draw(picture), SCALE * width * index, curves)
    small = picture.resize((width * len(drawn), height), Image.Resampling.LANCZOS)
    atomic_write(path, small.save)


class CurvesPlot(keras.callbacks.Callback):
    """Draw the learning curves after every epoch.

    Args:
        log: The csv file of the log, which another callback writes before.
        path: The image file to write.
        panels: As for `draw_curves`.
    """

    def __init__(self, log: Path, path: Path, panels: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.log = log
        self.path = path
        self.panels = panels

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draw."""
        draw_curves(read_log(self.log), self.path, self.panels)


def _points(rows: Sequence[Row], name: str) -> list[Point]:
    return [(row["epoch"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]


def _draw_panel(draw: ImageDraw.ImageDraw, offset: int, curves: Mapping[str, list[Point]]) -> None:
    left, top, right, bottom = (SCALE * margin for margin in MARGINS)
    box = (offset + left, top, offset + SCALE * PANEL[0] - right, SCALE * PANEL[1] - bottom)
    points = [point for curve in curves.values() for point in curve]
    x_ticks = _ticks([x for x, _ in points], whole=True)
    y_ticks = _ticks([y for _, y in points])
    x_range, y_range = (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1])

    def place(point: Point) -> Point:
        x, y = _fraction(point[0], x_range), _fraction(point[1], y_range)
        return box[0] + x * (box[2] - box[0]), box[3] - y * (box[3] - box[1])

    font = ImageFont.load_default(size=SCALE * TEXT_SIZE)
    for tick in y_ticks:
        (x0, y), (x1, _) = place((x_range[0], tick)), place((x_range[1], tick))
        draw.line((x0, y, x1, y), GRID, SCALE)
        draw.text((x0 - 6 * SCALE, y), f"{tick:g}", INK, font, anchor="rm")
    for tick in x_ticks:
        x, y = place((tick, y_range[0]))
        draw.line((x, y, x, y + 4 * SCALE), INK, SCALE)
        draw.text((x, y + 7 * SCALE), f"{tick:g}", INK, font, anchor="ma")
    draw.text(((box[0] + box[2]) / 2, box[3] + 26 * SCALE), "epoch", INK, font, anchor="ma")
    draw.line((box[0], box[1], box[0], box[3], box[2], box[3]), INK, SCALE)
    legend = float(box[0])
    for index, (name, curve) in enumerate(curves.items()):
        color = COLORS[index % len(COLORS)]
        placed = [place(point) for point in curve]
        draw.line(placed, color, 2 * SCALE)
        for x, y in placed:
            draw.circle((x, y), 2.5 * SCALE, color)
        draw.text((legend, 14 * SCALE), name, color, font)
        legend += draw.textlength(name, font) + 16 * SCALE


def _ticks(values: Sequence[float], whole: bool = False) -> list[float]:
    """Return round numbers that enclose the values."""
    low, high = min(values), max(values)
    span = (high - low) or (1.0 if whole else abs(high) or 1.0)
    step = 10.0 ** math.floor(math.log10(span / TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= TICKS)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * n, 12) for n in range(first, max(last, first + 1) + 1)]


def _fraction(value: float, limits: Point) -> float:
    return (value - limits[0]) / (limits[1] - limits[0])
