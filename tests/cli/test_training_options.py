import json

import pytest

from keras_shufflenet.cli.training_options import check_strategy, parse_loggers


def test_loggers_are_those_beside_the_csv_file():
    assert parse_loggers(None) is None
    assert parse_loggers(["csv"]) == []
    assert parse_loggers(["csv", "tensorboard"]) == ["tensorboard"]
    with pytest.raises(ValueError, match=r"csv, tensorboard, wandb. Received: paper"):
        parse_loggers(["csv", "paper"])


@pytest.mark.parametrize(
    "config",
    [
        None,
        "no json",
        "[]",
        {"cluster": {"worker": ["a:1"]}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}},
    ],
)
def test_several_workers_must_be_known(config, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(
        ValueError, match=r"--strategy multi_worker must have .*Received: TF_CONFIG"
    ):
        check_strategy("multi_worker")
    check_strategy("mirrored")
    check_strategy(None)


def test_a_worker_knows_its_place(monkeypatch):
    task = {"type": "worker", "index": 1}
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": task}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    check_strategy("multi_worker")
