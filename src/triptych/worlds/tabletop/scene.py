"""What stands on the table: attributes, levels, seeds, and sampling of still scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from triptych.worlds.tabletop.geometry import REST_HEIGHT, View, sightings

Split = Literal["train", "validation", "test"]
Medium = Literal["picture", "clip", "edit"]

COLORS = {
    "red": (0.75, 0.05, 0.05),
    "blue": (0.06, 0.17, 0.75),
    "green": (0.06, 0.46, 0.12),
    "yellow": (0.92, 0.74, 0.05),
    "purple": (0.42, 0.09, 0.58),
    "cyan": (0.10, 0.66, 0.74),
    "orange": (0.94, 0.36, 0.03),
    "gray": (0.42, 0.42, 0.43),
}
MATERIALS = ("metal", "rubber", "plastic")
SIZES = ("small", "large")
SHAPES: dict[int, tuple[str, ...]] = {0: ("ball", "cube", "cylinder", "cone")}
SHAPES[1] = SHAPES[0]
SHAPES[2] = SHAPES[3] = (*SHAPES[1], "capsule", "egg")
# Pairs that a model meets first in the test split.
WITHHELD = frozenset(
    {
        ("purple", "cone"),
        ("cyan", "cylinder"),
        ("orange", "cube"),
        ("green", "ball"),
        ("yellow", "cylinder"),
        ("gray", "cone"),
        ("blue", "capsule"),
        ("red", "egg"),
    }
)
UNSEEN_SHARE = 0.3
RADIUS = {0: {"small": 0.28, "large": 0.46}}
RADIUS |= {1: {"small": 0.26, "large": 0.42}, 2: {"small": 0.25, "large": 0.42}, 3: {"small": 0.2, "large": 0.36}}
REACH = {0: 1.2, 1: 1.25, 2: 1.5, 3: 1.8}  # metres from the table's middle within which things stand
FLOORS: dict[int, tuple[str, ...]] = {0: ("plain", "wood", "concrete", "marble")}
FLOORS[1] = FLOORS[0]
FLOORS[2] = FLOORS[3] = (*FLOORS[1], "tile", "cloth")
ENVIRONMENTS = {0: 1, 1: 4, 2: 8, 3: 8}
VARIANTS = {0: 1, 1: 6, 2: 6, 3: 6}  # textures in the bank for each floor
VIEW_STEP = 20.0  # degrees from one view of a still scene to the next
VIEWS = 4
VISIBLE = 0.6  # the part of an object that must be seen in a picture

_SPLIT_KEY = {"train": 11, "validation": 22, "test": 33}
_MEDIUM_KEY = {"picture": 1, "clip": 2, "edit": 3}


@dataclass(frozen=True)
class Thing:
    """One object: attributes, radius and position in metres, yaw in degrees, velocity in metres a second."""

    shape: str
    color: str
    material: str
    size: str
    radius: float
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    on: int | None = None  # the thing that it stands on

    @property
    def rest(self) -> float:
        """Height of the centre above what it stands on."""
        return REST_HEIGHT[self.shape] * self.radius

    @property
    def quaternion(self) -> np.ndarray:
        """The turn around z as (w, x, y, z)."""
        half = math.radians(self.yaw) / 2
        return np.array([math.cos(half), 0.0, 0.0, math.sin(half)])

    def moved(self, x: float, y: float, z: float | None = None, **changes: Any) -> Thing:
        """The same thing at another place; without z it rests on the table."""
        return replace(self, position=(float(x), float(y), self.rest if z is None else float(z)), **changes)


@dataclass(frozen=True)
class Scene:
    """A table, its light, its camera and its objects. Angles in degrees, lengths in metres."""

    level: int
    floor: str
    variant: int
    environment: int
    azimuth: float
    elevation: float
    distance: float
    fov: float
    sun: tuple[float, float, float, float]  # azimuth, elevation, strength, warmth
    things: tuple[Thing, ...] = field(default=())
    turn: float = 0.0  # degrees that the camera walks during a clip

    def view(self, size: int, step: float = 0.0) -> View:
        """The camera, walked `step` degrees around the table."""
        return View(self.azimuth + step, self.elevation, self.distance, self.fov, size)


def generator(seed: int, split: str, level: int, medium: str, index: int, attempt: int = 0) -> np.random.Generator:
    """Random numbers of one scene. The split is part of the key, so no two splits share a stream.

    Raises: ValueError for an unknown split.
    """
    if split not in _SPLIT_KEY:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(_SPLIT_KEY)}")
    return np.random.default_rng([_SPLIT_KEY[split], seed, level, _MEDIUM_KEY[medium], index, attempt])


def sample_table(rng: np.random.Generator, level: int, medium: Medium) -> Scene:
    """A table without objects: floor, light and camera."""
    calm = level <= 1
    spread = {0: 0.0, 1: 0.0, 2: 0.25, 3: 0.6}[level] + (0.15 if medium == "clip" else 0.0)
    if level == 0:  # a studio: one camera, one light, one floor of each kind; all that varies are the objects
        floor = str(rng.choice(FLOORS[0]))
        return Scene(0, floor, 0, 0, 0.0, 34.0, 4.8 + spread, 40.0, sun=(-40.0, 58.0, 1.05, 0.02))
    return Scene(
        level=level,
        floor=str(rng.choice(FLOORS[level])),
        variant=int(rng.integers(VARIANTS[level])),
        environment=int(rng.integers(ENVIRONMENTS[level])),
        azimuth=float(rng.uniform(-15, 15) if calm else rng.uniform(-180, 180)),
        elevation=float(rng.uniform(28, 38) if calm else rng.uniform(18, 42)),
        distance=float(rng.uniform(4.9, 5.2) + spread),
        fov=float(rng.uniform(39, 41) if calm else rng.uniform(38, 42)),
        sun=(
            float(rng.uniform(-70, 70) if calm else rng.uniform(0, 360)),
            float(rng.uniform(50, 65) if calm else rng.uniform(40, 70)),
            float(rng.uniform(0.9, 1.2) if calm else rng.uniform(0.6, 1.4)),
            float(rng.uniform(-0.04, 0.08) if calm else rng.uniform(-0.1, 0.16)),
        ),
    )


def sample_looks(rng: np.random.Generator, level: int, count: int, unseen: bool) -> list[Thing]:
    """Objects without a place, no two alike in colour and shape.

    Args: unseen: whether at least one pair of colour and shape is a withheld one; otherwise none is.
    """
    looks: list[Thing] = []
    used: set[tuple[str, str]] = set()
    slot = int(rng.integers(count)) if unseen else -1
    # Sharing an attribute now and then gives counting questions with answers above one.
    shared = str(rng.choice(["none", "none", "color", "shape", "material"]))
    for place in range(count):
        while True:
            size, material = str(rng.choice(SIZES)), str(rng.choice(MATERIALS))
            color, shape = str(rng.choice(list(COLORS))), str(rng.choice(SHAPES[level]))
            if looks and place != slot and rng.random() < 0.75:
                color = looks[0].color if shared == "color" else color
                shape = looks[0].shape if shared == "shape" else shape
                material = looks[0].material if shared == "material" else material
            pair = (color, shape)
            if pair not in used and ((pair in WITHHELD) == (place == slot)):
                break
        used.add(pair)
        radius = RADIUS[level][size] * float(rng.uniform(0.97, 1.03))
        looks.append(Thing(shape, color, material, size, radius, yaw=float(rng.uniform(0, 360))))
    return looks


def free_place(
    rng: np.random.Generator, thing: Thing, others: list[Thing], reach: float, gap: float = 0.14
) -> Thing | None:
    """`thing` at rest on the table within `reach` of its middle and clear of the others, or None."""
    for _ in range(60):
        x, y = rng.uniform(-reach, reach, 2)
        clear = all(
            math.hypot(x - o.position[0], y - o.position[1]) > 1.12 * (thing.radius + o.radius) + gap for o in others
        )
        if math.hypot(x, y) < reach and clear:
            return thing.moved(x, y)
    return None


def count_range(level: int) -> tuple[int, int]:
    """The fewest and the most objects of a still scene."""
    return {0: (1, 3), 1: (1, 3), 2: (2, 5), 3: (2, 7)}[level]


def plan_still(rng: np.random.Generator, level: int, split: str) -> tuple[int, bool]:
    """The number of objects of a still scene, and whether it shows a withheld pair; drawn once, before any attempt."""
    fewest, most = count_range(level)
    return int(rng.integers(fewest, most + 1)), bool(split == "test" and rng.random() < UNSEEN_SHARE)


def sample_still(
    rng: np.random.Generator, level: int, count: int, unseen: bool, views: int, size: int = 224
) -> Scene | None:
    """A scene at rest whose objects all lie inside every view and are at least 60% visible, or None.

    Args: views: how many cameras, each VIEW_STEP degrees further around the table.
    """
    table = sample_table(rng, level, "picture")
    if views > 1 and level <= 1:
        # Four views span 60 degrees; starting early keeps them around the front of the table.
        table = replace(table, azimuth=-30.0 if level == 0 else float(rng.uniform(-40, -20)))
    looks = sample_looks(rng, level, count, unseen)
    reach = REACH[level]
    for _ in range(30):
        placed: list[Thing] = []
        for thing in looks:
            base = next((i for i, o in enumerate(placed) if o.on is None and o.shape in ("cube", "cylinder")), None)
            stackable = thing.shape in ("cube", "cylinder", "cone") and thing.size == "small"
            if level == 3 and base is not None and stackable and placed[base].size == "large" and rng.random() < 0.5:
                under = placed[base]
                if not any(o.on == base for o in placed):
                    top = under.position[2] + under.rest + thing.rest
                    placed.append(thing.moved(*under.position[:2], top, on=base))
                    continue
            found = free_place(rng, thing, [o for o in placed if o.on is None], reach)
            if found is None:
                break
            placed.append(found)
        if len(placed) == count and all_seen(scene := replace(table, things=tuple(placed)), views, size):
            return scene
    return None


def all_seen(scene: Scene, views: int, size: int) -> bool:
    """Whether all objects lie inside every view and are visible enough."""
    return all(
        row["inside"] > 0.97 and row["visible"] >= VISIBLE and inside_frame(row["box"], size)
        for step in range(views)
        for row in sightings(scene.view(size, step * VIEW_STEP), poses(scene.things))
    )


def inside_frame(box: list[float] | None, size: int) -> bool:
    """Whether a box keeps two pixels from the frame's edge."""
    return box is not None and min(box[:2]) > 2 and max(box[2:]) < size - 2


def poses(things: list[Thing] | tuple[Thing, ...]) -> list[tuple[str, float, np.ndarray, np.ndarray]]:
    """Shape, radius, position and quaternion of each thing at its start."""
    return [(t.shape, t.radius, np.array(t.position), t.quaternion) for t in things]
