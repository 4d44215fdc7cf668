"""The catalog of published weights: URL, hash, preprocessing and accuracy of each file.

Sources of the accuracies: the documentation of torchvision 0.28, of mmclassification 0.25 and of
mmpose 0.29 and 1.3, and the READMEs of megvii-model/ShuffleNet-Series, PaddleClas,
tonylins/pytorch-mobilenet-v2 and RangiLyu/nanodet.
"""

import difflib
from dataclasses import dataclass

from keras_shufflenet.weights import catalog_data
from keras_shufflenet.weights.catalog_data import MEAN_STD


@dataclass(frozen=True)
class WeightsEntry:
    """A published weights file.

    Attributes:
        name: "<model>.<publisher>", for `weights=`.
        model: Name of its model in `list_models()` of any task.
        file: File name in the cache.
        url: Direct link, or None if there is none.
        sha256: Hash of the file, or the prefix of it that the publisher puts in the file name.
        size: Size in bytes, where known.
        license: The publisher's license, as SPDX identifier where there is one.
        layout: Name in `layouts.LAYOUTS`; None for a file of Keras.
        preprocessing: What the network was trained on. Models preprocess images themselves.
        resize_size: Length in pixels of the image's shorter side before the crop; None for pose
            and detection.
        crop_size: (height, width) of the network's input in pixels.
        interpolation: Interpolation of the resizing.
        top1: Published ImageNet top-1 accuracy, 0..1.
        top5: Published ImageNet top-5 accuracy, 0..1.
        ap: Published COCO val2017 average precision, 0..1: of a detector's boxes of all classes, or
            of keypoints with flip test and the bounding boxes of a detector of AP 56.4 on persons.
        ar: Published COCO val2017 average recall, 0..1.
        pckh: Published MPII mean PCKh@0.5, 0..1.
        source: Page of the publisher, or the model card of a file of this package.
        download_instructions: How to get the file where there is no direct link.
        is_bundled: Whether the file is part of this package, so that nothing is downloaded.
        encoding: Encoding of the heatmaps of a pose estimator, as for `keypoints.HeatmapCodec`.
    """

    name: str
    model: str
    file: str
    layout: str | None
    source: str
    license: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    preprocessing: str = MEAN_STD
    resize_size: int | None = None
    crop_size: tuple[int, int] = (224, 224)
    interpolation: str = "bilinear with antialias"
    top1: float | None = None
    top5: float | None = None
    ap: float | None = None
    ar: float | None = None
    pckh: float | None = None
    download_instructions: str | None = None
    is_bundled: bool = False
    encoding: str | None = None

    @property
    def dataset(self) -> str:
        """Dataset that the network was trained on, one of `DATASETS`."""
        if self.top1 is not None:
            return "imagenet"
        return "coco" if self.pckh is None else "mpii"


DATASETS = ("imagenet", "coco", "mpii")
CATALOG: dict[str, WeightsEntry] = {
    record["name"]: WeightsEntry(**record) for record in catalog_data.records()
}


def list_weights(model: str | None = None) -> list[WeightsEntry]:
    """Return the published weights, the default of each model first.

    Args:
        model: Name of a model, to list its weights only.
    """
    return [entry for entry in CATALOG.values() if model in (None, entry.model)]


def get_entry(name: str) -> WeightsEntry:
    """Return the entry of a name, such as "shufflenet_v2_x1_0.torchvision".

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in CATALOG:
        near = difflib.get_close_matches(name, CATALOG, n=5, cutoff=0.4) or list(CATALOG)[:5]
        raise ValueError(
            f"`weights` must be None, {', '.join(map(repr, DATASETS))}, the path of an existing "
            "file, or a name of "
            f"`list_weights()` such as {', '.join(map(repr, near))}. Received: weights={name!r}"
        )
    return CATALOG[name]


def default_entry(model: str | None, dataset: str = "imagenet") -> WeightsEntry:
    """Return the entry that a dataset's name stands for, as in `weights="imagenet"`.

    Args:
        model: Name of a model.
        dataset: One of `DATASETS`.

    Raises:
        ValueError: If no weights of the model are published that were trained on this dataset.
    """
    entries = [entry for entry in list_weights(model) if entry.dataset == dataset]
    if model is None or not entries:
        models = sorted({entry.model for entry in CATALOG.values() if entry.dataset == dataset})
        near = difflib.get_close_matches(str(model), models, n=5, cutoff=0.4) or models[:5]
        raise ValueError(
            f"`weights` must be a file or None for a model without published {dataset} weights, "
            f"which {len(models)} models have, such as {', '.join(near)}. "
            f"Received: weights={dataset!r} for the model {model!r}"
        )
    return entries[0]


def default_dataset(model: str) -> str:
    """Return the dataset of a model's default weights, one of `DATASETS`.

    It follows from the name for pose estimators with other heads and sizes than the published.
    """
    if published := list_weights(model):
        return published[0].dataset
    if model.startswith("pose_"):
        return "mpii" if "_mpii_" in model else "coco"
    return "imagenet"
