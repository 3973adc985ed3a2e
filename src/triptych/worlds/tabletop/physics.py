"""Motion: simulate a scene, and read from it what happens and what of it can be seen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.worlds.tabletop.geometry import View, sightings
from triptych.worlds.tabletop.mjcf import TIMESTEP, compile_scene, require_mujoco
from triptych.worlds.tabletop.scene import Scene

FPS = 8
FRAMES = 17
DURATION = (FRAMES - 1) / FPS  # seconds
FUTURE = 3.5  # seconds that predictions look at
REST_SPEED = 0.06  # metres a second below which a thing counts as at rest
MOVING_SPEED = 0.25  # above which it counts as moving
_PER_FRAME = round(1 / FPS / TIMESTEP)


@dataclass(frozen=True)
class Event:
    """Something that happens: its type, the things' indices (the doer first), and the time in seconds."""

    type: str
    things: tuple[int, ...]
    time: float


@dataclass
class Rollout:
    """A simulated stretch of time.

    Args:
        poses: (F, N, 7) positions and quaternions at each frame; removed things hold nan.
        speeds: (F, N) metres a second.
        events: contacts and motions, in order of time; whether they can be seen is decided by `watch`.
    """

    poses: NDArray[np.float64]
    speeds: NDArray[np.float64]
    events: list[Event]


def simulate(
    scene: Scene, seconds: float = DURATION, removed: Collection[int] = (), ghosts: Collection[int] = ()
) -> Rollout:
    """Step the physics from the scene's start.

    Args: removed: things to leave out. ghosts: things that pass through the others.
    Raises: MissingExtra without mujoco; ValueError when the physics diverges.
    """
    mujoco = require_mujoco()
    model, data = compile_scene(scene, removed=removed, ghosts=ghosts)
    present = [i for i in range(len(scene.things)) if i not in removed]
    owner = np.full(model.ngeom, -1)
    for slot, i in enumerate(present):
        owner[model.geom_bodyid == model.body(f"b{i}").id] = slot
    n, total = len(present), len(scene.things)
    steps = round(seconds / TIMESTEP)
    poses = np.full((steps // _PER_FRAME + 1, total, 7), np.nan)
    speeds = np.zeros((steps // _PER_FRAME + 1, total))
    state = _Motion(scene, present)
    touching: dict[tuple[int, int], float] = {}
    events: list[Event] = []
    for step in range(steps + 1):
        time = step * TIMESTEP
        if step % _PER_FRAME == 0:
            poses[step // _PER_FRAME, present] = data.qpos.reshape(n, 7)
            speeds[step // _PER_FRAME, present] = np.linalg.norm(data.qvel.reshape(n, 6)[:, :3], axis=1)
        if step == steps:
            break
        before = np.linalg.norm(data.qvel.reshape(n, 6)[:, :3], axis=1)
        mujoco.mj_step(model, data)
        grounded = set()
        if data.ncon:
            for a, b in owner[data.contact.geom].tolist():
                if a < 0 or b < 0:
                    grounded.add(max(a, b))
                    continue
                pair = (min(a, b), max(a, b))
                # A contact that lasts is one event; things stacked at the start touch without an event.
                if time - touching.get(pair, -9.0) > 0.5 and time > 0.03 and max(before[a], before[b]) > 0.15:
                    doer, other = (a, b) if before[a] >= before[b] else (b, a)
                    events.append(Event("collide", (present[doer], present[other]), round(time, 2)))
                touching[pair] = time
        events += state.update(data.qvel.reshape(n, 6), grounded, time)
    if not np.isfinite(data.qpos).all():
        raise ValueError("the physics diverged")
    kept = [e for e in events if e.type not in ("start", "stop") or _travels(poses[:, e.things[0]], e)]
    return Rollout(poses, speeds, sorted(kept, key=lambda e: e.time))


def _travels(track: NDArray[np.float64], event: Event) -> bool:
    """Whether a start or a stop belongs to a motion of more than 12 cm: less can hardly be seen."""
    away = np.linalg.norm(track[:, :3] - track[0, :3], axis=1)
    frame = min(int(event.time * FPS) + 1, len(away) - 1)
    return bool((away.max() if event.type == "start" else away[: frame + 1].max()) > 0.12)


class _Motion:
    """Follows each thing from rest to motion and back, and from air to table."""

    def __init__(self, scene: Scene, present: list[int]) -> None:
        self.present = present
        things = [scene.things[i] for i in present]
        self.falling = [t.on is None and t.position[2] > t.rest + 0.3 for t in things]
        self.stacked = [t.on is not None for t in things]
        self.moving = [any(t.velocity) or fall for t, fall in zip(things, self.falling, strict=True)]
        self.started = list(self.moving)
        self.stopped = [False] * len(things)
        self.still = [0.0] * len(things)
        self.announced = [False] * len(things)

    def update(self, velocity: NDArray[np.float64], grounded: set[int], time: float) -> list[Event]:
        """The events of one step. Each thing starts, stops, falls and lands at most once."""
        events = []
        for slot, index in enumerate(self.present):
            speed, down = float(np.linalg.norm(velocity[slot, :3])), -float(velocity[slot, 2])
            if self.stacked[slot] and not self.falling[slot] and down > 1.0 and not self.announced[slot]:
                self.falling[slot] = True
            if self.falling[slot] and not self.announced[slot] and down > 0.5:
                self.announced[slot] = True
                events.append(Event("fall", (index,), round(time, 2)))
            if self.falling[slot] and slot in grounded:
                self.falling[slot] = False
                events.append(Event("land", (index,), round(time, 2)))
            if not self.started[slot] and speed > MOVING_SPEED:
                self.started[slot] = self.moving[slot] = True
                events.append(Event("start", (index,), round(time, 2)))
            self.still[slot] = self.still[slot] + TIMESTEP if speed < REST_SPEED else 0.0
            if self.moving[slot] and not self.stopped[slot] and self.still[slot] > 0.2 and not self.falling[slot]:
                self.stopped[slot] = True
                events.append(Event("stop", (index,), round(time - 0.2, 2)))
        return events


def pose_list(scene: Scene, poses: NDArray[np.float64]) -> list[tuple[str, float, Any, Any]]:
    """Shape, radius, position and quaternion of each thing in one frame; what is gone lies far below."""
    gone = np.array([0.0, 0.0, -90.0, 1.0, 0.0, 0.0, 0.0])
    rows = [np.where(np.isnan(p), gone, p) for p in poses]
    return [(t.shape, t.radius, p[:3], p[3:]) for t, p in zip(scene.things, rows, strict=True)]


def watch(scene: Scene, rollout: Rollout, size: int, turn: float = 0.0) -> list[list[dict[str, Any]]]:
    """What the camera sees of each thing at each frame: `sightings`, frame by frame.

    Args: turn: degrees that the camera walks during the clip.
    """
    last = max(len(rollout.poses) - 1, 1)
    views = [scene.view(size, turn * f / last) for f in range(len(rollout.poses))]
    return [sightings(view, pose_list(scene, frame)) for view, frame in zip(views, rollout.poses, strict=True)]


def camera(scene: Scene, size: int, frame: int) -> View:
    """The camera at a frame of a clip."""
    return scene.view(size, scene.turn * frame / (FRAMES - 1))


def seen_things(sights: list[list[dict[str, Any]]]) -> set[int]:
    """Indices of things that can be seen well in at least three frames."""
    count = range(len(sights[0]))
    return {i for i in count if sum(f[i]["visible"] >= 0.5 for f in sights) >= 3}


def visible_events(rollout: Rollout, sights: list[list[dict[str, Any]]]) -> list[Event]:
    """The events that the clip shows, with entries, exits and hiding added, in order of time.

    An event is kept when each of its things can be seen in the frames next to it. A start that a collision
    explains is left out, and so is a landing that is told as a collision.
    """
    seen = seen_things(sights)
    kept: list[Event] = []
    for event in rollout.events:
        near = {min(int(event.time * FPS), FRAMES - 1), min(int(event.time * FPS) + 1, FRAMES - 1)}
        clear = all(i in seen and min(sights[f][i]["visible"] for f in near) >= 0.3 for i in event.things)
        if not clear or not 0.05 <= event.time <= DURATION - 0.05:
            continue
        hits = [e for e in rollout.events if e.type == "collide" and event.things[0] in e.things]
        if event.type == "start" and any(-0.3 < e.time - event.time < 0.1 for e in hits):
            continue
        kept.append(event)
    for i in sorted(seen):
        kept += _crossings(i, sights)
    order = {"enter": 0, "fall": 1, "collide": 2, "start": 3, "land": 4}
    return sorted(kept, key=lambda e: (e.time, order.get(e.type, 5)))


def _crossings(i: int, sights: list[list[dict[str, Any]]]) -> list[Event]:
    """Entries, exits, hiding and showing again of one thing."""
    events: list[Event] = []
    inside = sights[0][i]["inside"] >= 0.5
    hidden = False
    for f in range(1, len(sights)):
        row, time = sights[f][i], f / FPS
        if inside != (row["inside"] >= 0.5):
            inside = not inside
            events.append(Event("enter" if inside else "exit", (i,), round(time - 0.5 / FPS, 2)))
        part = row["visible"] / row["inside"] if row["inside"] > 0.9 else None
        if part is not None and not hidden and part < 0.25:
            hidden = True
            events.append(Event("hide", (i,), round(time, 2)))
        if part is not None and hidden and part > 0.6:
            hidden = False
            events.append(Event("show", (i,), round(time, 2)))
    return events if sum(e.type in ("enter", "exit") for e in events) <= 2 else []
