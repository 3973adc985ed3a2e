"""What `surprise` gives back: bits, leaps and the strangest moments, as one plain, frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.results import clock

LEAP = 2.0  # levels of a leap that make a moment as strange as one standard deviation of bits


def strange(peaks: np.ndarray, leaps: np.ndarray) -> np.ndarray:
    """How strange each map of a clip is, by what the network expected and by what no motion explains; see Surprise."""
    return peaks + leaps / LEAP


@dataclass(frozen=True)
class Surprise:
    """How surprised the model was by a picture or a clip.

    Args:
        file: the medium.
        times: float64 (T,), seconds at which each map of codes ends.
        maps: float16 (T, y, x), bits of each code.
        peaks: float32 (T,), how odd the oddest dozen codes of each map are: standard deviations of bits beyond what the
            network expected of them.
        leaps: float32 (T,), levels of 255 by which the oddest parts of a frame differ from all that is near them in the
            frame before, or the other way round, and more so than right before and after: what vanishes, appears or
            jumps between two frames of a map.
        fresh: bool (T,), whether a map begins a shot; it is scored alone and costs more.
        moments: the most surprising times, the strongest first, by `strange`.
        pictures: uint8 (moments, size, size, 3), what was seen at them.
        usual: mean bits per code on data like the training data; None where the model tells none.
        most: bits per code beyond which a medium is unlike the training data.
        unlike: share of the medium's parts that are.
    """

    file: str
    times: np.ndarray
    maps: np.ndarray
    peaks: np.ndarray
    leaps: np.ndarray
    fresh: np.ndarray
    moments: tuple[float, ...]
    pictures: np.ndarray
    usual: float | None
    most: float | None
    unlike: float

    @property
    def curve(self) -> np.ndarray:
        """Bits per code over time: float32 (T,)."""
        return self.maps.astype(np.float32).mean((1, 2))

    @property
    def strange(self) -> np.ndarray:
        """Deviations of bits, and leaps, in one curve: float32 (T,)."""
        return strange(self.peaks, self.leaps)

    @property
    def bits(self) -> float:
        """Mean bits per code of the whole."""
        return float(self.curve.mean())

    @property
    def warning(self) -> str:
        """An honest word where the medium is unlike the training data; else empty."""
        if not self.unlike:
            return ""
        where = "this looks" if self.unlike == 1 else f"{self.unlike:.0%} of this looks"
        beside = f", {self.usual:.1f} are usual" if self.usual is not None else ""
        return f"{where} unlike what the model was trained on ({self.bits:.1f} bits a code{beside})"

    def save(self, path: Path | str) -> Path:
        """Write it as .json, .csv, .npz (the maps too) or .png (the moments as heat, above the curve), by suffix."""
        from triptych.surprise_files import write

        return write(self, Path(path))

    def as_dict(self) -> dict[str, Any]:
        """As plain values, without maps and pictures."""
        rows = zip(*(v.tolist() for v in (self.times, self.curve, self.peaks, self.leaps)), strict=True)
        return {
            "file": self.file,
            "bits": round(self.bits, 4),
            "usual": self.usual,
            "most": self.most,
            "unlike": round(self.unlike, 4),
            "warning": self.warning,
            "moments": list(self.moments),
            "curve": [
                {"time": t, "bits": round(b, 4), "peak": round(p, 4), "leap": round(v, 4)} for t, b, p, v in rows
            ],
        }

    def __str__(self) -> str:
        beside = f" ({self.usual:.2f} usual)" if self.usual is not None else ""
        told = ", ".join(clock(time) for time in self.moments)
        return f"{self.bits:.2f} bits a code{beside}" + (f"; most surprising at {told}" if told else "")
