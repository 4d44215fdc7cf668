"""The tables of README.md and docs/ are those of the registry, the catalog and results/."""

import pytest

import keras_shufflenet as ks
import readme_tables
from readme_tables import PAGES, ROOT, write_tables

MODELS_PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
MEDIANS = {
    ("LiteRT", "float32"): 3,
    ("LiteRT", "int8"): 1,
    ("LiteRT, default TFLite converter", "int8"): 1.5,
    ("ncnn", "float32"): 4,
    ("ncnn", "bfloat16"): 2,
    ("OpenVINO", "float32"): 5,
    ("OpenVINO", "int8"): 2.5,
}


def page(table):
    return f"<!-- table: {table} -->\n<!-- end -->"


@pytest.fixture
def results(tmp_path):
    """A results folder with two networks in several runtimes."""

    def write(processor=""):
        lines = ["processor,model,engine,precision,threads,bytes,median_ms"]
        for model in ("other", "shufflenet_v2_x1_0"):
            for (engine, precision), time in MEDIANS.items():
                key = f'{processor},{model},"{engine}",{precision}'
                lines += [f"{key},1,2600000,{time}", f"{key},2,2600000,0.1"]
        (tmp_path / "runtimes.csv").write_text("\n".join(lines))
        return tmp_path

    return write


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_up_to_date(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert write_tables(text, ROOT / "results") == text, "run python tools/readme_tables.py --write"


def test_every_model_and_all_weights_are_listed():
    for name in ks.list_models() + ks.list_models(task="pose"):
        assert f"\n| `{name}` |" in MODELS_PAGE
    for entry in ks.weights.list_weights():
        assert f"\n| `{entry.name}` |" in MODELS_PAGE


def test_every_publisher_has_instructions():
    for entry in ks.weights.list_weights():
        publisher = entry.name.partition(".")[2].partition("_v")[0]
        assert f"**{publisher}**" in MODELS_PAGE


def test_the_ratio_is_to_the_fastest_competitor_of_the_same_precision(results):
    table = write_tables(page("runtimes shuffle*"), results())
    assert "| LiteRT | LiteRT, default TFLite converter | ncnn | OpenVINO |" in table
    assert "| `shufflenet_v2_x1_0` | float32 | 3.0 |  | 4.0 | 5.0 | 0.75 |" in table
    assert "| `shufflenet_v2_x1_0` | int8 | 1.0 | 1.5 |  | 2.5 | 0.67 |" in table
    assert "| `shufflenet_v2_x1_0` | bfloat16 |  |  | 2.0 |  |  |" in table
    assert "other" not in table
    assert "| `other` | int8 |" in write_tables(page("runtimes"), results())


def test_the_headline_has_int8_on_one_thread_and_the_processor(results):
    table = write_tables(page("headline shufflenet*"), results())
    assert "| `shufflenet_v2_x1_0` | 69.4 | 2.60 | **1.0** | 1.5 |  | 2.5 |" in table
    assert "one thread (processor not recorded), not a phone" in table
    recorded = write_tables(page("headline shufflenet*"), results("AMD EPYC 9R14"))
    assert "one thread of AMD EPYC 9R14, not a phone" in recorded


def test_an_unknown_table(tmp_path):
    kinds = r"must be one of headline, models, .*\. Received: prices"
    with pytest.raises(ValueError, match=kinds):
        write_tables(page("prices"), tmp_path)


def test_the_command(monkeypatch, results, tmp_path, capsys):
    monkeypatch.setattr(readme_tables, "ROOT", tmp_path)
    monkeypatch.setattr(readme_tables, "PAGES", ["page.md"])
    (tmp_path / "page.md").write_text(page("trained"))
    assert readme_tables.main(["--check"]) == 1
    assert "Stale: page.md" in capsys.readouterr().out
    assert readme_tables.main(["--write"]) == 0
    assert "| model | annotations | AP |" in (tmp_path / "page.md").read_text()
    assert readme_tables.main(["--check"]) == 0


def test_the_plot_is_drawn_from_the_results(tmp_path):
    readme_tables.plot_runtimes(ROOT / "results", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
