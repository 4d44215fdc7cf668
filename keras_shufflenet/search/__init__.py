"""Architecture search: spaces, supernets, evolution."""

from keras_shufflenet.search.spaces import PAPER_SCALES, Architecture, SearchSpace, search_space

__all__ = ["PAPER_SCALES", "Architecture", "SearchSpace", "search_space"]
