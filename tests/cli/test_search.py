"""Search on the command line, with scores that are a formula."""

import csv
import json

import pytest

from keras_shufflenet.search import Deployment, LatencyTable, search_space, settings
from keras_shufflenet.search.latency_fit import all_blocks
from keras_shufflenet.search.latency_table import TableError
from keras_shufflenet.search.spaces import Architecture
from tests.search.formulas import make_score

SMALL = ("--population", 8, "--generations", 2, "--parents", 2, "--mutations", 3)
SMALL = (*SMALL, "--crossovers", 3)
ONE = ("--population", 1, "--mutations", 0, "--crossovers", 0)


@pytest.fixture
def supernet(tmp_path, monkeypatch):
    """The folder of a pose supernet, which is not opened."""
    folder = tmp_path / "supernet"
    found = settings.SupernetSettings(
        task="pose", data="people.json", input_size=(64, 64), recipe="from_scratch", changes={}
    )
    found.write(folder)
    (folder / "model.keras").write_bytes(b"weights")
    monkeypatch.setattr(settings, "open_evaluator", lambda _: make_score())
    return folder


def write_table(path, size=(64, 64)):
    """Write a table in which every choice takes a millisecond more than the one before."""
    deployment = Deployment(space=search_space("one_shot"), input_size=size, head="fpn")
    blocks = {block: float(block.choice) for block in all_blocks(deployment.space)}
    LatencyTable(deployment, 10.0, blocks, TableError(25, 20, 0.01, 0.05, 0.07)).save(path)
    return path


def test_evolve_writes_log_winner_and_front(command, supernet, tmp_path):
    table, output = write_table(tmp_path / "table.csv"), tmp_path / "search"
    options = ("--latency-table", table, "--max-latency", 40, "--max-params", 2.4e6, *SMALL)
    code, out, err = command("search", "evolve", supernet, "--output-dir", output, *options)
    assert (code, err) == (0, "")
    winner = json.loads((output / "winner.json").read_text())
    assert f"wrote {output / 'winner.json'}: {winner['name']}" in out
    architecture = Architecture.parse(winner["name"].removeprefix("one_shot:"))
    assert winner["latency_ms"] == 10 + sum(architecture.choices) <= 40
    assert winner["macs"] == search_space("one_shot").macs(architecture, (64, 64), classes=0)
    with (output / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert max(float(row["score"]) for row in rows) == winner["score"]
    assert [each["name"] for each in winner["front"]].index(winner["name"]) >= 0
    assert (output / "front.png").read_bytes().startswith(b"\x89PNG")

    code, *_ = command("search", "evolve", supernet, "--output-dir", output, *options)
    assert code == 0
    (supernet / "model.keras").write_bytes(b"others")
    code, _, err = command("search", "evolve", supernet, "--output-dir", output, *options)
    assert code == 1
    assert "--output-dir holds another search: supernet was" in err


def test_evolve_by_dominance(command, supernet, tmp_path):
    output = tmp_path / "search"
    code, out, _ = command(
        "search", "evolve", supernet, "--output-dir", output, "--objective", "macs", *SMALL
    )
    assert code == 0
    front = json.loads((output / "winner.json").read_text())["front"]
    scores, macs = ([each[name] for each in front] for name in ("score", "macs"))
    assert scores == sorted(scores)
    assert macs == sorted(macs)
    assert "Pareto front" in out


@pytest.mark.filterwarnings("default:--max-macs")
def test_a_limit_that_limits_nothing_is_told(command, supernet, tmp_path):
    code, _, err = command(
        *("search", "evolve", supernet, "--output-dir", tmp_path / "search", "--max-macs", 330e6),
        *SMALL,
    )
    assert code == 0
    assert "Warning: --max-macs 3.3e+08 hardly limits the search: of 200 random" in err


@pytest.mark.parametrize("options", [(), ("--no-resume",)])
def test_a_search_does_not_replace_a_training(command, supernet, tmp_path, options):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"model": "supernet", "network": "1"}')
    (run / "log.csv").write_text("epoch,loss\n1,0.5\n")
    code, _, err = command("search", "evolve", supernet, "--output-dir", run, *options, *SMALL)
    assert code == 1
    assert "--output-dir must be a folder of its own, as a search does not replace" in err
    assert "which holds a training" in err
    assert (run / "log.csv").read_text() == "epoch,loss\n1,0.5\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"log.csv": "epoch,loss\n"}, "new or empty folder, or that of a search"),
        ({"log.csv": "", "run.json": "{"}, "The description of a run is damaged"),
    ],
)
def test_files_of_something_else_are_not_overwritten(command, supernet, tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    code, _, err = command("search", "evolve", supernet, "--output-dir", tmp_path, *SMALL)
    assert code == 1
    assert message in err
    assert {name: (tmp_path / name).read_text() for name in files} == files


def test_limits_without_architectures_leave_a_folder_for_others(command, supernet, tmp_path):
    search = ("search", "evolve", supernet, "--output-dir", tmp_path / "search", *SMALL)
    assert command(*search, "--max-macs", 1)[0] == 1
    assert command(*search)[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-latency", 3], "need --latency-table"),
        (["--measure"], "need --latency-table"),
        (["--latency-table", "large.csv"], "input size (64x64) of the supernet. Received: large"),
        (["--objective", "watts"], "--objective must be macs or params, latency_ms with"),
        (["--objective", "latency_ms"], "latency_ms with --latency-table"),
        (["--max-latency", "nan", "--latency-table", "large.csv"], "--max-latency must be a pos"),
        (["--latency-table", "other.csv"], "(no column 'channel_scales')"),
        (["--population", 5], "--population must be at least the sum of"),
        (["--max-macs", 1, *ONE], "none was found among 1000 random ones. Received: macs <= 1"),
    ],
)
def test_mistakes(command, supernet, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "large.csv", (224, 224))
    (tmp_path / "other.csv").write_text("space,ms\none_shot,1\n")
    code, _, err = command("search", "evolve", supernet, "--output-dir", "search", *options)
    assert code == 1
    assert message in err
    assert "Received: " in err


def test_a_latency_table_is_measured(command, tmp_path, monkeypatch):
    monkeypatch.setattr(Deployment, "measure", measure)
    path, plot, results = (tmp_path / name for name in ("t.csv", "t.png", "results.csv"))
    code, out, err = command(
        *("search", "latency-table", "one_shot", path, "--head", "light", "--precision", "int8"),
        *("--input-size", "64x96", "--held-out", 5, "--plot", plot, "--results-csv", results),
    )
    assert (code, err) == (0, "")
    table = LatencyTable.load(path)
    assert table.deployment == Deployment(
        space=search_space("one_shot"), precision="int8", input_size=(64, 96), head="light"
    )
    assert "5 random architectures, predicted against measured: median error 0.0%" in out
    assert plot.read_bytes().startswith(b"\x89PNG")
    with results.open() as file:
        (row,) = csv.DictReader(file)
    assert (row["precision"], row["networks"], row["held_out"]) == ("int8", "50", "5")


def measure(deployment, architectures, iterations, verbose=True):
    """Ratios that are a sum over blocks."""
    import numpy as np

    return np.array([1 + sum(each.choices) / 50 for each in architectures]), 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one_shot", "t.txt"], "OUT.csv must end in .csv"),
        (["shuffle", "t.csv"], "must be one of 'one_shot'"),
        (["one_shot", "t.csv", "--networks", 24], "--networks must be an integer of at least 25"),
        (["one_shot", "t.csv", "--channel-scales", "a"], "--channel-scales must be paper or num"),
        (["one_shot", "t.csv", "--plot", "t.txt"], "--plot must end in .png"),
        (["one_shot", "t.csv", "--head", "fpn", "--input-size", "60x60"], "multiples of 32"),
    ],
)
def test_mistakes_of_tables(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("search", "latency-table", *arguments)
    assert code == 1
    assert message in err
