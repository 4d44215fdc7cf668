"""Search spaces: architectures as text, and costs from the block tables."""

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.search.spaces import PAPER_SCALES, Architecture, search_space

SCALES = "1.4,1.2,0.8,1.2,0.6,1.4,0.8,1,0.6,1.2,1.6,1.2,1,1.4,1.6,1,1,1.2,1,0.8"
ONE_SHOT = Architecture.parse(f"00311100202110202132@{SCALES}")
SPOS = Architecture.parse("2101 2020 20230000 3233")
LARGE = Architecture.parse("00312102 03123320 2113202221310333 13333333")


def test_the_published_architecture_costs_what_is_published():
    space = search_space("one_shot", PAPER_SCALES)
    assert (space.macs(ONE_SHOT), space.params(ONE_SHOT)) == (327_857_920, 3_432_579)
    assert (space.macs(SPOS), space.params(SPOS)) == (322_918_720, 3_558_464)


@pytest.mark.parametrize(
    ("choice", "macs", "params"),
    [
        (0, 295.84, 3_154_880),
        (1, 313.65, 3_211_968),
        (2, 340.37, 3_297_600),
        (3, 358.83, 3_870_816),
    ],
)
def test_networks_of_one_choice(choice, macs, params):
    space, architecture = search_space("one_shot"), Architecture((choice,) * 20)
    assert round(space.macs(architecture) / 1e6, 2) == macs
    assert space.params(architecture) == params


@pytest.mark.parametrize(
    ("space", "architecture", "params", "macs", "backbone"),
    [
        ("detnas_300m", "21031303201133333331", 3_651_128, 349_524_544, 316_387_904),
        ("detnas_300m", "13002333233332202311", 3_479_480, 360_625_984, 327_489_344),
        ("detnas_300m", "21202112331300313132", 3_533_112, 321_219_008, 288_082_368),
        ("detnas_300m", "23113213311133203333", 3_725_320, 324_342_464, 291_205_824),
        ("detnas_1_3g", str(LARGE), 10_426_328, 1_318_374_496, 1_269_181_536),
        ("detnas_3_8g", str(LARGE), 31_444_596, 4_085_874_080, 3_937_832_864),
    ],
)
def test_detnas_costs_what_is_published(space, architecture, params, macs, backbone):
    found, parsed = search_space(space), Architecture.parse(architecture)
    assert (found.params(parsed), found.macs(parsed)) == (params, macs)
    assert found.macs(parsed, backbone_only=True) == backbone


@pytest.mark.parametrize("name", ["one_shot", "detnas_300m"])
def test_costs_are_those_of_the_built_network(name, shallow):
    rng = np.random.default_rng(1)
    with shallow():
        space = search_space(name, PAPER_SCALES if name == "one_shot" else (1.0,))
        for size in ((224, 224), (72, 100)):
            architecture = space.random(rng)
            model = space.build(architecture, input_shape=(*size, 3), classes=7)
            stats = ks.count_params_and_macs(model)
            assert space.params(architecture, classes=7) == stats.params
            assert space.macs(architecture, size, classes=7) == stats.macs


def test_published_entries_of_the_table_of_multiply_adds():
    space, last = search_space("one_shot"), (0,) * 19
    stem = space.macs(Architecture((0, *last)))
    # An inner block of the first stage: 64 channels, 32 of them inside, at 56 × 56.
    differences = [space.macs(Architecture((0, choice, *last[1:]))) - stem for choice in (1, 2, 3)]
    expected = [8_931_328 - 7_325_696, 11_339_776 - 7_325_696, 12_343_296 - 7_325_696]
    assert differences == expected


@pytest.mark.parametrize("scales", [(1.0,), PAPER_SCALES])
def test_text_and_back(scales):
    space, rng = search_space("one_shot", scales), np.random.default_rng(0)
    found = [space.random(rng) for _ in range(20)]
    assert [Architecture.parse(str(each)) for each in found] == found
    assert len(set(found)) == 20
    assert all(("@" in str(each)) == (len(scales) > 1) for each in found)


def test_the_registry_builds_an_architecture_by_its_text(shallow):
    with shallow():
        plain = ks.create_model("one_shot:03122031", input_shape=(32, 32, 3), classes=3)
        wide = ks.create_model("one_shot:03122031@" + ",".join(["2"] * 8), classes=3)
        detnas = ks.create_model("detnas_300m:03122031", classes=3)
        space = search_space("one_shot", (1.0, 2.0))
        for model, scale in ((plain, 1.0), (wide, 2.0)):
            architecture = Architecture((0, 3, 1, 2, 2, 0, 3, 1), (scale,) * 8)
            assert ks.count_params_and_macs(model).params == space.params(architecture, classes=3)
    assert detnas.name == "detnas_custom"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: search_space("two_shot"), r"`name` must be one of.*Received: name='two_shot'"),
        (lambda: search_space("one_shot", (0.0,)), r"numbers from 0.1 to 4, each once.*Received"),
        (lambda: search_space("one_shot", (1e9,)), r"numbers from 0.1 to 4, each once.*Received"),
        (lambda: search_space("one_shot", "paper"), r"numbers from 0.1 to 4.*Received: .*'paper'"),
        (lambda: search_space("one_shot", 1.0), r"numbers from 0.1 to 4.*Received: .*=1.0"),
        (lambda: search_space("one_shot").macs("0" * 20), r"must be an Architecture.*Received"),
        (lambda: Architecture.parse("٣" * 20), r"must be digits.*Received"),
        (lambda: search_space("one_shot", (1.0, 1.0)), r"each once.*Received"),
        (lambda: search_space("detnas_300m", (0.2,)), r"`channel_scales` must be.*Received"),
        (lambda: Architecture((0, 4)), r"`choices` must be among.*Received: choices=\(0, 4\)"),
        (lambda: Architecture((0,), (1.0, 2.0)), r"must be 1 positive numbers.*Received"),
        (lambda: Architecture.parse("00x"), r"must be digits.*Received: architecture='00x'"),
        (lambda: Architecture.parse("00@1,y"), r"must have numbers.*Received"),
        (lambda: Architecture.parse(3), r"must be a string.*Received: architecture=3"),
        (
            lambda: search_space("one_shot").macs(Architecture((0,) * 3)),
            r"must have 20 choices.*Received: architecture='000'",
        ),
        (
            lambda: search_space("one_shot").params(Architecture((0,) * 20, (2.0,) * 20)),
            r"channel scales among 1, in the space one_shot.*Received",
        ),
        (lambda: ks.create_model("one_shot:012"), r"20 choices among.*Received"),
        (lambda: ks.create_model("three_shot:012"), r"`name` must be one of.*Received"),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(ValueError, match=text):
        call()
