import sys

import keras
import pytest

from keras_shufflenet.training import train
from tests.training.numbers_task import Numbers, network


def test_metrics_go_to_the_named_loggers_alone(tmp_path):
    seen = []
    own = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    log = train(
        Numbers(network()), tmp_path, val_interval=2, loggers=[], callbacks=[own], verbose=0
    )
    assert not (tmp_path / "tensorboard").exists()
    assert len(log) == len(seen) == 2
    assert [sorted(each) for each in seen] == [["loss", "mae"], ["loss", "mae", "score"]]


def test_a_logger_must_exist(tmp_path):
    with pytest.raises(ValueError, match=r"`loggers` must be one of 'tensorboard', 'wandb'. Rec"):
        train(Numbers(network()), tmp_path, loggers=["paper"])


def test_a_missing_logger_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"The logger wandb requires wandb: `pip install 'keras"):
        train(Numbers(network()), tmp_path, loggers=["tensorboard", "wandb"])
