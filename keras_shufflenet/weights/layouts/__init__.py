"""How publishers name the layers of the networks that this package has.

A layout is one table from our layer to the publisher's module. The parameters of a module are
PyTorch's everywhere (`weight`, `bias`, `running_mean`, `running_var`), and their transposition
follows from the class of our layer, so that a new publisher needs a new table and nothing else.
"""

from keras_shufflenet.weights.layouts import (
    detnas,
    large,
    mobilenet_v2,
    search_space,
    shufflenet_v1,
    shufflenet_v2,
)
from keras_shufflenet.weights.layouts._layout import Layout

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        shufflenet_v1.MEGVII,
        shufflenet_v2.TORCHVISION,
        shufflenet_v2.MEGVII,
        search_space.ONE_SHOT,
        search_space.SHUFFLENET_V2_PLUS,
        detnas.SHALLOW,
        detnas.DEEP,
        large.LARGE,
        large.EXLARGE,
        mobilenet_v2.TORCHVISION,
        mobilenet_v2.TONYLINS,
        *shufflenet_v1.OPENMMLAB,
        *shufflenet_v2.OPENMMLAB,
        *mobilenet_v2.OPENMMLAB,
    )
}


def get(name: str) -> Layout:
    """The layout of a name.

    Raises:
        ValueError: if there is none.
    """
    if name not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {', '.join(LAYOUTS)}. Received: {name!r}")
    return LAYOUTS[name]
