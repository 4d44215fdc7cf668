"""Backgrounds: 2-D images of interiors and landscapes, and solid objects."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.clothing import SKIN, cloth, random_color
from keras_shufflenet.synthetic_people.kinematics import rotation_matrix
from keras_shufflenet.synthetic_people.shapes import Array, Shape

Color = tuple[int, int, int]


def _display(color: tuple[float, float, float]) -> Color:
    """Convert a linear color to 8 bits per channel."""
    red, green, blue = (round(255 * min(max(c, 0.0), 1.0) ** (1 / 2.2)) for c in color)
    return red, green, blue


def _clutter_color(rng: np.random.Generator) -> Color:
    """Return a random color, sometimes one of skin."""
    if rng.random() < 0.15:
        return _display(SKIN[rng.integers(len(SKIN))])
    return _display(random_color(rng))


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Return smooth noise of several scales, (height, width, 1), about -1..1."""
    total = np.zeros((height, width), np.float32)
    for cells, strength in ((3, 1.0), (9, 0.5), (int(rng.integers(20, 120)), 0.35)):
        noise = rng.normal(size=(cells, cells)).astype(np.float32)
        grid = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(grid) * rng.uniform(0, strength)
    return total[..., None]


def _outdoors(draw: ImageDraw.ImageDraw, rng: np.random.Generator, horizon: int) -> None:
    """Draw houses and trees on the horizon."""
    width = draw.im.size[0]
    for _ in range(rng.integers(0, 6)):
        x, w = rng.uniform(-0.1, 1) * width, rng.uniform(0.08, 0.4) * width
        h = rng.uniform(0.1, 1) * horizon
        wall, window = _clutter_color(rng), _clutter_color(rng)
        draw.rectangle((x, horizon - h, x + w, horizon + 2), fill=wall)
        step = max(h / rng.integers(3, 7), 6)
        for top in np.arange(horizon - h + step / 3, horizon - step / 2, step):
            for left in np.arange(x + step / 3, x + w - step / 2, step):
                draw.rectangle((left, top, left + step / 2, top + step / 2), fill=window)
    green = _display((rng.uniform(0.01, 0.1), rng.uniform(0.06, 0.25), rng.uniform(0.01, 0.06)))
    for _ in range(rng.integers(0, 5)):
        x, y = rng.uniform(0, 1) * width, horizon - rng.uniform(0, 0.5) * horizon
        draw.rectangle((x - 4, y, x + 4, horizon + 5), fill=(70, 50, 35))
        for _ in range(12):
            dx, dy = rng.normal(size=2) * 0.09 * width
            r = rng.uniform(0.02, 0.08) * width
            shade = tuple(int(c * rng.uniform(0.7, 1.3)) for c in green)
            draw.ellipse((x + dx - r, y + dy - r, x + dx + r, y + dy + r), fill=shade)


def _indoors(draw: ImageDraw.ImageDraw, rng: np.random.Generator, horizon: int) -> None:
    """Draw pictures, doors, shelves and curtains."""
    width, height = draw.im.size
    for _ in range(rng.integers(1, 7)):
        x, y = rng.uniform(-0.1, 1) * width, rng.uniform(-0.1, 0.8) * horizon
        w, h = rng.uniform(0.05, 0.35) * width, rng.uniform(0.1, 0.7) * horizon
        rim = _clutter_color(rng)
        draw.rectangle((x, y, x + w, y + h), fill=_clutter_color(rng), outline=rim, width=2)
        if rng.random() < 0.5:
            for left in np.arange(x, x + w, max(w / rng.integers(2, 9), 4)):
                draw.line((left, y, left, y + h), fill=_clutter_color(rng), width=2)
    draw.line((0, horizon, width, horizon), fill=_clutter_color(rng), width=int(rng.integers(1, 7)))
    if rng.random() < 0.3:
        for x in np.linspace(-width, 2 * width, 14):
            far = width / 2 + (x - width / 2) * 0.3
            draw.line((far, horizon, x, height), fill=_clutter_color(rng))


def _distractors(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Draw distractors: shapes in the colors of skin and clothes."""
    width, height = draw.im.size
    for _ in range(rng.integers(0, 8)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        r, flat = rng.uniform(0.01, 0.1) * width, rng.uniform(0.4, 2.5)
        draw.ellipse((x - r, y - r * flat, x + r, y + r * flat), fill=_clutter_color(rng))
    for _ in range(rng.integers(0, 5)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        dx, dy = rng.normal(size=2) * 0.2 * width
        draw.line((x, y, x + dx, y + dy), fill=_clutter_color(rng), width=int(rng.integers(1, 10)))


def _shadows(size: tuple[int, int], places: Array, shrink: int) -> Image.Image:
    """Return the brightness of the ground with shadows at (x, y, radius) in image pixels."""
    mask = Image.new("L", size, 255)
    draw = ImageDraw.Draw(mask)
    for x, y, radius in (places / shrink).tolist():
        for grow, value in ((1.3, 215), (1.0, 170), (0.7, 130)):
            r, flat = radius * grow, radius * grow * 0.25
            draw.ellipse((x - r, y - flat, x + r, y + flat), fill=value)
    return mask


def backdrop(
    rng: np.random.Generator, size: tuple[int, int], horizon: int, feet: Array, clutter: float
) -> Image.Image:
    """Return an image of the distant background and the ground.

    It is drawn small and upsampled, as distant objects in photographs of people are out of focus.

    Args:
        rng: Random number generator.
        size: Image size (height, width) in pixels.
        horizon: Row of the horizon, where the ground begins.
        feet: (N, 3), rows (x, y, radius) of shadows.
        clutter: Probability of distractors, which look like parts of people.
    """
    height, width = size
    shrink = (1, 2, 2, 3)[rng.integers(4)]
    h, w = -(-height // shrink), -(-width // shrink)
    horizon = int(np.clip(horizon // shrink, 4, h))
    outside = rng.random() < 0.5
    sky = (0.35, 0.55, 0.85) if outside and rng.random() < 0.6 else random_color(rng)
    above, ground = np.array(_display(sky)), np.array(_clutter_color(rng))
    rows = np.arange(h, dtype=np.float32)[:, None, None] / h
    base = np.where(rows * h < horizon, above * (1 + 0.25 * rows), ground * (0.6 + 0.5 * rows))
    base = base * (1 + rng.uniform(0, 0.2) * _texture(rng, h, w))
    image = Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    (_outdoors if outside else _indoors)(draw, rng, horizon)
    if rng.random() < clutter:
        _distractors(draw, rng)
    if rng.random() < 0.75:
        shade = _shadows(image.size, feet, shrink)
        image = ImageChops.multiply(image, Image.merge("RGB", [shade] * 3))
    return image.resize((width, height), Image.Resampling.BICUBIC) if shrink > 1 else image


def solid_object(rng: np.random.Generator, size: float) -> list[Shape]:
    """Return a solid of about `size` meters that stands on its origin: box, ball, post, bush."""
    material = cloth(rng, patterned=0.3)
    half = size * rng.uniform(0.25, 0.6, 3)
    center = np.array([0.0, half[1], 0.0])
    kind = rng.integers(4)
    if kind == 0:
        turned = rotation_matrix(1, rng.uniform(0, 90)).T
        return [s.box(center, turned, (half[0], half[1], half[2]), material)]
    if kind == 1:
        radius = float(half.min())
        return [s.ball(np.array([0.0, radius, 0.0]), radius, material, s.OBJECT)]
    if kind == 2:
        top, r = np.array([0.0, 2.4 * size, 0.0]), 0.12 * size
        return [s.limb(np.zeros(3), top, (r, r, r), material, side=np.eye(3)[0], part=s.OBJECT)]
    places = rng.normal(size=(7, 3)) * half * 0.6 + center
    return [s.ball(place, 0.3 * size, material, s.OBJECT) for place in places]


def seat(rng: np.random.Generator, height: float) -> list[Shape]:
    """Return a stool, bench or chair whose top is at the origin, `height` meters high."""
    material = cloth(rng, patterned=0.2)
    w, d = rng.uniform(0.22, 0.6), rng.uniform(0.2, 0.26)
    identity = np.eye(3)
    shapes = [s.box(np.array([0, -0.03, 0.03]), identity, (w, 0.03, d), material)]
    if rng.random() < 0.5:
        shapes.append(s.box(np.array([0, 0.3, -0.25]), identity, (w, 0.28, 0.025), material))
    if rng.random() < 0.4:
        middle = np.array([0, -height / 2 - 0.03, 0.0])
        return [*shapes, s.box(middle, identity, (w * 0.95, height / 2, d * 0.8), material)]
    for x in (-0.9 * w, 0.9 * w):
        for z in (-0.17, 0.2):
            top = np.array([x, -0.04, z])
            foot = top - np.array([0, height, 0])
            leg = s.limb(top, foot, (0.02,) * 3, material, side=identity[0], part=s.OBJECT)
            shapes.append(leg)
    return shapes


def held_object(rng: np.random.Generator, hand: Array, along: Array) -> list[Shape]:
    """Return an object in a hand: a ball, a stick, a bag or a book."""
    material = cloth(rng, patterned=0.3)
    kind = rng.integers(4)
    place = hand + along * 0.09
    if kind == 0:
        radius = float(rng.uniform(0.035, 0.13))
        return [s.ball(place + along * radius, radius, material, s.OBJECT)]
    if kind == 1:
        way = s.unit(rng.normal(size=3)) * rng.uniform(0.3, 0.9)
        radii = (0.014, 0.016, 0.024)
        return [s.limb(place - way * 0.2, place + way, radii, material, side=along, part=s.OBJECT)]
    half = rng.uniform(0.06, 0.2, 3) * (1, 1, 0.3)
    drop = np.array([0.0, -half[1] - 0.03, 0.0]) if kind == 2 else np.zeros(3)
    return [s.box(place + drop, np.eye(3), (half[0], half[1], half[2]), material)]
