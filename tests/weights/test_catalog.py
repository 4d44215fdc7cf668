"""The catalog agrees with itself, with the networks and with the layouts."""

import pytest

import keras_shufflenet as ks
from keras_shufflenet.weights import catalog, layouts, list_weights

ENTRIES = list_weights()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry(entry):
    assert entry.name.startswith(f"{entry.model}.")
    assert entry.license
    if entry.is_bundled:  # see test_bundled.py
        return
    assert entry.layout in layouts.LAYOUTS
    assert entry.source.startswith("https://")
    assert (entry.url is None) == bool(entry.download_instructions)
    if entry.url is not None:
        assert entry.url.startswith("https://")
        assert entry.sha256 is None or entry.sha256[:7] in entry.file
        assert entry.sha256 or entry.layout == "rangilyu/nanodet"  # published without a hash
        assert entry.file in entry.url
    assert "/" not in entry.file
    assert sum(value is not None for value in (entry.top1, entry.ap, entry.pckh)) == 1
    assert (entry.resize_size is None) == (entry.top1 is None)
    accuracies = (entry.top1, entry.top5, entry.ap, entry.ar, entry.pckh)
    assert all(0 < accuracy < 1 for accuracy in accuracies if accuracy is not None)
    assert ("BGR" in entry.preprocessing) == (layouts.LAYOUTS[entry.layout].channel_order == "bgr")


def test_names_and_files_are_unique():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert len({entry.file for entry in ENTRIES}) == len(ENTRIES)


def test_every_entry_is_of_a_model_that_exists():
    models = {entry.model for entry in ENTRIES if not entry.is_bundled}
    tasks = ("classification", "pose", "detection")
    assert models <= {name for task in tasks for name in ks.list_models(task=task)}
    assert models >= set(ks.list_models("nanodet*", task="detection"))


def test_every_published_pose_configuration_has_weights_of_its_keypoints():
    for name in ks.list_models(task="pose"):
        dataset = "mpii" if "_mpii_" in name else "coco"
        assert catalog.default_entry(name, dataset).layout.startswith("mmpose")
        with pytest.raises(ValueError, match=rf"'imagenet' for the model '{name}'"):
            catalog.default_entry(name)


def test_names_of_pose_models_are_the_builders():
    model = ks.PoseEstimator("shufflenet_v2_x1_0", keypoints="mpii", input_size=(256, 256))
    (entry,) = list_weights(model.name)
    assert entry.pckh == 0.828


def test_every_network_with_published_weights_has_a_default():
    defaults = {
        model: catalog.default_entry(model).name
        for model in ks.list_models()
        if any(entry.model == model for entry in ENTRIES)
    }
    assert defaults["shufflenet_v2_x1_0"] == "shufflenet_v2_x1_0.torchvision"
    assert defaults["mobilenet_v2_x1_0"] == "mobilenet_v2_x1_0.torchvision_v2"
    assert defaults["shufflenet_v2_x0_25"] == "shufflenet_v2_x0_25.paddleclas"
    assert defaults["shufflenet_v2_x2_0_megvii"] == "shufflenet_v2_x2_0_megvii.megvii"
    assert len(defaults) == 35


def test_list_of_one_model():
    names = [entry.name for entry in list_weights("mobilenet_v2_x1_0")]
    assert [name.partition(".")[2] for name in names] == [
        "torchvision_v2",
        "torchvision_v1",
    ]
    assert list_weights("resnet") == []


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("shufflenet_v2_x1_0", "imagenet"),
        ("pose_shufflenet_v2_x1_0_coco_256x192", "coco"),
        ("pose_mobilenet_v2_x1_0_mpii_256x256", "mpii"),
        ("pose_mobilenet_v2_x0_5_mpii_64x64_light", "mpii"),
        ("nanodet_plus_m_416", "coco"),
    ],
)
def test_the_default_weights_are_those_of_the_name(name, weights):
    assert catalog.default_dataset(name) == weights
