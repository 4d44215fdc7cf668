"""Write the tables of README.md and docs/.

    python tools/readme_tables.py --write    # renew the tables
    python tools/readme_tables.py --check    # exit with 1 if a table is stale
    python tools/readme_tables.py --plot     # draw docs/latency.png from results/runtimes.csv

A table stands between `<!-- table: KIND PATTERN ... -->` and `<!-- end -->`. KIND is a key of
`result_tables.TABLES`; the patterns are shell patterns of model names, by default all classifiers.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_shufflenet.benchmark.interleaved import Latency
from keras_shufflenet.benchmark.latency import Measurement
from keras_shufflenet.benchmark.plot import draw
from result_rows import one_thread
from result_tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *("README.md", "docs/models.md", "docs/benchmarks.md", "docs/pose.md", "docs/export.md"),
    *("docs/teachers.md", "docs/search.md"),
)
PLOT = "docs/latency.png"
MARK = re.compile(r"(<!-- table: (\w+)([^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables(text: str, results: Path) -> str:
    """Return a page with its tables renewed.

    Args:
        text: A page with marks.
        results: The folder of the csv files.

    Raises:
        ValueError: If a mark names an unknown kind of table.
    """

    def renew(mark: re.Match[str]) -> str:
        if mark[2] not in TABLES:
            raise ValueError(f"Tables must be one of {', '.join(TABLES)}. Received: {mark[2]}")
        return f"{mark[1]}{TABLES[mark[2]](results, mark[3].split())}\n{mark[4]}"

    return MARK.sub(renew, text)


def plot_runtimes(results: Path, path: Path) -> None:
    """Draw published accuracy against the latency in `runtimes.csv`, on one thread."""
    rows = one_thread(results / "runtimes.csv")
    draw(
        [
            Measurement(
                network=row["model"],
                engine=row["engine"],
                version=row["version"],
                precision=row["precision"],
                threads=1,
                size=int(row["bytes"]),
                memory=None,
                latency=Latency(float(row["median_ms"]), float(row["p90_ms"])),
                ratio=None,
            )
            for row in rows
        ],
        path,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="renew the tables")
    action.add_argument("--check", action="store_true", help="exit with 1 if a table is stale")
    action.add_argument("--plot", action="store_true", help=f"draw {PLOT}")
    chosen = parser.parse_args(arguments)
    if chosen.plot:
        plot_runtimes(ROOT / "results", ROOT / PLOT)
        return 0
    stale = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        renewed = write_tables(text, ROOT / "results")
        if renewed != text:
            stale.append(page)
        if chosen.write:
            (ROOT / page).write_text(renewed, encoding="utf-8")
    if stale:
        print(f"{'Written' if chosen.write else 'Stale'}: {', '.join(stale)}")
    return int(bool(stale) and chosen.check)


if __name__ == "__main__":
    sys.exit(main())
