import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import keras_shufflenet

COMMANDS = (
    ["predict", "classify"],
    ["predict", "detect"],
    ["predict", "pose"],
    ["train", "pose"],
    ["evaluate", "coco"],
    ["evaluate", "detection"],
    ["evaluate", "mpii"],
    ["evaluate", "imagenet"],
    ["export"],
    ["qat"],
    ["benchmark"],
    ["search", "latency-table"],
    ["search", "evolve"],
    ["search", "supernet"],
    ["search", "extract"],
    ["convert"],
    ["models"],
    ["demo"],
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


def test_help_lists_the_commands(command):
    code, out, _ = command("--help")
    assert code == 0
    assert all(f" {name} " in out for name, *_ in COMMANDS)


@pytest.mark.parametrize(
    "words",
    COMMANDS,
    ids=" ".join,
)
def test_every_command_has_help_with_examples(command, words):
    code, out, _ = command(*words, "--help")
    assert code == 0
    assert "Examples" in out
    assert f"keras-shufflenet {' '.join(words)}" in out


@pytest.mark.parametrize("task", ["classify", "detect", "pose"])
def test_options_of_a_training_are_whole_in_a_narrow_terminal(command, monkeypatch, task):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = command("train", task, "--help")
    options = ["--accumulation-steps", "--max-corrupt-images", "--sync-batch-norm"]
    assert [option for option in options if f" {option} " not in out] == []


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["models"], ["train", "pose", "--help"]]
)
def test_what_starts_at_once_imports_no_backend(words):
    code = (
        f"import sys; from keras_shufflenet.cli import main\n"
        f"try: main.run({words})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_version_of_the_module_and_of_the_command(command):
    code, out, _ = command("--version")
    assert (code, out) == (0, f"keras-shufflenet {keras_shufflenet.__version__}\n")
    result = subprocess.run(
        [sys.executable, "-m", "keras_shufflenet", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == out


def test_a_mistake_is_one_line_without_traceback():
    result = process(
        *("evaluate", "coco", "none.keras", "--annotations", __file__),
        *("--image-dir", Path(__file__).parent),
    )
    assert result.returncode == 1
    assert result.stderr == "Error: MODEL must be an existing file. Received: none.keras\n"
    assert result.stdout == ""


def test_debugging_shows_the_traceback():
    result = process("predict", "pose", "none.keras", "none.jpg", KERAS_SHUFFLENET_DEBUG="1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "FileNotFoundError" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["exprt"], "No such command 'exprt'. Did you mean 'export'?"),
        (["models", "--color"], "No such option: --color"),
        (["export", "x"], "Missing argument 'OUT'"),
        (["evaluate", "coco", "x.keras"], "Missing option '--annotations'"),
        (["benchmark", "x", "--iterations", "0"], "Invalid value for '--iterations'"),
        (
            ["evaluate", "imagenet", "x.keras", "--data", "none"],
            "Invalid value for '--data': path 'none' does not exist.",
        ),
    ],
)
def test_a_wrong_syntax_is_one_line_and_exit_code_2(command, words, message):
    code, _, err = command(*words)
    assert code == 2
    assert err.startswith(f"Error: {message}")
    assert err.endswith(f"Received: keras-shufflenet {' '.join(words)}\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["evaluate"], ["train"], ["train", "pose"], ["export"]])
def test_without_arguments_the_help_is_shown(command, words):
    code, out, err = command(*words)
    assert code == 2
    assert "Usage: keras-shufflenet" in out
    assert err == ""


def test_a_request_to_end_that_got_lost_is_repeated():
    """An exception in a finalizer ends nothing, and a signal handler may run in one."""
    code = (
        "import os, signal, time\n"
        "from keras_shufflenet.cli import main\n"
        "class Caught:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0)\n"
        "def command():\n"
        "    Caught()\n"
        "    print('lost', flush=True)\n"
        "    time.sleep(60)\n"
        "main.GRACE = 0.2\n"
        "main.app = lambda *_, **__: command()\n"
        "main.run([])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.stdout == "lost\n"
    assert done.returncode == 128 + signal.SIGTERM
