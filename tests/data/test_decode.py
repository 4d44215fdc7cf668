"""Crops against the reference warp, for every kind of image file, and errors about broken files."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.data.decode import warp
from keras_shufflenet.keypoints import boxes
from keras_shufflenet.keypoints.codec import HeatmapCodec
from tests.data.dots import annotation, coco_file, spread_keypoints
from tests.rounding import warp_error

SIZE = (240, 200)
CODEC = HeatmapCodec((128, 96))


@pytest.mark.parametrize("case", range(9))
def test_warp_of_the_reference(golden_pose, case):
    golden = golden_pose("warp")
    width, height = golden["in/output_size"][case]
    inverse = boxes.invert_affine(golden["v029/matrix"][case])
    warped = warp(tf.constant(golden["in/image"]), tf.constant(inverse), (int(height), int(width)))
    name = f"cv5/warped_{case}"
    expected = golden[name if name in golden else f"cv4/warped_{case}"]
    error = np.abs(warped - expected.astype(np.float32))
    assert error.max() < 1
    assert (error < 0.51).mean() > 0.999  # the reference rounds


def test_the_quantized_warp_is_that_of_numpy(golden_pose):
    golden = golden_pose("warp")
    image, matrix = golden["in/image"], golden["v029/matrix"][4]
    inverse = tf.constant(boxes.invert_affine(matrix))
    warped = warp(tf.constant(image), inverse, (64, 48), quantize=True)
    np.testing.assert_array_equal(warped, ks.keypoints.warp(image, matrix, (64, 48), quantize=True))


def smooth_image(seed=0, size=SIZE):
    noise = np.random.default_rng(seed).integers(0, 256, (12, 10, 3), np.uint8)
    return Image.fromarray(noise).resize(size[::-1], Image.Resampling.BICUBIC)


def one_person(folder, name, **changes):
    """Return the content of a json with one person in an image."""
    keypoints = spread_keypoints(SIZE, np.random.default_rng(0))
    return coco_file([(1, name, SIZE)], [annotation(1, keypoints, **changes)]), folder


def crop_of(people, **arguments):
    data = ks.data.keypoints(*people, input_size=CODEC.input_size, **arguments)
    return next(data.as_numpy_iterator())[0][0]


def reference_crop(people, image):
    frame = ks.data.load_keypoint_dataset(*people).instances.center_scale(CODEC.input_size)
    matrix = CODEC.crop_matrix(*frame)[0]
    pixels = np.asarray(image.convert("RGB"), np.float32)
    return ks.keypoints.warp(pixels, matrix, CODEC.input_size)


LOSSLESS = warp_error(np.empty(SIZE))
JPEG = 2  # decoders may round upsampled chroma differently, which changes a color by up to 2
KINDS = {  # file: mode, how it is saved, tolerance
    "a.jpg": ("RGB", {"quality": 97, "subsampling": 0}, JPEG),
    "subsampled.jpg": ("RGB", {"quality": 97, "subsampling": 2}, JPEG),
    "progressive.jpg": ("RGB", {"quality": 97, "subsampling": 0, "progressive": True}, JPEG),
    "gray.jpg": ("L", {"quality": 97}, JPEG),
    "four_inks.jpg": ("CMYK", {"quality": 97}, JPEG),
    "a.png": ("RGB", {}, LOSSLESS),
    "gray.png": ("L", {}, LOSSLESS),
    "opaque.png": ("RGBA", {}, LOSSLESS),
    "a.bmp": ("RGB", {}, LOSSLESS),
    "png_named.jpg": ("RGB", {"format": "PNG"}, LOSSLESS),
}
NO_AUGMENTATION = ks.data.Augmentation(
    shift_prob=0,
    flip_prob=0,
    half_body_prob=0,
    rotate_prob=0,
    scale_factor=0,
)


@pytest.fixture(scope="module")
def crops_of_kinds(tmp_path_factory):
    """Crops of a file of each kind, as evaluation and as training make them."""
    folder = tmp_path_factory.mktemp("kinds")
    for seed, (name, (mode, options, _)) in enumerate(KINDS.items()):
        smooth_image(seed).convert(mode).save(folder / name, **options)
    keypoints = spread_keypoints(SIZE, np.random.default_rng(0))
    numbered = list(enumerate(KINDS, start=1))
    content = coco_file(
        [(number, name, SIZE) for number, name in numbered],
        [annotation(number, keypoints) for number, _ in numbered],
    )
    people = content, folder
    arguments = {"input_size": CODEC.input_size, "batch_size": len(KINDS)}
    streams = (
        ks.data.keypoints(*people, **arguments),
        ks.data.keypoints(*people, **arguments, training=True, augmentation=NO_AUGMENTATION),
    )
    return people, [next(stream.as_numpy_iterator())[0] for stream in streams]


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_images(crops_of_kinds, name):
    (content, folder), (in_order, shuffled) = crops_of_kinds
    index, tolerance = list(KINDS).index(name), KINDS[name][-1]
    with Image.open(folder / name) as decoded:
        expected = reference_crop((content, folder), decoded)
    assert in_order.dtype == shuffled.dtype == np.float32
    assert np.abs(in_order[index] - expected).max() <= tolerance
    assert np.abs(shuffled - expected).max(axis=(1, 2, 3)).min() <= tolerance


@pytest.mark.parametrize(
    "bbox", [[-60, 30, 150, 150], [120, 150, 300, 300], [-50, -50, 400, 400], [150, 0, 49, 30]]
)
def test_boxes_that_leave_the_image(tmp_path, bbox):
    image = smooth_image()
    image.save(tmp_path / "a.png")
    people = one_person(tmp_path, "a.png", bbox=bbox)
    expected = reference_crop(people, image)
    np.testing.assert_allclose(crop_of(people), expected, rtol=0, atol=LOSSLESS)
    assert (expected == 0).all(axis=-1).any()  # black outside the image


def cut(contents):
    return contents[: len(contents) * 2 // 3]


BROKEN = {
    "truncated": cut,
    "first bytes": lambda contents: contents[:10],
    "empty": lambda contents: b"",
    "HTML page": lambda contents: b"<!DOCTYPE html><html><body>404</body></html>",
    "no header": lambda contents: b"\xff\xd8\xff\xe0" + contents[300:],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_named(make_people, tmp_path, kind):
    content = make_people(tmp_path, 3)
    file = tmp_path / "2.jpg"
    file.write_bytes(BROKEN[kind](file.read_bytes()))
    data = ks.data.keypoints(content, tmp_path, input_size=(64, 64), batch_size=1, training=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Received:[^\n]*2\.jpg"):
        list(data.take(3))


def test_broken_files_are_named_in_evaluation(make_people, tmp_path):
    content = make_people(tmp_path, 3)
    (tmp_path / "3.jpg").write_bytes(cut((tmp_path / "3.jpg").read_bytes()))
    crops = ks.data.person_instances(ks.data.load_keypoint_dataset(content, tmp_path), CODEC, 1)
    stream = crops.as_numpy_iterator()
    assert next(stream).shape == (1, 128, 96, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Received:[^\n]*3\.jpg"):
        list(stream)


def test_crops_of_real_photographs(shared):
    folder = shared / "data" / "coco"
    dataset = ks.data.load_keypoint_dataset(folder / "person_keypoints_val.json", folder / "images")
    dataset = dataset.select(slice(0, 6))
    crops = np.concatenate(list(ks.data.person_instances(dataset, CODEC).as_numpy_iterator()))
    center, scale = dataset.instances.center_scale(CODEC.input_size)
    for row, crop in enumerate(crops):
        with Image.open(dataset.paths[row]) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32)
        matrix = CODEC.crop_matrix(center[row], scale[row])
        error = np.abs(crop - ks.keypoints.warp(pixels, matrix, CODEC.input_size))
        assert error.mean() < 1  # most pixels are equal
        assert np.quantile(error, 0.99) <= JPEG


def test_training_on_real_annotations(shared):
    """Leeds Sports Pose labels no faces; every batch of it and of COCO is sound."""
    coco, lspet = shared / "data" / "coco", shared / "data" / "lspet"
    files = [coco / "person_keypoints_train.json", lspet / "person_keypoints_train.json"]
    dataset = ks.data.load_keypoint_dataset(files, [coco / "images", lspet / "images"])
    assert len(dataset) == 564 + 4000
    assert not dataset.instances.keypoints_visible[564:, :5].any()
    stream = ks.data.keypoints(dataset, training=True, input_size=(128, 96), batch_size=16).take(2)
    for images, heatmaps, weights in stream.as_numpy_iterator():
        assert images.max() <= 255.5
        assert images.std(axis=(1, 2, 3)).min() > 1
        assert ((heatmaps.max(axis=(1, 2)) > 0) <= (weights[:, 0, 0] > 0)).all()
        assert 0.2 < weights.mean() < 0.95
