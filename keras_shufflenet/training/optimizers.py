"""Adam that treats a pretrained backbone with care."""

from typing import Any

import keras

HEAD_PREFIX = "head_"  # of the names of a head's layers


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class BackboneAdam(keras.optimizers.Adam):
    """Adam with a lower rate for a backbone that is already trained.

    What mmpose writes as ``paramwise_cfg`` with ``lr_mult`` for the backbone.

    Args:
        learning_rate: A number or a schedule: the rate of the head.
        backbone_lr_multiplier: Factor on the rate of all layers but those named ``head_...``.
        kwargs: As for `keras.optimizers.Adam`.

    Raises:
        ValueError: If the factor is negative.
    """

    def __init__(
        self, learning_rate: Any = 0.001, backbone_lr_multiplier: float = 1.0, **kwargs: Any
    ) -> None:
        if backbone_lr_multiplier < 0:
            raise ValueError(
                f"backbone_lr_multiplier must not be negative. Received: {backbone_lr_multiplier}"
            )
        super().__init__(learning_rate, **kwargs)
        self.backbone_lr_multiplier = backbone_lr_multiplier

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[keras.Variable], learning_rate: Any
    ) -> None:
        # Here, not in `update_step`: the torch backend does not call that one.
        pairs = list(zip(grads, trainable_variables, strict=True))
        for of_head, factor in ((True, 1.0), (False, self.backbone_lr_multiplier)):
            chosen = [pair for pair in pairs if pair[1].path.startswith(HEAD_PREFIX) is of_head]
            if chosen:
                gradients, variables = map(list, zip(*chosen, strict=True))
                super()._backend_update_step(gradients, variables, learning_rate * factor)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"backbone_lr_multiplier": self.backbone_lr_multiplier}
