r"""Copy the log of a training into results/, with the command that made it.

    python tools/record_training.py runs/pose results/pose_training.csv --command \
        "keras-shufflenet train pose shufflenet_v2_x1_0 --annotations ..."

A row per epoch: the number of instances or images, then the columns of the training's log.csv. The
versions and the processor are those of this process: run it on the machine of the training.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_shufflenet._results import append_row
from keras_shufflenet.training.callbacks import read_log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run_dir", type=Path, help="folder of the training")
    parser.add_argument("results_csv", type=Path, help="csv file to append rows to")
    parser.add_argument("--command", required=True, help="command of the training")
    chosen = parser.parse_args(arguments)
    run = json.loads((chosen.run_dir / "run.json").read_text(encoding="utf-8"))
    rows = read_log(chosen.run_dir / "log.csv")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    count = str(run.get("instances", run.get("images", "")))
    for row in rows:
        values = {name: row.get(name, "") for name in columns}
        append_row(chosen.results_csv, {"count": count, **values}, command=chosen.command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
