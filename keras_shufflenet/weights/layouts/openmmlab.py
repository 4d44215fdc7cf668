"""OpenMMLab: one backbone, and the head of mmcls or of mmpose."""

from collections.abc import Mapping

from keras_shufflenet.weights.layouts._layout import Layout


def _deconvolution_head(prefix: str) -> dict[str, str]:
    """Head of mmpose: convolution, normalization and activation in turn, three times."""
    layers = {f"head_deconv{i + 1}": f"{prefix}.deconv_layers.{3 * i}" for i in range(3)}
    norms = {f"head_deconv{i + 1}_bn": f"{prefix}.deconv_layers.{3 * i + 1}" for i in range(3)}
    return {**layers, **norms, "head_final": f"{prefix}.final_layer"}


OPENMMLAB_HEADS = {
    "mmcls": {"predictions": "head.fc"},
    "mmpose": _deconvolution_head("keypoint_head"),
    "mmpose_v1": _deconvolution_head("head"),
}


def with_heads(
    network: str, backbone: Mapping[str, str], needs: frozenset[str] = frozenset()
) -> list[Layout]:
    """The layouts of a backbone with each head."""
    return [
        Layout(f"{publisher}/{network}", {**backbone, **head}, needs=needs)
        for publisher, head in OPENMMLAB_HEADS.items()
    ]
