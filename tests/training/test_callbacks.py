import os
import re

import keras
import numpy as np
import pytest

from keras_shufflenet.training import callbacks


def compiled(seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    return model


def fit(model, *parts, epochs=1, **kwargs):
    x = np.ones((6, 4), "float32")
    y = np.ones((6, 2), "float32")
    model.fit(x, y, batch_size=2, epochs=epochs, callbacks=list(parts), verbose=0, **kwargs)


def state(model):
    return [v.numpy().copy() for v in (*model.variables, *model.optimizer.variables)]


def assert_same_state(a, b):
    for left, right in zip(state(a), state(b), strict=True):
        np.testing.assert_array_equal(left, right)


def truncate(path, length):
    os.truncate(path, length)


def test_restore_brings_back_weights_optimizer_and_step(tmp_path):
    model = compiled()
    fit(model, callbacks.Checkpoint(tmp_path), epochs=2)
    other = compiled(seed=1)
    assert callbacks.restore(other, tmp_path) == 6
    assert_same_state(model, other)


def test_the_log_of_a_job_says_how_far_it_is(capsys):
    fit(compiled(), callbacks.StepProgress(6, seconds=0), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == [f"step {n} of 6" for n in range(1, 7)]
    assert all(re.search(r" - \d+\.\d\ds/step - loss: \d\.\d{4}e[+-]\d\d$", x) for x in lines)
    fit(compiled(), callbacks.StepProgress(6), epochs=1)
    assert capsys.readouterr().out == ""


def test_restore_without_checkpoint_starts_at_step_0(tmp_path):
    model, other = compiled(), compiled()
    assert callbacks.restore(model, tmp_path) == 0
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_a_broken_checkpoint_falls_back_on_the_previous_one(tmp_path, length):
    model = compiled()
    fit(model, callbacks.Checkpoint(tmp_path), epochs=1)
    before = compiled(seed=1)
    callbacks.restore(before, tmp_path)
    fit(model, callbacks.Checkpoint(tmp_path), epochs=1)
    truncate(tmp_path / callbacks.LAST, length)
    other = compiled(seed=2)
    assert callbacks.restore(other, tmp_path) == 3
    assert_same_state(before, other)


def test_no_readable_checkpoint_is_an_error(tmp_path):
    fit(compiled(), callbacks.Checkpoint(tmp_path))
    for name in (callbacks.LAST, callbacks.PREVIOUS):
        (tmp_path / name).write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"No checkpoint .* can be read.*Received: .*last"):
        callbacks.restore(compiled(), tmp_path)


def test_a_state_of_zero_minutes_is_saved_at_every_step(tmp_path):
    steps = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(callbacks.restore(compiled(), tmp_path))

    fit(compiled(), callbacks.Checkpoint(tmp_path, minutes=0), Watch())
    assert steps == [1, 2, 3]


def test_there_is_a_state_before_the_first_step(tmp_path):
    model = compiled()
    checkpoint = callbacks.Checkpoint(tmp_path)
    checkpoint.set_model(model)
    callbacks.restore(model, tmp_path)
    checkpoint.on_train_begin()
    other = compiled(seed=1)
    assert callbacks.restore(other, tmp_path) == 0
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


def test_the_model_is_validated_every_few_epochs_and_after_the_last():
    aps = iter([0.2, 0.1, 0.3])
    kept = []
    measure = callbacks.Validation(
        lambda model: {"AP": next(aps)},
        lambda model: kept.append(model),
        metric="AP",
        interval=2,
        epochs=5,
    )
    seen = []
    log = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs.get("AP"))
    )
    fit(compiled(), measure, log, epochs=5)
    assert seen == [None, 0.2, None, 0.1, 0.3]
    assert len(kept) == 2
    assert measure.best == 0.3


def test_the_log_replaces_the_rows_of_epochs_that_run_again(tmp_path):
    path = tmp_path / "log.csv"
    fit(compiled(), callbacks.EpochLog(path), epochs=3)
    first = callbacks.read_log(path)
    assert [row["epoch"] for row in first] == [1, 2, 3]
    assert set(first[0]) == {"epoch", "seconds", "learning_rate", "loss"}
    fit(compiled(), callbacks.EpochLog(path, first_epoch=1), epochs=2, initial_epoch=1)
    second = callbacks.read_log(path)
    assert [row["epoch"] for row in second] == [1, 2]
    assert second[0] == first[0]


def test_a_missing_log_has_no_rows(tmp_path):
    assert callbacks.read_log(tmp_path / "log.csv") == []


def test_a_plain_model_has_the_trained_weights_and_no_compile_state(tmp_path):
    model = compiled()
    trained = keras.models.clone_model(model)
    trained.compile("sgd", "mse")
    fit(trained)
    path = tmp_path / "model.keras"
    callbacks.save_plain(callbacks.copy_weights(trained, model), path)
    opened = keras.saving.load_model(path)
    assert not opened.compiled
    np.testing.assert_array_equal(opened.get_weights()[0], trained.get_weights()[0])


def test_a_plain_model_has_the_averages_and_the_one_in_training_keeps_its_weights():
    model = compiled()
    trained = keras.models.clone_model(model)
    trained.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    values = []
    trained.train_on_batch(np.ones((1, 4)), np.ones((1, 1)))
    values.append(trained.get_weights())
    trained.train_on_batch(np.ones((1, 4)), np.ones((1, 1)))
    values.append(trained.get_weights())
    callbacks.copy_weights(trained, model)
    for got, first, second in zip(model.get_weights(), *values, strict=True):
        np.testing.assert_allclose(got, (first + second) / 2, rtol=1e-6)
    for got, second in zip(trained.get_weights(), values[-1], strict=True):
        np.testing.assert_array_equal(got, second)


def test_a_loss_that_is_no_number_ends_the_training():
    stop = callbacks.StopAtNaN()
    stop.on_train_batch_end(0, {"loss": 1.0})
    for loss in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"lower learning rate.*Received: loss=\w+ in step 3"):
            stop.on_train_batch_end(2, {"loss": loss})
