"""Small files in the official layouts of COCO and MPII, with images of a few pixels."""

import json
import shutil
import tarfile
import zipfile

import numpy as np
from PIL import Image

from keras_shufflenet.keypoints.skeletons import COCO, MPII

SIZE = (48, 40)  # (height, width)
COCO_IMAGES = {"train2017": 5, "val2017": 3}
MPII_PERSONS = {"mpii_train.json": 5, "mpii_val.json": 3}


def write_coco(folder):
    """Write train2017/, val2017/ and annotations/, as they are in the official zip files.

    The first image has a crowd, a person without keypoints and one with, the last has no person;
    numbers have more digits than float32.
    """
    random = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True)
    for name, count in COCO_IMAGES.items():
        images = [_coco_image(folder / name, 391895 + 7 * n, random) for n in range(count)]
        persons = [
            _coco_person(1000 * number + n, image["id"], n, random)
            for number, image in enumerate(images[:-1])
            for n in range(3 if number == 0 else 1)
        ]
        category = {
            **{"supercategory": "person", "id": 1, "name": "person"},
            **{"keypoints": list(COCO.keypoint_names), "skeleton": [[16, 14]]},
        }
        content = {
            **{"info": {"year": 2017}, "licenses": [{"id": 3, "name": "BY-NC-ND", "url": ""}]},
            **{"images": images, "annotations": persons, "categories": [category]},
        }
        (folder / "annotations" / f"person_keypoints_{name}.json").write_text(json.dumps(content))


def _picture(path, random):
    """Write an image of smooth noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = Image.fromarray(random.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    pixels.resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path, quality=90)


def _coco_image(folder, image_id, random):
    name = f"{image_id:012d}.jpg"
    _picture(folder / name, random)
    return {
        **{"license": 3, "file_name": name, "height": SIZE[0], "width": SIZE[1], "id": image_id},
        **{"date_captured": "2013-11-14 11:18:45", "coco_url": f"http://images/{name}"},
        "flickr_url": f"http://farm9/{name}",
    }


def _coco_person(person_id, image_id, kind, random):
    """Return a person with keypoints (kind 0), a crowd (1) or a person without keypoints (2)."""
    corner, extent = random.uniform(1, 15, 2).round(2), random.uniform(12, 24, 2).round(2)
    points = np.zeros((len(COCO), 3), np.int64)
    if kind == 0:
        points[:, :2] = corner + random.uniform(0, 1, (len(COCO), 2)) * extent
        points[:, 2] = random.integers(0, 3, len(COCO))
        points[0] = (*points[0, :2], 2)
        points[points[:, 2] == 0] = 0
    return {
        **{"segmentation": [[1.0, 2.0, 3.0, 2.0, 3.0, 4.0]], "iscrowd": int(kind == 1)},
        **{"num_keypoints": int((points[:, 2] > 0).sum()), "area": float(extent.prod() / 3)},
        **{"keypoints": points.ravel().tolist(), "image_id": image_id, "category_id": 1},
        **{"bbox": [*corner.tolist(), *extent.tolist()], "id": person_id},
    }


def zip_coco(folder, target):
    """Pack the folders into the official zip files."""
    names = {name: name for name in COCO_IMAGES}
    names["annotations"] = "annotations_trainval2017"
    for name, archive in names.items():
        with zipfile.ZipFile(target / f"{archive}.zip", "w") as file:
            for path in sorted((folder / name).iterdir()):
                file.write(path, f"{name}/{path.name}")


def write_mpii(folder):
    """Write images/, mpii_train.json and mpii_val.json; two persons share an image."""
    random = np.random.default_rng(1)
    for name, count in MPII_PERSONS.items():
        persons = []
        for number in range(count):
            image = f"{number // 2:09d}_{name[5]}.jpg"
            if number % 2 == 0:
                _picture(folder / "images" / image, random)
            persons.append(
                {
                    "joints_vis": random.integers(0, 2, len(MPII)).tolist(),
                    "joints": random.uniform(1, 40, (len(MPII), 2)).round(4).tolist(),
                    "image": image,
                    "scale": round(random.uniform(0.1, 0.2), 6),
                    "center": random.integers(10, 30, 2).astype(float).tolist(),
                }
            )
        (folder / name).write_text(json.dumps(persons))


def pack_mpii(folder, target):
    """Pack the images into the official archive, and copy the json files."""
    with tarfile.open(target / "mpii_human_pose_v1.tar.gz", "w:gz") as file:
        file.add(folder / "images", "images")
    for name in MPII_PERSONS:
        shutil.copy(folder / name, target / name)
