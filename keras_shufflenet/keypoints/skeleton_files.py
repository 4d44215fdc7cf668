"""Skeletons in json: the categories of COCO's annotation files, and files of their own.

A skeleton is a json object with COCO's keys `name`, `keypoints` (K names) and `skeleton` (limbs,
as pairs of keypoints), and the further keys `flip_pairs`, `sigmas`, `keypoint_weights`,
`upper_body` and `lower_body` of `Skeleton`. Only `keypoints` is required. A keypoint is given by
its number, which counts from 1 as in COCO and may be written as 7, 7.0 or "7", or by its name.
Keys may be null.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_shufflenet._files import atomic_write, check_output
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.annotations import JSONObject, as_integer, read_json
from keras_shufflenet.keypoints.coco_categories import (
    COCOCategory,
    choose_category,
    read_categories,
)
from keras_shufflenet.keypoints.keypoint_names import plain_name
from keras_shufflenet.keypoints.skeletons import Skeleton

SUFFIX = ".json"
DEFAULT_NAME = "keypoints"


def read_skeleton(
    source: str | Path | Mapping[str, Any], category: str | int | None = None
) -> Skeleton:
    """Read the skeleton of a json file.

    Args:
        source: Path or content of a skeleton's json, a category of COCO, or a whole annotation
            file with its categories.
        category: Name or id of the category in an annotation file. Defaults to the only one with
            keypoints, or the only one of these that is annotated.

    Returns:
        The skeleton; COCO's or MPII's own, with their sigmas, if the names of the keypoints are
        theirs and the json has none of the further keys.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the json has no keypoints, or not those of one category, or is malformed.
    """
    content, place = read_json(source, "keypoints")
    root = JSONObject(content, place)
    if "categories" in root.value:
        return category_skeleton(_find(root, category))
    return parse_skeleton(root)


def category_skeleton(category: COCOCategory) -> Skeleton:
    """Return the skeleton of a category: COCO's or MPII's if the names are theirs in any order.

    A category without names of keypoints is taken to have those of COCO. Limbs that are malformed,
    as some tools write them, are left out with a warning.

    Raises:
        ValueError: If the category's keypoints or further keys are malformed.
    """
    if category.definition is None or not category.keypoint_names:
        return skeletons.COCO
    fields = category.definition
    try:
        if fields.has("skeleton"):
            _pairs(fields, "skeleton", list(category.keypoint_names))
    except ValueError as error:
        warnings.warn(f"{error}. No limbs are drawn.", stacklevel=2)
        return parse_skeleton(JSONObject(fields.value | {"skeleton": []}, fields.place))
    return parse_skeleton(fields)


def add_sigmas(skeleton: Skeleton, category: COCOCategory) -> Skeleton:
    """Return a skeleton without sigmas of its own with those of a category of its keypoints."""
    fields = category.definition
    if not skeleton.has_mean_sigmas or fields is None or not fields.has("sigmas"):
        return skeleton
    theirs = category_skeleton(category)
    names = map(plain_name, theirs.keypoint_names)
    sigmas = dict(zip(names, theirs.sigmas, strict=True))
    names = map(plain_name, skeleton.keypoint_names)
    return replace(skeleton, sigmas=tuple(sigmas[name] for name in names))


def parse_skeleton(fields: JSONObject) -> Skeleton:
    """Return the skeleton of a json object, for example of a category.

    Raises:
        ValueError: If the object has no keypoints or is malformed.
    """
    names = fields.get("keypoints")
    name = str(fields.get("name")) if fields.has("name") else DEFAULT_NAME
    own = {key: fields.value[key] for key in (*_PAIRS, *_INDICES, *_NUMBERS) if fields.has(key)}
    try:
        published = None if own else skeletons.known(Skeleton(name, names).keypoint_names)
        if published is not None:
            return published
        if fields.has("skeleton"):
            own["limbs"] = _pairs(fields, "skeleton", names)
        own |= {key: _pairs(fields, key, names) for key in _PAIRS if key in own}
        own |= {key: _indices(fields, key, names) for key in _INDICES if key in own}
        return Skeleton(name, names, **own)
    except ValueError as error:
        if str(error).startswith(fields.place):
            raise
        message = str(error).replace("`keypoint_names`", "'keypoints'").replace("`", "'")
        raise ValueError(f"{fields.place}: {message}") from error


def save_skeleton(skeleton: Skeleton, path: str | Path) -> None:
    """Write a skeleton to a json file, which `read_skeleton` reads.

    Raises:
        OSError: If the file cannot be written; a missing folder is made.
        ValueError: If the path has another suffix.
    """
    path = check_output("path", path, (SUFFIX,))
    text = json.dumps(to_json(skeleton), indent=1, ensure_ascii=False) + "\n"
    atomic_write(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def to_json(skeleton: Skeleton) -> dict[str, Any]:
    """Return the json object of a skeleton, without keys that are empty."""
    fields = {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoint_names),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
        "flip_pairs": [[a + 1, b + 1] for a, b in skeleton.flip_pairs],
        "sigmas": list(skeleton.sigmas),
        "upper_body": [index + 1 for index in skeleton.upper_body],
        "lower_body": [index + 1 for index in skeleton.lower_body],
    }
    kept = {key: value for key, value in fields.items() if value or key == "flip_pairs"}
    if set(skeleton.keypoint_weights) != {1.0}:
        kept["keypoint_weights"] = list(skeleton.keypoint_weights)
    return kept


_PAIRS = ("flip_pairs",)
_INDICES = ("upper_body", "lower_body")
_NUMBERS = ("sigmas", "keypoint_weights")


def _find(root: JSONObject, category: str | int | None) -> COCOCategory:
    """Return the category of an annotation file, of those with keypoints."""
    found = [each for each in read_categories(root) if each.keypoint_names]
    if not found:
        raise ValueError(
            f"{root.place} must have a category with 'keypoints'. Received: none with keypoints"
        )
    entries = root.objects("annotations") if root.has("annotations") else []
    used = {entry.integer("category_id") for entry in entries if entry.has("category_id")}
    return choose_category(found, used, category, root.place)


def _pairs(fields: JSONObject, key: str, names: list[str]) -> list[list[int]]:
    """Return pairs of indices of keypoints that are given by number or name."""
    pairs = fields.value[key]
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise ValueError(f"{fields.place}: {key!r} must be a list of pairs. Received: {pairs!r}")
    numbers = {as_integer(each) for pair in pairs for each in pair if each not in names}
    first = 0 if 0 in numbers else 1
    if first == 0:
        warnings.warn(
            f"{fields.place}: {key!r} has the number 0, so its numbers are taken to count from 0. "
            "COCO counts keypoints from 1.",
            stacklevel=2,
        )
    indices = [[_index(fields, key, each, names, first) for each in pair] for pair in pairs]
    for pair, (a, b) in zip(pairs, indices, strict=True):
        if a == b:
            raise ValueError(
                f"{fields.place}: {key!r} must be pairs of two keypoints. Received: {pair!r}"
            )
    return indices


def _indices(fields: JSONObject, key: str, names: list[str]) -> list[int]:
    """Return indices of keypoints that are given by number or name."""
    values = fields.value[key]
    if not isinstance(values, list):
        raise ValueError(f"{fields.place}: {key!r} must be a list. Received: {values!r}")
    return [_index(fields, key, each, names, 1) for each in values]


def _index(fields: JSONObject, key: str, value: Any, names: list[str], first: int) -> int:
    if value in names:
        return names.index(value)
    number = as_integer(value)
    if number is None or not first <= number < len(names) + first:
        raise ValueError(
            f"{fields.place}: {key!r} must have names of keypoints or their numbers from {first} "
            f"to {len(names) - 1 + first}. Received: {value!r}"
        )
    return number - first
