"""The tables behind the catalogue, as the publishers print them."""

from collections.abc import Iterator
from typing import Any

MEAN_STD = (
    "RGB 0..255, minus mean (123.675, 116.28, 103.53), divided by deviation (58.395, 57.12, 57.375)"
)
BGR = "BGR 0..255 as it is"

TORCHVISION = {
    "source": "https://github.com/pytorch/vision",
    "licence": "BSD-3-Clause",
}
MEGVII = {
    "source": "https://github.com/megvii-model/ShuffleNet-Series",
    "licence": "MIT",
    "layout": "megvii/shufflenet_v2",
    "preprocessing": BGR,
    "resize": 256,
    "interpolation": "bilinear without antialias (OpenCV)",
}
PADDLECLAS = {
    "source": "https://github.com/PaddlePaddle/PaddleClas",
    "licence": "Apache-2.0",
    "layout": "torchvision/shufflenet_v2",
    "resize": 256,
}
TONYLINS = {
    "source": "https://github.com/tonylins/pytorch-mobilenet-v2",
    "licence": "see the publisher",
    "layout": "tonylins/mobilenet_v2",
    "resize": 256,
}
MMCLS = {"source": "https://github.com/open-mmlab/mmpretrain", "licence": "Apache-2.0"}
MMPOSE = {"source": "https://github.com/open-mmlab/mmpose", "licence": "Apache-2.0"}

PYTORCH_URL = "https://download.pytorch.org/models"
MMCLS_URL = "https://download.openmmlab.com/mmclassification/v0"
MMPOSE_URL = "https://download.openmmlab.com/mmpose/top_down"
MMPOSE_V1_URL = "https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco"
MEGVII_DRIVE = "https://1drv.ms/f/s!AgaP37NGYuEXhRfQxHRseR7eSxXo"
PADDLE_URL = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph"

# model, publisher, file, sha256 or its beginning, bytes, resize, top-1, top-5
TORCHVISION_FILES = (
    ("shufflenet_v2_x0_5", "torchvision", "shufflenetv2_x0.5-f707e7126e.pth", "f707e7126e", None,
     256, 60.552, 81.746),
    ("shufflenet_v2_x1_0", "torchvision", "shufflenetv2_x1-5666bf0f80.pth",
     "5666bf0f80d1e7f8fb61f6a65742b9c27c37f3208c1f087cdcd7c1ec1aa8b848", 9_218_294,
     256, 69.362, 88.316),
    ("shufflenet_v2_x1_5", "torchvision", "shufflenetv2_x1_5-3c479a10.pth", "3c479a10", None,
     232, 72.996, 91.086),
    ("shufflenet_v2_x2_0", "torchvision", "shufflenetv2_x2_0-8be3c8ee.pth", "8be3c8ee", None,
     232, 76.230, 93.006),
    ("mobilenet_v2_x1_0", "torchvision_v2", "mobilenet_v2-7ebf99e0.pth", "7ebf99e0", None,
     232, 72.154, 90.822),
    ("mobilenet_v2_x1_0", "torchvision_v1", "mobilenet_v2-b0353104.pth", "b0353104", None,
     256, 71.878, 90.286),
)  # fmt: skip

# model, folder, file, sha256 prefix, top-1, top-5
MMCLS_FILES = (
    ("shufflenet_v2_x1_0", "shufflenet_v2",
     "shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth", "5bf4721e", 69.55, 88.92),
    ("mobilenet_v2_x1_0", "mobilenet_v2",
     "mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth", "3b2dc3af", 71.86, 90.42),
)  # fmt: skip

# width, top-1 error, top-5 error
MEGVII_ERRORS = (("0.5", 38.9, 17.4), ("1.0", 30.6, 11.1), ("1.5", 27.4, 9.4), ("2.0", 25.0, 7.6))

# width, top-1, top-5
PADDLECLAS_FIGURES = (("0_25", 49.90, 73.79), ("0_33", 53.73, 77.05))

# backbone, keypoints, (height, width), era, file, sha256 prefix, AP, AR, PCKh
MMPOSE_FILES = (
    ("shufflenet_v2", "coco", (256, 192), "v1",
     "td-hm_shufflenetv2_8xb64-210e_coco-256x192-51fb931e_20221014.pth", "51fb931e",
     0.602, 0.668, None),
    ("shufflenet_v2", "coco", (256, 192), "v0",
     "shufflenetv2_coco_256x192-0aba71c7_20200921.pth", "0aba71c7", 0.599, 0.664, None),
    ("shufflenet_v2", "coco", (384, 288), "v1",
     "td-hm_shufflenetv2_8xb64-210e_coco-384x288-d30ab55c_20221014.pth", "d30ab55c",
     0.638, 0.699, None),
    ("shufflenet_v2", "coco", (384, 288), "v0",
     "shufflenetv2_coco_384x288-fb38ac3a_20200921.pth", "fb38ac3a", 0.636, 0.697, None),
    ("shufflenet_v2", "mpii", (256, 256), "v0",
     "shufflenetv2_mpii_256x256-4fb9df2d_20200925.pth", "4fb9df2d", None, None, 0.828),
    ("mobilenet_v2", "coco", (256, 192), "v1",
     "td-hm_mobilenetv2_8xb64-210e_coco-256x192-55a04c35_20221016.pth", "55a04c35",
     0.648, 0.709, None),
    ("mobilenet_v2", "coco", (256, 192), "v0",
     "mobilenetv2_coco_256x192-d1e58e7b_20200727.pth", "d1e58e7b", 0.646, 0.707, None),
    ("mobilenet_v2", "coco", (384, 288), "v1",
     "td-hm_mobilenetv2_8xb64-210e_coco-384x288-d3ab1457_20221013.pth", "d3ab1457",
     0.677, 0.734, None),
    ("mobilenet_v2", "coco", (384, 288), "v0",
     "mobilenetv2_coco_384x288-26be4816_20200727.pth", "26be4816", 0.673, 0.729, None),
    ("mobilenet_v2", "mpii", (256, 256), "v0",
     "mobilenetv2_mpii_256x256-e068afa7_20200812.pth", "e068afa7", None, None, 0.854),
)  # fmt: skip


def records() -> Iterator[dict[str, Any]]:
    """Everything that is published, as arguments of `catalog.Weights`."""
    yield from _torchvision()
    yield from _mmcls()
    yield from _paddleclas()
    yield from _megvii()
    yield _tonylins()
    yield from _mmpose()


def _torchvision() -> Iterator[dict[str, Any]]:
    for model, publisher, file, sha256, size, resize, top1, top5 in TORCHVISION_FILES:
        yield {
            **TORCHVISION,
            "name": f"{model}.{publisher}",
            "model": model,
            "file": file,
            "url": f"{PYTORCH_URL}/{file}",
            "sha256": sha256,
            "size": size,
            "layout": f"torchvision/{_family(model)}",
            "resize": resize,
            "top1": top1,
            "top5": top5,
        }


def _mmcls() -> Iterator[dict[str, Any]]:
    for model, folder, file, sha256, top1, top5 in MMCLS_FILES:
        yield {
            **MMCLS,
            "name": f"{model}.mmcls",
            "model": model,
            "file": file,
            "url": f"{MMCLS_URL}/{folder}/{file}",
            "sha256": sha256,
            "layout": f"mmcls/{_family(model)}",
            "resize": 256,
            "top1": top1,
            "top5": top5,
        }


def _paddleclas() -> Iterator[dict[str, Any]]:
    for width, top1, top5 in PADDLECLAS_FIGURES:
        model = f"shufflenet_v2_x{width}"
        yield {
            **PADDLECLAS,
            "name": f"{model}.paddleclas",
            "model": model,
            "file": f"{model}_paddleclas.pth",
            "top1": top1,
            "top5": top5,
            "how_to_get": (
                f"download {PADDLE_URL}/ShuffleNetV2_x{width}_pretrained.pdparams, rename its "
                "parameters to those of torchvision's shufflenet_v2 (transposing the classifier) "
                "and save them with torch.save"
            ),
        }


def _megvii() -> Iterator[dict[str, Any]]:
    for width, top1_error, top5_error in MEGVII_ERRORS:
        model = f"shufflenet_v2_x{width.replace('.', '_')}_megvii"
        yield {
            **MEGVII,
            "name": f"{model}.megvii",
            "model": model,
            "file": f"ShuffleNetV2.{width}x.pth.tar",
            "top1": round(100 - top1_error, 1),
            "top5": round(100 - top5_error, 1),
            "how_to_get": (
                f"open {MEGVII_DRIVE} in a browser and download ShuffleNetV2.{width}x.pth.tar "
                "(do not unpack it)"
            ),
        }


def _tonylins() -> dict[str, Any]:
    file = "mobilenetv2_1.0-f2a8633.pth.tar"
    return {
        **TONYLINS,
        "name": "mobilenet_v2_x1_0.tonylins",
        "model": "mobilenet_v2_x1_0",
        "file": file,
        "url": f"https://www.dropbox.com/s/47tyzpofuuyyv1b/{file}?dl=1",
        "sha256": "f2a8633",
        "top1": 71.8,
    }


def _mmpose() -> Iterator[dict[str, Any]]:
    for network, keypoints, crop, era, file, sha256, ap, ar, pckh in MMPOSE_FILES:
        model = f"pose_{network}_x1_0_{keypoints}_{crop[0]}x{crop[1]}"
        publisher = "mmpose_v1" if era == "v1" else "mmpose"
        folder = f"{MMPOSE_URL}/{network.replace('_', '')}"
        yield {
            **MMPOSE,
            "name": f"{model}.{publisher}",
            "model": model,
            "file": file,
            "url": f"{MMPOSE_V1_URL if era == 'v1' else folder}/{file}",
            "sha256": sha256,
            "layout": f"{publisher}/{network}",
            "crop": crop,
            "interpolation": "bilinear (affine crop of the box)",
            "ap": ap,
            "ar": ar,
            "pckh": pckh,
        }


def _family(model: str) -> str:
    return model.rsplit("_x", 1)[0]
