import os
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = (
    "models",
    "classify",
    "pose",
    "train",
    "evaluate",
    "export",
    "qat",
    "benchmark",
    "port",
    "demo",
)
SCRIPT = Path(sys.executable).with_name("keras-shufflenet")


def process(*arguments, **environment):
    return subprocess.run(
        [SCRIPT, *map(str, arguments)],
        env=os.environ | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_the_verbs(command):
    code, out, _ = command("--help")
    assert code == 0
    assert all(f" {verb} " in out for verb in VERBS)


@pytest.mark.parametrize(
    "verb",
    [[verb] for verb in VERBS if verb != "evaluate"]
    + [["evaluate", "coco"], ["evaluate", "imagenet"]],
    ids=" ".join,
)
def test_every_verb_has_help_with_examples(command, verb):
    code, out, _ = command(*verb, "--help")
    assert code == 0
    assert "Examples" in out
    assert f"keras-shufflenet {' '.join(verb)}" in out


def test_help_imports_neither_keras_nor_tensorflow():
    code = (
        "import sys; from keras_shufflenet.cli import main\n"
        "try: main.run(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_mistake_is_one_line_without_traceback():
    result = process("evaluate", "coco", "none.keras", "--annotations", "a", "--images", "b")
    assert result.returncode == 1
    assert result.stderr == "Error: there is no such model file. Received: none.keras\n"
    assert result.stdout == ""


def test_debugging_shows_the_traceback():
    result = process("pose", "none.jpg", "--model", "none.keras", KERAS_SHUFFLENET_DEBUG="1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "FileNotFoundError" in result.stderr


def test_an_unknown_verb_or_option_is_exit_code_2(command):
    for arguments in (["paint"], ["models", "--color"], ["evaluate"], ["train"]):
        code, _, _ = command(*arguments)
        assert code == 2
