"""Skin, hair and clothes: the materials of a person."""

from typing import NamedTuple

import numpy as np

from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.shapes import Material

# Linear RGB, light to dark.
SKIN = ((0.78, 0.50, 0.37), (0.68, 0.40, 0.27), (0.55, 0.30, 0.19), (0.40, 0.21, 0.12),
        (0.25, 0.12, 0.065), (0.12, 0.055, 0.03))  # fmt: skip
HAIR = ((0.012, 0.010, 0.009), (0.035, 0.02, 0.012), (0.09, 0.05, 0.025), (0.3, 0.19, 0.08),
        (0.55, 0.4, 0.2), (0.22, 0.06, 0.02), (0.35, 0.34, 0.33))  # fmt: skip


class Outfit(NamedTuple):
    """Materials and shapes of a person's clothes.

    Attributes:
        skin: Material of the skin.
        lips: Material of the lips.
        hair: Material of the hair.
        top: Material of the upper garment.
        bottom: Material of trousers or skirt.
        shoe: Material of the shoes.
        sleeve: Sleeve length: 0 none, up to 1 along the upper arm, up to 2 along the forearm.
        trouser: Trouser length: 0 none, up to 1 along the thigh, up to 2 along the shank.
        skirt: Length of the skirt as a fraction of the thigh, 0 for none.
        loose: Width of the clothes relative to the body.
        tuck: Where the upper garment ends, 0 at the hips, 1 at the waist.
        hair_style: "bald", "short", "long", "bun", "tail", "cap", "beanie" or "hood".
        beard: Whether the person has a beard.
        glasses: Whether the person wears sunglasses.
        hat: Material of caps.
    """

    skin: Material
    lips: Material
    hair: Material
    top: Material
    bottom: Material
    shoe: Material
    sleeve: float
    trouser: float
    skirt: float
    loose: float
    tuck: float
    hair_style: str
    beard: bool
    glasses: bool
    hat: Material


def random_color(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a color of clothes: often gray, blue or dark, sometimes saturated."""
    kind = rng.random()
    if kind < 0.35:
        gray = rng.uniform(0.05, 0.95) ** 2.2
        values = gray * (1 + 0.08 * rng.normal(size=3))
    elif kind < 0.55:
        values = np.array([0.35, 0.55, 1.0]) * rng.uniform(0.02, 0.45) * rng.uniform(0.7, 1.3, 3)
    else:
        hue = rng.uniform(0, 3) + np.array([0.0, 2.0, 1.0])
        wheel = np.clip(np.abs((hue % 3) - 1.5) * 2 - 0.5, 0, 1)
        saturation = rng.uniform(0.3, 0.95)
        values = (1 - saturation * (1 - wheel)) * rng.uniform(0.1, 0.8)
    red, green, blue = np.clip(values, 0.01, 0.95).tolist()
    return red, green, blue


def cloth(rng: np.random.Generator, *, patterned: float = 0.45) -> Material:
    """Return a random cloth."""
    pattern = s.PLAIN
    if rng.random() < patterned:
        choices = [s.HOOPS, s.STRIPES, s.CHECKS, s.SPECKLE, s.OPEN, s.PRINT, s.PRINT]
        pattern = choices[rng.integers(len(choices))]
    period = rng.uniform(0.03, 0.09) if pattern in (s.OPEN, s.PRINT) else rng.uniform(0.025, 0.14)
    return Material(
        random_color(rng), random_color(rng), pattern, float(period), float(rng.uniform(0.08, 0.22))
    )


def sample_outfit(rng: np.random.Generator, curve: float) -> Outfit:
    """Sample an outfit; with `curve` > 0 skirts and long hair are more likely."""
    tone = np.array(SKIN[rng.integers(len(SKIN))]) * rng.uniform(0.85, 1.15)
    skin = Material(tuple(tone), gloss=0.03, wrinkle=0.02)
    strands = np.array(HAIR[rng.integers(len(HAIR))]) * rng.uniform(0.7, 1.3)
    styles = ["long", "tail", "bun", "long", "short"] if curve > 0 else ["short"] * 4 + ["bald"]
    if rng.random() < 0.22:
        styles = ["cap", "cap", "beanie", "beanie", "hood"]
    style = styles[rng.integers(len(styles))]
    skirt = float(rng.uniform(0.45, 1.35)) if curve > 0 and rng.random() < 0.4 else 0.0
    top, bottom = cloth(rng), cloth(rng, patterned=0.15)
    if rng.random() < 0.12:
        bottom = top
    plain = bottom.pattern in (s.OPEN, s.PRINT)
    return Outfit(
        skin=skin,
        lips=Material(tuple(tone * (0.8, 0.5, 0.5)), gloss=0.05),
        hair=Material(tuple(strands), tuple(strands * 0.5), s.STRIPES, 0.012, 0.3, 0.04),
        top=top,
        bottom=Material(bottom.color, wrinkle=bottom.wrinkle) if plain else bottom,
        shoe=Material(random_color(rng), gloss=0.05),
        sleeve=float(rng.choice([0.0, 0.45, 0.55, 1.3, 1.95, 1.95])),
        trouser=0.0 if skirt else float(rng.choice([0.35, 0.75, 0.9, 1.6, 1.95, 1.95, 1.95])),
        skirt=skirt,
        loose=float(rng.uniform(1.02, 1.3)),
        tuck=float(rng.choice([-0.25, 0.0, 0.2, 0.7])),
        hair_style=style,
        beard=bool(curve == 0 and rng.random() < 0.3),
        glasses=bool(rng.random() < 0.1),
        hat=Material(random_color(rng), wrinkle=0.05),
    )
