"""The 80 classes of COCO's boxes, in the order of the outputs of published detectors."""

NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
    *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball"),
    *("kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket"),
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair"),
    *("couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse"),
    *("remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier"),
    "toothbrush",
)
_UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # ids of COCO's list that have no boxes
IDS = tuple(number for number in range(1, 91) if number not in _UNUSED)
"""The `category_id` of each class in COCO's own files."""


def class_names(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Return the names of the classes of a detector.

    Args:
        names: Those that the model carries; empty if it has none.
        count: Number of its classes.

    Returns:
        The names, COCO's for 80 classes without names, else numbers from 0.
    """
    if names:
        return names
    return NAMES if count == len(NAMES) else tuple(map(str, range(count)))
