"""Arguments that name data: files and folders, or tfds:NAME:SPLIT of tensorflow-datasets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from keras_shufflenet._requirements import check_installed

SCHEME = "tfds:"
OR_DATASET = "or tfds:NAME:SPLIT, a dataset of tensorflow-datasets"
MOST_REPETITIONS = 1000

Source = TypeVar("Source")


def is_dataset(path: Path) -> bool:
    """Return whether an argument names a dataset."""
    return str(path).startswith(SCHEME)


def data_name(path: Path) -> str:
    """Return the name of a file for a table: without folders, those of datasets in full."""
    return str(path) if is_dataset(path) else path.name


def file_or_dataset(text: str) -> Path:
    """Parse the option of an existing file or a dataset.

    Raises:
        typer.BadParameter: If there is no such file, or the name of a dataset is malformed.
    """
    return _parse(text, Path(text).is_file(), "file")


def path_or_dataset(text: str) -> Path:
    """Parse the option of an existing file or folder, or a dataset.

    Raises:
        typer.BadParameter: If there is no such path, or the name of a dataset is malformed.
    """
    return _parse(text, Path(text).exists(), "path")


def check_image_dir(
    annotations: Sequence[Path], image_dirs: Sequence[Path] | None, option: str = "--"
) -> None:
    """Check that files have image folders, and datasets, which have their images, have none.

    Args:
        annotations: The files and datasets.
        image_dirs: The folders.
        option: What the names of the two options begin with, for the message.

    Raises:
        ValueError: If it is otherwise.
    """
    files = [path for path in annotations if not is_dataset(path)]
    if bool(files) != bool(image_dirs):
        raise ValueError(
            f"{option}image-dir must be given with files of {option}annotations, and not with "
            f"tfds:NAME:SPLIT alone. Received: {', '.join(map(str, annotations))} and "
            f"{', '.join(map(str, image_dirs or ())) or 'no folder'}"
        )


def pair(
    annotations: Sequence[Path], image_dirs: Sequence[Path] | None, option: str = "--"
) -> list[tuple[Path, Path | None]]:
    """Pair annotation files with image folders, one folder for all or one for each.

    Args:
        annotations: The files, and datasets of tfds, which have no folder.
        image_dirs: The folders.
        option: What the names of the two options begin with, for the message.

    Raises:
        ValueError: If there is another number of folders.
    """
    if any(map(is_dataset, annotations)):
        check_image_dir(annotations, image_dirs, option)
    files, folders = [path for path in annotations if not is_dataset(path)], image_dirs or []
    if len(folders) == 1:
        folders = list(folders) * len(files)
    if len(files) != len(folders):
        raise ValueError(
            f"{option}image-dir must be given once, or once for each {option}annotations. "
            f"Received: {len(files)} annotation files and {len(folders)} folders"
        )
    folder = iter(folders)
    return [(path, None if is_dataset(path) else next(folder)) for path in annotations]


def repeat_sources(sources: Sequence[Source], times: Sequence[int] | None) -> list[Source]:
    """Repeat sources, so that an epoch sees their instances several times.

    Args:
        sources: The sources, one for each --annotations.
        times: How often, one number for each source, or one for all; None for once.

    Raises:
        ValueError: If there is another number of them, or one is above `MOST_REPETITIONS`.
    """
    counts = list(times or [1])
    if max(counts) > MOST_REPETITIONS:
        raise ValueError(
            f"--repeat must be at most {MOST_REPETITIONS}. Received: --repeat {max(counts)}"
        )
    if len(counts) == 1:
        counts *= len(sources)
    if len(counts) != len(sources):
        raise ValueError(
            "--repeat must be given once, or once for each --annotations. Received: "
            f"{len(counts)} of --repeat and {len(sources)} of --annotations"
        )
    return [source for source, count in zip(sources, counts, strict=True) for _ in range(count)]


def opened(annotations: Path) -> Any:
    """Return the opened dataset of tfds:NAME:SPLIT; else the path. TensorFlow is imported."""
    if not is_dataset(annotations):
        return annotations
    from keras_shufflenet.cli.options import import_tensorflow

    import_tensorflow()
    from keras_shufflenet.data import tfds_source

    return tfds_source.opened(annotations)


def _parse(text: str, exists: bool, kind: str) -> Path:
    if text.startswith(SCHEME):
        from keras_shufflenet.data.tfds_source import PACKAGES, parse_name

        try:
            parse_name(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        check_installed("A dataset of tfds", "datasets", PACKAGES)
    elif not exists:
        raise typer.BadParameter(f"{kind} '{text}' does not exist.")
    return Path(text)
