"""Pictures in a terminal: two pixels a character, as the upper half block in two colours.

Y rows, X columns of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

WIDEST = 64  # columns of one picture
NARROWEST = 24
GAP = 2
SHADES = " .:-=+*#%@"


def show_pictures(pictures: Sequence[np.ndarray], show: bool | None = None, *, console: Console | None = None) -> None:
    """Print pictures uint8 (Y, X, 3), side by side where there is room.

    Args:
        pictures: what to show.
        show: True always, False never, None where the output is a terminal with colours.
        console: where to print; the standard output if not given.
    """
    console = console or Console()
    if show is False or (show is None and (not console.is_terminal or console.color_system is None)):
        return
    if show and not console.is_terminal and not console.no_color:
        console = Console(file=console.file, force_terminal=True, color_system="truecolor", width=console.width)
    for line, columns in arrange(pictures, console.width, console.height):
        console.print(HalfBlocks(line, columns))


def arrange(pictures: Sequence[np.ndarray], width: int, height: int) -> Iterable[tuple[Sequence[np.ndarray], int]]:
    """Lines of pictures, and the columns of each picture, that fit a terminal of `width` x `height` characters."""
    across = max(1, min(len(pictures), (width + GAP) // (NARROWEST + GAP)))
    columns = max(1, min(WIDEST, (width - GAP * (across - 1)) // across, 2 * max(height - 3, NARROWEST // 2)))
    for first in range(0, len(pictures), across):
        yield pictures[first : first + across], columns


class LiveView:
    """Pictures in the making, drawn over again in place; nothing where `console` is no terminal.

    Use it as a context; it is what `partial` of the drawing functions calls.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.pictures: dict[int, np.ndarray] = {}
        self._live = Live(console=self.console, transient=True, auto_refresh=False)

    def __enter__(self) -> LiveView:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def __call__(self, number: int, pixels: np.ndarray, share: float) -> None:
        """Show the line of pictures in which picture `number` stands, as it is now."""
        self.pictures[number] = pixels
        lines = list(
            arrange([self.pictures[n] for n in sorted(self.pictures)], self.console.width, self.console.height)
        )
        place = sorted(self.pictures).index(number) // len(lines[0][0])
        self._live.update(HalfBlocks(*lines[place]), refresh=self.console.is_terminal)


class HalfBlocks:
    """Some pictures side by side, each `columns` characters wide; shades of grey where there are no colours."""

    def __init__(self, pictures: Sequence[np.ndarray], columns: int) -> None:
        self.pictures, self.columns = pictures, columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = console.color_system is None or console.no_color
        grids = [scale(pixels, self.columns) for pixels in self.pictures]
        grids = [_stretched(grid) for grid in grids] if plain else grids
        for row in range(0, max(len(grid) for grid in grids), 2):
            for place, grid in enumerate(grids):
                if place:
                    yield Segment(" " * GAP)
                if row < len(grid):
                    yield from _plain(grid[row : row + 2]) if plain else _coloured(grid[row : row + 2])
                else:
                    yield Segment(" " * self.columns)
            yield Segment.line()


def scale(pixels: np.ndarray, columns: int) -> np.ndarray:
    """(Y, X, 3) -> (an even number of rows, columns, 3) in the same proportions."""
    height, width = pixels.shape[:2]
    rows = max(1, round(columns * height / width / 2)) * 2
    return np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.HAMMING))


def _coloured(pair: np.ndarray) -> Iterable[Segment]:
    for upper, lower in zip(pair[0].tolist(), pair[1].tolist(), strict=True):
        yield Segment("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))


def _stretched(grid: np.ndarray) -> np.ndarray:
    """The darkest grey becomes black and the lightest white, since there are only a few shades."""
    grey = np.repeat(grid.mean(2, keepdims=True), 3, 2)
    return (grey - grey.min()) / max(np.ptp(grey), 1) * 255


def _plain(pair: np.ndarray) -> Iterable[Segment]:
    yield Segment("".join(SHADES[int(value * len(SHADES))] for value in pair.mean((0, 2)) / 256))
