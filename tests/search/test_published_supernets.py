"""The published supernets in a supernet: size, layout and golden outputs."""

import keras
import numpy as np
import pytest

from keras_shufflenet.search import Architecture, Supernet, search_space
from tests.models import golden_nets
from tests.shortcuts import unset_weights


@pytest.mark.parametrize(
    ("name", "space", "split", "keys", "learnable"),
    [
        ("spos_supernet_path", "one_shot", "even_odd", 1337, 8_388_176),
        ("detnas_supernet_300m_path", "detnas_300m", "standard", 2008, 8_491_688),
    ],
)
def test_a_published_supernet_is_loaded_and_computes_what_it_should(
    shared, synth, name, space, split, keys, learnable
):
    meta, arrays = golden_nets.load_fixture(shared / "golden", name)
    case = meta["cases"][0]
    state = golden_nets.state_dict(synth, meta)
    with unset_weights():
        network = golden_nets.build(name, tuple(case["input"]["shape"][2:]))
        supernet = Supernet.of(network, search_space(space), split=split)
        assert len(state) == keys
        supernet.load_state_dict(state)
    variables = supernet.model.trainable_variables
    assert sum(int(np.prod(variable.shape)) for variable in variables) == learnable
    supernet.select(Architecture(golden_nets.PATH))
    found = supernet.model(golden_nets.image(synth, case), training=False)
    error = golden_nets._output_error(case, arrays, keras.ops.convert_to_numpy(found))
    assert error <= golden_nets.TOLERANCE
