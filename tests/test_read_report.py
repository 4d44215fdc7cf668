"""Reports of readers: text, level in the log, and the sum of several."""

import logging

import pytest

from keras_shufflenet._read_report import ReadReport

EXPECTED = ReadReport("a.json", 9, {"crowd": 3, "without keypoints": 1})
LOST = ReadReport("b.json", 4, {"of no area": 1, "crowd": 1}, frozenset({"of no area"}))


def test_a_report_counts_and_says_what_was_left_out():
    assert EXPECTED.read == 5
    assert str(EXPECTED) == (
        "a.json: read 5 of 9 instances; left out: 3 crowd, 1 without keypoints"
    )
    assert str(ReadReport("photos", 2, unit="images")) == "photos: read 2 of 2 images"


@pytest.mark.parametrize(("report", "level"), [(EXPECTED, "INFO"), (LOST, "WARNING")])
def test_only_an_unexpected_loss_is_a_warning(report, level, caplog):
    with caplog.at_level(logging.INFO, logger="keras_shufflenet"):
        report.log()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (level, str(report))
    ]


def test_reports_of_several_sources_are_added():
    whole = ReadReport.merge([EXPECTED, LOST, EXPECTED])
    assert whole == ReadReport(
        "a.json, b.json",
        22,
        {"crowd": 7, "without keypoints": 2, "of no area": 1},
        frozenset({"of no area"}),
    )
    assert whole.read == 2 * EXPECTED.read + LOST.read
