import csv

import numpy as np

from tools.udp_decoding import DECODINGS, EDGES, main


def test_zero_borders_err_less_near_the_border(tmp_path):
    main(tmp_path / "x.csv", count=40)
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(EDGES) - 1
    means = np.array([[float(row[f"{name} mean"]) for name in DECODINGS] for row in rows])
    before, after = means[1:3].mean(axis=0)  # 1 to 4 pixels
    assert after < 0.7 * before
    assert np.abs(means[-1, 0] - means[-1, 1]) < 0.1  # far from the border they are the same
