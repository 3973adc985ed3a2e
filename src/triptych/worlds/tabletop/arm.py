"""Clips of a Franka arm that lifts, pushes or stacks a cube on an instruction.

The arm is robosuite's Panda (MIT licence, see assets/panda/LICENSE) with decimated meshes. It follows waypoints by a
weld to a moving target; what the cubes do is physics. Four seconds of work are shown in two.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.worlds.tabletop.geometry import View, sightings
from triptych.worlds.tabletop.mjcf import material_xml, require_mujoco, stage_files, stage_xml
from triptych.worlds.tabletop.physics import FPS, FRAMES
from triptych.worlds.tabletop.scene import (
    COLORS,
    MATERIALS,
    UNSEEN_SHARE,
    WITHHELD,
    Scene,
    Thing,
    generator,
    sample_table,
)
from triptych.worlds.tabletop.stills import look

SKILLS = ("lift", "push", "stack")
SPEEDUP = 2.0  # seconds of work in a second of clip
HALF = 0.033  # metres: half a cube's side; the gripper opens 0.08
TARGET = (0.44, 0.0, 0.09)
ATTEMPTS = 60
_STEP = 0.002
_HAND = 0.102  # metres from the hand's origin to the fingers' tips
_HOME = (0.0, 0.2, 0.0, -2.1, 0.0, 2.3, 0.785)
# Each link: position and quaternion in its parent, mass, diagonal inertia, joint range (None for the base).
_LINKS: tuple[tuple[str, str, float, float, str | None], ...] = (
    ("0 0 0", "1 0 0 0", 4, 0.4, None),
    ("0 0 .333", "1 0 0 0", 3, 0.3, "-2.8973 2.8973"),
    ("0 0 0", ".707107 -.707107 0 0", 3, 0.3, "-1.7628 1.7628"),
    ("0 -.316 0", ".707107 .707107 0 0", 2, 0.2, "-2.8973 2.8973"),
    ("0.0825 0 0", ".707107 .707107 0 0", 2, 0.2, "-3.0718 -.0698"),
    ("-.0825 .384 0", ".707107 -.707107 0 0", 2, 0.2, "-2.8973 2.8973"),
    ("0 0 0", ".707107 .707107 0 0", 1.5, 0.1, "-.0175 3.7525"),
    ("0.088 0 0", ".707107 .707107 0 0", 0.5, 0.05, "-2.8973 2.8973"),
)
_COM = ("0 0 .05", "0 0 -.07", "0 -.1 0", "0.04 0 -.05", "-.04 .05 0", "0 0 -.15", "0.06 0 0", "0 0 .08")


@dataclass
class ArmClip:
    """A finished piece of work: states (F, nq), what is seen, and what was done when."""

    scene: Scene
    skill: str
    side: str  # of a push: left or right
    things: dict[int, dict[str, Any]]  # 0 is the cube that is moved, 1 the one stacked upon
    model: Any
    states: NDArray[np.float64]
    sights: list[list[dict[str, Any]]]
    speeds: NDArray[np.float64]
    events: list[tuple[str, float]]  # type and seconds of clip time
    attempt: int


@functools.cache
def panda_files() -> dict[str, bytes]:
    """The arm's meshes by file name."""
    folder = Path(__file__).parent / "assets" / "panda"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.stl"))}


def _arm_xml() -> tuple[str, str]:
    """Meshes and bodies of the arm, hand and fingers."""
    meshes = "".join(f'<mesh name="{name[:-4]}" file="{name}"/>' for name in panda_files())
    meshes += '<material name="white" rgba=".86 .87 .88 1" roughness=".35"/>'
    meshes += '<material name="dark" rgba=".2 .2 .21 1" roughness=".4"/>'
    skin = 'type="mesh" contype="0" conaffinity="0" group="1" mass="0"'
    touch = 'group="3" contype="1" conaffinity="1" condim="4"'
    fingers = ""
    for name, number, turn, sign in (("left", 1, "1 0 0 0", 1), ("right", 2, "0 0 0 1", -1)):
        low, high = (0, 0.04) if sign > 0 else (-0.04, 0)
        fingers += (
            f'<body name="{name}finger" pos="0 0 .0524" quat=".707107 0 0 .707107" gravcomp="1">'
            '<inertial pos="0 0 .05" mass=".1" diaginertia=".01 .01 .005"/>'
            f'<joint name="finger{number}" axis="0 1 0" type="slide" limited="true" range="{low} {high}" damping="100" '
            'armature="1" frictionloss="1"/>'
            f'<geom mesh="finger" material="dark" quat="{turn}" {skin}/>'
            f'<geom mesh="finger_hull" type="mesh" quat="{turn}" friction="1 .005 .0001" {touch}/>'
            f'<geom type="box" size=".008 .004 .008" pos="0 {sign * 0.0035} .041" friction="2 .05 .0001" '
            f'solref=".01 .5" {touch}/></body>'
        )
    body = (
        '<body name="hand" pos="0 0 .1065" quat=".924 0 0 -.383" gravcomp="1">'
        '<inertial pos="0 0 0" mass=".5" diaginertia=".05 .05 .05"/>'
        '<body name="gripper" quat=".707107 0 0 -.707107" gravcomp="1">'
        '<inertial pos="0 0 .17" mass=".3" diaginertia=".09 .07 .05"/>'
        f'<geom quat=".707107 0 0 .707107" mesh="hand" material="white" {skin}/>{fingers}</body></body>'
    )
    for number in reversed(range(len(_LINKS))):
        place, turn, mass, inertia, limits = _LINKS[number]
        joint = (
            f'<joint name="joint{number}" axis="0 0 1" limited="true" range="{limits}" damping=".1"/>' if limits else ""
        )
        skins = "".join(
            f'<geom mesh="link{number}_{tone}" material="{tone}" {skin}/>'
            for tone in ("white", "dark")
            if f"link{number}_{tone}.stl" in panda_files()
        )
        body = (
            f'<body name="link{number}" pos="{place}" quat="{turn}" gravcomp="1"><inertial pos="{_COM[number]}" '
            f'mass="{mass}" diaginertia="{inertia} {inertia} {inertia}"/>{joint}{skins}{body}</body>'
        )
    return meshes, body


def arm_view(scene: Scene, size: int) -> View:
    """The camera of arm clips: it faces the arm, so that -y lies on its left."""
    return View(scene.azimuth, scene.elevation, scene.distance, scene.fov, size, TARGET)


def _compile(scene: Scene) -> tuple[Any, Any]:
    mujoco = require_mujoco()
    settings, dressing, lights, camera = stage_xml(scene, arm_view(scene, 224), reach=0.4)
    meshes, arm = _arm_xml()
    cubes = materials = ""
    for i, thing in enumerate(scene.things):
        materials += material_xml(f"m{i}", thing.color, thing.material)
        x, y, z = thing.position
        cubes += (
            f'<body name="b{i}" pos="{x} {y} {z}" euler="0 0 {thing.yaw}"><freejoint/>'
            f'<geom name="g{i}" type="box" size="{HALF} {HALF} {HALF}" mass=".08" friction="1.2 .01 .001" condim="4" '
            f'group="3"/><geom type="mesh" mesh="cube" material="m{i}" mass="0" contype="0" conaffinity="0"/></body>'
        )
    xml = (
        f'<mujoco><compiler angle="radian"/><option timestep="{_STEP}" integrator="implicitfast" cone="elliptic" '
        f'impratio="10"/><statistic extent="1.5" center=".4 0 .2"/>{settings}<asset>{dressing}{meshes}{materials}'
        f'<mesh name="cube" file="cube.obj" scale="{HALF} {HALF} {HALF}"/></asset><worldbody>{lights}{camera}'
        '<geom name="floor" type="plane" size="10 10 .1" material="floor" friction="1 .01 .001"/>'
        f'<body name="target" mocap="true" pos=".4 0 .4" quat="0 1 0 0"/>{cubes}{arm}</worldbody>'
        '<equality><weld body1="target" body2="gripper" relpose="0 0 0 1 0 0 0" solref=".02 1"/></equality>'
        '<actuator><position joint="finger1" ctrlrange="0 .04" kp="1000" forcerange="-20 20"/>'
        '<position joint="finger2" ctrlrange="-.04 0" kp="1000" forcerange="-20 20"/></actuator></mujoco>'
    )
    model = mujoco.MjModel.from_xml_string(xml, {**stage_files(scene), **panda_files()})
    return model, mujoco.MjData(model)


def _sample(rng: np.random.Generator, level: int, with_unseen: bool) -> Scene:
    """A table with two or three cubes within the arm's reach; positions in metres, yaw in radians."""
    table = sample_table(rng, level, "clip")
    spots = [(0.42, -0.13), (0.50, 0.03), (0.38, 0.15)]
    order = [int(i) for i in rng.permutation(3)][: int(rng.integers(2, 4))]
    allowed = [c for c in COLORS if (c, "cube") not in WITHHELD]
    colors = [str(c) for c in rng.permutation(allowed)[: len(order)]]
    if with_unseen:
        colors[int(rng.integers(len(colors)))] = next(c for c, s in sorted(WITHHELD) if s == "cube")
    things = []
    for color, spot in zip(colors, order, strict=True):
        x, y = (v + rng.uniform(-0.025, 0.025) for v in spots[spot])
        material = str(rng.choice(MATERIALS))
        yaw = float(rng.uniform(-0.6, 0.6))
        things.append(Thing("cube", color, material, "small", HALF, (float(x), float(y), HALF + 0.0005), yaw))
    return Scene(
        **{
            **{k: getattr(table, k) for k in ("level", "floor", "variant", "environment")},
            "azimuth": float(rng.uniform(88, 108)),
            "elevation": float(rng.uniform(28, 36)),
            "distance": float(rng.uniform(0.86, 0.95)),
            "fov": float(rng.uniform(38, 41)),
            "sun": (table.sun[0] + 90, *table.sun[1:]),
            "things": tuple(things),
        }
    )


def _waypoints(skill: str, a: NDArray[np.float64], b: NDArray[np.float64], side: float) -> list[tuple[float, Any, int]]:
    """(seconds, fingertip position, gripper open) of a skill on the cube at `a`, towards the one at `b`."""
    up = np.array([0.0, 0.0, 1.0])
    if skill == "lift":
        return [(0.7, a + 0.14 * up, 1), (1.2, a, 1), (1.5, a, 0), (2.6, a + 0.2 * up, 0), (4.0, a + 0.2 * up, 0)]
    if skill == "stack":
        return [
            (0.7, a + 0.14 * up, 1),
            (1.15, a, 1),
            (1.4, a, 0),
            (1.9, a + 0.17 * up, 0),
            (2.6, b + 0.17 * up, 0),
            (3.1, b + (2 * HALF + 0.006) * up, 0),
            (3.3, b + (2 * HALF + 0.006) * up, 1),
            (4.0, b + 0.2 * up, 1),
        ]
    way = np.array([0.0, side, 0.0])
    start = a - 0.1 * way
    end = start + 0.2 * way
    return [
        (0.7, start + 0.12 * up, 0),
        (1.2, start, 0),
        (2.7, end, 0),
        (3.2, end - 0.02 * way + 0.12 * up, 0),
        (4.0, end + 0.16 * up, 0),
    ]


def arm_clip(seed: int, split: str, level: int, index: int, size: int, skip: int = 0) -> ArmClip:
    """Simulate the work of arm clip `index` until an attempt succeeds.

    Raises: RuntimeError when none does.
    """
    plan = generator(seed, split, level, "clip", index, 9999)
    skill, side = str(plan.choice(SKILLS)), str(plan.choice(["left", "right"]))
    with_unseen = bool(split == "test" and plan.random() < UNSEEN_SHARE)
    for attempt in range(skip, ATTEMPTS):
        rng = generator(seed, split, level, "clip", index, attempt)
        scene = _sample(rng, level, with_unseen)
        clip = _work(scene, skill, side, size, attempt)
        if clip is not None:
            return clip
    raise RuntimeError(f"no arm clip for seed {seed}, split {split}, level {level}, index {index}")


def _work(scene: Scene, skill: str, side: str, size: int, attempt: int) -> ArmClip | None:
    """Carry out one skill; None when it fails or can't be seen."""
    mujoco = require_mujoco()
    model, data = _compile(scene)
    joints = [model.joint(f"joint{i}").qposadr[0] for i in range(1, 8)]
    data.qpos[joints] = _HOME
    for name, value in (("finger1", 0.04), ("finger2", -0.04)):
        data.qpos[model.joint(name).qposadr[0]] = value
    mujoco.mj_forward(model, data)
    hand = model.body("gripper").id
    frame = data.xmat[hand].reshape(3, 3)
    home_yaw = math.atan2(frame[1, 0], frame[0, 0])
    bodies = [model.body(f"b{i}").id for i in range(len(scene.things))]
    geoms = [model.geom(f"g{i}").id for i in range(len(scene.things))]
    start = data.xpos[bodies].copy()
    yaw = 0.0 if skill == "push" else scene.things[0].yaw
    yaw = min((yaw + k * math.pi / 2 for k in range(-4, 5)), key=lambda v: abs(v - home_yaw))
    path = [(0.0, data.xpos[hand] - [0, 0, _HAND], 0 if skill == "push" else 1)]
    path += _waypoints(skill, start[0], start[1], -1.0 if side == "left" else 1.0)
    seconds = (FRAMES - 1) / FPS * SPEEDUP
    steps, per_frame = round(seconds / _STEP), round(SPEEDUP / FPS / _STEP)
    fingers = {
        g
        for g in range(model.ngeom)
        if model.geom_bodyid[g] in (model.body("leftfinger").id, model.body("rightfinger").id)
    }
    states, speeds, sights, events, done = [], [], [], [], set()
    view = arm_view(scene, size)
    for step in range(steps + 1):
        time = step * _STEP
        leg = max(i for i in range(len(path)) if path[i][0] <= time)
        (t0, p0, _), (t1, p1, grip) = path[leg], path[min(leg + 1, len(path) - 1)]
        part = min((time - t0) / (t1 - t0), 1.0) if t1 > t0 else 0.0
        part = part * part * (3 - 2 * part)
        data.mocap_pos[0] = np.asarray(p0) * (1 - part) + np.asarray(p1) * part + [0, 0, _HAND]
        turn = home_yaw + (yaw - home_yaw) * min(time / 0.6, 1.0)
        data.mocap_quat[0] = [0, math.cos(turn / 2), math.sin(turn / 2), 0]
        data.ctrl[:] = (0.04 * grip, -0.04 * grip)
        if step % per_frame == 0:
            states.append(data.qpos.copy())
            speeds.append(np.linalg.norm(data.qvel[: 6 * len(bodies)].reshape(-1, 6)[:, :3], axis=1) * SPEEDUP)
            sights.append(_sights(model, data, view, scene, geoms))
        mujoco.mj_step(model, data)
        clock = round(time / SPEEDUP, 2)
        if "touch" not in done and any(
            geoms[0] in pair and not fingers.isdisjoint(pair) for pair in data.contact.geom.tolist()
        ):
            done.add("touch")
            events.append(("touch", clock))
        if "lift" not in done and data.xpos[bodies[0]][2] > HALF + 0.03:
            done.add("lift")
            events.append(("lift", clock))
        if skill == "push" and "push" not in done and abs(data.xpos[bodies[0]][1] - start[0][1]) > 0.02:
            done.add("push")
            events.append(("push", clock))
        # The cube lies on the other one and the fingers have let go.
        if (
            skill == "stack"
            and "stack" not in done
            and time > 3.3
            and data.qpos[model.joint("finger1").qposadr[0]] > 0.036
        ):
            done.add("stack")
            events.append(("stack", clock))
    if not np.isfinite(data.qpos).all() or not _succeeded(skill, side, start, data.xpos[bodies], done):
        return None
    if any(row["visible"] < 0.5 or row["inside"] < 0.95 for row in sights[0]):
        return None
    things = {i: {"id": i, **look(t)} for i, t in enumerate(scene.things)}
    return ArmClip(scene, skill, side, things, model, np.array(states), sights, np.array(speeds), events, attempt)


def _succeeded(skill: str, side: str, start: Any, end: Any, done: set[str]) -> bool:
    """Whether the cube is where the instruction wants it, and no other cube was moved."""
    if np.linalg.norm(end[1:] - start[1:], axis=1).max() > 0.02 or "touch" not in done:
        return False
    if skill == "lift":
        return bool(end[0][2] > HALF + 0.1)
    if skill == "stack":
        on = np.hypot(*(end[0] - end[1])[:2]) < 0.028 and abs(end[0][2] - end[1][2] - 2 * HALF) < 0.01
        return bool(on and "stack" in done)
    moved = (end[0][1] - start[0][1]) * (-1 if side == "left" else 1)
    return bool(moved > 0.06 and abs(end[0][2] - HALF) < 0.01 and "lift" not in done)


def _sights(model: Any, data: Any, view: View, scene: Scene, geoms: list[int]) -> list[dict[str, Any]]:
    """What is seen of each cube, counting what the arm hides by rays to nine points."""
    mujoco = require_mujoco()
    poses = [
        ("cube", HALF / 0.82, data.qpos[7 * i : 7 * i + 3], data.qpos[7 * i + 3 : 7 * i + 7]) for i in range(len(geoms))
    ]
    rows = sightings(view, poses)
    groups, hit = np.array([1, 1, 0, 1, 0, 0], np.uint8), np.zeros(1, np.int32)
    arm_first = len(scene.things)
    for i, row in enumerate(rows):
        middle, free = data.xpos[model.body(f"b{i}").id], 0
        for dx in (-1, 0, 1):
            for dz in (-1, 0, 1):
                goal = middle + 0.6 * HALF * (dx * view.right + dz * view.up)
                ray = goal - view.position
                far = float(np.linalg.norm(ray))
                at = mujoco.mj_ray(model, data, view.position, ray / far, groups, 1, -1, hit)
                blocked = 0 <= at < far - 2.2 * HALF and _is_arm(model, int(hit[0]), arm_first)
                free += not blocked
        row["visible"] = round(row["visible"] * free / 9, 2)
    return rows


def _is_arm(model: Any, geom: int, cubes: int) -> bool:
    """Bodies come in the order world, target, cubes, arm."""
    return bool(model.geom_bodyid[geom] > 1 + cubes)


def draw_arm(renderer: Any, clip: ArmClip, size: int) -> NDArray[np.uint8]:
    """The clip's pictures (FRAMES, size, size, 3), 0..255."""
    mujoco = renderer.mujoco
    renderer.load(clip.model)
    data, view = mujoco.MjData(clip.model), arm_view(clip.scene, size)
    mujoco.mj_forward(clip.model, data)  # places the lights, which kinematics alone does not
    pictures = []
    for state in clip.states:
        data.qpos[:] = state
        mujoco.mj_kinematics(clip.model, data)
        pictures.append(renderer.draw(data, view))
    return np.stack(pictures)
