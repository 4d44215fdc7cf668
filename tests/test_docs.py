"""What README.md and docs/ show runs, on synthetic people and synthesized checkpoints."""

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

import keras_shufflenet as ks
from keras_shufflenet.cli import main
from keras_shufflenet.inference import lite
from keras_shufflenet.synthetic_people.walking import walking_people
from tests import shortcuts
from tests.hands import draw_hands
from tests.models import golden_nets
from tests.shortcuts import eager_training, unset_weights

ROOT = Path(__file__).parents[1]
PAGES = (
    *("README.md", "docs/pose.md", "docs/finetune.md", "docs/export.md", "docs/benchmarks.md"),
    *("docs/distributed.md", "docs/teachers.md"),
)
DATASETS = {"train2017": 8, "val2017": 2}
CHECKPOINTS = {
    "shufflenet_v2_x1_0.torchvision": "torchvision_shufflenet_v2_x1_0",
    "mobilenet_v2_x1_0.torchvision_v2": "torchvision_mobilenet_v2_1.0",
    "pose_shufflenet_v2_x1_0_coco_256x192.mmpose_v1": "mmpose1_shufflenetv2_coco_256x192",
}
# What takes hours is cut short; the rest runs as it is written.
SHORTER = {
    "train pose shufflenet_v2_x1_0 --head light --weights imagenet --epochs 20": (
        "train pose shufflenet_v2_x0_25 --head light --weights none --epochs 1 "
        "--input-size 64x64 --batch-size 16"
    ),
    "train pose shufflenet_v2_x1_0 --head fpn --recipe finetune": (
        "train pose shufflenet_v2_x0_25 --head fpn --recipe finetune --weights none --epochs 1 "
        "--input-size 64x64"
    ),
    "train pose shufflenet_v2_x1_0 --head fpn --recipe distill": (
        "train pose shufflenet_v2_x0_25 --head fpn --recipe distill --weights none --epochs 1 "
        "--input-size 64x64 --batch-size 4"
    ),
    "label photos": "label photos --person-threshold 0",
    "train detect nanodet_plus_m --initial-checkpoint coco": (
        "train detect nanodet_m_x0_5 --weights none --epochs 1 --input-size 64x64 --batch-size 8"
    ),
    "train classify shufflenet_v2_x1_0 --data photos": (
        "train classify shufflenet_v2_x0_25 --weights none --input-size 32x32 --epochs 1 "
        "--frozen-epochs 0 --data photos"
    ),
    'create_model("shufflenet_v2_x1_0", classes=photos.class_names, weights="imagenet")': (
        'create_model("shufflenet_v2_x0_25", classes=photos.class_names, input_shape=(32, 32, 3))'
    ),
    "finetune(epochs=15)": "mmcls(epochs=1, batch_size=2)",
    "steps_per_epoch=1000, epochs=10": "steps_per_epoch=1, epochs=1",
    'pose = ks.PoseEstimator(\n    "shufflenet_v2_x1_0", head="light", input_size=(256, 192), '
    'backbone_weights="imagenet"\n)': (
        'pose = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=(64, 64))'
    ),
    "model=pose, training=True)": "model=pose, training=True, batch_size=4)",
    "representative_dataset=train)": "representative_dataset=train, num_calibration_samples=4)",
    'model = ks.ShuffleNetV2(width=1.0, weights="imagenet")\nimages =': (
        "model = ks.ShuffleNetV2(width=0.25)\nimages ="
    ),
    'ks.feature_extractor(\n    "shufflenet_v2_x1_0", strides=(8, 16, 32), input_shape=': (
        'ks.feature_extractor(\n    "shufflenet_v2_x0_25", strides=(8, 16, 32), input_shape='
    ),
    '"runs/light/model.keras", detector="nanodet_plus_m_416"': (
        '"runs/light/model.keras", detector="small_detector.keras"'
    ),
    "--detector nanodet_plus_m_416": "--detector small_detector.keras",
    "--calibration-image-dir train2017": (
        "--calibration-image-dir train2017 --num-calibration-samples 4"
    ),
    "--calibration-image-dir hands_train": (
        "--calibration-image-dir hands_train --num-calibration-samples 4"
    ),
    "export nanodet_plus_m_416": "export small_detector.keras",
    "--steps 500": "--steps 1 --batch-size 1 --num-calibration-samples 2",
}
FULL = (
    "x1_0",
    "width=1.0",
    "imagenet",
    "classify cat.jpg",
    "predict pose",
    "predict detect",
    "label photos",
)  # need all units of the network


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    for long, short in SHORTER.items():
        found = [block.replace(long, short) for block in found]
    return found


def commands(page: str) -> list[str]:
    joined = [block.replace("\\\n", " ") for block in blocks(page, "console")]
    return [line for block in joined for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)]


@pytest.fixture(scope="module")
def state():
    """A state dict of torch tensors, to be filled by the fixture `here`."""
    return {}


@pytest.fixture(scope="module")
def here(tmp_path_factory, shared, synth, state):
    """The working directory: files that the pages name, and a mirror with the checkpoints."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch, eager_training():
        patch.setattr(shortcuts, "UNITS", (1, 1, 1))
        patch.chdir(folder)
        patch.setenv("KERAS_SHUFFLENET_MIRROR", str(folder / "mirror"))
        patch.setenv("KERAS_HOME", str(folder / "home"))
        (folder / "mirror").mkdir()
        detector = shared / "weights" / "nanodet_plus_m_416_coco.pth"
        shutil.copy(detector, folder / "mirror" / "nanodet-plus-m_416.pth")
        teacher = shared / "weights" / "simplepose_mobilenetv2_0.5_coco.onnx"
        shutil.copy(teacher, folder / "simplepose.onnx")
        for name, golden in CHECKPOINTS.items():
            meta, _ = golden_nets.load_fixture(shared / "golden", golden)
            arrays = golden_nets.state_dict(synth, meta)
            entry = ks.weights.get_entry(name)
            path = folder / "mirror" / entry.file
            torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, path)
            digest = sha256(path.read_bytes()).hexdigest()
            catalog = ks.weights.catalog.CATALOG
            patch.setitem(catalog, name, replace(entry, sha256=digest, size=None))
            if name.startswith("shufflenet"):
                state.update(torch.load(path))
                shutil.copy(path, folder / "shufflenetv2_x1-5666bf0f80.pth")
        for name, count in DATASETS.items():
            people = ks.synthetic_people.create_dataset(
                folder / name, count, image_size=(160, 160), workers=1, verbose=False
            )
            shutil.copy(people.annotations, folder / f"person_keypoints_{name}.json")
            for image in people.image_dir.iterdir():
                shutil.copy(image, folder / name / image.name)
        _add_hands(folder)
        images = sorted((folder / "train2017").glob("*.jpg"))
        photos = (f"photos/{name}/{number}.jpg" for name in ("daisy", "rose") for number in "12")
        for name in ("photo.jpg", "cat.jpg", *photos):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(images[0], folder / name)
        keras.utils.set_random_seed(0)
        with shortcuts.shallow():
            small = ks.NanoDetPlus(backbone="shufflenet_v2_x0_25", input_shape=(64, 64, 3))
        small.save(folder / "small_detector.keras")
        ks.export.litert(small, folder / "detector_int8.tflite")  # commands come after Python
        with ks.inference.VideoWriter(folder / "clip.mp4", 30) as writer:
            for number, (frame, _) in enumerate(walking_people(3, image_size=(120, 160))):
                writer.write(frame, number / 30)
        yield folder


def _add_hands(folder: Path) -> None:
    for name, count in {"hands_train": 4, "hands_val": 1}.items():
        annotations, images = draw_hands(folder / "drawn" / name, count)
        shutil.copy(annotations, folder / f"{name}.json")
        shutil.copytree(images, folder / name)
    shutil.copy(folder / "hands_val" / "hand_1.jpg", folder / "hand.jpg")
    (skeleton,) = blocks("docs/pose.md", "json")
    (folder / "hand.json").write_text(skeleton)


@pytest.fixture(scope="module")
def commands_done(here, shallow):
    """Run all commands of all pages once: the commands."""
    done = []
    for page in PAGES[:1]:
        for command in commands(page):
            run(command, shallow, done)
    return done


def run(command: str, shallow, done: list[str]) -> None:
    words = shlex.split(command.partition(" #")[0])
    if command in done or words[0] not in ("keras-shufflenet", "python"):
        return
    if words[:3] == ["python", "-m", lite.__name__]:
        assert lite.main(words[3:]) == 0, command
    elif words[0] == "keras-shufflenet":
        full = any(word in command for word in FULL)
        with contextlib.nullcontext() if full else shallow(), pytest.raises(SystemExit) as end:
            main.run(words[1:])
        assert not end.value.code, command
    done.append(command)


def execute(page: str, names: dict, shallow) -> None:
    for block in blocks(page, "python"):
        with contextlib.nullcontext() if any(w in block for w in FULL) else shallow():
            exec(compile(block, page, "exec"), names)


def test_readme(commands_done, here, state, shallow):
    assert len(commands_done) == 7
    assert (here / "runs/light/model.keras").is_file()
    assert list((here / "predictions").iterdir())
    names = {
        "images": np.zeros((1, 224, 224, 3), "float32"),
        "torch_model": SimpleNamespace(state_dict=lambda: state),
    }
    execute("README.md", names, shallow)
    assert (here / "pose_int8.tflite").is_file()


@pytest.mark.filterwarnings("default:The skeleton 'hand' has no sigmas")
@pytest.mark.filterwarnings("default:simplepose.onnx sees persons stretched")  # of 64 × 64
@pytest.mark.parametrize("page", PAGES[1:])
def test_page(page, commands_done, here, shallow):
    keras.utils.set_random_seed(1)  # int8 cannot express all untrained weights
    execute(page, {}, shallow)
    for command in commands(page):
        run(command, shallow, commands_done)


def test_the_auxiliary_loss_of_the_models_page():
    block, *_ = blocks("docs/models.md", "python")
    images = np.zeros((2, 32, 32, 3), "float32")
    dataset = tf.data.Dataset.from_tensors((images, np.eye(10, dtype="float32")[:2]))
    small = block.replace("classes=10)", "classes=10, input_shape=(32, 32, 3))")
    small = small.replace('"sgd",', '"sgd", run_eagerly=True, jit_compile=False,')
    small = small.replace("model.fit(", "model.evaluate(").replace(", shuffle=False", "")
    with unset_weights():
        exec(small, {"ks": ks, "keras": keras, "dataset": dataset})


def test_the_detectors_of_the_models_page(here, shallow):
    _, block, retinanet = blocks("docs/models.md", "python")
    build = 'create_model("nanodet_plus_m_416", weights="coco")'
    assert build in block
    small = 'NanoDetPlus(backbone="shufflenet_v2_x0_25", input_shape=(64, 64, 3))'
    with shallow():
        exec(block.replace(build, small), {"ks": ks})
        exec(retinanet.replace("(320, 320, 3)", "(64, 64, 3), fpn_channels=8"), {"ks": ks})
    done = []
    for command in commands("docs/models.md"):
        run(command, shallow, done)
    assert len(done) == 2
    assert (here / "predictions" / "photo.png").is_file()
    assert (here / "detected" / "clip.mp4").is_file()


def test_what_is_cut_short_is_there():
    pages = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    text = pages + pages.replace("\\\n", " ")
    assert [long for long in SHORTER if long not in text] == []


def test_make_has_the_two_commands():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_extras_are_those_of_the_package():
    setup = (ROOT / "setup.cfg").read_text().partition("[options.extras_require]")[2]
    extras = re.findall(r"^(\w+) =$", setup.partition("\n[")[0], re.MULTILINE)
    section = (ROOT / "README.md").read_text().partition("## Extras")[2].partition("\n## ")[0]
    assert sorted(extras) == sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *PAGES[1:], "docs/contributing.md", "docs/datasets.md"]
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target
