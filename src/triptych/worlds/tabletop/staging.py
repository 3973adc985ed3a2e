"""Scenes in which something is about to happen, on purpose: one recipe for each kind of story."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from triptych.worlds.tabletop.geometry import sightings
from triptych.worlds.tabletop.scene import (
    UNSEEN_SHARE,
    Scene,
    Thing,
    free_place,
    inside_frame,
    poses,
    sample_looks,
    sample_table,
)

# Shares of the stories among event clips; "static" clips show nothing happening.
STORIES = {
    "collide": 0.22,
    "chain": 0.20,
    "late": 0.14,
    "drop": 0.13,
    "pass": 0.10,
    "exit": 0.08,
    "hide": 0.08,
    "static": 0.05,
}
MOVERS = ("ball", "egg", "cube", "cylinder")
_FRICTION = 0.32 * 9.81  # deceleration of a sliding thing


def plan_story(rng: np.random.Generator, level: int, split: str) -> tuple[str, int, bool]:
    """A story's name, its number of objects, and whether it shows a withheld pair.

    Drawn once a clip, before any attempt, so that stories that fail more often don't become rarer.
    """
    story = str(rng.choice(list(STORIES), p=np.array(list(STORIES.values())) / sum(STORIES.values())))
    unseen = split == "test" and rng.random() < UNSEEN_SHARE
    return story, int(rng.integers(3 if story == "chain" else 2, {0: 3, 1: 3, 2: 4, 3: 6}[level] + 1)), unseen


def sample_story(
    rng: np.random.Generator, level: int, story: str, count: int, unseen: bool, size: int = 224
) -> Scene | None:
    """The scene of a story at its start, or None if its parts did not fit."""
    table = sample_table(rng, level, "clip")
    if level == 3 and rng.random() < 0.4:
        table = replace(table, turn=float(rng.choice([-1, 1]) * rng.uniform(8, 20)))
    looks = sample_looks(rng, level, count, unseen)
    rolling = [i for i, t in enumerate(looks) if t.shape in MOVERS]
    if not rolling and story not in ("drop", "static"):
        return None
    # Balls move best, so the mover is a ball where there is one.
    balls = [i for i in rolling if looks[i].shape == "ball"]
    first = int(rng.choice(balls or rolling)) if rolling else 0
    looks = [looks[first], *(t for i, t in enumerate(looks) if i != first)]
    # Some stories are told on the mover's line as the camera sees it.
    things = _BUILD[story](rng, looks, table)
    if things is None:
        return None
    for extra in looks[len(things) :]:
        placed = _aside(rng, extra, things)
        if placed is None:
            return None
        things.append(placed)
    # Who acts must not follow from the order of the list.
    order = rng.permutation(len(things))
    scene = replace(table, things=tuple(things[i] for i in order))
    rows = sightings(scene.view(size), poses(scene.things))
    for thing, row in zip(scene.things, rows, strict=True):
        still = not any(thing.velocity) and thing.position[2] < thing.rest + 0.2
        if still and not (inside_frame(row["box"], size) and row["visible"] > 0.4):
            return None
    return scene


def _heading(table: Scene, rng: np.random.Generator, spread: float = 180.0) -> float:
    """A direction in radians; with a small spread it runs across the picture, to the left or to the right."""
    side = 0.0 if rng.random() < 0.5 else 180.0
    return math.radians(table.azimuth + side + rng.uniform(-spread, spread))


def _send(thing: Thing, start: tuple[float, float], heading: float, distance: float, time: float) -> Thing | None:
    """`thing` at `start`, moving so that it has come `distance` far after `time` seconds; None if too fast."""
    speed = distance / time
    if thing.shape not in ("ball", "egg"):
        speed += 0.5 * _FRICTION * time
        if speed - _FRICTION * time < 0.5:
            return None
    if speed > 5.2:
        return None
    velocity = (float(speed * math.cos(heading)), float(speed * math.sin(heading)), 0.0)
    return replace(thing.moved(*start), velocity=velocity)


def _toward(mover: Thing, target: Thing, heading: float, run: float, time: float, off: float = 0.0) -> Thing | None:
    """The mover, `run` metres before touching the target, aimed at it with a sideways error of `off` metres."""
    reach = run + mover.radius + target.radius
    x, y, _ = target.position
    c, s = math.cos(heading), math.sin(heading)
    return _send(mover, (x - reach * c - off * s, y - reach * s + off * c), heading, run, time)


def _aside(rng: np.random.Generator, thing: Thing, things: list[Thing]) -> Thing | None:
    """A place for a bystander, away from every mover's way."""
    for _ in range(40):
        placed = free_place(rng, thing, things, 1.35)
        if placed is None:
            return None
        if all(_clear_of(placed, mover) for mover in things if any(mover.velocity)):
            return placed
    return None


def _clear_of(thing: Thing, mover: Thing) -> bool:
    px, py = thing.position[0] - mover.position[0], thing.position[1] - mover.position[1]
    vx, vy, _ = mover.velocity
    norm = math.hypot(vx, vy)
    along, across = (px * vx + py * vy) / norm, abs(px * vy - py * vx) / norm
    return along < 0 or along > 3.2 or across > 1.1 * (thing.radius + mover.radius) + 0.15


def _middle(rng: np.random.Generator, thing: Thing, reach: float = 0.6) -> Thing:
    x, y = rng.uniform(-reach, reach, 2)
    return thing.moved(x, y)


def _collide(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    target = _middle(rng, looks[1])
    run = float(rng.uniform(0.5, 1.9))
    time = float(rng.uniform(0.35, 1.0))
    off = float(rng.normal(0, 0.25)) * target.radius
    mover = _toward(looks[0], target, _heading(table, rng), run, time, off)
    return [mover, target] if mover else None


def _chain(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    """A hits B, and B hits C, on one line: taking any one away changes what the others do."""
    heading = _heading(table, rng)
    c, s = math.cos(heading), math.sin(heading)
    second = sorted(looks[1:3], key=lambda t: t.shape != "ball")
    between = _middle(rng, second[0], 0.35)
    gap = float(rng.uniform(0.2, 0.7)) + between.radius + second[1].radius
    last = second[1].moved(between.position[0] + gap * c, between.position[1] + gap * s)
    mover = _toward(looks[0], between, heading, float(rng.uniform(0.5, 1.3)), float(rng.uniform(0.25, 0.6)))
    return [mover, between, last] if mover else None


def _late(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    """A slow ball that reaches its target, or just misses it, after the clip has ended."""
    if looks[0].shape not in ("ball", "egg"):
        return None
    target = _middle(rng, looks[1], 0.9)
    time = float(rng.uniform(2.3, 3.0))
    miss = rng.random() < 0.25
    off = float(rng.choice([-1, 1])) * (1.25 * (target.radius + looks[0].radius)) if miss else 0.0
    mover = _toward(looks[0], target, _heading(table, rng), float(rng.uniform(1.3, 2.4)), time, off)
    return [mover, target] if mover else None


def _drop(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    del table
    if rng.random() < 0.35:  # onto another one, off its middle
        target = _middle(rng, looks[1], 0.7)
        angle, off = rng.uniform(0, 2 * math.pi), target.radius * rng.uniform(0.2, 0.7)
        x, y = target.position[0] + off * math.cos(angle), target.position[1] + off * math.sin(angle)
        return [looks[0].moved(x, y, looks[0].rest + 2 * target.rest + rng.uniform(0.5, 1.0)), target]
    x, y = rng.uniform(-0.9, 0.9, 2)
    return [looks[0].moved(x, y, looks[0].rest + rng.uniform(0.7, 1.5))]


def _pass(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    """The mover goes by without touching, from inside or outside the picture."""
    target = _middle(rng, looks[1], 0.5)
    off = float(rng.choice([-1, 1])) * (1.2 * (target.radius + looks[0].radius) + 0.1)
    run = float(rng.uniform(0.6, 2.1))
    mover = _toward(looks[0], target, _heading(table, rng), run, float(rng.uniform(0.5, 1.1)), off)
    return [mover, target] if mover else None


def _exit(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    heading = _heading(table, rng, 40)
    start = rng.uniform(-0.5, 0.5, 2)
    mover = _send(looks[0], (float(start[0]), float(start[1])), heading, 2.4, float(rng.uniform(0.8, 1.3)))
    return [mover] if mover else None


def _hide(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    """A small ball rolls behind a large thing, seen from the camera."""
    if looks[0].shape != "ball" or looks[0].size != "small" or looks[1].size != "large":
        return None
    cover = looks[1].moved(*rng.uniform(-0.3, 0.3, 2))
    away = math.radians(table.azimuth + 90)
    back = cover.radius + looks[0].radius + float(rng.uniform(0.08, 0.2))
    heading = _heading(table, rng, 4)
    run = float(rng.uniform(1.0, 1.5))
    x = cover.position[0] + back * math.cos(away) - run * math.cos(heading)
    y = cover.position[1] + back * math.sin(away) - run * math.sin(heading)
    mover = _send(looks[0], (x, y), heading, run, float(rng.uniform(0.6, 1.0)))
    return [mover, cover] if mover else None


def _static(rng: np.random.Generator, looks: list[Thing], table: Scene) -> list[Thing] | None:
    del table
    return [_middle(rng, looks[0], 0.9)]


_BUILD = {
    "collide": _collide,
    "chain": _chain,
    "late": _late,
    "drop": _drop,
    "pass": _pass,
    "exit": _exit,
    "hide": _hide,
    "static": _static,
}
