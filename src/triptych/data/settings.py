"""How a folder is cleaned and cut."""

from __future__ import annotations

from pydantic import ConfigDict, Field, field_validator

from triptych.config import Settings


class PrepareConfig(Settings):
    """Options of `triptych prepare`. What is dropped is left out of the manifest; no file is ever deleted."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(224, ge=16, le=4096)
    """Side of a picture or frame after scaling and cropping, in pixels."""
    fps: float = Field(8.0, gt=0, le=120)
    """Frames a second taken from a clip."""
    frames: int = Field(17, ge=1)
    """Frames of one window of a clip: 1 + 4k."""
    min_side: int = Field(16, ge=1)
    """A picture or clip with a shorter side is too small, in pixels."""
    near_duplicate_levels: int = Field(10, ge=0, le=255)
    """Two files look alike if no cell of their 16x16 thumbnails differs by more levels."""
    longest_text: int = Field(2000, ge=1)
    """A text of more characters is reported."""
    drop_small: bool = True
    """Leave out files with a side below min_side."""
    drop_exact_duplicates: bool = True
    """Leave out files equal byte for byte to one before."""
    drop_near_duplicates: bool = False
    """Leave out files that look like one before."""
    drop_flat: bool = False
    """Leave out files of one colour."""
    drop_odd_texts: bool = False
    """Leave out texts that are too long or hold hidden characters."""
    workers: int = Field(0, ge=0)
    """Processes that decode; 0 for one a core."""
    timeout: float = Field(60.0, gt=0)
    """Seconds a file may take in cleaning, plus one for every 20 MB; and a window in cutting, plus its start."""
    memory: float = Field(4.0, gt=0)
    """Memory a decoding process may address, in GiB (Linux)."""

    @field_validator("frames")
    @classmethod
    def _fill_maps(cls, frames: int) -> int:
        if frames % 4 != 1:
            raise ValueError(f"the tokenizer takes 1 + 4k frames: use {frames // 4 * 4 + 1}")
        return frames
