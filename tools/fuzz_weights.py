"""Mutate weight files and see what loading them does to the model and to the machine.

    python tools/fuzz_weights.py zip --files 300 --results-csv results/fuzz_weights.csv

Half of the files have up to three random changes of their bytes; in the others something is
replaced as an attacker would: see `weight_attacks`. Every file is loaded into a model, `.keras`
files are opened for prediction as well, and some are given to `convert`. On Linux only: its kernel
tells whether another file was opened, by Python or by HDF5.
"""

import contextlib
import io
import os
import pickle
import random
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import h5py
import keras
import numpy as np
import typer
from rich.progress import track

import keras_shufflenet as ks
import weight_attacks
from fuzzing import mutate, report, run_command
from keras_shufflenet.inference.keras_models import load_keras
from opened_files import OpenedFiles
from weight_attacks import EXECUTED, SECRET

PROGRAM = "python tools/fuzz_weights.py"
SAME, OTHER = "the same numbers", "other numbers, finite and plausible"
REFUSED = "refused with a clear error"
GOOD = (SAME, OTHER, REFUSED)
BAD = (
    *("executed", "another file opened", "hung", "half-loaded"),
    *("implausible numbers", "unclear error", "traceback"),
)
NETWORK, SIZE = "shufflenet_v2_x0_25", (32, 32, 3)
SECONDS = 2.0  # of the processor, above which a file hangs
LARGEST = 1e9  # of weights
PLUGINS = "HDF5_PLUGIN_PATH"  # folder from which HDF5 loads programs

Attack = Callable[[bytes, random.Random, Path], tuple[bytes, str]]


class Container(StrEnum):
    """Containers of weights."""

    ZIP = "zip"
    LEGACY = "legacy"
    PICKLE = "pickle"
    SAFETENSORS = "safetensors"
    KERAS = "keras"
    H5 = "h5"


ATTACKS: dict[Container, Attack] = {
    Container.ZIP: weight_attacks.attack_zip,
    Container.LEGACY: weight_attacks.attack_legacy,
    Container.PICKLE: weight_attacks.attack_pickle,
    Container.SAFETENSORS: weight_attacks.attack_safetensors,
    Container.KERAS: weight_attacks.attack_keras,
    Container.H5: weight_attacks.attack_h5,
}
SAVED_BY_US = {
    Container.SAFETENSORS: ".safetensors",
    Container.KERAS: ".keras",
    Container.H5: ".weights.h5",
}


def valid_file(container: Container, model: keras.Model, folder: Path) -> bytes:
    """Return a file with the weights of a model."""
    if container in SAVED_BY_US:
        path = folder / f"good{SAVED_BY_US[container]}"
        ks.weights.save(model, path)
        return path.read_bytes()
    state, stream = ks.weights.state_dict(model), io.BytesIO()
    if container == Container.PICKLE:
        return pickle.dumps(state, 2)
    import torch

    tensors = {name: torch.tensor(array) for name, array in state.items()}
    new = container == Container.ZIP
    torch.save({"state_dict": tensors, "epoch": 3}, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


def changed(
    container: Container, good: bytes, rng: random.Random, target: Path
) -> tuple[bytes, str]:
    """Return a mutated file, and what was changed."""
    if rng.random() < 0.5:
        return ATTACKS[container](good, rng, target)
    data, changes = good, []
    for _ in range(rng.choice((1, 1, 2, 3))):
        data, change = mutate(data, rng)
        changes.append(change)
    return data, ", ".join(changes)


class Victim:
    """A model that mutated files are loaded into, and what they must leave alone.

    Args:
        model: The model.
        numbers: The weights in the file before it was mutated, other than the model's.
        folder: Folder in which other files are made; `folder / "target"` is what attacks aim at.
    """

    def __init__(self, model: keras.Model, numbers: list[np.ndarray], folder: Path) -> None:
        self.model, self.numbers = model, numbers
        self.weights = model.get_weights()
        self.target, plugins = folder / "target", folder / "plugins"
        for made in (self.target, plugins):
            made.mkdir()
        with h5py.File(self.target / SECRET, "w") as file:
            file["secret"] = np.zeros(3, np.float32)
        os.environ[PLUGINS] = str(plugins)
        self._opened = OpenedFiles(self.target, plugins)
        self.longest = 0.0

    def judge(self, load: Callable[[], Any]) -> str:
        """Return the verdict on what loading a file did."""
        self._opened()
        error: Exception | None = None
        start = time.process_time()
        try:
            with _given_up(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load()
        except Exception as raised:  # every kind is a finding
            error = raised
        seconds = time.process_time() - start
        self.longest = max(self.longest, seconds)
        after = self.model.get_weights()
        unchanged = all(map(np.array_equal, after, self.weights))
        if not unchanged:
            self.model.set_weights(self.weights)
        if (self.target / EXECUTED).exists():
            return "executed"
        if self._opened():
            return "another file opened"
        if seconds > SECONDS or isinstance(error, TimeoutError):
            return "hung"
        if error is not None:
            return _described(error) if unchanged else "half-loaded"
        if not all(np.abs(array).max(initial=0) < LARGEST for array in after):
            return "implausible numbers"
        return SAME if all(map(np.array_equal, after, self.numbers)) else OTHER

    def close(self) -> None:
        """Watch the files no longer."""
        self._opened.close()


def _described(error: Exception) -> str:
    if not isinstance(error, ValueError | OSError):
        return "traceback"
    return REFUSED if "Received: " in str(error) else "unclear error"


@contextlib.contextmanager
def _given_up(seconds: int = 60) -> Iterator[None]:
    """Raise TimeoutError in what takes too long, as does a file that waits for another one."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(
    container: Container, files: int, seed: int, model: keras.Model, folder: Path, commands: int = 0
) -> tuple[Counter[str], Counter[str], list[str], float]:
    """Mutate files: the verdicts, how commands ended, the bad ones, and the longest time in s.

    Args:
        container: The container of the weights.
        files: Number of files.
        seed: Seed of the changes.
        model: The model that they are loaded into, with weights of its own.
        folder: An empty folder.
        commands: Number of files that `convert` gets, too.
    """
    good, numbers = valid_file(container, model, folder), model.get_weights()
    model.set_weights([array + 1 for array in numbers])
    victim = Victim(model, numbers, folder)
    path = folder / f"mutated{SAVED_BY_US.get(container, '.pth')}"
    path.write_bytes(good)
    verdicts, ends, findings = Counter[str](), Counter[str](), list[str]()
    if victim.judge(lambda: ks.weights.load(model, path)) != SAME:
        raise ValueError(f"The file that is not mutated must be loaded. Received: {path}")
    for number in track(range(files), f"Mutated files: {container}"):
        rng = random.Random(f"{seed}-{number}")
        data, change = changed(container, good, rng, victim.target)
        path.write_bytes(data)
        verdict = victim.judge(lambda: ks.weights.load(model, path))
        if container == Container.KERAS and verdict in GOOD:
            opened = victim.judge(lambda: load_keras(path))
            verdict = opened if opened in BAD else verdict
        verdicts[verdict] += 1
        end = "done"
        if number < commands:
            output = folder / "converted.weights.h5"
            end = run_command("convert", str(path), str(output), "--model", NETWORK)
            ends[end] += 1
        if verdict in BAD or end not in ("done", "refused"):
            findings.append(f"file {number}: {verdict}, {end}: {change}")
    victim.close()
    return verdicts, ends, findings, victim.longest


def main(
    container: Annotated[Container, typer.Argument(help="Container of the weights.")],
    files: Annotated[int, typer.Option(min=1, help="Number of mutated files.")] = 300,
    commands: Annotated[int, typer.Option(min=0, help="Files that are converted, too.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the mutations.")] = 0,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append to.")] = None,
) -> None:
    """Mutate weight files, print the verdicts, and append them to a csv file."""
    model = ks.create_model(NETWORK, weights=None, input_shape=SIZE)
    with tempfile.TemporaryDirectory() as folder:
        verdicts, ends, findings, longest = fuzz(
            container, files, seed, model, Path(folder), commands
        )
    subject = {
        "container": str(container),
        "seed": str(seed),
        "files": str(files),
        "longest_s": f"{longest:.2f}",
    }
    report(PROGRAM, subject, (*GOOD, *BAD), verdicts, ends, findings, results_csv)


if __name__ == "__main__":
    typer.run(main)
