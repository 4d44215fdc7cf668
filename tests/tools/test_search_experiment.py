"""What the winner of the search experiment is compared with."""

from keras_shufflenet.search.spaces import search_space
from tools.search_experiment import CLOSE, random_architectures


def test_random_architectures_are_different_and_just_below_the_limit():
    space, limit = search_space("one_shot"), 330_000_000
    found = random_architectures(space, 5, limit, seed=0)
    assert len(set(found)) == 5
    assert all(CLOSE * limit <= space.macs(each) <= limit for each in found)
    assert found == random_architectures(space, 5, limit, seed=0)
    assert found != random_architectures(space, 5, limit, seed=1)
