"""Write keras_shufflenet/models/model_stats.csv: parameters and multiply-adds of all models.

python tools/model_stats.py
"""

import csv
from pathlib import Path

import keras_shufflenet as ks
from keras_shufflenet import models

FILE = Path(models.__file__).with_name("model_stats.csv")


def main() -> None:
    """Build every model of the registry and count; the largest takes ten seconds."""
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "params", "macs"))
        for name in sorted(
            ks.list_models() + ks.list_models(task="pose") + ks.list_models(task="detection")
        ):
            stats = ks.count_params_and_macs(ks.create_model(name))
            writer.writerow((name, stats.params, stats.macs))


if __name__ == "__main__":
    main()
