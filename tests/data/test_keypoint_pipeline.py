"""The keypoint pipeline is reproducible; images, keypoints and target weights stay in agreement."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from keras_shufflenet.data.keypoint_pipeline import shuffled
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import COCO
from tests.hands import draw_hands
from tests.rounding import EPSILON32

SIZE = (128, 96)


def batches(people, count, **arguments):
    arguments = {"input_size": SIZE, "batch_size": 2, "training": True} | arguments
    stream = ks.data.keypoints(*people, **arguments).take(count)
    return [[part.numpy() for part in batch] for batch in stream]


def assert_same(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_shapes_and_types(people):
    for training in (True, False):
        data = ks.data.keypoints(*people, input_size=SIZE, batch_size=2, training=training)
        specs = [(spec.shape[1:], spec.dtype) for spec in data.element_spec]
        assert specs == [
            ((128, 96, 3), tf.float32),
            ((32, 24, 17), tf.float32),
            ((1, 1, 17), tf.float32),
        ]
    images, heatmaps, weights = batches(people, 1)[0]
    assert (images.shape, heatmaps.shape) == ((2, 128, 96, 3), (2, 32, 24, 17))
    assert weights.shape == (2, 1, 1, 17)
    assert 100 < images.max() <= 255
    assert images.min() >= 0


def test_the_seed_decides_everything(people):
    assert_same(batches(people, 4, seed=1), batches(people, 4, seed=1))
    first, second = batches(people, 1, seed=1)[0][0], batches(people, 1, seed=2)[0][0]
    assert np.abs(first - second).mean() > 0.5


@pytest.mark.parametrize("start", [1, 2, 5])  # 2 batches are 4 of 5 people: the third has both
def test_start_step_resumes_the_full_run(people, start):
    assert_same(batches(people, 7)[start:], batches(people, 7 - start, start_step=start))


def test_start_step_without_training_skips_batches(people):
    full = batches(people, 9, training=False)
    assert [len(batch[0]) for batch in full] == [2, 2, 1]
    assert_same(full[1:], batches(people, 9, training=False, start_step=1))
    assert not batches(people, 9, training=False, start_step=3)


@pytest.mark.parametrize("count", [1, 2, 17, 200])
def test_an_epoch_has_every_sample_once(count):
    number = tf.range(3 * count, dtype=tf.int64)
    order = tf.map_fn(lambda n: shuffled(n, count, 5), number).numpy().reshape(3, count)
    np.testing.assert_array_equal(np.sort(order), [range(count)] * 3)
    if count > 10:
        assert (order[0] != order[1]).any()
        assert (order[0] != np.arange(count)).any()


def test_without_training_samples_are_ordered_and_not_augmented(people):
    dataset = ks.data.load_keypoint_dataset(*people)
    codec = HeatmapCodec(SIZE)
    matrix = codec.crop_matrix(*dataset.instances.center_scale(SIZE))
    points = ks.keypoints.transform_points(dataset.instances.keypoints, matrix)
    heatmaps, weights = codec.encode(points, dataset.instances.keypoints_visible)
    made = batches(people, 9, training=False)
    np.testing.assert_allclose(
        np.concatenate([b[1] for b in made]), heatmaps, rtol=0, atol=4 * EPSILON32
    )
    np.testing.assert_array_equal(np.concatenate([b[2][:, 0, 0] for b in made]), weights)
    crops = np.concatenate(list(ks.data.person_instances(dataset, codec, 2).as_numpy_iterator()))
    np.testing.assert_array_equal(np.concatenate([b[0] for b in made]), crops)


def test_unlabeled_keypoints_have_weight_0(make_people, tmp_path):
    visible = np.array([0, 0, 0, 0, 0] + [1, 2] * 6)
    content = make_people(tmp_path, 3, visible=visible)
    for _, heatmaps, weights in batches((content, tmp_path), 8, augmentation=_only(flip=0.5)):
        assert not weights[..., :5].any()
        assert not heatmaps[..., :5].any()
        assert weights[..., 5:].all()
        assert (heatmaps[..., 5:].max(axis=(1, 2)) == 1).all()


def _only(flip=0.0, shift=0.0, half_body=0.0, rotation=0.0, scale=0.0):
    return ks.data.Augmentation(
        shift_prob=shift,
        flip_prob=flip,
        half_body_prob=half_body,
        rotate_prob=rotation,
        scale_factor=scale,
    )


VIEWS = {
    "plain": _only(),
    "shift": _only(shift=1.0),
    "flip": _only(flip=1.0),
    "half body": _only(half_body=1.0),
    "rotation": _only(rotation=1.0),
    "size": _only(scale=0.5),
    "all": ks.data.COCO_AUGMENTATION,
}


def _dot(image, x, y, radius):
    """Return where the center of the light around a point is, and its color."""
    left, top = round(x - radius), round(y - radius)
    patch = image[top : top + 2 * radius + 1, left : left + 2 * radius + 1]
    light = patch.sum(-1)
    rows, columns = np.indices(light.shape)
    center = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
    return center + np.array([left, top]), patch.sum((0, 1)) / light.sum()


def _dots(batch, codec, radius):
    """Yield (sample, index, point, dot position, dot color) of keypoints well inside the crops."""
    images, heatmaps, weights = batch
    points, _ = codec.decode(heatmaps)
    inside = (points > radius + 2) & (points < np.array(codec.input_size[::-1]) - radius - 3)
    for sample, index in np.argwhere(inside.all(-1) & (weights[:, 0, 0] > 0)):
        point = points[sample, index]
        yield sample, index, point, *_dot(images[sample], *point, radius)


SMALL, MIDDLE, LARGE = ((160, 120), 1.5), ((620, 480), 5.0), ((1900, 1450), 15.0)


@pytest.fixture(scope="module")
def dots_of(make_people, tmp_path_factory):
    """A function from a size to two people of dots."""

    @cache
    def make(size, sigma):
        folder = tmp_path_factory.mktemp("dots")
        return make_people(folder, 2, size=size, sigma=sigma), folder

    return make


@pytest.mark.parametrize(
    ("view", "scale"),
    [*((view, MIDDLE) for view in VIEWS)]
    + [(view, scale) for view in ("plain", "all") for scale in (SMALL, LARGE)],
)  # smaller than the crop, twice as large (decoded at a half), and larger still
def test_dots_are_at_the_keypoints(dots_of, view, scale):
    """The keypoints of the heatmaps are where the image shows them."""
    codec = HeatmapCodec((256, 192), encoding="unbiased")
    made = batches(dots_of(*scale), 3, codec=codec, augmentation=VIEWS[view])
    found = [dot for batch in made for dot in _dots(batch, codec, 8)]
    assert len(found) > 12
    error = np.array([np.abs(place - point).max() for _, _, point, place, _ in found])
    assert np.median(error) < 0.3
    assert (error < 1.5).mean() > 0.9  # neighbors and borders can pull


def test_flipping_swaps_left_and_right(people):
    codec = HeatmapCodec((256, 192), encoding="unbiased")
    flipped = []
    for batch in batches(people, 12, codec=codec, augmentation=_only(flip=0.5)):
        seen = {0: set(), 1: set()}
        for sample, index, _, _, color in _dots(batch, codec, 5):
            side = COCO.keypoint_names[index].split("_")[0]
            if side in ("left", "right"):
                seen[sample].add((side == "left") != (color[0] > color[1]))
        assert all(len(kinds) == 1 for kinds in seen.values())  # all keypoints agree
        flipped += [kinds.pop() for kinds in seen.values()]
    assert 4 < sum(flipped) < 20


def test_several_files_are_concatenated(make_people, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    files = []
    for seed, folder in enumerate(folders):
        folder.mkdir()
        file = folder / "people.json"
        file.write_text(json.dumps(make_people(folder, 2 + seed, seed=seed)))
        files.append(file)
    joined = batches((files, folders), 9, training=False, batch_size=1)
    apart = [
        batch
        for part in zip(files, folders, strict=True)
        for batch in batches(part, 9, training=False, batch_size=1)
    ]
    assert_same(joined, apart)
    dataset = ks.data.load_keypoint_dataset(files, folders)
    assert (len(dataset), dataset.steps_per_epoch(2)) == (5, 3)
    assert_same(batches((dataset,), 3), batches((files, folders), 3))


def test_sizes_of_a_model(people, shallow):
    with shallow():
        model = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=(64, 96))
    images, heatmaps, _ = batches(people, 1, model=model)[0]
    assert images.shape == (2, 64, 96, 3)
    assert heatmaps.shape == (2, 16, 24, 17)
    model.compile("sgd", ks.training.KeypointMSELoss(), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    data = ks.data.keypoints(*people, model=model, batch_size=2, training=True)
    history = model.fit(data, steps_per_epoch=1, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_model_of_gray_images_gets_their_luma(people, shallow):
    made = {"head": "light", "input_size": (64, 64)}
    with shallow():
        gray, other = (
            ks.PoseEstimator("shufflenet_v2_x0_25", input_channels=channels, **made)
            for channels in (1, 4)
        )
    plain = {"training": False, "input_size": (64, 64)}
    (colors, heatmaps, _), *_ = batches(people, 1, **plain)
    (luma, same, _), *_ = batches(people, 1, **plain, model=gray)
    np.testing.assert_array_equal(heatmaps, same)
    assert luma.shape == (*colors.shape[:3], 1)
    wanted = colors @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(luma[..., 0], wanted, atol=4 * EPSILON32 * 255)
    found = ks.inference.PosePredictor.load(gray, flip_test=False).heatmaps(colors)
    np.testing.assert_allclose(found, gray(luma), rtol=1e-4, atol=1e-5 * np.abs(found).max())
    with pytest.raises(ValueError, match=r"3 channels or 1: .*Received: .* with 4 channels"):
        ks.data.keypoints(*people, model=other)


@pytest.mark.parametrize("encoding", ["megvii", "udp_combined"])
def test_unsupported_encodings(people, encoding):
    with pytest.raises(
        ValueError, match=f"'msra', 'unbiased', 'udp'.*Received: codec.encoding='{encoding}'"
    ):
        ks.data.keypoints(*people, codec=HeatmapCodec(SIZE, encoding=encoding))


@pytest.mark.parametrize("argument", [{"batch_size": 0}, {"start_step": -1}])
def test_invalid_numbers(people, argument):
    with pytest.raises(ValueError, match=rf"must be .*Received: {next(iter(argument))}="):
        ks.data.keypoints(*people, **argument)


def test_missing_image_dir(people):
    with pytest.raises(ValueError, match="Received: image_dir=None"):
        ks.data.keypoints(people[0])


def test_keypoints_without_pairs_and_halves_are_mirrored_and_kept_whole(tmp_path, caplog):
    """A flipped image has each keypoint under its own name; a half body without halves is none."""
    path, images = draw_hands(tmp_path / "hands", 4)
    whole = {"training": True, "batch_size": 4, "input_size": SIZE, "seed": 3}

    def first(**augmentation):
        changes = replace(_only(**augmentation), half_body_min_keypoints=3)
        dataset = ks.data.keypoints(path, images, **whole, augmentation=changes)
        return [array.numpy() for array in next(iter(dataset))]

    plain, half = first(), first(half_body=1.0)
    unpaired = "No keypoints of left and right are known in the skeleton 'hand'"
    assert unpaired not in caplog.text
    flipped = first(flip=1.0)
    assert caplog.text.count(unpaired) == 1
    assert plain[1].shape[-1] == 5
    for one, other in zip(plain, half, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(plain[0] - flipped[0]).max() > 50
    mirrored = flipped[1][:, :, ::-1]
    peaks = [maps.reshape(4, -1, 5).argmax(axis=1) % maps.shape[2] for maps in (plain[1], mirrored)]
    assert np.abs(peaks[0] - peaks[1]).max() <= 1  # rounded to heatmap pixels


def test_keypoint_weights_of_ones_own_are_target_weights(tmp_path, people):
    path, images = draw_hands(tmp_path / "hands", 2)
    content = json.loads(path.read_text())
    content["categories"][0]["keypoint_weights"] = [1, 2, 1, 1, 0.5]
    ((_, _, weights),) = batches((content, images), 1, training=False)
    np.testing.assert_array_equal(weights[:, 0, 0], [[1, 2, 1, 1, 0.5]] * 2)
    ((_, _, weights),) = batches(people, 1, training=False)  # as mmpose trains
    assert set(weights.ravel()) == {1}


def test_a_model_of_other_keypoints_is_refused(people, shallow):
    with shallow():
        model = ks.PoseEstimator(
            "shufflenet_v2_x0_25", ["a", "b"], head="light", input_size=(32, 32)
        )
    with pytest.raises(ValueError, match=r"`skeleton` must be the 17 .* with 2 keypoints"):
        ks.data.keypoints(*people, model=model)
    with pytest.raises(ValueError, match=r"heatmap for each of the 17 .*Received: pose_.* with 2"):
        ks.data.keypoints(*people, model=model, skeleton="coco")
