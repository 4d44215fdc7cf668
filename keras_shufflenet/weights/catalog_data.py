"""The tables behind the catalog, with accuracies and errors in percent, as published."""

from collections.abc import Iterator
from typing import Any

from keras_shufflenet.weights._catalog_detectors import detectors

MEAN_STD = (
    "RGB 0..255, minus mean (123.675, 116.28, 103.53), divided by std (58.395, 57.12, 57.375)"
)
BGR = "BGR 0..255 as it is"
BGR_MEAN_IMAGE = "BGR 0..255, minus the mean image of ImageNet_1000_scale224_mean.xml"

TORCHVISION = {
    "source": "https://github.com/pytorch/vision",
    "license": "BSD-3-Clause",
}
MEGVII = {
    "source": "https://github.com/megvii-model/ShuffleNet-Series",
    "license": "MIT",
    "preprocessing": BGR,
    "resize_size": 256,
    "interpolation": "bilinear without antialias (OpenCV)",
}
PADDLECLAS = {
    "source": "https://github.com/PaddlePaddle/PaddleClas",
    "license": "Apache-2.0",
    "layout": "torchvision/shufflenet_v2",
    "resize_size": 256,
}
TONYLINS = {
    "source": "https://github.com/tonylins/pytorch-mobilenet-v2",
    "license": "see the publisher",
    "layout": "tonylins/mobilenet_v2",
    "resize_size": 256,
}
MMCLS = {"source": "https://github.com/open-mmlab/mmpretrain", "license": "Apache-2.0"}
MMPOSE = {"source": "https://github.com/open-mmlab/mmpose", "license": "Apache-2.0"}

PYTORCH_URL = "https://download.pytorch.org/models"
MMCLS_URL = "https://download.openmmlab.com/mmclassification/v0"
MMPOSE_URL = "https://download.openmmlab.com/mmpose/top_down"
MMPOSE_V1_URL = "https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco"
MEGVII_DRIVE = "https://1drv.ms/f/s!AgaP37NGYuEXhRfQxHRseR7eSxXo"
PADDLE_URL = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph"

# model, publisher, file, sha256 or its prefix, bytes, resize size, top-1, top-5
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

# Part of this package, in `bundled/`: model, crop size, encoding, sha256, bytes
BUNDLED_FILES: tuple[tuple[str, tuple[int, int], str, str, int], ...] = (
    ("pose_shufflenet_v2_x1_0_coco_256x192_fpn", (256, 192), "unbiased",
     "c53f063ce25c1145f258fd3a1a3a638d1a9312d3b4a9130ee9dbf443561f8a27", 2_965_468),
    ("pose_shufflenet_v2_x1_0_coco_384x288_fpn", (384, 288), "unbiased",
     "267ebf9c41233b19a154ca8394a5f5fe7e9c5b9cb937235de3322b9052bab016", 2_965_468),
)  # fmt: skip

# model, folder, file, sha256 prefix, top-1, top-5
MMCLS_FILES = (
    ("shufflenet_v1_x1_0_g3_mmcls", "shufflenet_v1",
     "shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth", "5d6cec73", 68.13, 87.81),
    ("shufflenet_v2_x1_0", "shufflenet_v2",
     "shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth", "5bf4721e", 69.55, 88.92),
    ("mobilenet_v2_x1_0_mmcls", "mobilenet_v2",
     "mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth", "3b2dc3af", 71.86, 90.42),
)  # fmt: skip

# model, layout, file in the cache, file on the publisher's drive (None: name unknown), top-1 error,
# top-5 error
MEGVII_FILES = (
    *((f"shufflenet_v1_x{width.replace('.', '_')}_g3", "shufflenet_v1",
       f"ShuffleNetV1.Group3.{width}x.pth.tar", f"ShuffleNetV1/Group3/models/{width}x.pth.tar",
       top1, top5)
      for width, top1, top5 in (("0.5", 42.7, 20.0), ("1.0", 32.2, 12.3), ("1.5", 28.4, 9.8),
                                ("2.0", 25.9, 8.6))),
    *((f"shufflenet_v1_x{width.replace('.', '_')}_g8", "shufflenet_v1",
       f"snetv1_group8_{width}x.pth.tar",
       f"ShuffleNetV1/Group8/models/snetv1_group8_{width}x.pth.tar", top1, top5)
      for width, top1, top5 in (("0.5", 41.2, 19.0), ("1.0", 32.0, 13.6), ("1.5", 29.0, 10.4),
                                ("2.0", 27.1, 9.2))),
    *((f"shufflenet_v2_x{width.replace('.', '_')}_megvii", "shufflenet_v2",
       f"ShuffleNetV2.{width}x.pth.tar", f"ShuffleNetV2.{width}x.pth.tar", top1, top5)
      for width, top1, top5 in (("0.5", 38.9, 17.4), ("1.0", 30.6, 11.1), ("1.5", 27.4, 9.4),
                                ("2.0", 25.0, 7.6))),
    *((f"shufflenet_v2_plus_{size.lower()}", "shufflenet_v2_plus",
       f"ShuffleNetV2+.{size}.pth.tar", f"ShuffleNetV2+.{size}.pth.tar", top1, top5)
      for size, top1, top5 in (("Small", 25.9, 8.3), ("Medium", 24.3, 7.4), ("Large", 22.9, 6.7))),
    ("shufflenet_v2_large", "shufflenet_v2_large",
     "snetv2_residual_se.pkl", "snetv2_residual_se.pkl", 18.56, 4.48),
    ("shufflenet_v2_exlarge", "shufflenet_v2_exlarge",
     "shufflenet_v2_exlarge.pth.tar", None, 15.52, 2.9),
    ("one_shot", "one_shot", "one_shot.pkl", None, 25.1, 8.0),
    ("detnas_voc_retinanet_300m", "detnas", "VOC_RetinaNet_300M.pkl", None, 25.4, 8.1),
    ("detnas_voc_fpn_300m", "detnas", "VOC_FPN_300M.pkl", None, 25.9, 8.3),
    ("detnas_coco_retinanet_300m", "detnas", "COCO_RetinaNet_300M.pkl", None, 26.0, 8.4),
    ("detnas_coco_fpn_300m", "detnas", "COCO_FPN_300M.pkl", None, 26.2, 8.4),
    ("detnas_coco_fpn_1_3g", "detnas_deep", "COCO_FPN_1.3G.pkl", None, 22.8, 6.5),
    ("detnas_coco_fpn_3_8g", "detnas_deep", "snet_detnas_l.pkl", "snet_detnas_l.pkl", 21.6, 6.3),
)  # fmt: skip

SPOS_ERRORS = (25.6, 8.0)

# width, top-1, top-5
PADDLECLAS_ACCURACIES = (("0_25", 49.90, 73.79), ("0_33", 53.73, 77.05))

# backbone, keypoints, (height, width), era, file, sha256 prefix, AP, AR, PCKh
MMPOSE_FILES = (
    ("shufflenet_v1", "coco", (256, 192), "v1",
     "td-hm_shufflenetv1_8xb64-210e_coco-256x192-7a7ea4f4_20221013.pth", "7a7ea4f4",
     0.587, 0.654, None),
    ("shufflenet_v1", "coco", (256, 192), "v0",
     "shufflenetv1_coco_256x192-353bc02c_20200727.pth", "353bc02c", 0.585, 0.651, None),
    ("shufflenet_v1", "coco", (384, 288), "v1",
     "td-hm_shufflenetv1_8xb64-210e_coco-384x288-8342f8ba_20221013.pth", "8342f8ba",
     0.626, 0.687, None),
    ("shufflenet_v1", "coco", (384, 288), "v0",
     "shufflenetv1_coco_384x288-b2930b24_20200804.pth", "b2930b24", 0.622, 0.684, None),
    ("shufflenet_v1", "mpii", (256, 256), "v0",
     "shufflenetv1_mpii_256x256-dcc1c896_20200925.pth", "dcc1c896", None, None, 0.823),
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
MMPOSE_BACKBONES = {
    "shufflenet_v1": "shufflenet_v1_x1_0_g3_mmcls",
    "shufflenet_v2": "shufflenet_v2_x1_0",
    "mobilenet_v2": "mobilenet_v2_x1_0",
}


def records() -> Iterator[dict[str, Any]]:
    """Yield the arguments of a `catalog.WeightsEntry` per published file."""
    yield from _torchvision()
    yield from _mmcls()
    yield from _paddleclas()
    yield from _megvii()
    yield _spos()
    yield _tonylins()
    yield from _mmpose()
    yield from detectors()
    yield from _bundled()


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
            "resize_size": resize,
            "top1": _fraction(top1),
            "top5": _fraction(top5),
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
            "resize_size": 256,
            "top1": _fraction(top1),
            "top5": _fraction(top5),
        }


def _paddleclas() -> Iterator[dict[str, Any]]:
    for width, top1, top5 in PADDLECLAS_ACCURACIES:
        model = f"shufflenet_v2_x{width}"
        yield {
            **PADDLECLAS,
            "name": f"{model}.paddleclas",
            "model": model,
            "file": f"{model}_paddleclas.pth",
            "top1": _fraction(top1),
            "top5": _fraction(top5),
            "download_instructions": (
                f"download {PADDLE_URL}/ShuffleNetV2_x{width}_pretrained.pdparams, rename its "
                "parameters to those of torchvision's shufflenet_v2 (transposing the classifier) "
                "and save them with torch.save"
            ),
        }


def _megvii() -> Iterator[dict[str, Any]]:
    for model, layout, file, on_drive, top1_error, top5_error in MEGVII_FILES:
        yield {
            **MEGVII,
            "name": f"{model}.megvii",
            "model": model,
            "file": file,
            "layout": f"megvii/{layout}",
            "preprocessing": BGR_MEAN_IMAGE if model == "shufflenet_v2_large" else BGR,
            "top1": _fraction(100 - top1_error),
            "top5": _fraction(100 - top5_error),
            "download_instructions": _from_drive(file, on_drive),
        }


def _from_drive(file: str, on_drive: str | None) -> str:
    wanted = on_drive or "the file of this network"
    step = f"open {MEGVII_DRIVE} in a browser and download {wanted} (do not unpack it)"
    return step if wanted == file else f"{step}; call it {file}"


def _spos() -> dict[str, Any]:
    top1_error, top5_error = SPOS_ERRORS
    return {
        **MEGVII,
        "name": "one_shot_spos.spos",
        "model": "one_shot_spos",
        "file": "one_shot_spos.pth.tar",
        "source": "https://github.com/megvii-model/SinglePathOneShot",
        "layout": "megvii/one_shot",
        "top1": _fraction(100 - top1_error),
        "top5": _fraction(100 - top5_error),
        "download_instructions": (
            "follow the link to the searched model in the README of "
            "https://github.com/megvii-model/SinglePathOneShot; call it one_shot_spos.pth.tar"
        ),
    }


def _tonylins() -> dict[str, Any]:
    file = "mobilenetv2_1.0-f2a8633.pth.tar"
    return {
        **TONYLINS,
        "name": "mobilenet_v2_x1_0_tonylins.tonylins",
        "model": "mobilenet_v2_x1_0_tonylins",
        "file": file,
        "url": f"https://www.dropbox.com/s/47tyzpofuuyyv1b/{file}?dl=1",
        "sha256": "f2a8633",
        "top1": _fraction(71.8),
    }


def _mmpose() -> Iterator[dict[str, Any]]:
    for network, keypoints, crop, era, file, sha256, ap, ar, pckh in MMPOSE_FILES:
        backbone = MMPOSE_BACKBONES[network]
        model = f"pose_{backbone}_{keypoints}_{crop[0]}x{crop[1]}"
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
            "crop_size": crop,
            "encoding": "msra",
            "interpolation": "bilinear (affine crop of the bounding box)",
            "ap": ap,
            "ar": ar,
            "pckh": pckh,
        }


def _bundled() -> Iterator[dict[str, Any]]:
    for model, crop, encoding, sha256, size in BUNDLED_FILES:
        yield {
            "name": f"{model}.keras_shufflenet",
            "model": model,
            "file": f"{model}.weights.h5",
            "sha256": sha256,
            "size": size,
            "layout": None,
            "crop_size": crop,
            "encoding": encoding,
            "interpolation": "bilinear (affine crop of the bounding box)",
            "source": f"docs/model_cards/{model}.md",
            "license": "see the model card",
            "is_bundled": True,
        }


def _fraction(percent: float) -> float:
    return round(percent / 100, 5)


def _family(model: str) -> str:
    return model.rsplit("_x", 1)[0]
