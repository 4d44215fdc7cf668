"""Training of supernets: what a step changes, sampling, and the scores of architectures."""

import pickle
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.data import load_classification_dataset
from keras_shufflenet.search import (
    MACS_BINS,
    Architecture,
    PathSampler,
    Supernet,
    SupernetEvaluator,
    SupernetTask,
    search_space,
    train_supernet,
)
from keras_shufflenet.search import supernet as supernet_module
from keras_shufflenet.search.choice_unit import ChoiceUnit
from keras_shufflenet.search.settings import SupernetSettings, open_evaluator
from keras_shufflenet.training import ClassificationRecipe, ClassificationTask
from tests.shortcuts import eager_training, four_units

RECIPE = ClassificationRecipe(2, 4, 0.05, weight_decay=0.1, decayed="all")
SCALES = (0.5, 1.0)
STEPS = 2  # of an epoch


@pytest.fixture(scope="module", autouse=True)
def _four_units():
    with four_units():
        yield


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of two classes with six images each."""
    folder, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir()
        for number in range(6):
            pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def make_task(model, folder, recipe=RECIPE):
    images, held_out = load_classification_dataset(folder).split(0.3)
    return ClassificationTask(model, images, recipe, val_data=held_out)


def build(seed=0):
    keras.utils.set_random_seed(seed)
    space = search_space("one_shot", SCALES)
    network = space.build(Architecture((0,) * 4), input_shape=(32, 32, 3), classes=["a", "b"])
    return Supernet.of(network, space)


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory):
    """Folder of a training of four steps, and how often a unit was called in each."""
    calls, steps = [], []

    class Counter(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(len(calls))

    original, supernet = ChoiceUnit.call, build()
    folder = tmp_path_factory.mktemp("supernet")

    def call(self, x, training=None):
        calls.append(1)
        return original(self, x, training)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChoiceUnit, "call", call)
        patch.setattr(SupernetTask, "validate", lambda *_: None)  # traces two more functions
        task = SupernetTask(
            make_task(supernet.model, photographs), supernet, PathSampler(supernet.space)
        )
        train_supernet(task, folder, callbacks=[Counter()], verbose=0)
    return folder, supernet, steps


def test_the_step_is_traced_once_for_all_architectures(trained):
    _, supernet, steps = trained
    sampled = [PathSampler(supernet.space).sample(step) for step in range(2 * STEPS)]
    assert len(set(sampled)) > 1
    first_epoch = steps[:STEPS]
    assert len(steps) == 2 * STEPS
    assert first_epoch[0] > 0
    assert set(first_epoch) == {first_epoch[0]}


def test_a_step_changes_what_is_sampled_and_nothing_else(photographs):
    supernet = build()
    sampler = PathSampler(supernet.space)
    task = SupernetTask(make_task(supernet.model, photographs), supernet, sampler)
    snapshots = []

    class Snapshots(keras.callbacks.Callback):
        """Variables and momenta by unit and choice; those of the classifier."""

        def on_train_batch_end(self, batch, logs=None):
            units = [layer for layer in self.model.layers if isinstance(layer, ChoiceUnit)]
            parts = {
                (number, choice): branch
                for number, unit in enumerate(units)
                for choice, branch in enumerate(unit.branches)
            }
            parts["predictions"] = self.model.get_layer("predictions")
            trained = [id(v) for v in self.model.trainable_variables]
            momenta = self.model.optimizer.variables[-len(trained) :]
            slots = dict(zip(trained, momenta, strict=True))
            snapshots.append(
                {
                    name: [
                        keras.ops.convert_to_numpy(v).copy()
                        for v in (
                            *part.variables,
                            *(slots[id(own)] for own in part.trainable_variables),
                        )
                    ]
                    for name, part in parts.items()
                }
            )

    with eager_training(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(SupernetTask, "validate", lambda *_: None)
        directory = photographs.parent / "changes"
        train_supernet(task, directory, callbacks=[Snapshots()], verbose=0)
    for step in range(1, 2 * STEPS):
        before, after = snapshots[step - 1 : step + 1]
        changed = {
            name
            for name in before
            if any((x != y).any() for x, y in zip(before[name], after[name], strict=True))
        }
        sampled = set(enumerate(sampler.sample(step).choices))
        assert changed == {*sampled, "predictions"}
        assert all(
            (x != y).any()
            for name in sampled
            for x, y in zip(before[name], after[name], strict=True)
        )


@pytest.fixture
def _eager_functions(monkeypatch):
    """Score operation by operation: tracing takes longer than a few images."""
    monkeypatch.setattr(supernet_module, "_traced", lambda model: partial(model, training=True))
    monkeypatch.setattr(
        keras.Model,
        "predict_on_batch",
        lambda model, x: keras.ops.convert_to_numpy(model(x, training=False)),
    )


@pytest.mark.usefixtures("_eager_functions")
def test_scores_are_the_same_in_any_order_and_process(trained, photographs):
    folder, supernet, _ = trained
    evaluator = SupernetEvaluator(
        folder, partial(make_task, folder=photographs), calibration_batches=1
    )
    rng = np.random.default_rng(0)
    architectures = [supernet.space.random(rng) for _ in range(3)]
    scores = [evaluator(each) for each in architectures]
    other = pickle.loads(pickle.dumps(evaluator))
    assert [other(each) for each in reversed(architectures)] == scores[::-1]
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.usefixtures("_eager_functions")
def test_settings_of_a_folder_make_its_evaluator(trained, photographs, tmp_path):
    settings = SupernetSettings(
        channel_scales=SCALES,
        task="classification",
        data=str(photographs),
        input_size=(32, 32),
        recipe="megvii",
        changes={"batch_size": 4},
    )
    settings.write(tmp_path)
    assert SupernetSettings.read(tmp_path) == settings
    (tmp_path / "model.keras").write_bytes((trained[0] / "model.keras").read_bytes())
    assert 0 <= open_evaluator(tmp_path)(Architecture((3, 2, 1, 0))) <= 1
    assert settings.make_supernet().space == search_space("one_shot", SCALES)
    (tmp_path / "supernet.json").write_text("{}")
    with pytest.raises(ValueError, match=r"malformed.*Received"):
        SupernetSettings.read(tmp_path)
    with pytest.raises(FileNotFoundError, match="search supernet"):
        SupernetSettings.read(photographs)


def test_sampling():
    space = search_space("one_shot", (0.2, 1.0, 2.0))
    uniform, other = PathSampler(space), PathSampler(space, seed=1)
    assert uniform.sample(5) == uniform.sample(5) != uniform.sample(6)
    assert [uniform.sample(step) for step in range(9)] != [other.sample(step) for step in range(9)]
    counts = np.zeros((4, 4))
    for step in range(400):
        counts[np.arange(4), uniform.sample(step).choices] += 1
    assert (np.abs(counts / 400 - 0.25) < 0.11).all()  # five standard errors


def test_bins_of_multiply_adds_have_the_same_probability():
    space = search_space("one_shot")
    limits = sorted(space.macs(Architecture((choice,) * 4)) for choice in range(4))
    bins = [(limits[0], limits[1]), (limits[1], limits[2]), (limits[2], limits[3] + 1)]
    sampler = PathSampler(space, "macs_bins", bins=bins)
    macs = [space.macs(sampler.sample(step)) for step in range(150)]
    shares = [np.mean([low <= each < high for each in macs]) for low, high in bins]
    assert all(abs(share - 1 / 3) < 0.2 for share in shares)
    assert MACS_BINS[0] == (290_000_000, 300_000_000)
    assert MACS_BINS[-1] == (350_000_000, 360_000_000)
    assert sampler.description() != PathSampler(space).description()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s, _: PathSampler(s.space, "best"), r"`sampling` must be one of.*Received"),
        (lambda s, _: PathSampler(s.space, seed=-1), r"`seed` must be.*Received"),
        (
            lambda s, task: SupernetTask(task, s, PathSampler(search_space("detnas_300m"))),
            r"made for the model and the space of the supernet.*Received",
        ),
        (
            lambda s, task: train_supernet(
                SupernetTask(task, s, PathSampler(s.space)), "unused", precision="float16"
            ),
            r"`precision` must be 'float32' for a supernet.*Received",
        ),
        (
            lambda s, _: SupernetEvaluator(Path("none"), make_task),
            r"`supernet` must be an existing file.*Received: none",
        ),
        (
            lambda *_: SupernetSettings(
                task="classification", data="x", input_size=(32, 32), recipe="finetune", changes={}
            ),
            r"trains all layers from the beginning.*Received: recipe='finetune'",
        ),
    ],
)
def test_wrong_arguments(trained, photographs, call, text):
    _, supernet, _ = trained
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        call(supernet, make_task(supernet.model, photographs))
