"""The summary of a model by stages."""

import keras
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models._summary import stages

MODELS = {
    "classifier": lambda: ks.ShuffleNetV2(0.25, classes=7, input_shape=(64, 64, 3)),
    "backbone": lambda: ks.MobileNetV2(0.35, include_top=False, input_shape=(64, 64, 3)),
    "pose": lambda: ks.PoseEstimator("shufflenet_v2_x0_5", head="deconv", input_size=(64, 64)),
    "detector": lambda: ks.NanoDet("m_0.5x", input_shape=(64, 64, 3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_stages_are_the_whole_model(shallow, name):
    with shallow():
        model = MODELS[name]()
    found = stages(model)
    assert len(found) < 25
    assert sum(stage.params for stage in found) == model.count_params()
    assert sum(stage.macs for stage in found) == ks.count_params_and_macs(model).macs
    assert found[-1].output == model.output_shape[1:]
    assert sum(stage.layers for stage in found) >= len(model.layers) - 1


def test_stages_of_a_network(shallow):
    with shallow():
        model = ks.ShuffleNetV2(0.5, classes=7, input_shape=(64, 64, 3))
    found = {stage.name: stage for stage in stages(model)}
    assert list(found)[-6:] == ["stage2", "stage3", "stage4", "conv", "avg", "predictions"]
    assert found["stage2"].output == (8, 8, 48)
    assert found["stage4"].output == (2, 2, 192)
    assert found["predictions"].params == 1024 * 7 + 7
    assert found["predictions"].macs == 1024 * 7


def test_it_fits_on_a_screen_and_takes_a_size(shallow):
    with shallow():
        model = ks.ShuffleNetV2(0.5, include_top=False, input_shape=(None, None, 3))
    lines: list[str] = []
    ks.summary(model, (224, 224), print_fn=lines.append)
    assert len(lines) < 20
    assert len(set(map(len, lines))) == 1
    assert lines[0].split() == ["stage", "layers", "output", "parameters", "multiply-adds"]
    assert any(line.startswith("stage2") and "28 × 28 × 48" in line for line in lines)
    assert f"{model.count_params():,}" in lines[-1]
    with pytest.raises(ValueError, match="`input_size` must be"):
        ks.summary(model)


def test_a_layer_that_is_called_twice_counts_once(capsys):
    image = keras.Input((8, 8, 3))
    shared = keras.layers.Conv2D(3, 1, name="shared_conv")
    ks.summary(keras.Model(image, shared(shared(image))))
    [_, _, row, _] = capsys.readouterr().out.splitlines()
    assert row.split() == ["shared", "2", *["8", "×", "8", "×", "3"], "12", "0.00", "M"]
    [stage] = stages(keras.Model(image, shared(shared(image))))
    assert (stage.params, stage.macs) == (12, 2 * 64 * 9)


def test_networks_inside_of_a_model_are_counted(shallow):
    with shallow():
        network = ks.ShuffleNetV2(width=0.25, classes=10, input_shape=(64, 64, 3))
        features = ks.ShuffleNetV2(width=0.25, include_top=False, pooling="avg")
    inputs, images = keras.Input((64, 64, 3)), keras.Input((None, None, 3))
    macs = ks.count_params_and_macs(network).macs
    head = keras.Model(inputs, keras.layers.Dense(3)(network(inputs)))
    assert ks.count_params_and_macs(head).macs == macs + 10 * 3
    assert ks.count_params_and_macs(keras.Sequential([inputs, network])).macs == macs
    outer = keras.Model(images, features(images))
    counts = [ks.count_params_and_macs(each, (64, 64)).macs for each in (outer, features)]
    assert counts[0] == counts[1] > 0


LAYERS = {  # on feature maps (8, 6, 4)
    "separable": (keras.layers.SeparableConv2D(5, 3, strides=2), 3 * 2 * (9 * 4 + 4 * 5)),
    "separable of several": (
        keras.layers.SeparableConv2D(5, 3, depth_multiplier=2),
        6 * 4 * (9 * 8 + 8 * 5),
    ),
    "depthwise": (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 6 * 4 * 9 * 4 * 2),
    "dense of feature maps": (keras.layers.Dense(5), 8 * 6 * 4 * 5),
    "dense of points": (
        keras.Sequential([keras.layers.Reshape((48, 4)), keras.layers.Dense(5)]),
        48 * 4 * 5,
    ),
    "of one dimension": (
        keras.Sequential([keras.layers.Reshape((48, 4)), keras.layers.Conv1D(5, 3)]),
        46 * 3 * 4 * 5,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_multiply_adds_of_layers(name):
    layer, macs = LAYERS[name]
    image = keras.Input((8, 6, 4))
    model = keras.Model(image, layer(image))
    assert ks.count_params_and_macs(model).macs == macs


def test_no_model_has_no_summary():
    for wrong in ("shufflenet_v2_x1_0", None, keras.layers.Dense(3)):
        with pytest.raises(ValueError, match=r"`model` must be a keras\.Model.* Received: model="):
            ks.summary(wrong)
