"""What MediaPipe's ObjectDetector reads from a file whose boxes it decodes itself.

The file has two outputs: the places of boxes relative to anchors, and the logits of the classes.
MediaPipe adds the anchors, takes the best class of each box and suppresses overlapping ones. Its
schema is `object_detector_metadata_schema.fbs` of MediaPipe.
"""

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.detection.priors import Design, make_priors
from keras_shufflenet.litert.flatbuffer_tables import Table, to_flatbuffer

OUTPUTS = ("location", "score")  # by which MediaPipe knows them
ENTRY = "DETECTOR_METADATA"
IDENTIFIER = b"V001"
VERSION = "1.0.0"
COORDINATES = 4
VALUES_PER_KEYPOINT = 2  # MediaPipe requires it without keypoints, too
YES, NO = 1, 0

BOUNDING_BOX_PROPERTIES = 3  # index in the union ContentProperties
BOUNDARIES = 1  # BoundingBoxType
# Top, left, bottom, right, in fractions of the image.
LOCATION: Table = (BOUNDING_BOX_PROPERTIES, ([1, 0, 3, 2], BOUNDARIES))


def detector_options(anchors: NDArray[np.float64], classes: int) -> bytes:
    """Return the flatbuffer `ObjectDetectorOptions`.

    Args:
        anchors: (N, 4), for each row of the outputs center x and y, width and height in fractions
            of the image.
        classes: Number of classes.
    """
    fixed = [tuple(np.float32(number) for number in anchor) for anchor in anchors]
    scale = np.float32(1)
    decoding = (
        np.int32(classes),
        np.int32(len(anchors)),
        np.int32(COORDINATES),
        np.int32(0),
        np.int32(0),
        np.int32(VALUES_PER_KEYPOINT),
        *(scale, scale, scale, scale),
        NO,  # no exponential of width and height
        YES,  # a sigmoid of the scores
    )
    return to_flatbuffer((VERSION, ((fixed,),), decoding), IDENTIFIER)


def point_anchors(design: Design, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the points of a detector as anchors (N, 4) of one stride, in fractions of the image.

    Args:
        design: The detector's.
        size: (height, width) of its input in pixels.
    """
    x, y, stride = make_priors(design, size).T
    height, width = size
    return np.stack([x / width, y / height, stride / width, stride / height], axis=-1)
