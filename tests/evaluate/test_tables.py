import io
import re

import pytest
from rich.console import Console

from keras_shufflenet.evaluate.tables import figures_table


def text(table):
    console = Console(width=100, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_a_line_for_each_model():
    rows = {
        "float32": {"AP": 0.5604, "AP (M)": -1.0, "count": 12},
        "int8": {"AP": 0.5476, "AP (M)": float("nan"), "count": 12},
    }
    printed = text(figures_table(rows, title="COCO", caption="annotated boxes"))
    cells = [re.findall(r"[\w.–]+", line) for line in printed.splitlines()]
    assert ["float32", "0.560", "–", "12"] in cells
    assert ["int8", "0.548", "–", "12"] in cells
    assert "COCO" in printed
    assert "annotated boxes" in printed


@pytest.mark.parametrize("rows", [{}, {"a": {}}, {"a": {"AP": 1.0}, "b": {"AR": 1.0}}])
def test_rows_must_agree(rows):
    with pytest.raises(ValueError, match=r"same figures.*Received"):
        figures_table(rows)
