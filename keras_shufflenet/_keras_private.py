"""The private parts of Keras that this package needs, each behind a function or class.

They have no public counterpart. `tests/test_keras_private.py` tells when an upgrade of Keras moves
them.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from itertools import chain, count
from typing import Any

import keras

SEED_STATES = "seed_states"  # group of a checkpoint


class KernelAdam(keras.optimizers.Adam):
    """Adam whose update is one kernel of TensorFlow for each variable.

    Keras' own takes about twenty operations for a variable, a tenth of the training step of a small
    network on a CPU, and computes the schedule once more for each that decays. With other backends
    and under a `tf.distribute` strategy it updates as Keras does.
    """

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        if self.weight_decay is None or not self._has_kernel(variables):
            super()._apply_weight_decay(variables)
            return
        share = self.learning_rate * self.weight_decay
        for variable in variables:
            if self._use_weight_decay(variable):
                variable.value.assign_sub(variable.value * share)

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[keras.Variable], learning_rate: Any
    ) -> None:
        if not self._has_kernel(trainable_variables):
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        import tensorflow as tf

        step = tf.cast(self.iterations.value + 1, tf.float32)
        numbers = {
            "beta1_power": tf.pow(self.beta_1, step),
            "beta2_power": tf.pow(self.beta_2, step),
            "lr": tf.cast(learning_rate, tf.float32),
            "beta1": self.beta_1,
            "beta2": self.beta_2,
            "epsilon": self.epsilon,
        }
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                grad=tf.convert_to_tensor(gradient),
                **numbers,
            )

    def _has_kernel(self, variables: list[keras.Variable]) -> bool:
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return False
        import tensorflow as tf

        is_float32 = all(variable.dtype == "float32" for variable in variables)
        return is_float32 and not tf.distribute.has_strategy()


class VariableRateAdam(KernelAdam):
    """Adam with a factor on the learning rate of each variable.

    Keras calls `_backend_update_step` once for all variables; here it is called once for each
    factor. (`update_step` would be public, but the PyTorch backend does not call it.)
    """

    def rate_factor(self, variable: keras.Variable) -> float:
        """Return the factor on the learning rate of a variable."""
        raise NotImplementedError

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[keras.Variable], learning_rate: Any
    ) -> None:
        groups: dict[float, list[tuple[Any, keras.Variable]]] = {}
        for pair in zip(grads, trainable_variables, strict=True):
            groups.setdefault(self.rate_factor(pair[1]), []).append(pair)
        for factor in sorted(groups, reverse=True):
            gradients, variables = map(list, zip(*groups[factor], strict=True))
            super()._backend_update_step(gradients, variables, learning_rate * factor)


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Return which of an optimizer's variables one is; `update_step` may get its value instead."""
    return optimizer._get_variable_index(variable)


def has_weight_decay(optimizer: keras.optimizers.Optimizer, variable: Any) -> bool:
    """Return whether `exclude_from_weight_decay` did not name a variable."""
    return optimizer._use_weight_decay(variable)


class LossScaling(keras.optimizers.LossScaleOptimizer):
    """Keras' loss scaling, which counts the steps that it leaves out, too.

    Steps, the learning rate's schedule and the samples that a resumed training begins with go by
    `iterations`. Keras does not count a step whose gradients overflow.
    """

    def _stateful_handle_non_finite_grads(self) -> None:
        super()._stateful_handle_non_finite_grads()
        self.inner_optimizer.iterations.assign_add(1)


def take_reduced_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer of TensorFlow take gradients that are the same on all replicas.

    Keras sums them in the update itself, after every replica has clipped its own.
    """
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs


def build_for(model: keras.Model, strategy: Any, element_spec: Any) -> None:
    """Create what a compiled model creates with its first batch, under a `tf.distribute` strategy.

    `fit` would take a batch for it, and fails at that under a strategy of several workers.
    """

    def build(iterator: Any = None, data_batch: Any = None) -> None:
        with strategy.scope():
            model._symbolic_build(data_batch=element_spec)

    model._maybe_symbolic_build = build


def weights_file(model: keras.Model) -> bytes:
    """Return the contents of the .weights.h5 file of a model, with the states of its dropout.

    `save_weights` lets HDF5 write the file, which ends the process where a disk is full, and leaves
    out the states.
    """
    from keras.src.saving import saving_lib

    buffer = BytesIO()
    store = saving_lib.H5IOStore(buffer, mode="w")
    saving_lib._save_state(
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )
    for number, state in enumerate(seed_states(model)):
        store.h5_file[f"{SEED_STATES}/{number}"] = keras.ops.convert_to_numpy(state)
    store.close()
    return buffer.getvalue()


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """Return the variables of a model that its random numbers depend on, in order."""
    return [v for v in model.variables if v.name == "seed_generator_state"]


def functional(model: Any) -> keras.Model | None:
    """Return a functional model itself, the functional model inside a sequential one, or None."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    return model if hasattr(model, "_nodes_by_depth") else None


def inlined_copy(model: keras.Model, shape: Sequence[int]) -> keras.Model:
    """Return a copy of a functional model for another input shape, without nested models.

    Args:
        model: A functional or sequential model with one input.
        shape: (height, width, channels).

    Raises:
        ValueError: If the model is of another kind.
    """
    from keras.src.saving.serialization_lib import SafeModeScope

    network = functional(model)
    if network is None:
        raise ValueError(
            "`model` must be a functional or sequential model. "
            f"Received: {model.name}, a {type(model).__name__}"
        )
    copies: dict[int, tuple[Any, Any]] = {}
    names = {layer.name for layer in network.layers}

    def run(inner: keras.Model, inputs: Any, depth: int) -> Any:
        return inner._run_through_graph(inputs, operation_fn=partial(operation, depth=depth))

    def operation(layer: Any, depth: int) -> Any:
        inner = functional(layer)
        if inner is not None:
            return lambda inputs, **_: run(inner, inputs, depth + 1)
        if id(layer) not in copies:
            config = layer.get_config()
            if depth > 0:
                numbered = (f"{layer.name}_{number}" for number in count(2))
                config["name"] = next(n for n in chain([layer.name], numbered) if n not in names)
                names.add(config["name"])
            copies[id(layer)] = layer, layer.__class__.from_config(config)
        return copies[id(layer)][1]

    images = keras.Input(tuple(shape), name=model.inputs[0].name)
    with SafeModeScope(False):  # the model is here: its code is no code of a file
        outputs = run(network, images, 0)
    for layer, copy in copies.values():
        if isinstance(layer, keras.Layer):
            copy.set_weights(layer.get_weights())
    return keras.Model(images, outputs, name=model.name)


def output_shapes(model: keras.Model, any_side: int) -> list[tuple[str, tuple[int | None, ...]]]:
    """Return names and output shapes of all layers of a model, nested ones included.

    Args:
        model: A functional or sequential model.
        any_side: What stands for sizes of the input that vary.
    """
    found: list[tuple[str, tuple[int | None, ...]]] = []

    def run(inner: keras.Model, inputs: Any) -> Any:
        return inner._run_through_graph(inputs, operation_fn=operation)

    def operation(layer: Any) -> Any:
        inner = functional(layer)
        if inner is not None:
            return lambda inputs, **_: run(inner, inputs)

        def spec(*args: Any, **arguments: Any) -> Any:
            outputs = layer.compute_output_spec(*args, **arguments)
            found.extend((layer.name, tuple(each.shape)) for each in keras.tree.flatten(outputs))
            return outputs

        return spec

    images = [
        keras.KerasTensor((None, *(side or any_side for side in image.shape[1:])), image.dtype)
        for image in model.inputs
    ]
    run(functional(model), images)
    return found


def calls(model: keras.Model) -> Iterator[Any]:
    """Yield the nodes of a functional model in the order of computation, without its inputs."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (call for call in model._nodes_by_depth[depth] if not call.is_input)


def operations(model: keras.Model) -> list[Any]:
    """Return the layers and operations of a functional model in the order of computation."""
    by_depth = model._operations_by_depth
    return [operation for depth in sorted(by_depth, reverse=True) for operation in by_depth[depth]]


def inbound_call(operation: Any) -> Any:
    """Return the node of an operation that is called once."""
    (call,) = operation._inbound_nodes
    return call


def reading_operations(operation: Any) -> list[Any]:
    """Return the operations that read the outputs of an operation."""
    return [call.operation for call in operation._outbound_nodes]


def operation_of(tensor: keras.KerasTensor) -> Any:
    """Return the layer or operation that computes a symbolic tensor."""
    return tensor._keras_history.operation
