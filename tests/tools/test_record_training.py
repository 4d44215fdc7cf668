import csv
import json

from tools.record_training import main


def test_the_log_becomes_rows_with_the_command(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"instances": 12}))
    (run / "log.csv").write_text("epoch,loss,AP\n1,0.5,\n2,0.25,0.125\n")
    results = tmp_path / "results.csv"
    command = "keras-shufflenet train pose shufflenet_v2_x1_0 --output-dir runs/pose"
    assert main([str(run), str(results), "--command", command]) == 0
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["command"] for row in rows] == [command] * 2
    assert [(row["count"], row["epoch"], row["loss"], row["AP"]) for row in rows] == [
        ("12", "1", "0.5", ""),
        ("12", "2", "0.25", "0.125"),
    ]
    assert all(row["processor"] and row["tensorflow"] for row in rows)
