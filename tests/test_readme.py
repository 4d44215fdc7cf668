"""Everything that README.md shows runs, on drawn people and synthesized checkpoints."""

import contextlib
import re
import shlex
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from typer.testing import CliRunner

import keras_shufflenet as ks
from keras_shufflenet.cli.main import app
from keras_shufflenet.inference import lite
from tests.models import golden_nets

ROOT = Path(__file__).parents[1]
MODELS_PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATASETS = {"train2017": 8, "val2017": 4}
CHECKPOINTS = {
    "shufflenet_v2_x1_0.torchvision": "torchvision_shufflenet_v2_x1_0",
    "mobilenet_v2_x1_0.torchvision_v2": "torchvision_mobilenet_v2_1.0",
}
# What takes hours is cut short; the rest runs as it is written.
SHORTER = {
    "steps_per_epoch=1000, epochs=10": "steps_per_epoch=1, epochs=1",
    "shufflenet_v2_x1_0 --head light --weights imagenet --epochs 20": (
        "shufflenet_v2_x0_25 --head light --weights none --epochs 1"
    ),
    "input_size=(256, 192)": "input_size=(128, 96)",
    "calibration=train)": "calibration=train, calibration_images=4)",
    "--precision int8": "--precision int8 --count 4",
    "--threads 1 --threads 2 --engine 'LiteRT*'": "--rounds 2 --engine LiteRT",
    "--steps 500": "--steps 1 --batch-size 1 --count 2",
}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    for long, short in SHORTER.items():
        found = [block.replace(long, short) for block in found]
    return found


@pytest.fixture
def state():
    """A state dict of torch tensors, to be filled by the fixture `here`."""
    return {}


@pytest.fixture
def here(tmp_path, monkeypatch, shared, synth, state):
    """A folder with the files that README.md names, and a mirror with the checkpoints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "mirror").mkdir()
    for name, golden in CHECKPOINTS.items():
        meta, _ = golden_nets.load_fixture(shared / "golden", golden)
        arrays = golden_nets.state_dict(synth, meta)
        entry = ks.weights.get_entry(name)
        path = tmp_path / "mirror" / entry.file
        torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, path)
        monkeypatch.setitem(
            ks.weights.catalog.CATALOG,
            name,
            replace(entry, sha256=sha256(path.read_bytes()).hexdigest(), size=None),
        )
        if "shufflenet" in name:
            state.update(torch.load(path))
            shutil.copy(path, tmp_path / "shufflenetv2_x1-5666bf0f80.pth")
    for folder, count in DATASETS.items():
        people = ks.synthetic_people.create_dataset(
            tmp_path / folder, count, image_size=(160, 160), workers=1, verbose=False
        )
        shutil.copy(people.annotations, tmp_path / f"person_keypoints_{folder}.json")
        for image in people.image_dir.iterdir():
            shutil.copy(image, tmp_path / folder / image.name)
    images = sorted((tmp_path / "train2017").glob("*.jpg"))
    shutil.copy(images[0], tmp_path / "photo.jpg")
    shutil.copy(images[1], tmp_path / "cat.jpg")
    return tmp_path


def test_python(here, state):
    names = {
        "images": np.zeros((1, 224, 224, 3), "float32"),
        "torch_model": SimpleNamespace(state_dict=lambda: state),
    }
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert (here / "pose_int8.tflite").stat().st_size < 2_500_000


def test_commands(here, shallow):
    commands = [
        line
        for block in blocks("console")
        for line in re.findall(r"^\$ (.*)$", block.replace("\\\n", " "), re.MULTILINE)
        if line.startswith("keras-shufflenet")
    ]
    assert len(commands) == 9
    for command in commands:
        with contextlib.nullcontext() if "x1_0" in command else shallow():
            done = CliRunner().invoke(app, shlex.split(command)[1:])
        assert done.exit_code == 0, (command, done.output, done.exception)
    lines = [line for block in blocks("console") for line in block.splitlines()]
    (runner,) = [line for line in lines if line.startswith(f"$ python -m {lite.__name__} ")]
    assert lite.main(shlex.split(runner)[4:]) == 0
    assert (here / "runs/light/model.keras").is_file()
    assert list((here / "drawn").iterdir())


def test_the_auxiliary_loss_of_the_models_page():
    (block,) = re.findall(r"```python\n(.*?)```", MODELS_PAGE, re.DOTALL)
    images = np.zeros((2, 32, 32, 3), "float32")
    dataset = tf.data.Dataset.from_tensors((images, np.eye(10, dtype="float32")[:2]))
    small = block.replace("classes=10)", "classes=10, input_shape=(32, 32, 3))")
    small = small.replace('"sgd",', '"sgd", run_eagerly=True, jit_compile=False,')
    small = small.replace("model.fit(", "model.evaluate(").replace(", shuffle=False", "")
    exec(small, {"ks": ks, "keras": keras, "dataset": dataset})


def test_make_has_the_two_commands():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^\$ make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_extras_are_those_of_the_package():
    setup = (ROOT / "setup.cfg").read_text().partition("[options.extras_require]")[2]
    extras = re.findall(r"^(\w+) =$", setup.partition("\n[")[0], re.MULTILINE)
    table = README.partition("| extra | adds |")[2].partition("\n\n")[0]
    shown = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(extras) == sorted(shown)
