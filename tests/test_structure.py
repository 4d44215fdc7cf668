"""Imports between the rooms of the package go in one direction."""

import ast
from pathlib import Path

import keras_shufflenet

PACKAGE = Path(keras_shufflenet.__file__).parent
# A room may import those before it.
ROOMS = (
    "version",
    "_checks",
    "_files",
    "_layer_names",
    "_results",
    "_types",
    "weights",
    "keypoints",
    "synthetic_people",
    "litert",
    "models",
    "data",
    "inference",
    "metrics",
    "training",
    "export",
    "benchmark",
    "cli",
)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras_shufflenet"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name.split(".")[1] for name in names}
    return found


def test_every_room_imports_only_from_the_rooms_before_it():
    paths = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert {room(path) for path in paths} == set(ROOMS)
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in paths
        for name in imported(path) & set(ROOMS)
        if ROOMS.index(name) > ROOMS.index(room(path))
    ]
    assert wrong == []
