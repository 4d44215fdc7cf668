"""Objects as rectangles: images that show each box as a rectangle of the color of its class."""

import numpy as np
from PIL import Image

BACKGROUND = (0, 60, 0)
CLASSES = {"red thing": (255, 0, 0), "blue thing": (0, 0, 255)}
# Name and size of each image and its boxes: class, left, top, right and bottom; none of a class
# touches another one. The last image is empty.
SCENES = (
    ("a.png", (90, 120), [(0, 10, 12, 44, 52), (1, 60, 20, 113, 84)]),
    ("b.png", (130, 100), [(1, 3, 70, 51, 129), (0, 20, 6, 95, 60)]),
    ("c.png", (64, 96), [(0, 30, 5, 70, 63)]),
    ("d.png", (101, 97), [(1, 0, 0, 40, 77)]),
    ("e.png", (80, 110), []),
)
MOST = 2  # boxes in an image


def draw(size, boxes):
    """Return an image (H, W, 3) uint8 of boxes (class, left, top, right, bottom)."""
    image = np.full((*size, 3), BACKGROUND, np.uint8)
    for label, left, top, right, bottom in boxes:
        image[top:bottom, left:right] = list(CLASSES.values())[label]
    return image


def coco_boxes(scenes=SCENES):
    """Return the content of a COCO file; its categories are in another order than the classes."""
    images, annotations = [], []
    for number, (name, (height, width), boxes) in enumerate(scenes, start=1):
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for label, left, top, right, bottom in boxes:
            bbox = [left, top, right - left, bottom - top]
            entry = {"image_id": number, "category_id": (7, 3)[label], "bbox": bbox}
            annotations.append({"id": len(annotations) + 1, **entry})
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 3, "name": "Blue_Thing"}, {"id": 7, "name": "red thing"}],
    }


def write_scenes(folder, scenes=SCENES):
    """Draw the images into a folder and return the content of their COCO file."""
    for name, size, boxes in scenes:
        Image.fromarray(draw(size, boxes)).save(folder / name)
    return coco_boxes(scenes)


def mirrored(scenes=SCENES):
    """Return the scenes as a mirror shows them."""
    return [
        (
            name,
            size,
            [(each[0], size[1] - each[3], each[2], size[1] - each[1], each[4]) for each in boxes],
        )
        for name, size, boxes in scenes
    ]
