"""The table of published detectors behind the catalog."""

from collections.abc import Iterator
from typing import Any

SOURCE = "https://github.com/RangiLyu/nanodet"
URL = f"{SOURCE}/releases/download/v1.0.0-alpha-1"
COMMON = {
    "source": SOURCE,
    "license": "Apache-2.0",
    "layout": "rangilyu/nanodet",
    "preprocessing": (
        "BGR 0..255, minus mean (103.53, 116.28, 123.675), divided by std (57.375, 57.12, 58.395)"
    ),
}

# model, the publisher's name, side of the input, AP of boxes. Files of the release have no hash
# that is published.
FILES = (
    ("nanodet_m", "nanodet-m", 320, 0.206),
    ("nanodet_m_416", "nanodet-m-416", 416, 0.235),
    ("nanodet_m_x0_5", "nanodet-m-0.5x", 320, 0.135),
    ("nanodet_m_x1_5", "nanodet-m-1.5x", 320, 0.235),
    ("nanodet_m_x1_5_416", "nanodet-m-1.5x-416", 416, 0.268),
    ("nanodet_plus_m", "nanodet-plus-m", 320, 0.270),
    ("nanodet_plus_m_416", "nanodet-plus-m", 416, 0.304),
    ("nanodet_plus_m_x1_5", "nanodet-plus-m-1.5x", 320, 0.299),
    ("nanodet_plus_m_x1_5_416", "nanodet-plus-m-1.5x", 416, 0.341),
)


def detectors() -> Iterator[dict[str, Any]]:
    """Yield the arguments of a `catalog.WeightsEntry` per published file."""
    for model, title, side, ap in FILES:
        released = title.startswith("nanodet-plus")
        file = f"{title}_{side}.pth" if released else f"{model}.ckpt"
        entry = {
            **COMMON,
            "name": f"{model}.rangilyu",
            "model": model,
            "file": file,
            "crop_size": (side, side),
            "ap": ap,
        }
        if released:
            yield entry | {
                "url": f"{URL}/{file}",
                "interpolation": "bilinear (stretched to the input)",
            }
        else:
            yield entry | {
                "interpolation": "bilinear (aspect ratio kept, black bars)",
                "download_instructions": (
                    f"follow the link to the weights of {title} in the model zoo of {SOURCE}; "
                    f"call the file {file}"
                ),
            }
