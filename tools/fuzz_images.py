"""Mutate image files and see whether all ways into the package agree on them.

    python tools/fuzz_images.py --files 300 --results-csv results/fuzz_images.csv

Every file has one to three random changes. Inference (which evaluation and calibration equal),
the training of classifiers and the training of pose estimators read it, and the command line:
`predict classify` all files at once, `evaluate imagenet` some files one by one.
"""

import io
import logging
import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
import typer
from PIL import Image
from rich.progress import track

from fuzzing import mutate, report, run_command
from keras_shufflenet._read_report import LOGGER
from keras_shufflenet.data.decode import plan_views, read_crop
from keras_shufflenet.data.image_files import displayed_size, read_image
from keras_shufflenet.data.pipeline import iterate_arrays, load_batches
from keras_shufflenet.data.random_crop import DRAWS, random_resized_crop

PROGRAM = "python tools/fuzz_images.py"
SAME, REFUSED = "the same pixels", "refused with a clear error"
# Training decodes a window of a JPEG file and does not notice damage elsewhere; its decoder also
# goes on after bytes that Pillow's refuses.
RECOVERED = "damaged JPEG data that training alone decodes"
GOOD = (SAME, REFUSED, RECOVERED)
DAMAGE = ("broken data stream", "truncated")
BAD = ("other pixels", "disagreement", "unclear error", "traceback")
SIZE = (96, 128)  # height, width
ATOL = 0.01  # of 255, of bilinear interpolation in float32

Pixels = np.ndarray
Outcome = Pixels | Exception


def valid_files() -> dict[str, bytes]:
    """Return files of all common formats by their names."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    image = Image.fromarray(noise).resize(SIZE[::-1], Image.Resampling.BICUBIC)
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = image.copy()
    alpha.putalpha(image.convert("L"))
    files: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "plain.jpg": (image, "JPEG", {"quality": 90}),
        "small.jpg": (image, "JPEG", {"quality": 40}),
        "progressive.jpg": (image, "JPEG", {"progressive": True}),
        "full.jpg": (image, "JPEG", {"subsampling": 0}),
        "restarts.jpg": (image, "JPEG", {"restart_marker_rows": 1}),
        "gray.jpg": (image.convert("L"), "JPEG", {}),
        "cmyk.jpg": (image.convert("CMYK"), "JPEG", {}),
        "turned.jpg": (image, "JPEG", {"exif": exif}),
        "rgb.png": (image, "PNG", {}),
        "rgba.png": (alpha, "PNG", {}),
        "palette.png": (image.quantize(64), "PNG", {}),
        "deep.png": (deep, "PNG", {}),
        "plain.bmp": (image, "BMP", {}),
        "plain.gif": (image.quantize(64), "GIF", {}),
        "lossy.webp": (image, "WEBP", {}),
        "lossless.webp": (image, "WEBP", {"lossless": True}),
        "raw.tif": (image, "TIFF", {}),
        "lzw.tif": (image, "TIFF", {"compression": "tiff_lzw"}),
        "plain.ppm": (image, "PPM", {}),
    }
    encoded = {}
    for name, (picture, kind, options) in files.items():
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        encoded[name] = stream.getvalue()
    return encoded


def attempt(function: Callable[[], Any]) -> Outcome:
    """Call a function that returns pixels."""
    try:
        return np.asarray(function(), np.float32)
    except Exception as error:  # every kind is a finding
        return error


class TrainingReader:
    """Reads single files as a pipeline of training does; the pipeline is built once.

    Args:
        load: Reads a crop from a path, given the (height, width) of the displayed image.
    """

    def __init__(self, load: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> None:
        self._sample: tuple[str, tuple[int, int]] = ("", SIZE)
        samples = tf.data.Dataset.from_generator(
            self._samples,
            output_signature=(
                tf.TensorSpec([1], tf.string),
                tf.TensorSpec([1, 2], tf.float64),
            ),
        )
        self._dataset = load_batches(
            samples,
            lambda sample: load(*sample),
            lambda batch: batch[0],
            batch_size=1,
            workers=1,
        )

    def _samples(self) -> Iterator[tuple[list[str], list[tuple[int, int]]]]:
        path, size = self._sample
        yield [path], [size]

    def __call__(self, path: Path, size: tuple[int, int]) -> Outcome:
        """Return the crop of a file, or the error."""
        self._sample = str(path), size
        return attempt(lambda: next(iter(iterate_arrays(self._dataset)))[0])


def classifier_reader() -> TrainingReader:
    """Return a reader of the same random crop of each file."""
    draws = tf.constant(np.random.default_rng(1).uniform(size=DRAWS))

    def load(path: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(
            random_resized_crop(path, tf.io.read_file(path), draws, (64, 64)), (64, 64, 3)
        )

    return TrainingReader(load)


def pose_reader() -> TrainingReader:
    """Return a reader of the whole image."""

    def load(path: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        inverse = tf.constant([[[1.0, 0, 0], [0, 1, 0]]], tf.float64)
        views = plan_views(inverse, size[None], SIZE, dct_scaling=False)
        view = tf.nest.map_structure(lambda values: values[0], views)
        return tf.ensure_shape(read_crop(path, view, SIZE), (*SIZE, 3))

    return TrainingReader(load)


def read_everywhere(
    path: Path, copy: Path, readers: Mapping[str, TrainingReader]
) -> tuple[Outcome, dict[str, Outcome]]:
    """Read a file in every way, and a lossless copy of what inference sees in it.

    Returns:
        The pixels of inference, or its error; and for each reader the difference from what it
        makes of the copy, or its error.
    """
    seen = attempt(lambda: read_image(path))
    size = attempt(lambda: displayed_size(path))
    height, width = SIZE if isinstance(size, Exception) else map(int, size)
    read = {name: reader(path, (height, width)) for name, reader in readers.items()}
    if isinstance(seen, Exception):
        return seen, read
    Image.fromarray(seen.astype(np.uint8)).save(copy)
    for name, reader in readers.items():
        pixels, expected = read[name], reader(copy, seen.shape[:2])
        if not isinstance(pixels, Exception) and not isinstance(expected, Exception):
            read[name] = pixels - expected
    return seen, read


def judge(seen: Outcome, trained: dict[str, Outcome], name: str) -> str:
    """Return the verdict on what inference and training did with a file."""
    errors = [each for each in (seen, *trained.values()) if isinstance(each, Exception)]
    for error in errors:
        if not isinstance(error, ValueError | OSError):
            return "traceback"
        if name not in str(error):
            return "unclear error"
    refused = [isinstance(each, Exception) for each in trained.values()]
    if isinstance(seen, Exception):
        is_damaged = name.endswith(".jpg") and any(words in str(seen) for words in DAMAGE)
        return REFUSED if all(refused) else RECOVERED if is_damaged else "disagreement"
    if any(refused):
        return "disagreement"
    differences = [each for each in trained.values() if not isinstance(each, Exception)]
    largest = max(float(np.abs(each).max()) for each in differences)
    return SAME if largest <= ATOL else "other pixels"


def fuzz(
    files: int, seed: int, folder: Path, commands: int = 0
) -> tuple[Counter[str], Counter[str], list[str]]:
    """Mutate files: the verdicts, how commands ended, and the changes with a bad verdict.

    Args:
        files: Number of files.
        seed: Seed of the changes.
        folder: Where files are written.
        commands: Number of files that `evaluate imagenet` gets, too.
    """
    originals = list(valid_files().items())
    readers = {"classifier": classifier_reader(), "pose": pose_reader()}
    network = _network(folder)
    images = folder / "images" / "class"
    images.mkdir(parents=True)
    verdicts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    findings = []
    for number in track(range(files), "Files", disable=files < 100):
        rng = random.Random(f"{seed}-{number}")
        original, data = originals[number % len(originals)]
        changes = []
        for _ in range(rng.randint(1, 3)):
            data, change = mutate(data, rng)
            changes.append(change)
        path = images / f"{number}-{original}"
        path.write_bytes(data)
        seen, read = read_everywhere(path, folder / "copy.bmp", readers)
        verdict = judge(seen, read, path.name)
        verdicts[verdict] += 1
        end = "done"
        if number < commands:
            one = folder / "one" / "class"
            one.mkdir(parents=True, exist_ok=True)
            for old in one.iterdir():
                old.unlink()
            (one / path.name).write_bytes(data)
            end = run_command("evaluate", "imagenet", str(network), "--data", str(one.parent))
            ends[end] += 1
        if verdict in BAD or end not in ("done", "refused"):
            ways = {"inference": seen, **read}
            said = "; ".join(f"{way}: {_described(each)}" for way, each in ways.items())
            findings.append(f"{path.name}: {verdict}, {end}: {', '.join(changes)}: {said}")
    end = run_command("predict", "classify", str(network), str(images))
    ends[end] += 1
    if end not in ("done", "refused"):
        findings.append(f"predict: {end}")
    return verdicts, ends, findings


def _described(outcome: Outcome) -> str:
    if isinstance(outcome, Exception):
        return f"{type(outcome).__name__}: {outcome}"[:300]
    return f"{np.abs(outcome).max():.3g}"


def _network(folder: Path) -> Path:
    """Save a classifier of one class."""
    import keras

    inputs = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    path = folder / "network.keras"
    keras.Model(inputs, keras.layers.Dense(1)(pooled)).save(path)
    return path


def main(
    files: Annotated[int, typer.Option(min=1, help="Number of mutated files.")] = 300,
    commands: Annotated[int, typer.Option(min=0, help="Files evaluated one by one.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the mutations.")] = 0,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append to.")] = None,
) -> None:
    """Mutate image files, print the verdicts, and append them to a csv file."""
    LOGGER.setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdicts, ends, findings = fuzz(files, seed, Path(folder), commands)
    subject = {"seed": str(seed), "files": str(files)}
    report(PROGRAM, subject, (*GOOD, *BAD), verdicts, ends, findings, results_csv)


if __name__ == "__main__":
    typer.run(main)
