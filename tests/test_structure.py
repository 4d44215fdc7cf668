"""The structure of the package: directions of imports, names and sizes of modules, vocabulary."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import keras_shufflenet

PACKAGE = Path(keras_shufflenet.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")

# A package may import those of the lines before it; those of one line do not import each other,
# except for the modules without a package in the first line.
LAYERS = (
    (
        *("version", "_checks", "_files", "_keras_private", "_layer_names", "_read_report"),
        *("_requirements", "_results", "_types"),
    ),
    ("weights",),
    ("keypoints",),
    ("detection",),
    ("models", "litert", "synthetic_people", "datasets"),
    ("data",),
    ("inference",),
    ("metrics",),
    ("training", "export"),
    ("benchmark",),
    ("search",),
    ("cli",),
    ("__main__",),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

# Names that several packages may use: those of tasks, datasets, formats and families.
SHARED_NAMES = {
    "__main__", "coco", "detection", "detnas", "heatmaps", "imagenet", "litert", "mobilenet_v2",
    "mpii", "options", "pose", "search_space", "shufflenet_v1", "shufflenet_v2",
    "shufflenet_v2_large", "supernet",
}  # fmt: skip
LONGEST, SHORTEST = 350, 50
LONGER = {
    "export/qat/worker.py": "runs in a process of its own, in which Keras 3 is not imported",
}
SHORTER = {
    "__main__.py", "version.py", "_layer_names.py", "_types.py",
    "benchmark/engines/litert.py", "datasets/__main__.py", "detection/coco_classes.py",
    "export/_tensorflow_private.py", "metrics/tables.py", "weights/errors.py",
}  # fmt: skip

# Words of our own, each with the term of the field that says it.
REPLACED = {
    r"\bjoints?\b(?! angles)": "keypoint",
    r"has to be|have to be": "must be",
    r"colour|licence|\bcentre|normalis|optimis|\bgrey\b|behaviour|neighbour": "American spelling",
    r"(?<!standard )\bdeviations?\b": "error, or standard deviation",
    r"\bpeers?\b": "other runtimes",
    r"\bTopDown\b": "PosePredictor",
    r"\bJointsMSE\b": "KeypointMSELoss",
    r"\blowered\b|\blowering\b": "optimized for inference",
    r"drawn (people|person)|draws? people": "synthetic people",
    r"\bthe house\b|\brooms?\b|\bfloors?\b": "package",
    r"\bgiants?\b": "ShuffleNetV2.Large and .ExLarge",
    r"take turns": "measurements are interleaved",
    r"odd ones": "missing and unexpected keys",
    r"spell(s|ed|ing)? out": "decompose",
    r"\bcontact.sheets?\b": "image grid",
    r"\bverbs?\b": "command",
    r"cut off": "clipped, or truncated",
    r"stock export": "default TFLite converter",
    r"by hand\b": "manual",
    r"nobody": "no person",
    r"\bgo(es)? on where\b": "resume",
    r"\bdesc?ribes? itself": "has metadata",
    r"\bfigures\b(?! *=)": "metrics, numbers",
    r"\benliven": "randomize weights",
}
# Lines that keep such a word, by a part of them: keys of files and of other people's formats.
KEPT = (
    '"joints', "'joints", "/joints", "joints = [[", "joints=[[", "joints_vis", "jnt_",
    "annorect", "joint_", "upper_body",
    "noise floor", "np.floor", "tf.floor", "math.floor", ".floor(", "FLOOR", "FORMER_NAMES",
)  # fmt: skip
FOLDERS = ("keras_shufflenet", "weights_conversion", "tools", "examples", "docs", "tests")
TEXTS = [
    ROOT / "README.md",
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))),
]
TEXTS = [path for path in TEXTS if path.suffix in (".py", ".md") and path != Path(__file__)]


def package(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Names of our top-level packages and modules that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras_shufflenet"):
            found |= {f"{node.module}.{alias.name}".split(".")[1] for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "keras_shufflenet" and parts[1:]}
    return found & set(LAYER)


def test_imports_go_in_one_direction():
    assert {package(path) for path in MODULES} == set(LAYER)
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in MODULES
        for name in imported(path) - {package(path)}
        if LAYER[name] >= LAYER[package(path)] > 0
    ]
    assert wrong == []


def test_a_name_of_a_module_says_one_thing():
    count = Counter(path.stem for path in MODULES if path.stem != "__init__")
    assert {name for name, times in count.items() if times > 1} == SHARED_NAMES


def test_modules_are_neither_long_nor_tiny():
    lines = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES
    }
    assert {name for name, number in lines.items() if number > LONGEST} == set(LONGER)
    tiny = {name for name, number in lines.items() if number < SHORTEST}
    assert {name for name in tiny if not name.endswith("__init__.py")} == SHORTER


@pytest.mark.parametrize("old", REPLACED)
def test_vocabulary_is_that_of_the_field(old):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(old, line, re.IGNORECASE) and not any(word in line for word in KEPT)
    ]
    assert found == [], f"say: {REPLACED[old]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_private_interfaces_of_frameworks_have_one_place(path):
    """Keras and TensorFlow may change theirs: two modules hold all uses, and a test guards each."""
    if path.name in ("_keras_private.py", "_tensorflow_private.py"):
        return
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"keras\.src|tensorflow\.python|from keras\._|tf\.__internal__", text)
