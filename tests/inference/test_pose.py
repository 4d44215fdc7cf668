import keras
import numpy as np
import pytest

from keras_shufflenet.inference.image_io import to_array
from keras_shufflenet.inference.pose import PosePredictor, predict_pose
from keras_shufflenet.keypoints import COCO, HeatmapCodec, box_to_center_scale

SIZE = (64, 48)
TWO_CELLS = 2 * 240 * 1.25 / 64  # of the heatmap, in pixels of the image
COLORS = np.random.default_rng(0).integers(60, 256, (17, 3))
POINTS = np.stack([np.arange(17) % 4 * 40 + 60, np.arange(17) // 4 * 40 + 50], axis=-1)


def find_colors(crops):
    """A network that knows the keypoints by their colors: heatmaps of a quarter of the size."""
    count, height, width, _ = crops.shape
    blocks = crops.reshape(count, height // 4, 4, width // 4, 4, 3)[:, :, 1:3, :, 1:3]
    distance = np.linalg.norm(blocks.mean(axis=(2, 4))[..., None, :] - COLORS, axis=-1)
    return np.exp(-distance / 50)


@pytest.fixture(scope="module")
def dotted():
    """An image with a dot of its own color at every keypoint."""
    image = np.zeros((300, 260, 3), np.uint8)
    for (x, y), color in zip(POINTS, COLORS, strict=True):
        image[y - 8 : y + 9, x - 8 : x + 9] = color
    return image


def test_joints_come_back_in_image_pixels(dotted):
    boxes = [(20, 20, 200, 240), (30, 10, 180, 250)]
    people = predict_pose(find_colors, dotted, boxes, input_size=(256, 192), flip_test=False)
    assert people.shape == (2, 17, 3)
    np.testing.assert_allclose(people[0, :, :2], POINTS, atol=TWO_CELLS)
    np.testing.assert_allclose(people[1, :, :2], POINTS, atol=TWO_CELLS)
    np.testing.assert_allclose(people[:, :, 2], 1, atol=0.05)


def test_without_boxes_the_whole_image_is_one_person(dotted):
    options = {"input_size": (256, 192), "flip_test": False}
    whole = predict_pose(find_colors, dotted, **options)
    height, width, _ = dotted.shape
    boxed = predict_pose(find_colors, dotted, [(0, 0, width, height)], **options)
    assert whole.shape == (1, 17, 3)
    np.testing.assert_array_equal(whole, boxed)


def test_batches_do_not_change_anything(dotted):
    boxes = [(x, 10, 180, 250) for x in range(10, 60, 10)]
    options = {"input_size": SIZE, "flip_test": False}
    together = predict_pose(find_colors, dotted, boxes, **options)
    apart = predict_pose(find_colors, dotted, boxes, batch_size=2, **options)
    np.testing.assert_array_equal(together, apart)


def test_no_person_in_the_image(dotted):
    assert predict_pose(find_colors, dotted, [], input_size=SIZE).shape == (0, 17, 3)


def test_an_image_is_a_path_or_an_array(tmp_path, dotted):
    path = tmp_path / "people.png"
    keras.utils.save_img(path, dotted, scale=False)
    estimator = PosePredictor.load(find_colors, input_size=SIZE, flip_test=False)
    np.testing.assert_array_equal(predict_pose(estimator, path), predict_pose(estimator, dotted))


@pytest.mark.parametrize("encoding", ["msra", "unbiased", "udp"])
def test_the_codec_cuts_out_and_reads_in_one_measure(dotted, encoding):
    codec = HeatmapCodec((256, 192), encoding=encoding)
    people = predict_pose(find_colors, dotted, [(20, 20, 200, 240)], codec=codec, flip_test=False)
    np.testing.assert_allclose(people[0, :, :2], POINTS, atol=TWO_CELLS)


def test_the_flip_test_makes_left_and_right_equal(shared, simple_pose):
    image = to_array(shared / "data" / "coco" / "images" / "000000397133.jpg")
    width = image.shape[1]
    x, y, w, h = 388, 69, 109, 277
    options = {"input_size": (256, 192), "bbox_padding": 1.25}
    (person,) = predict_pose(simple_pose, image, [(x, y, w, h)], **options)
    (mirrored,) = predict_pose(
        simple_pose, image[:, ::-1], [(width - 1 - x - w, y, w, h)], **options
    )
    sure = person[:, 2] > 0.5
    assert sure.sum() >= 10
    pixel = h * 1.25 / 64  # of the heatmap: what the mirrored argmax may be off by
    back = mirrored[COCO.flip_permutation] * (-1, 1, 1) + (width - 1, 0, 0)
    np.testing.assert_allclose(back[sure, :2], person[sure, :2], atol=pixel + 0.1)


def test_a_keras_model_and_its_file_give_the_same(tmp_path, dotted):
    inputs = keras.Input((*SIZE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(17, 4, strides=4)(inputs))
    path = tmp_path / "net.keras"
    model.save(path)
    np.testing.assert_array_equal(predict_pose(path, dotted), predict_pose(model, dotted))
    assert PosePredictor.load(model).codec == HeatmapCodec(SIZE)


def test_sixteen_heatmaps_are_mpii():
    estimator = PosePredictor.load(
        lambda crops: np.zeros((len(crops), 16, 12, 16)), input_size=SIZE
    )
    assert estimator.skeleton.name == "mpii"


def test_the_codec_follows_the_network():
    estimator = PosePredictor.load(
        lambda crops: np.zeros((len(crops), 32, 24, 17)), input_size=SIZE
    )
    assert estimator.codec.heatmap_size == (32, 24)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((16, 12, 17), {}, r"must be \(height, width\) for .*Received: input_size=None"),
        ((1000,), {"input_size": SIZE}, r"\(N, h, w, K\).*Received: \(N, 1000\)"),
        ((16, 12, 5), {"input_size": SIZE}, "`skeleton`.*Received: .* with 5 heatmaps"),
        (
            (16, 12, 16),
            {"input_size": SIZE, "skeleton": "coco"},
            "'coco' requires .* 17 heatmaps.*Received: .* with 16",
        ),
        ((8, 6, 17), {"codec": HeatmapCodec(SIZE)}, r"\(16, 12\).*Received: \(8, 6\)"),
    ],
)
def test_networks_that_do_not_fit(shape, options, message):
    with pytest.raises(ValueError, match=message):
        PosePredictor.load(lambda crops: np.zeros((len(crops), *shape)), **options)


@pytest.mark.parametrize(
    "boxes",
    ["abc", [1, 2, 3, 4], [(1, 2, 3)], [(1, 2, 0, 4)], [(1, 2, np.nan, 4)], [(5, 5, -3, 4)]],
)
def test_boxes_have_a_size(dotted, boxes):
    with pytest.raises(ValueError, match=r"`bboxes`.*Received"):
        predict_pose(find_colors, dotted, boxes, input_size=SIZE)


def test_crops_are_of_the_input_size(dotted):
    estimator = PosePredictor.load(find_colors, input_size=SIZE)
    centers, scales = box_to_center_scale([(20, 20, 200, 240), (0, 0, 10, 10)], SIZE)
    crops = estimator.crop(dotted, centers, scales)
    assert crops.shape == (2, *SIZE, 3)
    assert crops.dtype == np.float32


@pytest.mark.parametrize("box", [(5000, 5, 10, 10), (5, -50, 10, 50)])
def test_boxes_overlap_with_the_picture(dotted, box):
    with pytest.raises(ValueError, match=r"must overlap with the image.*Received"):
        predict_pose(find_colors, dotted, [box], input_size=SIZE)
