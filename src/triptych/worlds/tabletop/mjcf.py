"""A scene as MuJoCo's XML: bare for physics, dressed for pictures."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from triptych.errors import MissingExtra
from triptych.worlds.tabletop import surfaces
from triptych.worlds.tabletop.geometry import EXTENT, View
from triptych.worlds.tabletop.scene import COLORS, Scene, Thing

if TYPE_CHECKING:
    import mujoco

_DENSITY = {"metal": 2700, "rubber": 1100, "plastic": 800}
_DAMPING = {"metal": 0.5, "rubber": 0.35, "plastic": 0.6}
SPHERICAL = ("ball", "egg")
TIMESTEP = 0.004  # seconds


def require_mujoco() -> Any:
    """The module mujoco. Raises MissingExtra when it is not installed."""
    try:
        import mujoco
    except ImportError as error:
        raise MissingExtra("mujoco", "world", "the tabletop world's physics and pictures") from error
    return mujoco


def material_xml(name: str, color: str, material: str) -> str:
    """A material whose finish can be told by eye: mirror, matt, or glossy."""
    metallic, roughness = {"metal": (0.9, 0.15), "rubber": (0, 1.0), "plastic": (0, 0.18)}[material]
    # Flat faces mirror one spot of the room only, so the tone has to tell the materials apart as well:
    # metal silvery, plastic vivid, rubber dull.
    rgb = np.array(COLORS[color])
    if material == "metal":
        rgb = 0.3 + 0.7 * rgb
    elif material == "rubber":
        rgb = 0.72 * rgb + 0.06
    return (
        f'<material name="{name}" rgba="{rgb[0]:.3f} {rgb[1]:.3f} {rgb[2]:.3f} 1" '
        f'metallic="{metallic}" roughness="{roughness}"/>'
    )


def _geoms(index: int, thing: Thing, ghosts: Collection[int], dressed: bool) -> tuple[str, str]:
    """Geometries and mesh assets of one thing. Ghosts collide with the table only."""
    x, y, z = (e * thing.radius for e in EXTENT[thing.shape])
    friction = 0.25 if thing.material == "metal" else 0.35
    roll = 0.0008 if thing.shape in SPHERICAL else 0.0015
    kind = 'contype="2" conaffinity="2"' if index in ghosts else 'contype="3" conaffinity="1"'
    solid = (
        f'name="g{index}" density="{_DENSITY[thing.material]}" friction="{friction} .004 {roll}" '
        f'solref=".012 {_DAMPING[thing.material]}" {kind}'
    )
    paint = f'material="m{index}"' if dressed else ""
    if thing.shape == "ball":
        return f'<geom type="sphere" size="{x}" {solid} {paint}/>', ""
    if thing.shape == "egg":
        return f'<geom type="ellipsoid" size="{x} {y} {z}" {solid} {paint}/>', ""
    if thing.shape == "capsule":
        return f'<geom type="capsule" size="{y} {x - y}" euler="0 90 0" {solid} {paint}/>', ""
    mesh = f'<mesh name="c{index}" file="{thing.shape}.obj" scale="{x} {y} {z}" inertia="convex"/>'
    if thing.shape == "cone":
        return f'<geom type="mesh" mesh="c{index}" {solid} {paint}/>', mesh
    shape, sizes = ("box", f"{x} {y} {z}") if thing.shape == "cube" else ("cylinder", f"{x} {z}")
    body = f'<geom type="{shape}" size="{sizes}" group="3" {solid}/>'
    if not dressed:
        return body, ""
    skin = f'<geom type="mesh" mesh="c{index}" {paint} contype="0" conaffinity="0" mass="0"/>'
    return body + skin, mesh


def stage_xml(scene: Scene, view: View, reach: float = 1.0) -> tuple[str, str, str, str]:
    """Settings, assets, lights and camera that every dressed scene shares.

    Args: reach: scale of the scene in table widths; the arm's table is smaller.
    """
    azimuth, elevation, strength, warmth = scene.sun
    a, e = np.radians(azimuth), np.radians(elevation)
    away = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    light = view.target + 7 * reach * away
    down = -away
    repeat = surfaces.FLOOR_REPEAT[scene.floor] / reach
    settings = """<visual><quality shadowsize="1024" offsamples="4"/>
<map znear=".02" zfar="8" shadowclip=".7"/></visual>
<custom><text name="filament.shadows.type" data="pcf"/><numeric name="filament.shadows.map_size" data="1024"/>
<text name="filament.cg.tone_mapping" data="aces"/><numeric name="filament.cg.exposure" data="0"/>
<numeric name="filament.ao.enabled" data="0"/></custom>"""
    dressing = (
        '<texture name="env" type="2d" file="env.ktx"/><texture name="floor" type="2d" file="floor.png"/>'
        f'<material name="floor" texture="floor" texrepeat="{repeat} {repeat}" texuniform="true" metallic="0" '
        f'roughness="{surfaces.FLOOR_ROUGHNESS[scene.floor]}"/>'
    )
    lights = (
        '<light type="image" texture="env" intensity="8500"/>'
        f'<light type="spot" pos="{light[0]} {light[1]} {light[2]}" dir="{down[0]} {down[1]} {down[2]}" cutoff="40" '
        f'softness=".5" range="{40 * reach}" bulbradius=".35" castshadow="true" '
        f'intensity="{strength * 1.15e6 * reach**2}" diffuse="{1 + warmth} 1 {1 - warmth}"/>'
    )
    p, r, u = view.position, view.right, view.up
    camera = (
        f'<camera name="cam" pos="{p[0]} {p[1]} {p[2]}" xyaxes="{r[0]} {r[1]} {r[2]} {u[0]} {u[1]} {u[2]}" '
        f'fovy="{view.fov}"/>'
    )
    return settings, dressing, lights, camera


def stage_files(scene: Scene) -> dict[str, bytes]:
    """The files that a dressed scene's XML names."""
    files = {f"{shape}.obj": surfaces.mesh_file(shape) for shape in ("cube", "cylinder", "cone")}
    files["floor.png"] = surfaces.floor_texture(scene.floor, scene.variant, scene.level <= 1)
    files["env.ktx"] = surfaces.environment_file(scene.environment)
    return files


def compile_scene(
    scene: Scene, view: View | None = None, removed: Collection[int] = (), ghosts: Collection[int] = ()
) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Compile a scene and set its start.

    Args:
        view: the camera of a dressed scene; None compiles the bare physics.
        removed: indices of things to leave out (bodies keep their names b0, b1, ...).
        ghosts: indices of things that pass through all others.

    Raises: MissingExtra when mujoco is not installed.
    """
    mujoco = require_mujoco()
    bodies, meshes = [], []
    for i, thing in enumerate(scene.things):
        if i in removed:
            continue
        geoms, mesh = _geoms(i, thing, ghosts, view is not None)
        meshes.append(mesh + (material_xml(f"m{i}", thing.color, thing.material) if view else ""))
        x, y, z = thing.position
        bodies.append(f'<body name="b{i}" pos="{x} {y} {z}" euler="0 0 {thing.yaw}"><freejoint/>{geoms}</body>')
    settings, dressing, lights, camera = stage_xml(scene, view) if view else ("", "", "", "")
    files = stage_files(scene) if view else {"cone.obj": surfaces.mesh_file("cone")}
    finish = 'material="floor"' if view else ""
    xml = (
        f'<mujoco><compiler angle="degree"/><option timestep="{TIMESTEP}" integrator="implicitfast" cone="elliptic" '
        f'impratio="3"/><statistic extent="6" center="0 0 .3"/>{settings}<asset>{dressing}{"".join(meshes)}</asset>'
        f'<worldbody>{lights}{camera}<geom name="floor" type="plane" size="30 30 .1" contype="2" conaffinity="2" '
        f'{finish} friction=".3 .004 .0008"/>{"".join(bodies)}</worldbody></mujoco>'
    )
    model = mujoco.MjModel.from_xml_string(xml, files)
    data = mujoco.MjData(model)
    for slot, i in enumerate(k for k in range(len(scene.things)) if k not in removed):
        thing = scene.things[i]
        data.qvel[6 * slot : 6 * slot + 3] = thing.velocity
        if thing.shape in SPHERICAL:  # rolling without slipping, in the body's own axes
            vx, vy, _ = thing.velocity
            spin = np.array([-vy, vx, 0.0]) / thing.rest
            turn = np.radians(thing.yaw)
            c, s = np.cos(turn), np.sin(turn)
            data.qvel[6 * slot + 3 : 6 * slot + 6] = [c * spin[0] + s * spin[1], -s * spin[0] + c * spin[1], 0.0]
    mujoco.mj_forward(model, data)
    return model, data
