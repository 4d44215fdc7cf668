"""Names, features by stride, costs, predictions."""

import csv
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models.imagenet import imagenet_classes

# What the publishers print, or what their code was measured to have.
PARAMS = {
    "detnas_coco_fpn_1_3g": 10_426_328,
    "detnas_coco_fpn_300m": 3_533_112,
    "detnas_coco_fpn_3_8g": 31_444_596,
    "detnas_coco_retinanet_300m": 3_725_320,
    "detnas_voc_fpn_300m": 3_651_128,
    "detnas_voc_retinanet_300m": 3_479_480,
    "mobilenet_v2_x0_35": 1_677_128,
    "mobilenet_v2_x0_5": 1_968_680,
    "mobilenet_v2_x0_75": 2_636_424,
    "mobilenet_v2_x1_0": 3_504_872,
    "mobilenet_v2_x1_4": 6_108_776,
    "mobilenet_v2_x1_0_mmcls": 3_504_872,
    "mobilenet_v2_x0_35_tonylins": 1_709_640,
    "mobilenet_v2_x0_5_tonylins": 1_972_264,
    "mobilenet_v2_x0_75_tonylins": 2_636_872,
    "mobilenet_v2_x1_0_tonylins": 3_504_872,
    "mobilenet_v2_x1_4_tonylins": 6_191_336,
    "mobilenet_v2_x0_35_keras": 1_677_128,
    "mobilenet_v2_x0_5_keras": 1_968_680,
    "mobilenet_v2_x0_75_keras": 2_636_424,
    "mobilenet_v2_x1_0_keras": 3_504_872,
    "mobilenet_v2_x1_3_keras": 5_386_792,
    "mobilenet_v2_x1_4_keras": 6_108_776,
    "one_shot": 3_432_579,
    "one_shot_spos": 3_558_464,
    "shufflenet_v1_x0_5_g3": 717_324,
    "shufflenet_v1_x0_5_g8": 1_010_448,
    "shufflenet_v1_x1_0_g3": 1_864_728,
    "shufflenet_v1_x1_0_g3_mmcls": 1_865_728,
    "shufflenet_v1_x1_0_g8": 2_433_768,
    "shufflenet_v1_x1_5_g3": 3_441_168,
    "shufflenet_v1_x1_5_g8": 4_268_952,
    "shufflenet_v1_x2_0_g3": 5_449_776,
    "shufflenet_v1_x2_0_g8": 6_521_232,
    "shufflenet_v2_plus_large": 6_768_220,
    "shufflenet_v2_plus_medium": 5_679_840,
    "shufflenet_v2_plus_small": 5_137_116,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x0_5_megvii": 1_365_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "shufflenet_v2_x1_0_megvii": 2_278_760,
    "shufflenet_v2_x1_5": 3_503_624,
    "shufflenet_v2_x1_5_megvii": 3_506_720,
    "shufflenet_v2_x2_0": 7_393_996,
    "shufflenet_v2_x2_0_megvii": 7_402_600,
}


# Built with the golden fixtures only: they have hundreds of millions of parameters.
LARGEST = {
    "shufflenet_v2_large": ks.models.ModelStats(125_120_936, 12_780_652_544),
    "shufflenet_v2_exlarge": ks.models.ModelStats(255_374_504, 46_174_794_752),
}
WITHOUT_PUBLISHED_COUNTS = {
    "shufflenet_v2_x0_25",
    "shufflenet_v2_x0_33",
    *(f"shufflenet_v1_x1_0_g{groups}_mmcls" for groups in (1, 2, 4, 8)),
}


def test_every_network_has_a_known_size_or_none_is_published():
    assert set(ks.list_models()) - set(PARAMS) - set(LARGEST) == WITHOUT_PUBLISHED_COUNTS


def test_costs_are_the_published_ones():
    """That the networks have these costs is tested with the networks."""
    assert {name: ks.models.MODEL_STATS[name].params for name in PARAMS} == PARAMS


def test_costs_of_the_giants_are_the_published_ones():
    assert {name: ks.models.MODEL_STATS[name] for name in LARGEST} == LARGEST
    tasks = ("classification", "pose", "detection")
    names = {name for task in tasks for name in ks.list_models(task=task)}
    assert set(ks.models.MODEL_STATS) == names


def test_list_models_by_pattern():
    assert ks.list_models("mobilenet*1_?") == ["mobilenet_v2_x1_0", "mobilenet_v2_x1_4"]
    assert ks.list_models("resnet*") == []
    assert len(ks.list_models("pose_shufflenet_v1*", task="pose")) == 3
    assert len(ks.list_models(task="pose")) == 9
    with pytest.raises(ValueError, match=r"one of 'classification', .*Received: task='track'"):
        ks.list_models(task="track")


def test_a_misspelled_name_of_any_task():
    for name, right in (("nanodet", "nanodet_m"), ("none", "one_shot")):
        with pytest.raises(ValueError, match=rf"of all its tasks, such as {right}, .*'{name}'"):
            ks.create_model(name)
    with pytest.raises(ValueError, match=r"names of `list_models\(\)`, such as one_shot"):
        ks.feature_extractor("nanodet")


def test_unknown_name():
    with pytest.raises(ValueError, match=r"shufflenet_v2_x2_0.* Received: name='shufflenet_v3'"):
        ks.create_model("shufflenet_v3")


def test_features_by_stride():
    extractor = ks.feature_extractor("shufflenet_v2_x0_25", (2, 4, 8, 16, 32))
    assert [maps.shape[3] for maps in extractor.outputs] == [24, 24, 24, 48, 96]


def test_features_of_a_built_model_and_of_a_pose_estimator():
    model = ks.MobileNetV2(0.35, input_shape=(64, 64, 3))
    maps = ks.feature_extractor(model, [16, 4])(np.zeros((1, 64, 64, 3), "float32"))
    assert ks.feature_extractor(model, 8).outputs[0].shape == (None, 8, 8, 16)
    assert [tuple(m.shape) for m in maps] == [(1, 4, 4, 32), (1, 16, 16, 8)]
    pose = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=(64, 64))
    assert ks.feature_extractor(pose, [32]).output[0].shape == (None, 2, 2, 96)


def test_features_of_a_network_of_any_size_are_shuffled_too(shallow):
    with shallow():
        fixed = ks.feature_extractor("shufflenet_v2_x0_25", 32, input_shape=(64, 64, 3))
        variable = ks.feature_extractor("shufflenet_v2_x0_25", 32)
    for layer in variable.layers:
        if layer.weights:
            layer.set_weights(fixed.get_layer(layer.name).get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    expected, found = (x.predict_on_batch(image)[0] for x in (fixed, variable))
    np.testing.assert_array_equal(found, expected)


def test_errors_of_the_feature_extractor():
    with pytest.raises(ValueError, match=r"2, 4, 8, 16, 32. Received: strides=\[5\]"):
        ks.feature_extractor("mobilenet_v2_x0_35", [5])
    image = keras.Input((32, 32, 3))
    other = keras.Model(image, keras.layers.Conv2D(4, 3)(image), name="other")
    with pytest.raises(ValueError, match="Received: a model named 'other'"):
        ks.feature_extractor(other)


@pytest.mark.parametrize(
    ("head", "params", "macs"),
    # deconv: what mmpose's network was measured to have; the others by our own count
    [
        ("deconv", 7_550_965, 1_362_276_480),
        ("light", 1_441_269, 224_628_864),
        ("fpn", 1_359_349, 179_544_192),
    ],
)
def test_pose_estimators(head, params, macs):
    model = ks.PoseEstimator(head=head)
    assert ks.count_params_and_macs(model) == ks.models.ModelStats(params, macs)
    assert model.output.shape == (None, 64, 48, 17)
    assert model.output.dtype == "float32"


def test_the_light_head_costs_a_fifteenth():
    backbone = ks.count_params_and_macs(
        ks.ShuffleNetV2(include_top=False, input_shape=(256, 192, 3))
    ).macs
    light, deconv = (
        ks.count_params_and_macs(ks.PoseEstimator(head=h)).macs for h in ("light", "deconv")
    )
    assert 14 < (deconv - backbone) / (light - backbone) < 16


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"keypoints": "hands"}, r"'coco', 'mpii', a list .*Received: keypoints='hands'"),
        ({"head": "heavy"}, "'deconv', 'light', 'fpn'. Received: head='heavy'"),
        ({"input_size": (250, 192)}, r"multiples of 32. Received: input_size=\(250, 192\)"),
        ({"input_size": 256}, "Received: input_size=256"),
        ({"backbone": "vgg"}, "Received: name='vgg'"),
    ],
)
def test_errors_of_the_pose_estimator(arguments, text):
    with pytest.raises(ValueError, match=text):
        ks.PoseEstimator(**arguments)


def test_a_pose_estimator_by_its_name():
    name = "pose_shufflenet_v2_x0_25_mpii_64x32_light"
    model = ks.create_model(name)
    assert model.name == name
    assert model.output.shape == (None, 16, 8, 16)
    with pytest.raises(ValueError, match=r"<backbone>_<coco\|mpii>_.*Received: name='pose_net'"):
        ks.create_model("pose_net")
    with pytest.raises(ValueError, match="Received: name='vgg'"):
        ks.create_model("pose_vgg_coco_64x64")


def test_cost_of_an_open_size():
    model = ks.ShuffleNetV2(0.5, input_shape=(None, None, 3))
    assert ks.count_params_and_macs(model, (224, 224)).macs == 40_476_448
    for size in (None, (224, 224)):
        fixed = ks.count_params_and_macs(ks.ShuffleNetV2(0.5), size)
        assert fixed.macs == 40_476_448
    with pytest.raises(ValueError, match="Received: input_size=None"):
        ks.count_params_and_macs(model)
    with pytest.raises(ValueError, match="Received: input_size="):
        ks.count_params_and_macs(ks.ShuffleNetV2(0.5), (64, 64))


def test_a_saved_and_loaded_model_counts_the_same(tmp_path):
    pose = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=(64, 64))
    pose.save(tmp_path / "pose.keras")
    loaded = keras.models.load_model(tmp_path / "pose.keras")
    assert ks.count_params_and_macs(loaded) == ks.count_params_and_macs(pose)
    assert len(ks.feature_extractor(loaded, [8, 32]).outputs) == 2


def test_decode_predictions():
    preds = np.zeros((2, 1000))
    preds[0, [1, 7]] = 0.9, 0.1
    preds[1, 999] = 1
    first, second = ks.decode_predictions(preds, top=2)
    assert first == [
        ("n01443537", "goldfish, Carassius auratus", 0.9),
        ("n01514668", "cock", 0.1),
    ]
    assert second[0][0] == "n15075141"


def test_classes_are_those_of_the_data(shared):
    labels = shared / "data" / "imagenet_val" / "labels.csv"
    classes = imagenet_classes()
    rows = list(csv.DictReader(labels.read_text().splitlines()))
    assert len(rows) == 820
    assert all(classes[int(row["class_index"])][0] == row["wnid"] for row in rows)


def test_errors_of_decode_predictions():
    with pytest.raises(ValueError, match=r"Received: shape=\(1, 10\)"):
        ks.decode_predictions(np.zeros((1, 10)))
    with pytest.raises(ValueError, match="Received: top=0"):
        ks.decode_predictions(np.zeros((1, 1000)), top=0)


def test_preprocess_input_passes_through():
    x = np.ones((1, 2, 2, 3))
    assert ks.preprocess_input(x) is x


def test_names_and_counts_are_read_without_keras():
    script = (
        "import sys; from keras_shufflenet.models import MODEL_STATS\n"
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules)\n"
        "print(len(MODEL_STATS))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == len(ks.models.MODEL_STATS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ks.list_models(3), r"`pattern` must be a string\. Received: pattern=3"),
        (lambda: ks.feature_extractor(3), r"`model` must be a keras\.Model or a name.*model=3"),
        (lambda: ks.count_params_and_macs("one_shot"), r"`model` must be a keras\.Model.*one_shot"),
        (lambda: ks.PoseEstimator(weights="imagenet"), r"go to `backbone_weights`\. Received"),
        (lambda: ks.PoseEstimator(backbone_weights="coco"), r"go to `weights`\. Received: back"),
        (lambda: ks.PoseEstimator(include_preprocessing=1), r"True or False\. Received: .*=1"),
    ],
)
def test_mistakes_are_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()
