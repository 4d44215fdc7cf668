"""Names of keypoints: which differ in writing alone, and which are left and right."""

import re
from collections.abc import Sequence

SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
OPPOSITE = {"left": "right", "right": "left"}
_SHORTEST = 3  # letters beside the l or r of lwrist; shorter words are pairs by chance: lip, rip
_CAMEL_CASE = re.compile(
    r"(?<=[a-z0-9])(?=[A-Z])"  # left|Wrist
    r"|(?<![A-Z0-9][LR])(?<=[LR])(?=[A-Z][a-z])"  # L|Wrist
)

_Part = tuple[str, ...]


def plain_name(name: str) -> str:
    """Return a name without regard to case, spaces, punctuation and the writing of the side.

    left_eye, "Left Eye", LeftEye, LEye and eye.l have the same plain name.
    """
    side, part = _side_and_part(name)
    return "_".join((side, *part) if side in OPPOSITE else part)


def find_sides(keypoint_names: Sequence[str]) -> tuple[str, ...]:
    """Return the side of each keypoint by its name: "left", "right" or "center"."""
    return tuple(side for side, _ in _sides_and_parts(keypoint_names))


def find_flip_pairs(keypoint_names: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of indices of keypoints whose names differ in left and right."""
    found = {each: index for index, each in enumerate(_sides_and_parts(keypoint_names))}
    return [
        (index, found[OPPOSITE[side], part])
        for (side, part), index in found.items()
        if side in OPPOSITE
        and (OPPOSITE[side], part) in found
        and index < found[OPPOSITE[side], part]
    ]


def _sides_and_parts(keypoint_names: Sequence[str]) -> list[tuple[str, _Part]]:
    """Return side and part of each name; lwrist is left if there is an rwrist, too."""
    named = [_side_and_part(name) for name in keypoint_names]
    candidates = [_joined(part) if side == "center" else [] for side, part in named]
    every = {candidate for each in candidates for candidate in each}
    paired = [
        [(side, part) for side, part in each if (OPPOSITE[side], part) in every]
        for each in candidates
    ]
    return [pairs[0] if pairs else own for own, pairs in zip(named, paired, strict=True)]


def _side_and_part(name: str) -> tuple[str, _Part]:
    """Return the side, and the rest of the name: ("left", ("eye",)) for left_eye or LEye."""
    spaced = _CAMEL_CASE.sub(" ", name)
    words = [word for word in re.split(r"[\W_]+", spaced.casefold()) if word]
    if words and (joined := re.fullmatch(r"(left|right)(\w+)", words[0])):
        words[:1] = joined.groups()  # lefteye
    sided = [word for word in words if word in SIDES]
    if len(sided) != 1:
        return "center", tuple(words)
    return SIDES[sided[0]], tuple(word for word in words if word not in SIDES)


def _joined(words: _Part) -> list[tuple[str, _Part]]:
    """Return what words may be with l, r, left or right at their beginning or end."""
    if not words or any(word in SIDES for word in words):
        return []
    found: list[tuple[str, _Part]] = []
    letters = rf"[^\W\d_]{{{_SHORTEST},}}\d*"
    if first := re.fullmatch(rf"([lr])({letters})", words[0]):
        found.append((SIDES[first[1]], ("^", first[2], *words[1:])))
    if last := re.fullmatch(rf"({letters})(left|right|l|r)", words[-1]):
        found.append((SIDES[last[2]], (*words[:-1], last[1], "$")))
    return found
