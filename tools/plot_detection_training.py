"""Plot results/detection_training.csv: loss and box AP of each training by epoch.

python tools/plot_detection_training.py docs/detection_training.png
"""

import argparse
import csv
from itertools import groupby
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

RESULTS = Path(__file__).parents[1] / "results" / "detection_training.csv"
TITLES = {"--weights": "from an ImageNet backbone", "--initial-checkpoint": "from COCO weights"}
SIZE = (9.0, 3.6)
DPI = 120


def title(command: str, images: str) -> str:
    """Return what a training started from, and its number of images."""
    start = next(text for option, text in TITLES.items() if option in command)
    return f"{start}, {images} images"


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Draw the loss and the AP of each training."""
    figure = Figure(SIZE, layout="constrained")
    for axes, column in zip(figure.subplots(1, 2), ("loss", "AP"), strict=True):
        for (command, images), group in groupby(rows, lambda row: (row["command"], row["images"])):
            points = [(int(row["epoch"]), float(row[column])) for row in group if row[column] != ""]
            axes.plot(*zip(*points, strict=True), marker="o", label=title(command, images))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("loss" if column == "loss" else "box AP of person")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    axes.legend(loc="center right", fontsize="small")
    figure.savefig(path, dpi=DPI)


def main() -> None:
    """Draw the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="Image file to write.")
    path = parser.parse_args().path
    with RESULTS.open(newline="") as file:
        draw(list(csv.DictReader(file)), path)


if __name__ == "__main__":
    main()
