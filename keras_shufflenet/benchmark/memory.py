"""Peak memory of a process that does nothing but run one model file.

`python -m keras_shufflenet.benchmark.memory TITLE FILE INPUT THREADS` prints it in bytes. It
includes Python with NumPy, which the process needs before any runtime is imported.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_shufflenet.benchmark.engines import ENGINES, Engine

STATUS = Path("/proc/self/status")  # Linux only
RUNS = 3


def peak_memory(engine: Engine, path: Path, images: np.ndarray, threads: int) -> int | None:
    """Run a model file in a process of its own and return its peak memory.

    Args:
        engine: The engine that wrote the file.
        path: The file.
        images: The input, a batch of one image.
        threads: Number of threads of the engine.

    Returns:
        Bytes; None on systems other than Linux.

    Raises:
        RuntimeError: If the process fails.
    """
    if not STATUS.is_file():
        return None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "input.npy"
        np.save(source, images)
        arguments = [engine.title, path, source, threads]
        command = [sys.executable, "-m", __name__, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{engine.title} failed in a process of its own. Received: {done.stderr[-2000:]}"
        )
    return int(done.stdout.split()[-1])


def _main(title: str, path: str, source: str, threads: str) -> None:
    (engine,) = (engine for engine in ENGINES if engine.title == title)
    run = engine.open(Path(path), np.load(source), int(threads))
    for _ in range(RUNS):
        run()
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
    sys.stdout.write(f"{1024 * int(kilobytes)}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
