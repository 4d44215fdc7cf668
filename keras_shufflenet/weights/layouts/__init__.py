"""Layouts: maps from the publishers' parameter names to our layers.

A layout maps each of our layers to a publisher's module. The parameters of a module have PyTorch's
names everywhere (`weight`, `bias`, `running_mean`, `running_var`), and their transposition follows
from the class of our layer, so that a new publisher takes a new table and nothing else: every
`Layout` that a file of this folder defines is found.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from keras_shufflenet.weights.layouts._layout import KerasLayout, Layout


def get(name: str) -> Layout:
    """Return a layout by name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {', '.join(LAYOUTS)}. Received: layout={name!r}")
    return LAYOUTS[name]


def _defined() -> Iterator[Layout]:
    """Yield the layouts, and those in lists of layouts, of all files of this folder."""
    for info in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(import_module(info.name)).values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Layout):
                    yield item


_ALL = list(_defined())
LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in _ALL if not isinstance(layout, KerasLayout)
}
KERAS_LAYOUTS = [layout for layout in _ALL if isinstance(layout, KerasLayout)]
