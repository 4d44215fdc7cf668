"""What an attacker writes into weight files: calls, links, code, and claims that are not true."""

import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

EXECUTED, SECRET = "executed", "secret.h5"  # files of the folder that attacks aim at
WEIGHTS, CONFIG, PICKLE = "model.weights.h5", "config.json", "data.pkl"


def attack_pickle(data: bytes, rng: random.Random, target: Path) -> tuple[bytes, str]:
    """Insert a call, a bomb or something senseless between two instructions of a pickle."""
    executed, secret = (str(target / name).encode() for name in (EXECUTED, SECRET))
    inserted = {
        "os.system": b"cos\nsystem\n(S'touch %s'\ntR" % executed,
        "eval": b'c__builtin__\neval\n(S\'open("%s", "w")\'\ntR' % executed,
        "open": b"c__builtin__\nopen\n(S'%s'\ntR" % secret,
        "numpy.load": b"cnumpy\nload\n(S'%s'\ntR" % secret,
        "torch.load": b"ctorch.serialization\nload\n(S'%s'\ntR" % secret,
        "instance": b"(S'touch %s'\nios\nsystem\n" % executed,
        "marks": b"(" * 100_000,
        "instructions": b"N0" * 1_000_000,
        "tree of tuples": b"N" + b"2\x86" * 60,
        "long text": b"X\xff\xff\xff\x7f",
        "dictionary": b"}",
        "end": b".",
    }
    name = rng.choice(list(inserted))
    places = [place for _, _, place in pickletools.genops(data) if place]
    place = rng.choice(places)
    return data[:place] + inserted[name] + data[place:], f"{name} at {place}"


def attack_legacy(data: bytes, rng: random.Random, target: Path) -> tuple[bytes, str]:
    """Attack one of the five pickles of torch's older container."""
    stream, ends = io.BytesIO(data), [0]
    for _ in range(5):
        for _ in pickletools.genops(stream):
            pass
        ends.append(stream.tell())
    part = rng.randrange(5)
    start, end = ends[part], ends[part + 1]
    attacked, change = attack_pickle(data[start:end], rng, target)
    return data[:start] + attacked + data[end:], f"pickle {part}: {change}"


def attack_zip(data: bytes, rng: random.Random, target: Path) -> tuple[bytes, str]:
    """Attack the pickle of torch's container, or a file in it; checksums are made anew."""
    files = _unpacked(data)
    pickled = next(name for name in files if name.endswith(PICKLE))
    if rng.random() < 0.7:
        files[pickled], change = attack_pickle(files[pickled], rng, target)
        return _packed(files), change
    name = rng.choice(list(files))
    kind = rng.choice(("removed", "cut", "compressed", "added"))
    if kind == "removed":
        del files[name]
    elif kind == "cut":
        files[name] = files[name][: len(files[name]) // 2]
    elif kind == "added":
        files["../" + name] = b"a"
    method = zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED
    return _packed(files, method), f"{name} {kind}"


def attack_safetensors(data: bytes, rng: random.Random, _: Path) -> tuple[bytes, str]:
    """Change an entry of the header."""
    (length,) = struct.unpack_from("<Q", data)
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    name = rng.choice([key for key in header if key != "__metadata__"])
    key = rng.choice(("dtype", "shape", "data_offsets", "name"))
    values: dict[str, list[Any]] = {
        "dtype": ["F64", "I32", "BOOL", "F8_E4M3", "", None, 3],
        "shape": [[], [1 << 60], [-1], [1.5], "3", None, [0], {}],
        "data_offsets": [[0, 1 << 60], [8, 0], [0], [0, 0], None, ["a", "b"], [-4, 4]],
        "name": ["", "x" * 100_000, name + ".weight", "module." + name, "\0"],
    }
    value = rng.choice(values[key])
    if key == "name":
        header[value] = header.pop(name)
    else:
        header[name][key] = value
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body, f"{name}: {key} = {str(value)[:40]}"


def attack_h5(data: bytes, rng: random.Random, target: Path) -> tuple[bytes, str]:
    """Replace a group or an array of an HDF5 file."""
    memory, secret = io.BytesIO(data), str(target / SECRET)
    with h5py.File(memory, "r+") as file:
        paths: list[str] = []
        file.visit(paths.append)
        path = rng.choice([path for path in paths if path != "vars"])
        shape = getattr(file[path], "shape", (3,))
        attacks: Mapping[str, Callable[[], Any]] = {
            "external link": lambda: h5py.ExternalLink(secret, "secret"),
            "soft link": lambda: h5py.SoftLink("/" + rng.choice(paths)),
            "hard link": lambda: file[rng.choice(paths[:-1])],
            "type": lambda: np.zeros(shape, rng.choice(["S4", "c8", "i4", "?", "f8", "u1"])),
            "shape": lambda: np.zeros((*shape, 2), np.float32),
            "numbers": lambda: np.full(shape, rng.choice([np.nan, np.inf, 1e30]), np.float32),
            "text": lambda: "secret",
            "empty": lambda: h5py.Empty("f4"),
            "group": lambda: None,
            "external storage": lambda: None,
            "virtual": lambda: None,
            "huge": lambda: None,
        }
        name = rng.choice(list(attacks))
        thing = attacks[name]()
        del file[path]
        if name == "external storage":
            storage = [(secret, 0, h5py.h5f.UNLIMITED)]
            file.create_dataset(path, shape, "f4", external=storage)
        elif name == "virtual":
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource(secret, "secret", shape)
            file.create_virtual_dataset(path, layout)
        elif name == "huge":
            file.create_dataset(path, (1 << 20, 1 << 20), "f4", chunks=(64, 64), compression=4)
        elif name == "group":
            file.create_group(path)
        else:
            file[path] = thing
    return memory.getvalue(), f"{name} in place of {path}"


def attack_keras(data: bytes, rng: random.Random, target: Path) -> tuple[bytes, str]:
    """Attack the weights of a `.keras` file, its configuration, or its directory."""
    files = _unpacked(data)
    kind = rng.choice(("weights", "configuration", "value", "file"))
    if kind == "weights":
        files[WEIGHTS], change = attack_h5(files[WEIGHTS], rng, target)
    elif kind == "configuration":
        config = json.loads(files[CONFIG])
        change = _attack_layer(rng.choice(config["config"]["layers"]), rng, target)
        files[CONFIG] = json.dumps(config).encode()
    elif kind == "value":
        config = json.loads(files[CONFIG])
        layer = rng.choice(config["config"]["layers"])
        name = rng.choice(list(layer["config"]))
        value: Any = rng.choice([None, -1, 0, 1 << 40, "x", [], {}, [1 << 40] * 4, 1e300, True])
        layer["config"][name], change = value, f"{name} = {value!r}"
        files[CONFIG] = json.dumps(config).encode()
    else:
        name = rng.choice(("assets/a", "../a", "model.weights.npz", CONFIG + "/a"))
        files[name], change = b"a", f"{name} added"
    return _packed(files), change


def _attack_layer(layer: dict[str, Any], rng: random.Random, target: Path) -> str:
    code = {"class_name": "__lambda__", "config": {"value": ["4wAAAA==", None, None]}}
    classes: list[tuple[str | None, str, dict[str, Any]]] = [
        ("keras.layers", "Lambda", {"function": code}),
        ("keras.layers", "TFSMLayer", {"filepath": str(target)}),
        ("keras.layers", "StringLookup", {"vocabulary": str(target / SECRET)}),
        ("keras.layers", "TorchModuleWrapper", {"module": "gASVAA=="}),
        ("keras.layers", "Activation", {"activation": code}),
        ("keras.utils", "get_file", {"fname": "a", "origin": f"file://{target / SECRET}"}),
        ("keras.saving", "load_model", {"filepath": str(target / SECRET)}),
        ("os", "system", {"command": f"touch {target / EXECUTED}"}),
        ("subprocess", "Popen", {"args": ["touch", str(target / EXECUTED)]}),
        ("builtins", "open", {"file": str(target / EXECUTED), "mode": "w"}),
        (None, "Lambda", {"function": code}),
        (None, "Custom", {}),
    ]
    module, name, config = rng.choice(classes)
    layer |= {"module": module, "class_name": name, "registered_name": name}
    layer["config"] = config | {"name": layer["config"]["name"]}
    return f"{module}.{name}"


def _unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()
