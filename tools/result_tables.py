"""The tables of README.md and docs/ by name, built from registry, catalog and `results/*.csv`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import measurement_tables
import network_tables

TABLES: Mapping[str, Callable[[Path, Sequence[str]], str]] = {
    "headline": network_tables.headline_table,
    "models": network_tables.models_table,
    "pose_models": network_tables.pose_models_table,
    "detectors": network_tables.detectors_table,
    "persons": measurement_tables.persons_table,
    "files": network_tables.files_table,
    "runtimes": network_tables.runtimes_table,
    "pictures": measurement_tables.pictures_table,
    "weights": network_tables.weights_table,
    "trained": measurement_tables.trained_table,
    "boxes": measurement_tables.boxes_table,
    "grouped": measurement_tables.grouped_table,
    "pipeline": measurement_tables.pipeline_table,
    "classification_pipeline": measurement_tables.classification_pipeline_table,
    "video": measurement_tables.video_table,
    "ablation": measurement_tables.ablation_table,
    "graphs": measurement_tables.graphs_table,
    "browser": measurement_tables.browser_table,
    "search": measurement_tables.search_table,
    "latency_tables": measurement_tables.latency_tables_table,
    "searches": measurement_tables.searches_table,
}
