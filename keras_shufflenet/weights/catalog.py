"""The publishers' own files of weights: where they are, what they need, what they achieve.

Sources of the figures: the documentation of torchvision 0.28, of mmclassification 0.25, of mmpose
0.29 and 1.3, and the READMEs of megvii-model/ShuffleNet-Series, PaddleClas and
tonylins/pytorch-mobilenet-v2.
"""

import difflib
from dataclasses import dataclass

from keras_shufflenet.weights import catalog_data
from keras_shufflenet.weights.catalog_data import MEAN_STD


@dataclass(frozen=True)
class WeightsEntry:
    """A file of weights.

    Attributes:
        name: "<model>.<publisher>", for `weights=`.
        model: name of the model it is for, in `list_models()` of either task.
        file: name in the cache.
        url: None if there is no direct link.
        sha256: of the file, or the beginning of it that the publisher puts in the name.
        size: in bytes, where known.
        license: the publisher's, as SPDX identifier where there is one.
        layout: name in `layouts.LAYOUTS`.
        preprocessing: what the network was trained on. Models do it inside.
        resize_size: length of the image's shorter side before the crop, in pixels; None for pose.
        crop_size: (height, width) of the network's input in pixels.
        interpolation: of the resizing.
        top1: published ImageNet accuracy in percent.
        top5: published ImageNet accuracy in percent.
        ap: published COCO val2017 average precision, with flip test and the boxes of a detector of
            AP 56.4 on persons.
        ar: the average recall that goes with it.
        pckh: published MPII mean PCKh at 0.5, from 0 to 1.
        source: page of the publisher.
        download_instructions: what to do where there is no direct link.
    """

    name: str
    model: str
    file: str
    layout: str
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

    @property
    def dataset(self) -> str:
        """What the network was trained on, one of `DATASETS`."""
        if self.top1 is not None:
            return "imagenet"
        return "coco" if self.pckh is None else "mpii"


DATASETS = ("imagenet", "coco", "mpii")
CATALOG: dict[str, WeightsEntry] = {
    record["name"]: WeightsEntry(**record) for record in catalog_data.records()
}


def list_weights(model: str | None = None) -> list[WeightsEntry]:
    """What is published, the default of each model first.

    Args:
        model: name of a model, to list its weights only.
    """
    return [entry for entry in CATALOG.values() if model in (None, entry.model)]


def get_entry(name: str) -> WeightsEntry:
    """The entry of a name.

    Raises:
        ValueError: if there is none.
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
    """The entry that the name of a dataset stands for, such as `weights="imagenet"`.

    Args:
        model: name of a model.
        dataset: one of `DATASETS`.

    Raises:
        ValueError: if no weights of it are published that were trained on this dataset.
    """
    entries = [entry for entry in list_weights(model) if entry.dataset == dataset]
    if model is None or not entries:
        models = sorted({entry.model for entry in CATALOG.values() if entry.dataset == dataset})
        raise ValueError(
            f"WeightsEntry of {dataset!r} are published for {', '.join(models)}. Received: "
            f"weights={dataset!r} for the model {model!r}"
        )
    return entries[0]
