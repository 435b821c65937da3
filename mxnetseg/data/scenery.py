"""Procedural street scenes: a pinhole camera, a painter's canvas and the things it draws.

Lengths are metres in the camera's frame: X to the right, height above the ground, Z forwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["CLASSES", "VOID", "Canvas", "View", "draw_scene"]

CLASSES = ("road", "sidewalk", "building", "vegetation", "sky", "pole", "car", "person")
ROAD, SIDEWALK, BUILDING, VEGETATION, SKY, POLE, CAR, PERSON = range(8)
VOID = 255

_FAR = 90.0
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates

Color = np.ndarray


@dataclass(frozen=True)
class View:
    """How hard scenes are: as usual, or easier.

    Parameters
    ----------
    enlarge : float
        Factor by which sidewalks and everything that stands on the street are larger.
    variety : float
        How much light and the colours of a kind of thing differ: 1, or less, down to 0.
    border : int
        Width of the void between two classes, in pixels.
    """

    enlarge: float = 1.0
    variety: float = 1.0
    border: int = 1


class Canvas:
    """Image and label drawn together, seen by a camera on the street.

    Parameters
    ----------
    height, width : int
    rng : numpy Generator
    view : View
    """

    def __init__(self, height: int, width: int, rng: np.random.Generator, view: View):
        self.rng, self.view, self._foot = rng, view, None
        self.image = np.zeros((height, width, 3), np.uint8)
        self.label = np.full((height, width), SKY, np.uint8)
        self.horizon = height * rng.uniform(0.38, 0.5)
        self.center = width * rng.uniform(0.38, 0.62)
        self.focal = width * rng.uniform(0.5, 0.62)
        self.camera = rng.uniform(1.4, 2.0)
        self.light = int(rng.choice([-1, 1]))

    def project(self, x: float, height: float, z: float) -> tuple[float, float]:
        """Pixel of a point in the scene."""
        if self._foot is not None:
            x, height = self._foot + self.view.enlarge * (x - self._foot), self.view.enlarge * height
        return self.center + self.focal * x / z, self.horizon + self.focal * (self.camera - height) / z

    @contextmanager
    def standing(self, x: float) -> Iterator[None]:
        """Draw a thing enlarged: around `x`, the middle of its foot, and upwards from the ground."""
        self._foot = x
        yield
        self._foot = None

    def unit(self, z: float) -> float:
        """Pixels of a metre (of an enlarged one, inside of :meth:`standing`)."""
        return self.focal / z * (self.view.enlarge if self._foot is not None else 1)

    def fill(self, points: Sequence[tuple[float, float]], color: Color, label: int | None) -> None:
        """Polygon in pixels; without a label only its colour is drawn."""
        corners = np.rint(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, [corners], _shade(color), cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.label, [corners], label, cv2.LINE_8, _SHIFT)

    def quad(self, points: Sequence[tuple[float, float, float]], color: Color, label: int | None) -> None:
        """Polygon given in the scene."""
        self.fill([self.project(*p) for p in points], color, label)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, color: Color, label: int | None, turn: float = 0.0
    ) -> None:
        """Filled ellipse in pixels."""
        unit = 1 << _SHIFT
        center, axes = (round(x * unit), round(y * unit)), (round(rx * unit), round(ry * unit))
        angle = float(np.degrees(turn))
        cv2.ellipse(self.image, center, axes, angle, 0, 360, _shade(color), -1, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.ellipse(self.label, center, axes, angle, 0, 360, label, -1, cv2.LINE_8, _SHIFT)

    def darken(self, points: Sequence[tuple[float, float, float]], factor: float) -> None:
        """Shadow on the ground."""
        mask = np.zeros(self.label.shape, np.uint8)
        corners = np.rint(np.array([self.project(*p) for p in points]) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, _SHIFT)
        x, y, w, h = cv2.boundingRect(mask)
        if w and h:
            part = self.image[y : y + h, x : x + w]
            weight = 1 - (1 - factor) * mask[y : y + h, x : x + w, None].astype(np.float32) / 255
            part[...] = (part * weight).astype(np.uint8)


def _shade(color: Color) -> tuple[int, int, int]:
    """Colour as OpenCV takes it."""
    red, green, blue = (min(max(int(c), 0), 255) for c in color)
    return red, green, blue


def _between(canvas: Canvas, *colors: tuple[int, int, int]) -> Color:
    """Random mixture of colours, or something nearer to the first one."""
    rng, variety = canvas.rng, canvas.view.variety
    weight = rng.dirichlet(np.ones(len(colors)))
    mixture = weight @ np.array(colors, float) + rng.uniform(-10, 10, 3)
    return variety * mixture + (1 - variety) * np.array(colors[0], float)


def _paint(canvas: Canvas, usual: tuple[int, int, int]) -> Color:
    """Colour of painted or woven things: from grey to saturated, of any hue, or something nearer to the usual one."""
    rng, variety = canvas.rng, canvas.view.variety
    gray = rng.uniform(25, 235)
    paint = np.clip(gray + rng.uniform(-90, 90, 3) * rng.uniform(0, 1), 10, 245)
    return variety * paint + (1 - variety) * np.array(usual, float)


def draw_sky(canvas: Canvas) -> None:
    """Vertical gradient with clouds."""
    rng, height, width = canvas.rng, *canvas.label.shape
    top = _between(canvas, (60, 110, 190), (150, 160, 170), (210, 215, 220), (120, 120, 150))
    low = _between(canvas, (190, 210, 230), (225, 225, 220), (230, 190, 150), (160, 165, 170))
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** 0.8
    clouds = cv2.resize(rng.random((6, 9), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    clouds = np.clip((clouds - 0.55) * 2.5, 0, 1)[..., None] * np.float32(rng.uniform(0, 0.9))
    plain = (top * (1 - ramp) + low * ramp).astype(np.float32)
    sky = plain + (np.float32(rng.uniform(190, 250)) - plain) * clouds
    canvas.image[...] = np.clip(sky, 0, 255, out=sky)


def draw_ground(canvas: Canvas, half: float, walk: float) -> None:
    """Road with markings, sidewalks with kerbs, and a line of distant trees or houses."""
    rng, near = canvas.rng, 0.8
    width = canvas.label.shape[1]
    for x in np.linspace(-0.1, 1.1, 14) * width:
        tall, color = rng.uniform(0.01, 0.09) * width, _leaf(canvas) if rng.random() < 0.7 else _wall(canvas)
        kind = VEGETATION if color[1] > color[0] else BUILDING
        y, w = canvas.horizon, width / 11
        box = [(x - w / 2, y + 3), (x - w / 2, y - tall), (x + w / 2, y - tall), (x + w / 2, y + 3)]
        canvas.fill(box, color, kind)
    lawn = _leaf(canvas)
    canvas.quad([(-300, 0, _FAR), (300, 0, _FAR), (300, 0, near), (-300, 0, near)], lawn, VEGETATION)
    asphalt = _between(canvas, (70, 70, 75), (125, 125, 125), (150, 145, 135), (95, 90, 100))
    paving = _between(canvas, (120, 115, 115), (165, 160, 150), (150, 125, 115), (95, 95, 95))
    for side in (-1, 1):
        edge, out = side * half, side * (half + walk)
        canvas.quad([(edge, 0, _FAR), (out, 0, _FAR), (out, 0, near), (edge, 0, near)], paving, SIDEWALK)
    canvas.quad([(-half, 0, _FAR), (half, 0, _FAR), (half, 0, near), (-half, 0, near)], asphalt, ROAD)
    for side in (-1, 1):
        edge, kerb = side * half, side * (half + 0.25)
        canvas.quad([(edge, 0, _FAR), (kerb, 0, _FAR), (kerb, 0, near), (edge, 0, near)], paving * 1.15 + 8, SIDEWALK)
        for z in np.arange(near, 30, rng.uniform(1.2, 2.5)):
            out = side * (half + walk)
            canvas.quad([(edge, 0, z), (out, 0, z), (out, 0, z + 0.06), (edge, 0, z + 0.06)], paving * 0.8, None)
    _draw_markings(canvas, half)


def _draw_markings(canvas: Canvas, half: float) -> None:
    rng, white = canvas.rng, _between(canvas, (215, 215, 210), (225, 200, 120))
    if rng.random() < 0.8:
        dash, gap = rng.uniform(2, 4), rng.uniform(2, 5)
        for z in np.arange(1.0 + rng.uniform(0, 3), 60, dash + gap):
            canvas.quad([(-0.09, 0, z), (0.09, 0, z), (0.09, 0, z + dash), (-0.09, 0, z + dash)], white, None)
    if rng.random() < 0.35:
        z = rng.uniform(6, 14)
        for x in np.arange(-half + 0.3, half - 0.3, 1.0):
            canvas.quad([(x, 0, z), (x + 0.5, 0, z), (x + 0.5, 0, z + 3), (x, 0, z + 3)], white, None)
    for _ in range(rng.integers(0, 4)):
        x, z, w = rng.uniform(-half, half - 1), rng.uniform(3, 25), rng.uniform(0.4, 2)
        patch = canvas.image[-4, canvas.image.shape[1] // 2] * rng.uniform(0.7, 1.1)
        canvas.quad([(x, 0, z), (x + w, 0, z), (x + w, 0, z + 2 * w), (x, 0, z + 2 * w)], patch, None)


def _wall(canvas: Canvas) -> Color:
    """Colours of plaster, brick, concrete and glass, which overlap those of sky, road and leaves."""
    return _between(
        canvas, (180, 165, 140), (150, 85, 65), (130, 130, 130), (195, 200, 205), (110, 130, 150), (120, 130, 95)
    )


def _leaf(canvas: Canvas) -> Color:
    """Colours of leaves in several seasons."""
    return _between(canvas, (55, 95, 40), (95, 125, 60), (40, 70, 45), (120, 110, 55), (85, 80, 50))


def draw_houses(canvas: Canvas, side: int, front: float) -> None:
    """Row of houses (and gardens) along one side of the street, from far to near."""
    rng, z, row = canvas.rng, canvas.rng.uniform(1.5, 4), []
    while z < _FAR - 20:
        depth = rng.uniform(7, 16)
        row.append((z, min(z + depth, _FAR)))
        z += depth
    for near, far in reversed(row):
        kind, back = rng.random(), front + rng.uniform(0, 1.5)
        if kind < 0.72:
            _draw_house(canvas, side * back, near, far)
        elif kind < 0.9:
            for at in np.linspace(far, near, 4):
                draw_tree(canvas, side * (back + rng.uniform(1, 3)), at + 1.5)


def _draw_house(canvas: Canvas, x: float, near: float, far: float) -> None:
    rng, tall, wall = canvas.rng, canvas.rng.uniform(4.5, 15), _wall(canvas)
    lit = 1.0 if np.sign(x) == canvas.light else 0.72
    gable = x + np.sign(x) * 9
    face = [(x, 0, far), (gable, 0, far), (gable, tall, far), (x, tall, far)]
    canvas.quad(face, wall * 0.85, BUILDING)
    front = [(x, 0, near), (gable, 0, near), (gable, tall, near), (x, tall, near)]
    canvas.quad(front, wall * 0.9, BUILDING)
    if rng.random() < 0.4:
        ridge, rise = (x + gable) / 2, tall + rng.uniform(1.5, 3)
        roof = _between(canvas, (120, 60, 45), (80, 80, 85), (60, 50, 45))
        canvas.quad([(x, tall, near), (gable, tall, near), (ridge, rise, near)], wall * 0.9, BUILDING)
        canvas.quad([(x, tall, far), (x, tall, near), (ridge, rise, near), (ridge, rise, far)], roof, BUILDING)
    canvas.quad([(x, 0, far), (x, 0, near), (x, tall, near), (x, tall, far)], wall * lit, BUILDING)
    _draw_windows(canvas, x, near, far, tall, wall * lit)


def _draw_windows(canvas: Canvas, x: float, near: float, far: float, tall: float, wall: Color) -> None:
    rng = canvas.rng
    glass = _between(canvas, (40, 50, 60), (150, 175, 195), (90, 95, 100), (230, 210, 150))
    pitch, storey, share = rng.uniform(1.8, 3), rng.uniform(2.6, 3.4), rng.uniform(0.4, 0.7)
    for base in np.arange(0.9, tall - 1.6, storey):
        if rng.random() < 0.3:
            band = [(x, base - 0.6, near), (x, base - 0.6, far), (x, base - 0.4, far), (x, base - 0.4, near)]
            canvas.quad(band, wall * 1.2, None)
        for z in np.arange(near + 0.6, min(far, 45) - pitch * share, pitch):
            shade, end, top = glass * rng.uniform(0.75, 1.15), z + pitch * share, base + 0.55 * storey
            canvas.quad([(x, base, z), (x, base, end), (x, top, end), (x, top, z)], shade, None)


def draw_tree(canvas: Canvas, x: float, z: float) -> None:
    """Trunk and a crown of overlapping leaf clusters."""
    rng, leaf = canvas.rng, _leaf(canvas)
    tall = rng.uniform(3.5, 7.5) / canvas.view.enlarge  # larger crowns, but not out of sight
    trunk, size = _between(canvas, (70, 55, 40), (95, 85, 70)), canvas.unit(z)
    radius = rng.uniform(1.0, 1.9)
    canvas.quad([(x - 0.14, 0, z), (x + 0.14, 0, z), (x + 0.1, tall, z), (x - 0.1, tall, z)], trunk, VEGETATION)
    for _ in range(14):
        angle, reach = rng.uniform(0, 2 * np.pi), radius * np.sqrt(rng.random())
        u, v = canvas.project(x + reach * np.cos(angle), tall + 1.2 * reach * np.sin(angle), z)
        lit = rng.uniform(0.7, 1.2) + 0.15 * np.sin(angle)
        r = rng.uniform(0.35, 0.75) * size
        canvas.ellipse(u, v, r, r * rng.uniform(0.6, 1), leaf * lit, VEGETATION, rng.uniform(0, 3))


def draw_pole(canvas: Canvas, x: float, z: float) -> None:
    """Lamp post, traffic light or sign post."""
    rng, size = canvas.rng, canvas.unit(z)
    color = _between(canvas, (110, 110, 110), (60, 60, 60), (160, 160, 155), (85, 95, 85))
    tall, half = rng.uniform(2.8, 6.5), max(rng.uniform(0.08, 0.13), 3.2 / size)
    canvas.quad([(x - half, 0, z), (x + half, 0, z), (x + half, tall, z), (x - half, tall, z)], color, POLE)
    dark = x - canvas.light * half
    canvas.quad([(dark, 0, z), (x, 0, z), (x, tall, z), (dark, tall, z)], color * 0.6, None)
    kind = rng.random()
    if kind < 0.4:
        arm = -np.sign(x) * rng.uniform(0.8, 1.8)
        beam = [(x, tall, z), (x + arm, tall + 0.1, z), (x + arm, tall - 0.2, z), (x, tall - 2.6 * half, z)]
        canvas.quad(beam, color, POLE)
    elif kind < 0.75:
        u, v = canvas.project(x, tall, z)
        face = _between(canvas, (190, 40, 40), (40, 80, 170), (230, 230, 225), (220, 190, 50))
        canvas.ellipse(u, v, 0.42 * size, 0.42 * size, face, POLE)
        canvas.ellipse(u, v, 0.26 * size, 0.26 * size, face * 0.4 + 140, POLE)
    else:
        box = [(x - 0.2, tall - 1, z), (x + 0.2, tall - 1, z), (x + 0.2, tall, z), (x - 0.2, tall, z)]
        canvas.quad(box, np.full(3, 35.0), POLE)
        for place in range(3):
            u, v = canvas.project(x, tall - 0.2 - 0.3 * place, z)
            canvas.ellipse(u, v, 0.1 * size, 0.1 * size, _paint(canvas, (200, 60, 40)), None)


def draw_car(canvas: Canvas, x: float, z: float) -> None:
    """Box-shaped car seen from behind or in front, with its visible side."""
    rng, paint = canvas.rng, _paint(canvas, (50, 80, 150))
    half, long, belt = rng.uniform(0.8, 1.0), rng.uniform(3.6, 4.8), rng.uniform(0.8, 1.0)
    tall, deep = belt + rng.uniform(0.5, 0.75), z + long
    canvas.darken([(x - half, 0, z - 0.4), (x + half, 0, z - 0.4), (x + half, 0, deep), (x - half, 0, deep)], 0.45)
    glass = _between(canvas, (35, 40, 50), (120, 140, 160), (80, 85, 90))
    if abs(x) > half:
        _draw_car_side(canvas, x - np.sign(x) * half, z, deep, belt, tall, paint, glass)
    _draw_rear_window(canvas, x, z, half, belt, tall, paint, glass)
    canvas.quad([(x - half, 0.25, z), (x + half, 0.25, z), (x + half, belt, z), (x - half, belt, z)], paint, CAR)
    lamp = _between(canvas, (200, 40, 30), (240, 235, 210))
    for side in (-1, 1):
        inner, outer = x + side * 0.6 * half, x + side * 0.96 * half
        canvas.quad([(inner, 0.55, z), (outer, 0.55, z), (outer, 0.75, z), (inner, 0.75, z)], lamp, None)
        wheel = x + side * 0.72 * half
        canvas.quad([(wheel - 0.14, 0, z), (wheel + 0.14, 0, z), (wheel + 0.14, 0.3, z), (wheel - 0.14, 0.3, z)],
                    np.full(3, 25.0), CAR)  # fmt: skip
    canvas.quad([(x - 0.3, 0.4, z), (x + 0.3, 0.4, z), (x + 0.3, 0.52, z), (x - 0.3, 0.52, z)], paint * 0.3 + 150, None)


def _draw_rear_window(
    canvas: Canvas, x: float, z: float, half: float, belt: float, tall: float, paint: Color, glass: Color
) -> None:
    for share, color in ((1.0, paint * 0.9), (0.85, glass)):
        low, high, top = share * half, 0.92 * share * half, belt + share * (tall - belt)
        pane = [(x - low, belt, z), (x + low, belt, z), (x + high, top, z + 0.7), (x - high, top, z + 0.7)]
        canvas.quad(pane, color, CAR)


def _draw_car_side(
    canvas: Canvas, x: float, z: float, deep: float, belt: float, tall: float, paint: Color, glass: Color
) -> None:
    body = [(x, 0.25, z), (x, 0.25, deep), (x, 0.85 * belt, deep), (x, belt, z)]
    canvas.quad(body, paint * 0.82, CAR)
    cabin = [(x, belt, z), (x, belt, deep - 1.0), (x, tall, deep - 1.9), (x, tall, z + 0.7)]
    canvas.quad(cabin, glass * 0.9, CAR)
    canvas.quad([(x, belt, z + 1.7), (x, belt, z + 1.85), (x, tall, z + 1.85), (x, tall, z + 1.7)], paint * 0.7, None)
    for at in (z + 0.7, deep - 0.8):
        angle = np.linspace(0, 2 * np.pi, 11)[:-1]
        tyre = [(x, 0.31 + 0.31 * np.sin(a), at + 0.31 * np.cos(a)) for a in angle]
        canvas.quad(tyre, np.full(3, 28.0), CAR)


def draw_person(canvas: Canvas, x: float, z: float) -> None:
    """Walking figure: legs, coat, arms, head."""
    rng, tall = canvas.rng, canvas.rng.uniform(1.5, 1.9)
    coat, trousers = _paint(canvas, (190, 60, 50)), _paint(canvas, (110, 50, 90)) * 0.7
    skin = _between(canvas, (225, 180, 150), (140, 95, 70), (90, 60, 45))
    stride, wide = rng.uniform(0.05, 0.3), rng.uniform(0.21, 0.3)
    canvas.darken([(x - 0.3, 0, z - 0.2), (x + 0.3, 0, z - 0.2), (x + 0.3, 0, z + 0.3), (x - 0.3, 0, z + 0.3)], 0.6)
    hip, neck = 0.48 * tall, 0.84 * tall
    for side in (-1, 1):
        foot = x + side * stride
        canvas.quad([(foot - 0.09, 0, z), (foot + 0.09, 0, z), (x + side * 0.05 + 0.1, hip, z),
                     (x + side * 0.05 - 0.1, hip, z)], trousers, PERSON)  # fmt: skip
        hand = x + side * (wide + rng.uniform(0, 0.18))
        canvas.quad([(hand - 0.06, hip, z), (hand + 0.06, hip, z), (x + side * wide, neck, z),
                     (x + side * (wide - 0.1), neck, z)], coat * 0.85, PERSON)  # fmt: skip
    body = [(x - 0.8 * wide, hip - 0.1, z), (x + 0.8 * wide, hip - 0.1, z), (x + wide, neck, z), (x - wide, neck, z)]
    canvas.quad(body, coat, PERSON)
    u, v = canvas.project(x, 0.92 * tall, z)
    size = canvas.unit(z)
    canvas.ellipse(u, v, 0.11 * size, 0.15 * size, skin, PERSON)
    canvas.ellipse(u, v - 0.07 * size, 0.12 * size, 0.09 * size, _paint(canvas, (120, 80, 40)) * 0.4, PERSON)


def draw_scene(height: int, width: int, rng: np.random.Generator, view: View) -> Canvas:
    """Draw everything but the light: sky, ground, houses, then things from far to near.

    Parameters
    ----------
    height, width : int
        Pixels.
    rng : numpy Generator
    view : View

    Returns
    -------
    Canvas
    """
    canvas = Canvas(height, width, rng, view)
    half, walk = rng.uniform(3.2, 5.5), rng.uniform(2.0, 4.0) * view.enlarge
    draw_sky(canvas)
    draw_ground(canvas, half, walk)
    for side in (-1, 1):
        draw_houses(canvas, side, half + walk)
        if side != canvas.light and rng.random() < 0.6:
            edge, reach, z = side * (half + walk), side * rng.uniform(-0.5, 1) * half, rng.uniform(1, 15)
            canvas.darken([(edge, 0, z), (edge, 0, 60), (reach, 0, 60), (reach, 0, z)], rng.uniform(0.5, 0.75))
    for draw, x, z in sorted(_things(rng, half, walk, view.enlarge), key=lambda thing: -thing[2]):
        with canvas.standing(x):
            draw(canvas, x, z)
    return canvas


def _things(rng: np.random.Generator, half: float, walk: float, enlarge: float) -> list[tuple]:
    """What stands on the street: (function, X, Z)."""
    things = []
    for side in (-1, 1):
        kerb = side * (half + 0.5)
        for z in np.arange(rng.uniform(4, 9), 24, rng.uniform(6, 10)):
            things.append((draw_pole, kerb, z))
        for z in np.arange(rng.uniform(5, 14), 50, rng.uniform(9, 20)):
            if rng.random() < 0.5:
                things.append((draw_tree, side * (half + walk * 0.8), z))
        for z in np.arange(rng.uniform(4, 12), 40, rng.uniform(6, 9)):
            if rng.random() < 0.4:
                things.append((draw_car, side * (half - 1.1), z))
        for _ in range(rng.integers(2, 5)):
            things.append(
                (draw_person, side * (half + rng.uniform(0.4, walk - 0.3)), rng.uniform(3.2, 7) * enlarge**0.5)
            )
    for lane in (-0.4, 0.4):
        if rng.random() < 0.7:
            things.append((draw_car, lane * half, rng.uniform(6, 30)))
    if rng.random() < 0.4:
        things.append((draw_person, rng.uniform(-half, half), rng.uniform(4, 7) * enlarge**0.5))
    return things
