"""PoseInstances made of dots: pictures in which every joint can be seen where the annotation says."""

import numpy as np

from keras_shufflenet.keypoints.skeletons import COCO

LEFT, RIGHT, MIDDLE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def joint_color(name):
    """Red for the person's left, green for the right, blue for the nose."""
    return np.array({"left": LEFT, "right": RIGHT}.get(name.split("_")[0], MIDDLE), float)


def draw_dots(size, joints, sigma):
    """Return the picture (H, W, 3) uint8 of joints (K, 2) as soft dots."""
    image, reach = np.zeros((*size, 3)), int(5 * sigma)
    for (x, y), name in zip(joints, COCO.keypoint_names, strict=True):
        top, left = max(0, int(y) - reach), max(0, int(x) - reach)
        patch = image[top : int(y) + reach + 1, left : int(x) + reach + 1]
        rows, columns = np.indices(patch.shape[:2])
        distance = (columns + left - x) ** 2 + (rows + top - y) ** 2
        patch += np.exp(-distance / (2 * sigma**2))[..., None] * joint_color(name)
    return np.rint(image.clip(0, 255)).astype(np.uint8)


def spread_joints(size, random):
    """Return 17 points (x, y) far from each other in the middle of a picture."""
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(5)), axis=-1).reshape(-1, 2)[:17]
    share = 0.2 + 0.6 * (grid + random.uniform(-0.2, 0.2, grid.shape)) / [3, 4]
    return share * [size[1], size[0]]


def annotation(image_id, joints, visible=None, **changes):
    visible = np.full(len(joints), 2) if visible is None else np.asarray(visible)
    keypoints = np.column_stack([joints * (visible > 0)[:, None], visible])
    low, high = joints.min(0) - 5, joints.max(0) + 5
    entry = {
        "id": 10 * image_id + 1,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((visible > 0).sum()),
        "keypoints": keypoints.ravel().tolist(),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": float((high - low).prod()),
    }
    return entry | changes


def coco_file(images, annotations):
    """Return what a COCO json holds; images are (id, file name, (height, width))."""
    return {
        "images": [
            {"id": number, "file_name": name, "height": size[0], "width": size[1]}
            for number, name, size in images
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
