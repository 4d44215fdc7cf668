"""Supernets: one network with the weights of all architectures of a search space.

`Supernet` makes one of any model on a network of the space: a classifier, a pose estimator or a
detector. Every unit is replaced by a `ChoiceUnit`; the other layers stay. `extract` goes back.

Paper: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV
    2020, https://arxiv.org/abs/1904.00420; code: https://github.com/megvii-model/SinglePathOneShot.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_shufflenet._checks import check_choice
from keras_shufflenet._layer_names import is_body
from keras_shufflenet.models.detnas import SPLITS, Split
from keras_shufflenet.search.choice_unit import ChoiceUnit
from keras_shufflenet.search.spaces import Architecture, SearchSpace, search_space
from keras_shufflenet.training.batch_norm import estimate_statistics
from keras_shufflenet.training.run_folder import FINAL
from keras_shufflenet.weights import load_state_dict, supernet_path
from keras_shufflenet.weights.keras_archive import load_model_file

UNIT = re.compile(r"(stage\d+_unit\d+)_.+")
PREFIX = "supernet_"


class Supernet:
    """A Keras model with all choices of every unit, and the architecture that it computes.

    Args:
        model: From `Supernet.of` or a file that it was saved to.

    Attributes:
        model: The functional model, from images to the outputs of the selected architecture. The
            selection is a part of its variables, so that nothing is traced again when it changes.
        space: The search space.

    Raises:
        ValueError: If the model is no supernet.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.units = [layer for layer in model.layers if isinstance(layer, ChoiceUnit)]
        if not self.units:
            raise ValueError(
                "`model` must be a supernet, from `Supernet.of` or its file. "
                f"Received: a model named {model.name!r} without choices"
            )
        self.space = search_space(self.units[0].space, self.units[0].channel_scales)
        self._train_mode: Any = None

    @classmethod
    def of(
        cls,
        model: keras.Model,
        space: SearchSpace,
        *,
        split: Split = "even_odd",
        affine: bool | None = None,
    ) -> "Supernet":
        """Make a supernet of a model on a network of a search space.

        Args:
            model: For example ``OneShotNet()``, ``PoseEstimator("one_shot", head="fpn")`` or
                ``RetinaNet("detnas_coco_fpn_300m")``; which architecture it has does not matter.
                Layers that are not in units keep their weights, units get new ones.
            space: The search space.
            split: How units of stride 1 split their channels: "even_odd", or "standard" as in
                DetNAS' published supernets.
            affine: Whether batch normalizations of the network have gamma and beta; by default as
                published: not in the space one_shot.

        Raises:
            ValueError: If the model has other units than the space.
        """
        check_choice("split", split, SPLITS)
        affine = space.name != "one_shot" if affine is None else affine
        _check_units(model, space)
        units: dict[str, ChoiceUnit] = {}

        def call(layer: Any, *inputs: Any, **arguments: Any) -> Any:
            match = UNIT.fullmatch(layer.name)
            if match is None:
                return layer(*inputs, **arguments)
            if not layer.name.endswith("_concat"):
                return inputs[0]  # the input of the unit, passed through to its end
            name = match[1]
            (x, *_) = inputs[0]
            filters, strides = layer.output.shape[-1], 2 if name.endswith("unit0") else 1
            if keras.config.image_data_format() == "channels_first":
                filters = layer.output.shape[1]
            scales = list(space.channel_scales)
            units[name] = ChoiceUnit(space.name, scales, filters, strides, split, affine, name=name)
            return units[name](x)

        changed = keras.models.clone_model(
            model, clone_function=lambda layer: _copied(layer, affine), call_function=call
        )
        named = keras.Model(changed.inputs[0], changed.outputs[0], name=f"{PREFIX}{model.name}")
        for layer in model.layers:
            if layer.weights and UNIT.fullmatch(layer.name) is None:
                _copy_layer(layer, named.get_layer(layer.name))
        return cls(named)

    @classmethod
    def load(cls, path: str | Path) -> "Supernet":
        """Open the `.keras` file of a supernet, or the folder of its training.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is another model.
        """
        path = Path(path)
        file = path / FINAL if path.is_dir() else path
        if not file.is_file():
            raise FileNotFoundError(f"The supernet must be an existing file. Received: {file}")
        try:
            model = load_model_file(file, (keras.saving.get_registered_name(ChoiceUnit),))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"The supernet must be a .keras file of this package ({error}). Received: {file}"
            ) from error
        return cls(model)

    def select(self, architecture: Architecture) -> None:
        """Let the model compute an architecture.

        Raises:
            ValueError: If it is not of the search space.
        """
        select(self.model, self.space, architecture)

    def recalibrate(self, batches: Iterable[Any]) -> None:
        """Estimate the statistics of batch normalizations for the selected architecture anew.

        Those of training are of all architectures. Nothing of the statistics before is kept: they
        become the means of all batches.

        Args:
            batches: Images as the model takes them, in batches of one size.

        Raises:
            ValueError: If the backend is JAX, where a branch cannot change variables.
        """
        if keras.backend.backend() == "jax":
            raise ValueError(
                "`recalibrate` needs the backend tensorflow or torch. Received: the backend jax"
            )
        if self._train_mode is None:
            self._train_mode = _traced(self.model)
        norms = [
            *_norms(self.model),
            *(n for u in self.units for b in u.branches for n in _norms(b)),
        ]
        estimate_statistics(self.model, batches, norms=norms, run=self._train_mode)

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Load a published supernet: of SinglePathOneShot, or of DetNAS (with split="standard").

        Args:
            state: Arrays by name, as returned by `weights.read_checkpoint`.

        Raises:
            ValueError: If keys are missing or unexpected, or shapes differ.
        """
        for choice in self.space.choices:
            architecture = Architecture((choice,) * self.space.units)
            network = self.extract(architecture, affine=self.units[0].affine)
            load_state_dict(network, supernet_path(state, architecture.choices))
            self._insert(network, architecture)

    def extract(
        self, architecture: Architecture, *, affine: bool = True, name: str | None = None
    ) -> keras.Model:
        """Return an architecture as a plain model with the weights of the supernet.

        Its outputs are those of the supernet; its layers are those of `OneShotNet`, `DetNAS`, or
        the builder that the supernet was made with. The statistics of its batch normalizations are
        those of the supernet, see `recalibrate`.

        Args:
            architecture: The architecture.
            affine: Whether batch normalizations have gamma and beta although the supernet's may
                have none; they are 1 and 0 then.
            name: Name of the model. Defaults to that of the supernet's with the architecture.

        Raises:
            ValueError: If the architecture is not of the search space.
        """
        self.space.check(architecture)
        numbers = {unit.name: index for index, unit in enumerate(self.units)}

        def call(layer: Any, *inputs: Any, **arguments: Any) -> Any:
            if not isinstance(layer, ChoiceUnit):
                return layer(*inputs, **arguments)
            index = numbers[layer.name]
            choice, scale = architecture.choices[index], architecture.channel_scales[index]
            return layer.block(inputs[0], choice, scale, affine)

        copy = keras.models.clone_model(
            self.model, clone_function=lambda layer: _copied(layer, affine), call_function=call
        )
        text = re.sub(r"\W+", "_", str(architecture))
        own = name or f"{self.model.name.removeprefix(PREFIX)}_{text}"
        network = keras.Model(copy.inputs[0], copy.outputs[0], name=own)
        for source, layer in self._pairs(network, architecture):
            _copy_layer(source, layer)
        return network

    def _insert(self, network: keras.Model, architecture: Architecture) -> None:
        for layer, source in self._pairs(network, architecture):
            _copy_layer(source, layer)

    def _pairs(
        self, network: keras.Model, architecture: Architecture
    ) -> list[tuple[keras.Layer, keras.Layer]]:
        """Return the layers with weights of the supernet and of a network, in pairs."""
        parts = zip(self.units, architecture.choices, strict=True)
        inside = {layer.name: layer for unit, c in parts for layer in unit.branches[c].layers}
        known = {layer.name: layer for layer in self.model.layers} | inside
        return [(known[layer.name], layer) for layer in network.layers if layer.weights]


def select(model: keras.Model, space: SearchSpace, architecture: Architecture) -> None:
    """Let a supernet's model, or a copy of it, compute an architecture."""
    space.check(architecture)
    units = (layer for layer in model.layers if isinstance(layer, ChoiceUnit))
    parts = zip(units, architecture.choices, architecture.channel_scales, strict=True)
    for unit, choice, scale in parts:
        unit.select(choice, scale)


def _check_units(model: keras.Model, space: SearchSpace) -> None:
    """Raise ValueError unless a model has the units and channels of a space."""
    ends = {
        f"stage{stage}_unit{unit}_concat": filters
        for stage, (count, filters) in enumerate(
            zip(space.stage_units, space.stages, strict=True), start=1
        )
        for unit in range(count)
    }
    axis = -1 if keras.config.image_data_format() == "channels_last" else 1
    found = {
        layer.name: layer.output.shape[axis]
        for layer in model.layers
        if layer.name.endswith("_concat") and UNIT.fullmatch(layer.name)
    }
    if found != ends or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"`model` must be built on a network of the space {space.name}: {space.units} units "
            f"with {space.stages} channels, one input and one output. "
            f"Received: {model.name!r} with {len(found)} units"
        )


def _copied(layer: Any, affine: bool) -> Any:
    """Return a copy of a layer outside of units, with or without gamma and beta."""
    if isinstance(layer, ChoiceUnit) or not isinstance(layer, keras.Layer):
        return layer
    if UNIT.fullmatch(layer.name):
        return layer
    config = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization) and is_body(layer.name):
        config |= {"center": affine, "scale": affine}
    return type(layer).from_config(config)


def _copy_layer(source: keras.Layer, layer: keras.Layer) -> None:
    """Copy the variables that both layers have: their first channels, where there are fewer."""
    values = {variable.name: variable for variable in source.weights}
    for variable in layer.weights:
        if variable.name in values:
            value = keras.ops.convert_to_numpy(values[variable.name])
            variable.assign(value[tuple(map(slice, variable.shape))])


def _norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]


def _traced(model: keras.Model) -> Any:
    """Return a function that runs a model in training mode, traced once with TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return lambda images: model(images, training=True)
    import tensorflow as tf

    return tf.function(
        lambda images: model(images, training=True), autograph=False, reduce_retracing=True
    )
