"""Compare what exported files compute in a browser and in Python.

    python tools/browser_outputs.py shufflenet_v2_x1_0.tflite --image photo.png
        --packages node_modules --results-csv results/browser.csv

`examples/browser/index.html` runs each file with LiteRT.js in headless Chromium on an image of the
file's input size. `--packages` is the folder of npm that holds @litertjs/core.
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console

from keras_shufflenet._results import append_row
from keras_shufflenet.inference.predictor import Predictor

PROGRAM = "python tools/browser_outputs.py"
PAGE = Path(__file__).parents[1] / "examples" / "browser"
CORE = "@litertjs/core"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu")
SECONDS = 120


def find_browser() -> str | None:
    """Return the path of Chromium or Chrome, None if neither is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Server(ThreadingHTTPServer):
    """Serves a folder on this machine, and keeps what pages send."""

    def __init__(self, folder: Path) -> None:
        self.reports: Queue[bytes] = Queue()
        super().__init__(
            ("127.0.0.1", 0),
            lambda *arguments: Handler(self.reports, *arguments, directory=str(folder)),
        )


class Handler(SimpleHTTPRequestHandler):
    """Serves files, and puts what the page sends into a queue."""

    def __init__(self, reports: "Queue[bytes]", *arguments: Any, directory: str) -> None:
        self._reports = reports
        super().__init__(*arguments, directory=directory)  # which handles the request

    def do_POST(self) -> None:
        """Take the numbers of the page."""
        self._reports.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Run the server of a folder."""
    server = Server(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def browser_outputs(browser: str, packages: Path, files: Sequence[Path], image: Path) -> list[Any]:
    """Return the first output of each file, computed in a browser on an image.

    Args:
        browser: Program of the browser.
        packages: The folder node_modules.
        files: `.tflite` files.
        image: Image of their input size, without loss (PNG).

    Raises:
        RuntimeError: If the page reports an error, or nothing.
    """
    outputs = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "browser").symlink_to(PAGE.resolve())
        (folder / "node_modules").symlink_to(packages.resolve())
        shutil.copy(image, folder / f"image{image.suffix}")
        for path in files:
            shutil.copy(path, folder / path.name)
        with served(folder) as server:
            host = f"http://127.0.0.1:{server.server_port}"
            for path in files:
                query = f"model=/{path.name}&image=/image{image.suffix}&report=/report"
                outputs.append(_open(browser, f"{host}/browser/index.html?{query}", server))
    return outputs


def _open(browser: str, address: str, server: Server) -> np.ndarray:
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, *ARGUMENTS, f"--user-data-dir={profile}", address]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            report = json.loads(server.reports.get(timeout=SECONDS))
        except Empty:
            report = {"error": f"nothing after {SECONDS} seconds"}
        finally:
            process.terminate()
            _, log = process.communicate()
    if "error" in report:
        raise RuntimeError(
            f"{report['error']} in {address}: {log.decode(errors='replace')[-2000:]}"
        )
    return np.array(report["values"], np.float32).reshape(report["shape"])


def main(
    files: Annotated[list[Path], typer.Argument(exists=True, help="Exported .tflite files.")],
    image: Annotated[Path, typer.Option(exists=True, help="PNG of their input size.")],
    packages: Annotated[Path, typer.Option(exists=True, help="Folder node_modules.")],
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append rows to.")] = None,
) -> None:
    """Compare the outputs of files."""
    browser = find_browser()
    if browser is None:
        raise typer.BadParameter(f"One of {', '.join(BROWSERS)} must be installed. Received: none")
    version = subprocess.run([browser, "--version"], capture_output=True, text=True, check=True)
    core = json.loads((packages / CORE / "package.json").read_text())["version"]
    pixels = np.asarray(Image.open(image).convert("RGB"))[None]
    for path, found in zip(files, browser_outputs(browser, packages, files, image), strict=True):
        expected = Predictor.load(path).predict(pixels)
        row: dict[str, float | str] = {
            "file": path.name,
            "client": f"LiteRT.js {core}, WebAssembly, {' '.join(version.stdout.split()[:2])}",
            "largest difference": float(np.abs(found - expected).max()),
            "largest output": float(np.abs(expected).max()),
        }
        Console().print(row)
        if results_csv is not None:
            append_row(results_csv, row, PROGRAM)


if __name__ == "__main__":
    typer.run(main)
