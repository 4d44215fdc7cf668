"""Rows of results/*.csv: versions, processor and values of a measurement."""

import csv
import platform

import pytest

from keras_shufflenet import _results
from keras_shufflenet._results import append_row

CPUINFO = {
    "AMD EPYC 9R14": "model\t\t: 17\nmodel name\t: AMD EPYC 9R14\nmodel name\t: other\n",
    "Raspberry Pi 5 Model B": "BogoMIPS\t: 108.00\nModel\t\t: Raspberry Pi 5 Model B\n",
}


def test_rows_follow_a_header_with_the_environment(tmp_path):
    path = tmp_path / "new" / "results.csv"
    append_row(path, {"AP": 0.123456789, "count": 3})
    append_row(path, {"AP": 0.5, "count": 4})
    first, second = csv.DictReader(path.read_text().splitlines())
    assert first["AP"] == "0.123457"
    assert second["count"] == "4"
    assert first["command"].startswith("keras-shufflenet")
    assert {"date", "keras", "tensorflow", "keras_shufflenet", "cores", "processor"} <= set(first)
    assert [p.name for p in path.parent.iterdir()] == ["results.csv"]


def test_other_columns_are_rejected(tmp_path):
    path = tmp_path / "results.csv"
    append_row(path, {"AP": 0.5})
    before = path.read_text()
    with pytest.raises(ValueError, match=r"must have the columns date.*Received: "):
        append_row(path, {"top1": 0.5})
    assert path.read_text() == before


@pytest.mark.parametrize("name", CPUINFO)
def test_the_processor_on_linux(name, monkeypatch, tmp_path):
    monkeypatch.setattr(_results, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(CPUINFO[name])
    assert _results.processor_name() == name


@pytest.mark.parametrize(("processor", "expected"), [("arm", "arm"), ("", "x86_64")])
def test_the_processor_elsewhere(processor, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(_results, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert _results.processor_name() == expected
