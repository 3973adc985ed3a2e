"""How a folder is cleaned and cut."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PrepareConfig(BaseModel):
    """Options of `triptych prepare`. What is dropped is left out of the manifest; no file is ever deleted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(
        default=224, ge=16, le=4096, description="side of a picture or frame after scaling and cropping, in pixels"
    )
    fps: float = Field(default=8.0, gt=0, le=120, description="frames a second taken from a clip")
    frames: int = Field(default=17, ge=1, description="frames of one window of a clip; the tokenizer takes 1 + 4k")
    min_side: int = Field(default=16, ge=1, description="a picture or clip with a shorter side is too small, in pixels")
    near_duplicate_levels: int = Field(
        default=10,
        ge=0,
        le=255,
        description="two files look alike if no cell of their 16x16 thumbnails differs by more levels",
    )
    longest_text: int = Field(default=2000, ge=1, description="a text of more characters is reported")
    drop_small: bool = Field(default=True, description="leave out files with a side below min_side")
    drop_exact_duplicates: bool = Field(default=True, description="leave out files equal byte for byte to one before")
    drop_near_duplicates: bool = Field(default=False, description="leave out files that look like one before")
    drop_flat: bool = Field(default=False, description="leave out files of one colour")
    drop_odd_texts: bool = Field(
        default=False, description="leave out texts that are too long or hold hidden characters"
    )
    workers: int = Field(default=0, ge=0, description="processes that decode; 0 for one a core")
    timeout: float = Field(default=60.0, gt=0, description="seconds a file may take, plus one for every 20 MB")
    memory: float = Field(default=4.0, gt=0, description="memory a decoding process may address, in GiB (Linux)")
