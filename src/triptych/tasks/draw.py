"""Text -> pictures; also pictures and text -> pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from triptych.generate.grammar import DrawMap
from triptych.generate.sample import Sampling
from triptych.results import Picture
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.tasks.common import Media, Medium, Model, chunks, counter


@dataclass(frozen=True)
class DrawSettings:
    """How pictures are drawn; see generate.sample.Sampling. These are the defaults of the whole package."""

    guidance: float = 8.0
    ramp: float = 0.25
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def draw(
    model: Model,
    texts: Sequence[str],
    seeds: Sequence[int],
    *,
    settings: DrawSettings = DrawSettings(),
    images: Sequence[Media] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[Picture]:
    """Draw a picture of each text.

    Args:
        model: what draws.
        texts: what to draw; an empty text draws from nothing.
        seeds: one a text; a picture depends on its own seed, not on its neighbours.
        settings: how.
        images: pictures that come before every text: earlier views of the scene to draw.
        progress: called with (done, all) positions.

    Returns:
        one picture a text.
    """
    views = model.read(images)
    rows = list(zip(texts, seeds, strict=True))
    parts = list(chunks(rows))
    pictures = []
    for number, part in enumerate(parts):
        outputs = model.engine.generate(
            [_prompt(model, text, views) for text, _ in part],
            [DrawMap(*[model.codes // model.gpt.config.group] * 2)],
            [_sampling(settings, seed, conditional=bool(text or views)) for text, seed in part],
            unconditional=[_prompt(model, "", ())] * len(part),
            progress=counter(progress, number, len(parts)),
        )
        painted = model.paint([output.maps[0] for output in outputs])
        pictures += [
            Picture(pixels, text, seed, asdict(settings), model.label)
            for pixels, (text, seed) in zip(painted, part, strict=True)
        ]
    return pictures


def _prompt(model: Model, text: str, views: Sequence[Medium | None]) -> Row:
    builder = model.begin()
    for view in views:
        model.show(builder, view)
    return spell.draw_prompt(builder, model.encode(text)).finish()


def _sampling(settings: DrawSettings, seed: int, *, conditional: bool) -> Sampling:
    given = asdict(settings) | {"seed": seed}
    return Sampling(**given if conditional else given | {"guidance": 1.0})
