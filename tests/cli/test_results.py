import csv

import pytest

from keras_shufflenet._results import append_row


def test_rows_follow_a_header_with_the_circumstances(tmp_path):
    path = tmp_path / "new" / "results.csv"
    append_row(path, {"AP": 0.123456789, "count": 3})
    append_row(path, {"AP": 0.5, "count": 4})
    first, second = csv.DictReader(path.read_text().splitlines())
    assert first["AP"] == "0.123457"
    assert second["count"] == "4"
    assert first["command"].startswith("keras-shufflenet")
    assert {"date", "keras", "tensorflow", "keras_shufflenet", "cores"} <= set(first)
    assert [p.name for p in path.parent.iterdir()] == ["results.csv"]


def test_other_numbers_do_not_go_into_the_file(tmp_path):
    path = tmp_path / "results.csv"
    append_row(path, {"AP": 0.5})
    before = path.read_text()
    with pytest.raises(ValueError, match=r"must have the columns date.*Received: "):
        append_row(path, {"top1": 0.5})
    assert path.read_text() == before
