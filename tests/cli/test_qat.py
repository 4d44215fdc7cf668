"""Mistakes of `keras-shufflenet qat`; tests/test_readme.py trains with it."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--data for classifiers, or --annotations"),
        (["--data", "none.csv"], "none.csv"),
        (["--annotations", "none.json", "--image-dir", "none"], "none.json"),
    ],
)
def test_mistakes(command, pose_file, tmp_path, arguments, message):
    code, _, err = command("qat", pose_file, tmp_path / "out.tflite", *arguments)
    assert code == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []
