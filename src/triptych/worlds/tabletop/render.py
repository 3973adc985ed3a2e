"""Pictures of compiled scenes by MuJoCo's Filament renderer, in software or on a GPU's Vulkan driver."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.errors import MissingDriver
from triptych.worlds.tabletop.geometry import View
from triptych.worlds.tabletop.mjcf import require_mujoco

Device = Literal["auto", "software", "gpu"]
SUPERSAMPLE = 1.0  # 1.5 doubles the cost; the renderer smooths edges by itself

LOADER = "libvulkan.so.1"
DRIVERS = "Debian's libvulkan1 and mesa-vulkan-drivers, or what your system calls them"

_PROBE = """
from triptych.worlds.tabletop.render import Renderer
print(Renderer(64, software=False).describe())
"""


def choose_device(device: Device) -> tuple[bool, str]:
    """Decide whether to render in software, trying the GPU in a process of its own since a driver may abort.

    Returns: (software, reason in words).
    Raises: RuntimeError when device is "gpu" and the GPU can't render; ValueError for an unknown device.
    """
    if device not in ("auto", "software", "gpu"):
        raise ValueError(f"unknown device {device!r}: choose auto, software or gpu")
    if device == "software":
        return True, "software rendering was asked for"
    if device == "auto" and not Path("/dev/nvidia0").exists():
        return True, "no NVIDIA GPU here (/dev/nvidia0 is missing)"
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=120)
        failed = probe.returncode != 0 or "llvmpipe" in probe.stdout
        reason = " | ".join((probe.stdout + probe.stderr).strip().splitlines()[-4:]) or f"exit {probe.returncode}"
    except subprocess.TimeoutExpired:
        failed, reason = True, "the GPU's driver gave no picture within 120 s"
    if failed and device == "gpu":
        raise RuntimeError(f"the GPU can't render: {reason}. Install its Vulkan driver, or choose device=software.")
    return failed, ("the GPU can't render, so software does: " if failed else "the GPU renders: ") + reason


def require_vulkan() -> None:
    """MissingDriver where the loader of Vulkan drivers can't be opened: the renderer would abort its process."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(LOADER)
    except OSError as error:
        raise MissingDriver(
            f"rendering needs a Vulkan driver, in software too, and {LOADER} can't be opened ({error}): "
            f"install {DRIVERS}"
        ) from None


class Renderer:
    """Draws square RGB pictures of `size` pixels. One a process: the driver's context is costly.

    Raises: MissingExtra without mujoco; RuntimeError when no Vulkan driver is found.
    """

    def __init__(self, size: int, software: bool = True) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "1")  # processes, not threads, share the cores
        self.mujoco = require_mujoco()
        import mujoco.studio  # noqa: F401  (loads the library that the renderer needs)
        from mujoco import mjrf

        self.mjrf: Any = mjrf
        self.size, self.inner = size, round(size * SUPERSAMPLE)
        config = mjrf.ContextConfig()
        config.software_rendering = software
        config.graphics_api = mjrf.GraphicsApi.GRAPHICS_API_VULKAN
        with _quiet():
            self.context = mjrf.Context(config)
            target = mjrf.RenderTargetConfig(color_format=mjrf.PixelFormat.PIXEL_FORMAT_RGB8)
            target.width = target.height = self.inner
            self.target = self.context.create_render_target(target)
        self.buffer = np.zeros((self.inner, self.inner, 3), np.uint8)
        self.request = mjrf.ReadRequest(target=self.target)
        self.request.set_buffer(self.buffer)
        self.context.set_clear_color([0.6, 0.6, 0.6])
        self.loaded: Any = None

    def describe(self) -> str:
        """The driver's own words about itself."""
        from mujoco import _render

        info = _render.MjrRendererInfo()
        self.context.get_renderer_info(info)
        return "; ".join(f"{k}: {getattr(info, k)}" for k in dir(info) if not k.startswith("_"))

    def load(self, model: Any, hidden_groups: Sequence[int] = (3,)) -> None:
        """Upload a compiled model; the pictures that follow are of it."""
        mjrf, mujoco = self.mjrf, self.mujoco
        self.loaded = None
        resources = mjrf.ModelResources(self.context, model)
        stage = self.context.create_scene(mjrf.SceneParams())
        stage.configure_from_model(model)
        lights, shapes = mjrf.ModelLights(stage, resources), mjrf.ModelRenderables(stage, resources)
        options = mujoco.MjvOption()
        for group in hidden_groups:
            options.geomgroup[group] = 0
        shapes.set_options(options)
        self.loaded = (model, resources, stage, lights, shapes)

    def draw(self, data: Any, view: View) -> NDArray[np.uint8]:
        """A picture (size, size, 3), 0..255, of the loaded model in the state `data`."""
        mjrf = self.mjrf
        _, _, stage, lights, shapes = self.loaded
        near, far = 0.1, 60.0
        half = near * np.tan(np.radians(view.fov / 2))
        ask = mjrf.RenderRequest()
        ask.scene, ask.target, ask.viewport = stage, self.target, mjrf.Rect(0, 0, self.inner, self.inner)
        ask.haze, ask.skybox = False, True
        ask.camera = mjrf.Camera(
            pos=view.position,
            forward=view.forward,
            up=view.up,
            frustum_bottom=-half,
            frustum_top=half,
            frustum_near=near,
            frustum_far=far,
        )
        lights.update(data)
        shapes.update(data)
        self.context.wait_for_frame(self.context.render([ask], [self.request]))
        if self.inner == self.size:
            return self.buffer.copy()
        small = Image.fromarray(self.buffer).resize((self.size, self.size), Image.Resampling.LANCZOS)
        return np.asarray(small)


class _quiet:
    """Silences what the driver prints to the process's standard output while it starts."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        self.saved = os.dup(1)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)

    def __exit__(self, *error: object) -> None:
        os.dup2(self.saved, 1)
        os.close(self.saved)


@functools.cache
def shared_renderer(size: int, software: bool) -> Renderer:
    """This process's renderer."""
    return Renderer(size, software)
