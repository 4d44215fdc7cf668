"""The command `keras-shufflenet`.

A verb imports Keras and TensorFlow when it runs, so that the help comes at once.
"""

import contextlib
import functools
import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer

from keras_shufflenet.cli import (
    benchmark,
    classify,
    convert,
    demo,
    evaluate,
    export,
    models,
    pose,
    qat,
    train,
)

DEBUG = "KERAS_SHUFFLENET_DEBUG"


def _examples(lines: str) -> str:
    """Lay out commands as a help page's last paragraph, one a line."""
    return "\n\n".join(["[bold]Examples[/bold]", *lines.strip().splitlines()])


def _add(group: typer.Typer, name: str, verb: Callable[..., Any], examples: str) -> None:
    needs_arguments = name not in ("demo", "models")
    command = group.command(name, epilog=_examples(examples), no_args_is_help=needs_arguments)
    command(_after_tensorflow(verb))


def _after_tensorflow(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Import TensorFlow before a verb runs, without what its C++ part says on the way."""

    @functools.wraps(verb)
    def wrapped(*arguments: Any, **options: Any) -> None:
        with contextlib.nullcontext() if _debugs() else _silent_stderr():
            importlib.import_module("tensorflow")
        verb(*arguments, **options)

    return wrapped


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _debugs() -> bool:
    return os.environ.get(DEBUG) == "1"


app = typer.Typer(
    help="Train ShuffleNets and pose estimators in Keras and put them on a phone.",
    epilog=f"Errors are one line; {DEBUG}=1 shows where they come from.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
evaluation = typer.Typer(help=evaluate.__doc__, no_args_is_help=True, rich_markup_mode="rich")
_add(app, "models", models.models, models.EXAMPLES)
_add(app, "classify", classify.classify, classify.EXAMPLES)
_add(app, "pose", pose.pose, pose.EXAMPLES)
_add(app, "train", train.train, train.EXAMPLES)
_add(evaluation, "imagenet", evaluate.imagenet, evaluate.IMAGENET_EXAMPLES)
_add(evaluation, "coco", evaluate.coco, evaluate.COCO_EXAMPLES)
app.add_typer(evaluation, name="evaluate")
_add(app, "export", export.export, export.EXAMPLES)
_add(app, "benchmark", benchmark.benchmark, benchmark.EXAMPLES)
_add(app, "qat", qat.qat, qat.EXAMPLES)
_add(app, "convert", convert.convert, convert.EXAMPLES)
_add(app, "demo", demo.demo, demo.EXAMPLES)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one line on stderr and exit code 1.

    Args:
        arguments: Words after the command's name; those of the process by default.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            app(arguments, prog_name="keras-shufflenet")
    except Exception as error:
        if _debugs() or not _is_users(error):
            raise
        sys.stderr.write(f"Error: {_line(error)}\n")
        raise SystemExit(1) from None


def _end(number: int, _: object) -> None:
    """End as if interrupted, so that nothing half-written stays behind."""
    raise SystemExit(128 + number)


def _show_warning(message: Warning | str, *_: object) -> None:
    sys.stderr.write(f"Warning: {message}\n")


def _line(error: Exception) -> str:
    """The message in one line; the system's own says at its end what it received, as ours do."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}. Received: {os.fspath(error.filename)}"
    return " ".join(str(error).split())


def _is_users(error: Exception) -> bool:
    """Whether the input is to blame; TensorFlow has its own errors for files it cannot read."""
    mistakes = (ValueError, OSError, ImportError)
    return isinstance(error, mistakes) or type(error).__module__.startswith("tensorflow")
