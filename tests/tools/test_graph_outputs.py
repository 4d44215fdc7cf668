import csv

import numpy as np

import tools.graph_outputs as tool


def test_a_row_has_the_differences_of_both_runtimes(shallow, tmp_path):
    with shallow():
        tool.main(tmp_path / "x.csv", ["shufflenet_v2_x1_0"])
    with (tmp_path / "x.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["network"] == "shufflenet_v2_x1_0"
    largest = float(row["largest output"])
    errors = np.array([float(row["ONNX Runtime"]), float(row["OpenVINO"])])
    assert (errors < 1e-4 * largest).all()
