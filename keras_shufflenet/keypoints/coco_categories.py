"""Categories of COCO files: which one is read, and the order of its keypoints."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_shufflenet.keypoints.annotations import JSONObject
from keras_shufflenet.keypoints.keypoint_names import plain_name
from keras_shufflenet.keypoints.skeletons import Skeleton

_NAMED = 10  # categories that a message names


@dataclass(frozen=True)
class COCOCategory:
    """A category of a COCO file.

    Attributes:
        id: The number that annotations refer to.
        name: Its name; empty if the file does not name it.
        keypoint_names: Names in the order of the annotations; empty if the file does not name them.
        definition: The category as the file has it; None if it does not list it.
    """

    id: int
    name: str = ""
    keypoint_names: tuple[str, ...] = ()
    definition: JSONObject | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """Return the id and the name, as in: 2 'person'."""
        return f"{self.id} {self.name!r}" if self.name else str(self.id)


def read_categories(root: JSONObject) -> list[COCOCategory]:
    """Return the categories that a COCO file lists, which may be none.

    Raises:
        ValueError: If they are malformed, or two have the same id.
    """
    if not root.has("categories"):
        return []
    categories: dict[int, COCOCategory] = {}
    for entry in root.objects("categories"):
        category = _category(entry)
        if categories.setdefault(category.id, category) != category:
            raise ValueError(
                f"{entry.place}: 'id' must not be that of another category. Received: "
                f"{categories[category.id]} and {category}"
            )
    return list(categories.values())


def choose_category(
    categories: Sequence[COCOCategory],
    used: Collection[int],
    category: str | int | None,
    place: str,
) -> COCOCategory:
    """Return the category with a name or id, or the only one with annotations.

    Args:
        categories: Those of the file.
        used: Ids of the categories that annotations refer to.
        category: A name, an id, or None for the only category.
        place: Name of the file, for messages.

    Raises:
        ValueError: If there is no such category, or None could be several.
    """
    if category is None:
        found = [c for c in categories if c.id in used] or list(categories)
    else:
        found = [c for c in categories if c.name == category]
        found = found or [c for c in categories if str(c.id) == str(category)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(map(str, (found or categories)[:_NAMED]))
    more = ", …" if len(found or categories) > _NAMED else ""
    raise ValueError(
        f"`category` must be the name or id of one of the categories of {place}: {listed}{more}. "
        f"Received: category={category!r}"
    )


def keypoint_order(category: COCOCategory, skeleton: Skeleton, place: str) -> np.ndarray:
    """Return the indices (K,) of the skeleton's keypoints among those of the category.

    Names are compared by `plain_name`. A category without names of
    keypoints has the order of the skeleton.

    Raises:
        ValueError: If the category has other keypoints than the skeleton.
    """
    if not category.keypoint_names:
        return np.arange(len(skeleton))
    index = {plain_name(name): number for number, name in enumerate(category.keypoint_names)}
    names = [plain_name(name) for name in skeleton.keypoint_names]
    if set(index) != set(names) or len(category.keypoint_names) != len(names):
        raise ValueError(
            f"{place}: the 'keypoints' of the category {category} must be the {len(names)} of the "
            f"skeleton {skeleton.name!r}, in any order: {', '.join(skeleton.keypoint_names)}. "
            f"Received: the {len(category.keypoint_names)} keypoints "
            f"{', '.join(category.keypoint_names)}"
        )
    return np.array([index[name] for name in names])


def _category(entry: JSONObject) -> COCOCategory:
    names = _keypoint_names(entry) if entry.has("keypoints") else ()
    name = entry.text("name") if entry.has("name") else ""
    return COCOCategory(entry.integer("id"), name, names, entry)


def _keypoint_names(entry: JSONObject) -> tuple[str, ...]:
    names = entry.get("keypoints")
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise entry.error("keypoints", "a list of names")
    if len({plain_name(name) for name in names}) != len(names):
        raise entry.error("keypoints", "a list of different names")
    return tuple(names)
