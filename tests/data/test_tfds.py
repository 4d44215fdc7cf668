"""Datasets of tensorflow-datasets as sources: the same batches as from files, and mocked ones."""

import io

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

import keras_shufflenet as ks
import keras_shufflenet.datasets
from keras_shufflenet.data.image_files import read_image
from keras_shufflenet.data.pipeline import iterate_arrays
from keras_shufflenet.data.records import read_bytes
from keras_shufflenet.data.tfds_source import parse_name
from tests.datasets.layouts import write_coco, write_mpii

FORMATS = ("tfrecord", "array_record")
PERSON = {"class_names": ["person"]}
NAMES = {"coco": "coco_keypoints/custom", "mpii": "mpii_pose/custom"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folders with files in the official layouts, and prepared in both formats."""
    folder = tmp_path_factory.mktemp("tfds")
    write_coco(folder / "coco")
    write_mpii(folder / "mpii")
    for file_format in FORMATS:
        for name, dataset in NAMES.items():
            builder = tfds.builder(dataset, data_dir=folder / file_format, file_format=file_format)
            downloads = tfds.download.DownloadConfig(manual_dir=folder / name)
            builder.download_and_prepare(download_config=downloads)
    return folder


@pytest.fixture(params=FORMATS)
def opened(files, request):
    """A function that opens a split of a dataset in each format."""
    return lambda name, split: ks.data.tfds(NAMES[name], split, data_dir=files / request.param)


def coco_json(files, name="train2017"):
    return files / "coco" / "annotations" / f"person_keypoints_{name}.json", files / "coco" / name


def assert_same_batches(left, right, count=3):
    for one, other in zip(left.take(count), right.take(count), strict=True):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("training", [True, False])
def test_keypoints_are_those_of_the_json(files, opened, training):
    arguments = {"training": training, "batch_size": 2, "input_size": (64, 48), "start_step": 1}
    from_json = ks.data.keypoints(*coco_json(files), **arguments)
    from_records = ks.data.keypoints(opened("coco", "train"), **arguments)
    assert_same_batches(from_json, from_records)
    assert from_records.report.left_out == from_json.report.left_out
    assert from_records.report.source == "coco_keypoints/custom/1.0.0:train"


@pytest.mark.parametrize("training", [True, False])
def test_boxes_are_those_of_the_json(files, opened, training):
    arguments = {"training": training, "batch_size": 2, "input_size": (64, 64), **PERSON}
    assert_same_batches(
        ks.data.detection(*coco_json(files), **arguments),
        ks.data.detection(opened("coco", "train"), **arguments),
    )


def test_mpii_is_that_of_the_json(files, opened):
    arguments = {"training": True, "batch_size": 2, "input_size": (64, 64)}
    persons = ks.keypoints.read_mpii(files / "mpii" / "mpii_train.json")
    dataset = ks.data.resolve_image_paths(persons, files / "mpii" / "images")
    assert_same_batches(
        ks.data.keypoints(dataset, **arguments),
        ks.data.keypoints(opened("mpii", "train"), **arguments),
    )


def test_files_and_records_are_concatenated(files, opened):
    both = [coco_json(files, "val2017")[0], opened("coco", "train")]
    folders = [coco_json(files, "val2017")[1], None]
    dataset = ks.data.load_keypoint_dataset(both, folders)
    assert len(dataset) == 2 + 4
    assert dataset.paths[0].endswith("000000391895.jpg")
    assert dataset.paths[2].endswith("coco_keypoints/custom/1.0.0:train#0")


def test_what_a_source_says(opened):
    source = opened("coco", "train[1:3]")
    assert len(source) == 2
    assert source.class_names == ("person",)
    assert repr(source) == "TFDSSource(coco_keypoints/custom/1.0.0:train[1:3], 2 images)"
    assert [image["id"] for image in source.annotations["images"]] == [391902, 391909]


def test_images_are_read_by_their_paths(files, opened):
    [path, *_] = opened("coco", "train").paths
    file = coco_json(files)[1] / "000000391895.jpg"
    assert read_bytes(path) == file.read_bytes()
    assert read_image(path) == read_image(file)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("tfds:imagenette/320px-v2:train", ("imagenette/320px-v2", "train")),
        ("mnist:test", ("mnist", "test")),
        ("tfds:coco/2017:1.1.0:train[:90%]", ("coco/2017:1.1.0", "train[:90%]")),
        ("coco/2017:train+validation[10%:20%]", ("coco/2017", "train+validation[10%:20%]")),
    ],
)
def test_names_with_splits(name, parts):
    assert parse_name(name) == parts


@pytest.mark.parametrize("name", ["tfds:mnist", "tfds:mnist:3.0.1", "tfds::train", "mnist"])
def test_names_without_a_split(name):
    with pytest.raises(ValueError, match=f"must be given as tfds:NAME:SPLIT.*Received: {name}$"):
        ks.data.tfds(name)


def test_errors_of_opening(files, tmp_path):
    coco, mpii = (ks.data.tfds(NAMES[name], "train", data_dir=files / "tfrecord") for name in NAMES)
    with pytest.raises(ValueError, match=r"`split` must be one of train, validation.*split='test'"):
        ks.data.tfds(NAMES["coco"], "test", data_dir=files / "tfrecord")
    with pytest.raises(ValueError, match=r"`name` must be a dataset of tfds. Received: name='nist"):
        ks.data.tfds("nist", "test")
    with pytest.raises(
        FileNotFoundError,
        match=r"must be prepared: `python -m keras_shufflenet.datasets coco_keypoints/2017",
    ):
        ks.data.tfds("coco_keypoints/2017", "train", data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"an image and a class label each. Received: coco_key"):
        ks.data.classification(coco)
    with pytest.raises(
        FileNotFoundError, match=r"of an open dataset.*Received: tfds:/none:train#1"
    ):
        read_bytes("tfds:/none:train#1")
    with pytest.raises(ValueError, match="must be read without those of other keypoints"):
        ks.data.keypoints([mpii, coco])


def jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def serialized(examples):
    """A function for `mock_data` that makes a data source of pairs of an image and a label."""

    def as_data_source(self, split, deserialize_method=None, **_):
        return [
            self.info.features.serialize_example({"image": io.BytesIO(image), "label": label})
            for image, label in examples
        ]

    return as_data_source


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_classes_of_imagenette(tmp_path):
    """Records of a broken image, a turned one and ordinary ones, as if they were files."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (40, 30, 3), dtype=np.uint8) for _ in range(4)]
    images = [jpeg(pictures[0]), jpeg(pictures[1], exif=turned(6)), jpeg(pictures[2])]
    rows = []
    for number, image in enumerate(images):
        (tmp_path / f"{number}.jpg").write_bytes(image)
        rows.append(f"{number}.jpg,{3 * number}")
    (tmp_path / "labels.csv").write_text("\n".join(["filename,class_index", *rows]))
    arguments = {"crop_size": 24, "batch_size": 2}
    examples = [(image, 3 * number) for number, image in enumerate(images)]
    with tfds.testing.mock_data(as_data_source_fn=serialized(examples)):
        found = ks.data.classification("tfds:imagenette/320px-v2:train", **arguments)
        training = ks.data.classification(
            ks.data.tfds("imagenette/320px-v2", "train"), training=True, **arguments
        )
    assert found.class_names[:2] == ("n01440764", "n02102040")
    assert found.classes.tolist() == [0, 3, 6]
    assert str(found.report) == "imagenette/320px-v2/1.0.0:train: read 3 of 3 records"
    from_files = ks.data.classification(tmp_path, tmp_path, **arguments)
    assert_same_batches(from_files, found, count=9)
    assert_same_batches(
        ks.data.classification(tmp_path, tmp_path, training=True, **arguments), training
    )


def test_imagenette_is_a_part_of_imagenet():
    """Its classes are found among the 1000 by their WordNet ids: n02102040 is number 217."""
    image = jpeg(np.zeros((9, 9, 3), np.uint8))

    def model(images):
        return np.eye(1000, dtype=np.float32)[[217] * len(images)]

    with tfds.testing.mock_data(as_data_source_fn=serialized([(image, 0), (image, 1), (image, 1)])):
        source = ks.data.tfds("imagenette", "validation")
        metrics = ks.metrics.imagenet(model, source, crop_size=8, verbose=False)
    assert metrics["top1"] == pytest.approx(2 / 3)


def test_a_broken_image_in_a_record_is_named():
    image = jpeg(np.zeros((9, 9, 3), np.uint8))
    examples = [(image, 0), (image[:-9], 0)]
    with tfds.testing.mock_data(as_data_source_fn=serialized(examples)):
        dataset = ks.data.classification("tfds:imagenette:train", crop_size=8)
    with pytest.raises(ValueError, match=r"complete file of.*Truncated.*:train#1"):
        list(iterate_arrays(dataset))


def test_random_images_train_a_classifier(shallow):
    """In a few lines: tfds' own mocked data through fine-tuning and evaluation."""
    with tfds.testing.mock_data(num_examples=6):
        train = ks.data.classification(
            "tfds:imagenette/320px-v2:train", training=True, crop_size=64, batch_size=3
        )
        with shallow():
            model = ks.ShuffleNetV2(0.5, weights=None, classes=10, input_shape=(64, 64, 3))
        model.compile("sgd", "sparse_categorical_crossentropy")
        history = model.fit(train, steps_per_epoch=2, shuffle=False, verbose=0).history
        metrics = ks.metrics.imagenet(
            model, "tfds:imagenette/320px-v2:train", crop_size=64, verbose=False
        )
    assert np.isfinite(history["loss"]).all()
    assert metrics["count"] == 6
