"""Persons as dots: images that show each keypoint as a dot at its annotated position."""

import numpy as np

from keras_shufflenet.keypoints.skeletons import COCO

LEFT, RIGHT, MIDDLE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def keypoint_color(name):
    """Return red for left keypoints, green for right ones, blue for the nose."""
    return np.array({"left": LEFT, "right": RIGHT}.get(name.split("_")[0], MIDDLE), float)


def render_dots(size, keypoints, sigma):
    """Return an image (H, W, 3) uint8 of keypoints (K, 2) as Gaussian dots."""
    image, reach = np.zeros((*size, 3)), int(5 * sigma)
    for (x, y), name in zip(keypoints, COCO.keypoint_names, strict=True):
        top, left = max(0, int(y) - reach), max(0, int(x) - reach)
        patch = image[top : int(y) + reach + 1, left : int(x) + reach + 1]
        rows, columns = np.indices(patch.shape[:2])
        distance = (columns + left - x) ** 2 + (rows + top - y) ** 2
        patch += np.exp(-distance / (2 * sigma**2))[..., None] * keypoint_color(name)
    return np.rint(image.clip(0, 255)).astype(np.uint8)


def spread_keypoints(size, random):
    """Return 17 distant keypoints (x, y) in the center of an image."""
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(5)), axis=-1).reshape(-1, 2)[:17]
    share = 0.2 + 0.6 * (grid + random.uniform(-0.2, 0.2, grid.shape)) / [3, 4]
    return share * [size[1], size[0]]


def annotation(image_id, keypoints, visible=None, **changes):
    visible = np.full(len(keypoints), 2) if visible is None else np.asarray(visible)
    labels = np.column_stack([keypoints * (visible > 0)[:, None], visible])
    low, high = keypoints.min(0) - 5, keypoints.max(0) + 5
    entry = {
        "id": 10 * image_id + 1,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((visible > 0).sum()),
        "keypoints": labels.ravel().tolist(),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": float((high - low).prod()),
    }
    return entry | changes


def coco_file(images, annotations):
    """Return the content of a COCO file; images are (id, file name, (height, width))."""
    return {
        "images": [
            {"id": number, "file_name": name, "height": size[0], "width": size[1]}
            for number, name, size in images
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
