"""Mistakes of `keras-shufflenet qat`; tests/test_readme.py trains with it."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ([], 1, "--data for classifiers and detectors, or --annotations"),
        (["--data", "none.csv"], 2, "path 'none.csv' does not exist"),
        (["--annotations", "none.json", "--image-dir", "."], 2, "file 'none.json' does not exist"),
    ],
)
def test_mistakes(command, pose_file, tmp_path, arguments, exit_code, message):
    code, _, err = command("qat", pose_file, tmp_path / "out.tflite", *arguments)
    assert code == exit_code
    assert message in err
    assert list(tmp_path.iterdir()) == []
