"""Architecture search: spaces, supernets, evolution."""

from keras_shufflenet.search.evaluation import SupernetEvaluator
from keras_shufflenet.search.evolution import Evolution, evolve
from keras_shufflenet.search.exported_latency import Deployment
from keras_shufflenet.search.latency_table import LatencyTable, measure_table
from keras_shufflenet.search.sampling import MACS_BINS, PathSampler
from keras_shufflenet.search.search_result import SearchResult
from keras_shufflenet.search.spaces import PAPER_SCALES, Architecture, SearchSpace, search_space
from keras_shufflenet.search.supernet import Supernet
from keras_shufflenet.search.supernet_task import SupernetTask, train_supernet

__all__ = [
    "MACS_BINS",
    "PAPER_SCALES",
    "Architecture",
    "Deployment",
    "Evolution",
    "LatencyTable",
    "PathSampler",
    "SearchResult",
    "SearchSpace",
    "Supernet",
    "SupernetEvaluator",
    "SupernetTask",
    "evolve",
    "measure_table",
    "search_space",
    "train_supernet",
]
