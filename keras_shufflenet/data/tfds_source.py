"""Datasets of tensorflow-datasets (tfds) as sources of the pipelines.

Images stay encoded until a pipeline reads them, by the rules of files (`image_files`). Records are
read by their row, from ArrayRecord files, which have an index, or from local TFRecord files, whose
records are looked up once. So the order of a training is that of files: a function of the seed and
of the number of the sample, without a shuffle buffer.
"""

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_shufflenet._requirements import check_installed
from keras_shufflenet.data import tfds_features
from keras_shufflenet.data.class_folders import LabeledImages
from keras_shufflenet.data.records import SCHEME, open_records, record_path
from keras_shufflenet.data.tfrecords import FilePart, TFRecords

_NAME = re.compile(r"(?P<name>[\w./+-]+(:[\d.*]+)?):(?P<split>[^\d/:][^/]*)")
PACKAGES = ("tensorflow_datasets", "array_record", "importlib_resources")
OWN = ("coco_keypoints", "mpii_pose")  # builders of keras_shufflenet.datasets


class TFDSSource:
    """A split of a prepared dataset.

    Attributes:
        place: What it is called in messages: "coco/2017/1.1.0:train".
    """

    def __init__(self, builder: Any, split: str) -> None:
        self._builder, self._split = builder, split
        self.place = f"{builder.info.full_name}:{split}"
        self._records = _records(builder, split)
        self._name = f"{os.fspath(builder.data_dir)}:{split}"
        self._features = tfds_features.find(builder.info)
        open_records(self._name, self._read_image)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._records)

    def __repr__(self) -> str:
        """Return "TFDSSource(coco/2017/1.1.0:train, 118287 images)"."""
        return f"{type(self).__name__}({self.place}, {len(self)} images)"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, empty if the dataset has none."""
        return self._features.class_names

    @cached_property
    def paths(self) -> list[str]:
        """The paths by which the images are read."""
        return [record_path(self._name, row) for row in range(len(self))]

    @property
    def has_mpii(self) -> bool:
        """Whether the dataset has the persons of MPII."""
        return self._features.objects is not None and self._features.bbox is None

    @cached_property
    def labeled_images(self) -> LabeledImages:
        """The images and their classes, of a dataset with an image and a label.

        Raises:
            ValueError: If it is none.
        """
        return tfds_features.labeled_images(self._features, self)

    @cached_property
    def annotations(self) -> Any:
        """The annotations as a COCO json has them, or as the json of MPII, for `mpii_pose`.

        The names of files are those in `paths`, and images without a stated size have that in which
        they are stored, to which the boxes of tfds refer. Boxes have hundredths of a pixel.

        Raises:
            ValueError: If the dataset has no boxes with labels.
        """
        return tfds_features.annotations(self._features, self)

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield the features of each record by their names, as they are stored."""
        for row in range(len(self)):
            yield tfds_features.parse_example(self._records[row])

    def _read_image(self, row: int) -> bytes:
        return bytes(tfds_features.parse_example(self._records[row])[self._features.image][0])


def tfds(
    name: str,
    split: str | None = None,
    *,
    data_dir: str | Path | None = None,
    download: bool = False,
) -> TFDSSource:
    """Open a dataset of tensorflow-datasets as a source of `classification`, `detection` and so on.

    Args:
        name: Its name as for `tfds.load`, for example "imagenette/320px-v2", "coco/2017:1.1.0" or,
            of this package, "coco_keypoints" and "mpii_pose"; or name and split together, as on the
            command line: "tfds:imagenette/320px-v2:train".
        split: Its split, which may be a part: "train[:90%]".
        data_dir: Folder of the prepared datasets; by default that of tfds, `$TFDS_DATA_DIR` or
            ~/tensorflow_datasets.
        download: Whether to download and prepare a dataset that is not, as ArrayRecord.

    Returns:
        The source, whose records are opened but not read.

    Raises:
        ImportError: If tensorflow-datasets is not installed.
        FileNotFoundError: If the dataset is not prepared.
        ValueError: If the name or the split is unknown, or the dataset has no images.
    """
    if split is None:
        name, split = parse_name(name)
    check_installed("`data.tfds`", "datasets", PACKAGES)
    import tensorflow_datasets

    if name.partition("/")[0].partition(":")[0] in OWN:
        import keras_shufflenet.datasets  # noqa: F401  (registers them)
    try:
        builder = tensorflow_datasets.builder(name, data_dir=data_dir)
    except (ValueError, tensorflow_datasets.core.DatasetNotFoundError) as error:
        raise ValueError(
            f"`name` must be a dataset of tfds. Received: name={name!r} ({_first_line(error)})"
        ) from error
    if download:
        config = tensorflow_datasets.download.DownloadConfig()
        builder.download_and_prepare(download_config=config, file_format="array_record")
    return TFDSSource(builder, split)


def parse_name(name: str) -> tuple[str, str]:
    """Return name and split of "tfds:coco/2017:train".

    Raises:
        ValueError: If it is not written like this.
    """
    found = _NAME.fullmatch(name.removeprefix(SCHEME))
    if found is None:
        raise ValueError(
            "A dataset must be given as tfds:NAME:SPLIT, for example tfds:imagenette/320px-v2:train"
            f" or tfds:coco/2017:train[:90%]. Received: {name}"
        )
    return found["name"], found["split"]


def is_mpii(source: Any) -> bool:
    """Return whether a source is an opened dataset with the persons of MPII."""
    return isinstance(source, TFDSSource) and source.has_mpii


def opened(source: Any) -> Any:
    """Return the opened dataset of a name such as "tfds:coco/2017:train"; else the source."""
    is_name = isinstance(source, str | Path) and str(source).startswith(SCHEME)
    return tfds(str(source)) if is_name else source


def _records(builder: Any, split: str) -> Any:
    import tensorflow_datasets

    raw = tensorflow_datasets.decode.DeserializeMethod.RAW_BYTES
    try:
        return builder.as_data_source(split, deserialize_method=raw)
    except NotImplementedError:  # not of a format with an index
        pass
    except (AssertionError, FileNotFoundError, KeyError, ValueError) as error:
        raise _unreadable(builder, split) from error
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(
            "A dataset must be prepared as array_record or tfrecord. "
            f"Received: {builder.info.file_format.value} in {builder.data_dir}"
        )
    try:
        instructions = builder.info.splits[split].file_instructions
    except (KeyError, ValueError) as error:
        raise _unreadable(builder, split) from error
    parts = []
    for part in instructions:
        path = os.fspath(part.filename)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                "The files of a dataset must be local, or it must be prepared as array_record. "
                f"Received: {path}"
            )
        take = part.take if part.take >= 0 else part.examples_in_shard - part.skip
        parts.append(FilePart(path, part.skip, take, part.examples_in_shard))
    return TFRecords(parts)


def _unreadable(builder: Any, split: str) -> Exception:
    splits = ", ".join(builder.info.splits)
    if not splits:
        return FileNotFoundError(
            f"The dataset must be prepared: `python -m keras_shufflenet.datasets "
            f"{_build_arguments(builder)}`, or "
            f"`data.tfds(…, download=True)`. Received: nothing in {builder.data_dir}"
        )
    return ValueError(
        f"`split` must be one of {splits}, or a part of them. Received: split={split!r}"
    )


def _build_arguments(builder: Any) -> str:
    config = f"/{builder.builder_config.name}" if builder.builder_config else ""
    return f"{builder.name}{config} --file_format array_record"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
