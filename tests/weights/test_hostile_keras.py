"""Hostile Keras files: whatever they claim, they are refused before anything is built or opened."""

import json
import os
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.cli import main as command_line
from keras_shufflenet.weights import CheckpointError, load
from keras_shufflenet.weights.hdf5_checks import MAX_OBJECTS
from tests.weights.test_state_dict import unchanged, values


def network() -> keras.Model:
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="stem_conv")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(2, name="predictions")(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a network in both of Keras' formats."""
    folder, model = tmp_path_factory.mktemp("good"), network()
    model.save(folder / "good.keras")
    model.save_weights(folder / "good.weights.h5")
    return folder


def rewrite(source, target, change=None, config=None, **others):
    """Copy a `.keras` file with other weights, another configuration and other files."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        files["config.json"] = config(files["config.json"])
    if change is not None:
        path = target.with_suffix(".h5")
        path.write_bytes(files["model.weights.h5"])
        with h5py.File(path, "r+") as file:
            change(file)
        files["model.weights.h5"] = path.read_bytes()
    with zipfile.ZipFile(target, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two files of one name
        for name, data in (*files.items(), *others.items()):
            archive.writestr(name.replace("config_again", "config.json"), data)
    return target


KERNEL = "layers/conv2d/vars/0"
HUGE = (1 << 20, 1 << 20)


def external_storage(file) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    file.create_dataset(KERNEL, shape, "f4", external=[("fifo", 0, h5py.h5f.UNLIMITED)])


def virtual(file) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("fifo", "x", shape)
    file.create_virtual_dataset(KERNEL, layout)


def unknown_filter(file) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(shape)
    properties.set_filter(32000, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, KERNEL.encode(), h5py.h5t.NATIVE_FLOAT, space, dcpl=properties)


def put(path, value):
    def change(file) -> None:
        if path in file:
            del file[path]
        file[path] = value

    return change


def compressed(file) -> None:
    file.create_dataset("layers/other", HUGE, "f4", chunks=(1024, 1024), compression="gzip")


def itself(file) -> None:
    for index in range(20):
        file[f"layers/again{index}"] = file["layers"]


def crowded(file) -> None:
    group = file.create_group("crowded", track_order=False)
    for index in range(MAX_OBJECTS + 1):
        group[str(index)] = h5py.SoftLink("/layers")


def deep(file) -> None:
    file.create_group("/".join("a" * 100))


def no_space(file) -> None:
    del file[KERNEL]
    file[KERNEL] = h5py.Empty("f4")


OUTSIDE = {
    "external link": (put(KERNEL, h5py.ExternalLink("fifo", "x")), "is missing or a link"),
    "external link beside": (put("extra/a", h5py.ExternalLink("fifo", "x")), "a link"),
    "external link in the optimizer": (
        put("optimizer/vars", h5py.ExternalLink("fifo", "x")),
        "a link",
    ),
    "soft link": (put("layers/other", h5py.SoftLink("/layers/conv2d")), "a link"),
    "external storage": (external_storage, "numbers are in other files"),
    "virtual": (virtual, "a view of other files"),
    "filter": (unknown_filter, r"the filter 32000, of which gzip, shuffle, fletcher32 are read"),
    "huge": (compressed, r"claim to unpack to 4398"),
    "group that contains itself": (itself, "under two names"),
    "many objects": (crowded, "more than 20000 groups and arrays"),
    "deep": (deep, "deeper than 32 groups"),
    "named type": (lambda file: put("type", np.dtype("f4"))(file), "neither a group nor an array"),
    "no numbers": (no_space, "is empty"),
    "text beside": (put("extra/a", "secret"), "is of type"),
    "complex numbers beside": (put("extra/a", np.zeros(3, "c8")), "is of type complex64"),
}


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_files_that_lead_elsewhere(folder, tmp_path, monkeypatch, name, suffix):
    """The other file is a FIFO: to open it would wait forever."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    change, reason = OUTSIDE[name]
    path = tmp_path / f"bad{suffix}"
    if suffix == ".keras":
        rewrite(folder / "good.keras", path, change)
        with pytest.raises(CheckpointError, match=rf"{reason}.*Received: .*bad\.keras"):
            ks.inference.Predictor.load(path)
    else:
        path.write_bytes((folder / "good.weights.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
    model = network()
    before = values(model)
    with pytest.raises(CheckpointError, match=rf"{reason}.*Received: .*bad"):
        load(model, path)
    assert unchanged(model, before)


def with_layer(module, name, config, registered_name=None):
    """A function that replaces the second layer of a configuration."""

    def change(data: bytes) -> bytes:
        thing = json.loads(data)
        thing["config"]["layers"][1] |= {
            "module": module,
            "class_name": name,
            "registered_name": registered_name,
            "config": {"name": "stem_conv", **config},
        }
        return json.dumps(thing).encode()

    return change


def function(module, name):
    """The configuration of a convolution whose activation is a function."""
    activation = {"class_name": "function", "module": module, "config": name}
    return {"filters": 4, "kernel_size": 3, "activation": activation}


CODE = {"class_name": "__lambda__", "config": {"value": ["", None, None]}}
REFUSED = {
    "Lambda": (with_layer("keras.layers", "Lambda", {"function": CODE}), "uses code.*`Lambda`"),
    "lambda as the activation": (
        with_layer("keras.layers", "Conv2D", {"filters": 4, "activation": CODE}),
        "uses code",
    ),
    "Lambda of an older format": (with_layer(None, "Lambda", {}), "uses code"),
    "saved model": (
        with_layer("keras.layers", "TFSMLayer", {"filepath": "."}),
        "`TFSMLayer`, which opens other files",
    ),
    "vocabulary": (
        with_layer("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}),
        "`StringLookup`, which opens other files",
    ),
    "class of another package": (
        with_layer("subprocess", "Popen", {"args": "true"}),
        r"`subprocess\.Popen`, which is not a layer",
    ),
    "registered class": (
        with_layer(None, "Mine", {}, "mine>Mine"),
        r"`mine>Mine`.*by `keras\.saving\.load_model` and pass the model",
    ),
    "registered class as Keras' own": (
        with_layer("keras.layers", "Conv2D", {"filters": 4}, "mine>Mine"),
        "`mine>Mine`",
    ),
    "class without a module": (with_layer(None, "Conv2D", {}), r"`None\.Conv2D`"),
    "function of Keras": (
        with_layer("keras.layers", "Conv2D", function("keras.utils", "get_file")),
        r"`keras\.utils\.get_file`",
    ),
    "function of Python": (
        with_layer("keras.layers", "Conv2D", function("os", "system")),
        r"`os\.system`",
    ),
    "function as a class": (
        with_layer("keras.models", "load_model", {"filepath": "other.keras"}),
        r"`keras\.models\.load_model`",
    ),
    "class of Keras that is no layer": (
        with_layer("keras.utils", "FeatureSpace", {}),
        "`keras.utils.FeatureSpace`",
    ),
    "more filters than weights": (
        with_layer("keras.layers", "Conv2D", {"filters": 1 << 30}),
        r"filters=1073741824, model\.weights\.h5 122 numbers",
    ),
    "wide layers": (
        with_layer("keras.layers", "Conv2D", {"filters": 122, "kernel_size": 32}),
        r"must have the weights that are in the file, 122; they need 374\d{3}",
    ),
    "weights of a shape that is claimed": (
        lambda data: with_layer("keras.layers", "Conv2D", {"filters": 4, "kernel_size": 3})(
            data.replace(b'"input_shape": [null, 32, 32, 3]', b'"input_shape": [null, 9, 9, 9999]')
        ),
        "must have the weights that are in the file",
    ),
    "name that is no text": (with_layer("keras.layers", ["Conv2D"], {}), "not a text"),
    "deep": (lambda _: b'{"a":' * 100_000, "malformed"),
    "no json": (lambda _: b"\xff", "malformed"),
    "a list": (lambda _: b"[]", "not a configuration"),
    "nothing to build": (lambda _: b'{"class_name": "Functional"}', "not a configuration"),
    "number of filters that is missing": (
        with_layer("keras.layers", "Conv2D", {"name": "odd"}),
        r"\(Conv2D 'odd': Conv2D\.__init__\(\) missing 2 required .*'filters' and 'kernel_size'\)",
    ),
    "strides that are a text": (
        with_layer(
            "keras.layers",
            "Conv2D",
            {"name": "odd", "filters": 1, "kernel_size": 1, "strides": "a"},
        ),
        r"\(Conv2D 'odd': The `strides` argument must be",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_are_more_than_layers_of_keras(folder, tmp_path, name):
    config, reason = REFUSED[name]
    path = rewrite(folder / "good.keras", tmp_path / "bad.keras", config=config)
    with pytest.raises(CheckpointError, match=rf"{reason}.*Received: .*bad\.keras"):
        ks.inference.Predictor.load(path)


LARGE = {
    "repeated pixels": (
        with_layer("keras.layers", "UpSampling2D", {"size": 30_000}),
        "960000 × 960000 × 3",
    ),
    "zeros": (
        with_layer("keras.layers", "ZeroPadding2D", {"padding": 30_000}),
        "60032 × 60032 × 3",
    ),
    "enlarged images": (
        with_layer("keras.layers", "Resizing", {"height": 30_000, "width": 30_000}),
        "30000 × 30000 × 3",
    ),
    "enlarged images of any size": (
        lambda data: with_layer("keras.layers", "UpSampling2D", {"size": 30_000})(
            data.replace(b"[null, 32, 32, 3]", b"[null, null, null, 3]")
        ),
        "1920000 × 1920000 × 3",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_layers_that_make_gigabytes_of_an_image(tmp_path, name):
    config, shape = LARGE[name]
    image = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(name="stem_conv")(image))
    keras.Model(image, keras.layers.Dense(2)(x)).save(tmp_path / "good.keras")
    path = rewrite(tmp_path / "good.keras", tmp_path / "bad.keras", config=config)
    reason = f"must make less than 268435456 numbers .*Received: {shape} of the layer 'stem_conv'"
    with pytest.raises(CheckpointError, match=rf"{reason} in .*bad\.keras"):
        ks.inference.Predictor.load(path)


def test_a_registered_class_is_refused_in_a_file_and_taken_as_a_model(tmp_path):
    @keras.saving.register_keras_serializable("mine")
    class Mine(keras.layers.ReLU):
        pass

    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(Mine()(image)))
    model.save(tmp_path / "mine.keras")
    with pytest.raises(CheckpointError, match=r"`mine>Mine`.*safe mode and without custom objects"):
        ks.inference.Predictor.load(tmp_path / "mine.keras")
    opened = keras.saving.load_model(tmp_path / "mine.keras")
    assert ks.inference.Predictor.load(opened).output_shapes


FILES = {
    "assets": ({"assets/a.txt": "a"}, r"it has 'assets/a\.txt' beside"),
    "a path out of the folder": ({"../a": "a"}, r"it has '\.\./a' beside"),
    "two configurations": ({"config_again": "{}"}, "several files of one name"),
}


@pytest.mark.parametrize("name", FILES)
def test_other_files_in_the_archive(folder, tmp_path, name):
    files, reason = FILES[name]
    path = rewrite(folder / "good.keras", tmp_path / "bad.keras", **files)
    with pytest.raises(CheckpointError, match=rf"{reason}.*Received: "):
        ks.inference.Predictor.load(path)
    with pytest.raises(CheckpointError, match=rf"{reason}.*Received: "):
        load(network(), path)


def test_a_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(1 << 24))
    with pytest.raises(CheckpointError, match="bytes claim to unpack to 16777218"):
        ks.inference.Predictor.load(tmp_path / "bad.keras")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".pth", ".onnx"])
def test_a_pipe_is_not_read(tmp_path, suffix):
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    if suffix in (".keras", ".onnx"):
        with pytest.raises(FileNotFoundError, match=r"pipe\.\w+', which is no regular file$"):
            ks.inference.Predictor.load(path)
    if suffix != ".onnx":
        with pytest.raises(FileNotFoundError, match=r"pipe\.[\w.]+', which is no regular file$"):
            load(network(), path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_name_without_suffix_may_be_a_path(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    make("odd")
    with pytest.raises(FileNotFoundError, match=r"weights='odd', which is no regular file$"):
        load(network(), "odd")


def test_an_empty_file(tmp_path):
    (tmp_path / "bad.keras").touch()
    with pytest.raises(CheckpointError, match=r"the file is empty.*Received: .*bad\.keras"):
        ks.inference.Predictor.load(tmp_path / "bad.keras")


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e30])
def test_impossible_numbers(folder, tmp_path, value):
    def change(file) -> None:
        file[KERNEL][0, 0, 0, 0] = value

    path = rewrite(folder / "good.keras", tmp_path / "bad.keras", change)
    with pytest.raises(CheckpointError, match=r"/layers/conv2d/vars/0 has values that no trained"):
        ks.inference.Predictor.load(path)


COMMANDS = {
    "predict": "predict classify {model} {image}",
    "evaluate": "evaluate imagenet {model} --data {data}",
    "export": "export {model} {out}",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_refuse_code(folder, tmp_path, capsys, name):
    path = tmp_path / "bad.keras"
    rewrite(folder / "good.keras", path, config=REFUSED["Lambda"][0])
    image = tmp_path / "data" / "class" / "a.png"
    image.parent.mkdir(parents=True)
    keras.utils.save_img(image, np.zeros((32, 32, 3)))
    words = COMMANDS[name].format(
        model=path, image=image, data=tmp_path / "data", out=tmp_path / "a.tflite"
    )
    with pytest.raises(SystemExit) as end:
        command_line.run(words.split())
    assert end.value.code
    errors = capsys.readouterr().err
    assert "Lambda" in errors
    assert "Nothing was executed. Received: " in " ".join(errors.split())
    assert "Traceback" not in errors


def test_valid_files_of_keras_are_opened(folder):
    assert ks.inference.Predictor.load(folder / "good.keras").input_size == (32, 32)
    load(network(), folder / "good.keras")
    load(network(), folder / "good.weights.h5")
