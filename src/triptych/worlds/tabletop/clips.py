"""Clips: which story the n-th clip tells, its impossible twin, its truth and its words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.worlds.tabletop.arm import arm_clip, draw_arm
from triptych.worlds.tabletop.arm_words import arm_record
from triptych.worlds.tabletop.mjcf import compile_scene
from triptych.worlds.tabletop.narrate import clip_texts, event_rows
from triptych.worlds.tabletop.physics import (
    DURATION,
    FPS,
    FRAMES,
    FUTURE,
    MOVING_SPEED,
    Event,
    Rollout,
    camera,
    pose_list,
    seen_things,
    simulate,
    visible_events,
    watch,
)
from triptych.worlds.tabletop.reasoning import clip_questions
from triptych.worlds.tabletop.scene import Scene, generator
from triptych.worlds.tabletop.staging import plan_story, sample_story
from triptych.worlds.tabletop.stills import look, tracked, unseen

ATTEMPTS = 1000
PATIENCE = 400  # attempts after which a plain collision takes the place of the planned story
ARM_EVERY, ARM_PLACE = 5, 2  # every fifth clip shows the arm; never one that a twin is made of
TWIN_EVERY = 5  # in validation and test every fifth clip is an impossible twin of the one before it


@dataclass
class Clip:
    """A simulated clip before it is drawn."""

    scene: Scene
    story: str
    rollout: Rollout
    sights: list[list[dict[str, Any]]]
    events: list[Event]
    attempt: int
    things: dict[int, dict[str, Any]]


def is_twin(split: str, index: int) -> bool:
    """Whether clip `index` (from 0) breaks physics on purpose."""
    return split != "train" and index % TWIN_EVERY == TWIN_EVERY - 1


def is_arm(index: int) -> bool:
    """Whether clip `index` (from 0) shows the arm."""
    return index % ARM_EVERY == ARM_PLACE


def story_clip(seed: int, split: str, level: int, index: int, size: int, skip: int = 0) -> Clip:
    """Simulate the story of clip `index`, trying sub-seeds until the camera sees it well.

    Raises: RuntimeError when no attempt gives a clip.
    """
    story, count, unseen_pair = plan_story(generator(seed, split, level, "clip", index, 9999), level, split)
    for attempt in range(skip, ATTEMPTS):
        if attempt == PATIENCE:
            story, count = "collide", 2
        rng = generator(seed, split, level, "clip", index, attempt)
        scene = sample_story(rng, level, story, count, unseen_pair, size)
        if scene is None:
            continue
        try:
            rollout = simulate(scene, FUTURE)
        except ValueError:
            continue
        sights = watch(scene, replace(rollout, poses=rollout.poses[:FRAMES]), size, scene.turn)
        seen = seen_things(sights)
        events = visible_events(rollout, sights)
        wanted = {"collide": "collide", "chain": "collide", "drop": "land", "exit": "exit", "hide": "hide"}.get(story)
        early = [e for e in events if 0.2 <= e.time <= 1.7]
        told = wanted is None or any(e.type == wanted for e in early) or (story == "drop" and early)
        if len(seen) < 2 or not told or (story == "pass" and not events) or (story == "static" and events):
            continue
        if story == "chain" and sum(e.type == "collide" for e in events) < 2:
            continue
        moved = {i for i in seen if rollout.speeds[:FRAMES, i].max() > MOVING_SPEED}
        things = {i: {"id": i, **look(scene.things[i]), "moving": i in moved} for i in sorted(seen)}
        return Clip(scene, story, rollout, sights, events, attempt, things)
    raise RuntimeError(f"no clip for seed {seed}, split {split}, level {level}, index {index}")


def frame_rows(
    poses: NDArray[np.float64], speeds: NDArray[np.float64], sights: list[Any]
) -> list[list[dict[str, Any]]]:
    """Per frame, what can be seen of each thing in the picture: the compact truth."""
    return [
        [
            {
                "id": i,
                "center": s["center"],
                "box": s["box"],
                "visible": s["visible"],
                "pos": [round(float(v), 2) for v in poses[f, i, :3]],
                "speed": round(float(speeds[f, i]), 2),
            }
            for i, s in enumerate(row)
            if s["box"] is not None
        ]
        for f, row in enumerate(sights)
    ]


def clip_record(clip: Clip, seed: int, split: str, index: int) -> dict[str, Any]:
    """The metadata of a possible clip, without its file name."""
    rng = generator(seed, split, clip.scene.level, "clip", index, 1000)
    return {
        "texts": clip_texts(rng, clip.events, clip.things, clip.scene.floor),
        "qa": clip_questions(rng, clip.scene, clip.rollout, clip.sights, clip.events, clip.things),
        "events": event_rows(clip.events, clip.things),
        "truth": _truth(clip, seed, split, index, clip.rollout, clip.sights),
    }


def _truth(clip: Clip, seed: int, split: str, index: int, rollout: Rollout, sights: list[Any]) -> dict[str, Any]:
    scene = clip.scene
    objects = [{"id": i, **look(t), "seen": i in clip.things} for i, t in enumerate(scene.things)]
    return {
        "kind": "events",
        "story": clip.story,
        "seed": [seed, split, index, clip.attempt],
        "level": scene.level,
        "floor": scene.floor,
        "camera": {
            "azimuth": round(scene.azimuth, 2),
            "elevation": round(scene.elevation, 2),
            "distance": round(scene.distance, 3),
            "fov": round(scene.fov, 2),
            "turn": round(scene.turn, 2),
        },
        "unseen_combination": unseen([o for o in objects if o["seen"]]),
        "objects": objects,
        "frames": frame_rows(rollout.poses[:FRAMES], rollout.speeds[:FRAMES], sights),
        "events": [{"type": e.type, "objects": list(e.things), "time": e.time} for e in clip.events],
        "impossible": None,
    }


def impossible(clip: Clip, rng: np.random.Generator) -> tuple[Rollout, dict[str, Any]]:
    """Break the clip's physics once, where it can be seen: vanish, jump, or pass through.

    Returns: the altered rollout, and {"kind", "time", "object"}.
    """
    frame = int(rng.integers(5, 11))
    clear = [i for i in sorted(clip.things) if min(clip.sights[f][i]["visible"] for f in (frame - 1, frame)) > 0.7]
    hits = [e for e in clip.events if e.type == "collide" and 0.2 < e.time < 1.6]
    kinds = ["vanish", "jump"] * bool(clear) + ["pass"] * bool(hits)
    kind = str(rng.choice(kinds)) if kinds else "vanish"
    if kind == "pass":
        hit = hits[0]
        ghost = hit.things[0]
        return simulate(clip.scene, DURATION, ghosts=[ghost]), {"kind": kind, "time": hit.time, "object": ghost}
    thing = int(rng.choice(clear)) if clear else min(clip.things)
    poses = clip.rollout.poses[:FRAMES].copy()
    if kind == "vanish":
        poses[frame:, thing] = np.nan
    else:
        best = poses[frame, thing, :2]
        for _ in range(50):
            x, y = rng.uniform(-1.0, 1.0, 2)
            far = np.hypot(x - best[0], y - best[1]) > 0.9
            others = [i for i in range(poses.shape[1]) if i != thing]
            free = all(np.linalg.norm(poses[frame:, i, :2] - [x, y], axis=1).min() > 1.0 for i in others)
            if far and free:
                break
        # The rest of its motion goes on from the new place.
        poses[frame:, thing, :2] += np.array([x, y]) - best
    rollout = replace(clip.rollout, poses=poses, speeds=clip.rollout.speeds[:FRAMES])
    return rollout, {"kind": kind, "time": round(frame / FPS, 3), "object": thing}


def twin_record(
    clip: Clip, rollout: Rollout, fault: dict[str, Any], seed: int, split: str, index: int, size: int
) -> Any:
    """The metadata of an impossible twin: truth only, since no caption of the original holds."""
    sights = watch(clip.scene, replace(rollout, poses=rollout.poses[:FRAMES]), size, clip.scene.turn)
    truth = _truth(clip, seed, split, index, rollout, sights)
    truth["events"] = []
    truth["impossible"] = {**fault, "twin_of": f"clips/{index:07d}.mp4"}
    return {"texts": {"en": [], "zh": []}, "qa": [], "events": [], "truth": truth}


def draw_clip(renderer: Any, scene: Scene, rollout: Rollout, size: int) -> NDArray[np.uint8]:
    """The clip's pictures (FRAMES, size, size, 3), 0..255."""
    model, data = compile_scene(scene, camera(scene, size, 0))
    renderer.load(model)
    mujoco, pictures = renderer.mujoco, []
    for frame in range(FRAMES):
        for i, (_, _, position, quaternion) in enumerate(pose_list(scene, rollout.poses[frame])):
            data.qpos[7 * i : 7 * i + 7] = [*position, *quaternion]
        mujoco.mj_kinematics(model, data)
        pictures.append(renderer.draw(data, camera(scene, size, frame)))
    return np.stack(pictures)


def write_video(path: Path, pictures: NDArray[np.uint8]) -> None:
    """Write pictures (F, Y, X, 3), 0..255, as H.264 at 8 a second, nearly lossless."""
    import av

    part = path.with_suffix(".tmp.mp4")
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], "yuv420p"
        stream.options = {"crf": "12", "preset": "medium"}
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    part.replace(path)


def write_clips(job: Any, renderer: Any) -> list[dict[str, Any]]:
    """Make the clips of a chunk and return their metadata."""
    rows = []
    for index in range(job.first, job.last):
        skip = failed = 0
        while True:
            try:
                record, pictures = make_clip(job, renderer, index, skip)
                break
            except RefusedScene as refusal:  # the next attempt takes its place
                failed, skip = failed + 1, refusal.attempt + 1
        name = f"clips/{index + 1:07d}.mp4"
        write_video(Path(job.out) / name, pictures)
        if failed:
            record["truth"]["failed"] = failed
        rows.append({"file_name": name, **record})
    return rows


class RefusedScene(Exception):
    """The physics or its compiler refused the scene of an attempt."""

    def __init__(self, attempt: int) -> None:
        super().__init__(f"attempt {attempt}")
        self.attempt = attempt


def make_clip(job: Any, renderer: Any, index: int, skip: int) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The metadata and the pictures of clip `index`, from attempt `skip` on.

    Raises: RefusedScene when the attempt can't be simulated or compiled.
    """
    seed, split, level, size = job.seed, job.split, job.level, job.size
    attempt = skip
    try:
        if is_arm(index):
            work = arm_clip(seed, split, level, index, size, skip)
            attempt = work.attempt
            return tracked(arm_record(work, seed, split, index), size), draw_arm(renderer, work, size)
        twin = is_twin(split, index)
        clip = story_clip(seed, split, level, index - 1 if twin else index, size, skip)
        attempt = clip.attempt
        if not twin:
            record = tracked(clip_record(clip, seed, split, index), size)
            return record, draw_clip(renderer, clip.scene, clip.rollout, size)
        rollout, fault = impossible(clip, generator(seed, split, level, "clip", index, 2000))
        record = twin_record(clip, rollout, fault, seed, split, index, size)
        return record, draw_clip(renderer, clip.scene, rollout, size)
    except ValueError as error:
        raise RefusedScene(attempt) from error
