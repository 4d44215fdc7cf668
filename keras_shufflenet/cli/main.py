"""The command `keras-shufflenet`.

Keras and TensorFlow are imported when a command needs them, so that help appears at once.
"""

import functools
import inspect
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.models import ArgumentInfo, OptionInfo

from keras_shufflenet.cli import (
    benchmark,
    convert,
    demo,
    evaluate,
    evaluate_coco,
    export,
    label,
    models,
    predict_classify,
    predict_detect,
    predict_pose,
    qat,
    search_evolve,
    search_latency,
    search_supernet,
    train_classify,
    train_detect,
    train_pose,
)
from keras_shufflenet.cli.options import DEBUG, debugs
from keras_shufflenet.version import __version__

PROGRAM = "keras-shufflenet"
GRACE = 20.0  # seconds until a request to end is repeated
USAGE_ERROR = 2  # exit code, as of other command lines


class UserError(Exception):
    """A user's mistake, in the words of the command line."""


def _examples(lines: str) -> str:
    """Format commands as the last paragraph of a help page, one per line."""
    return "\n\n".join(["[bold]Examples[/bold]", *lines.strip().splitlines()])


def _add(group: typer.Typer, name: str, function: Callable[..., Any], examples: str) -> None:
    needs_arguments = name not in ("demo", "models")
    command = group.command(name, epilog=_examples(examples), no_args_is_help=needs_arguments)
    command(_reporting(function))


def _reporting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Raise a user's mistakes as `UserError`, with the names that the command line has."""
    names = _option_names(function)

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except Exception as error:
            if debugs() or not _is_users(error):
                raise
            raise UserError(_rename(_line(error), names)) from error

    return wrapped


def _option_names(function: Callable[..., Any]) -> dict[str, str]:
    """Map names of Python's arguments to the options and arguments of a command."""
    names = {}
    for name, parameter in inspect.signature(function).parameters.items():
        (info,) = parameter.annotation.__metadata__
        if isinstance(info, ArgumentInfo):
            names[name] = info.metavar or name.upper()
        elif isinstance(info, OptionInfo):
            # Typer takes the first name for a default until it has read the annotation.
            given = [info.default, *(info.param_decls or ())]
            named = (each for each in given if isinstance(each, str) and each.startswith("--"))
            names[name] = next(named, f"--{name.replace('_', '-')}")
    aliases = {"path": "output", "source": "data", "backbone": "model", "name": "model"}
    aliases |= {"skeleton": "keypoints", "train_data": "data", "input_shape": "input_size"}
    aliases["ground_truth"] = "val_ground_truth"
    if "model" not in names:
        aliases["name"] = "space"
    return names | {alias: names[name] for alias, name in aliases.items() if name in names}


def _rename(message: str, names: Mapping[str, str]) -> str:
    """Replace `weights`, `weights=` and weights= by --weights in a message about Python.

    Sizes of images become HEIGHTxWIDTH, as the command line has them.
    """
    message = re.sub(r"`(\w+)=?`", lambda match: names.get(match[1], match[0]), message)
    head, received, tail = message.rpartition("Received: ")
    tail = re.sub(r"^(\w+)=", lambda match: f"{names.get(match[1], match[1])}=", tail)
    message = head + received + tail
    if (option := names.get("input_size")) is None or option not in message:
        return message
    message = message.replace("(height, width)", "HEIGHTxWIDTH")
    return re.sub(r"\((\d+), (\d+)\)", r"\1x\2", message)


def _group(help_text: str) -> typer.Typer:
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode="rich")


app = typer.Typer(
    help="Train small vision networks in Keras and export them to int8 for phones.",
    epilog=f"Errors are a single line; {DEBUG}=1 shows the traceback.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
prediction = _group("Classify images, detect objects, or find the poses of persons.")
training = _group("Train a model on your own data.")
searching = _group("Search for an architecture: Single Path One-Shot and DetNAS.")
evaluation = _group("Evaluate a Keras model, or a .keras, .tflite or .onnx file.")
_add(app, "models", models.models, models.EXAMPLES)
_add(prediction, "classify", predict_classify.classify, predict_classify.EXAMPLES)
_add(prediction, "detect", predict_detect.detect, predict_detect.EXAMPLES)
_add(prediction, "pose", predict_pose.pose, predict_pose.EXAMPLES)
app.add_typer(prediction, name="predict")
_add(training, "classify", train_classify.classify, train_classify.EXAMPLES)
_add(training, "detect", train_detect.detect, train_detect.EXAMPLES)
_add(training, "pose", train_pose.pose, train_pose.EXAMPLES)
app.add_typer(training, name="train")
_add(evaluation, "coco", evaluate_coco.coco, evaluate_coco.EXAMPLES)
_add(evaluation, "detection", evaluate.detection, evaluate.DETECTION_EXAMPLES)
_add(evaluation, "mpii", evaluate.mpii, evaluate.MPII_EXAMPLES)
_add(evaluation, "imagenet", evaluate.imagenet, evaluate.IMAGENET_EXAMPLES)
app.add_typer(evaluation, name="evaluate")
_add(searching, "supernet", search_supernet.supernet, search_supernet.SUPERNET_EXAMPLES)
_add(searching, "latency-table", search_latency.latency_table, search_latency.EXAMPLES)
_add(searching, "evolve", search_evolve.evolve, search_evolve.EXAMPLES)
_add(searching, "extract", search_supernet.extract, search_supernet.EXTRACT_EXAMPLES)
app.add_typer(searching, name="search")
_add(app, "export", export.export, export.EXAMPLES)
_add(app, "qat", qat.qat, qat.EXAMPLES)
_add(app, "benchmark", benchmark.benchmark, benchmark.EXAMPLES)
_add(app, "convert", convert.convert, convert.EXAMPLES)
_add(app, "label", label.label, label.EXAMPLES)
_add(app, "demo", demo.demo, demo.EXAMPLES)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one line on stderr and a non-zero exit code.

    Args:
        arguments: Command-line arguments. Defaults to those of the process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            code = app(words, prog_name=PROGRAM, standalone_mode=False)
    except TyperException as error:
        if message := error.format_message().strip():  # empty where the help has been printed
            sys.stderr.write(f"Error: {_usage_line(message, error, words)}\n")
        raise SystemExit(USAGE_ERROR) from None
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("Error: interrupted.\n")
        raise SystemExit(130) from None
    except Exception as error:
        if debugs() or not _is_users(error):
            raise
        sys.stderr.write(f"Error: {_line(error)}\n")
        raise SystemExit(1) from None
    raise SystemExit(code or 0)


def _terminate(number: int, _: object) -> None:
    """Exit as if interrupted, so that temporary files are removed.

    Where Python ignores exceptions, as in finalizers, this one is lost: it is raised again later.
    """
    again = threading.Timer(GRACE, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()
    raise SystemExit(128 + number)


def _show_warning(message: Warning | str, *_: object) -> None:
    sys.stderr.write(f"Warning: {message}\n")


def _usage_line(message: str, error: TyperException, words: Sequence[str]) -> str:
    """Format an error of the command line's syntax, with the command whose help explains it."""
    message = " ".join(message.split())
    message += "" if message.endswith(("?", ".")) else "."
    context = getattr(error, "ctx", None)
    hint = f" See `{context.command_path} --help`." if context is not None else ""
    return f"{message}{hint} Received: {PROGRAM} {' '.join(words)}".rstrip()


def _line(error: Exception) -> str:
    """Format a message as one line; add what was received to those of the operating system."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}. Received: {os.fspath(error.filename)}"
    return " ".join(str(error).split())


def _is_users(error: Exception) -> bool:
    """Return whether the input is to blame; TensorFlow has its own errors for unreadable files."""
    mistakes = (ValueError, OSError, ImportError, UserError)
    return isinstance(error, mistakes) or type(error).__module__.startswith("tensorflow")
