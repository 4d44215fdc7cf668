import io
import re

import pytest
from rich.console import Console

from keras_shufflenet.metrics.tables import metrics_table


def text(table, width=100):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_a_column_for_each_model():
    models = {
        "float32": {"AP": 0.5604, "AP (M)": -1.0, "count": 12},
        "int8": {"AP": 0.5476, "AP (M)": float("nan"), "count": 12},
    }
    printed = text(metrics_table(models, title="COCO", caption="annotated boxes"))
    cells = [re.findall(r"[\w.–()]+", line) for line in printed.splitlines()]
    assert ["float32", "int8"] in cells
    assert ["AP", "0.560", "0.548"] in cells
    assert ["AP", "(M)", "–", "–"] in cells
    assert ["count", "12", "12"] in cells
    assert "COCO" in printed
    assert "annotated boxes" in printed


def test_no_number_is_cut_on_a_narrow_terminal():
    names = ["AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)"]
    models = {kind: dict.fromkeys(names, 0.5) for kind in ("Keras, float32", "LiteRT, int8")}
    assert "…" not in text(metrics_table(models), width=60)


@pytest.mark.parametrize("models", [{}, {"a": {}}, {"a": {"AP": 1.0}, "b": {"AR": 1.0}}])
def test_models_must_agree(models):
    with pytest.raises(ValueError, match=r"same metrics.*Received"):
        metrics_table(models)
