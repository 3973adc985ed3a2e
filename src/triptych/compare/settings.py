"""How networks are compared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from triptych.config import Settings

Network = Literal["gpt", "cnn", "fresh"]


class CompareConfig(Settings):
    """Options of `triptych compare`. A stored comparison goes on only with the same ones."""

    networks: tuple[Network, ...] = ("gpt", "cnn", "fresh")
    """`gpt` (pre-trained), `cnn`, and `fresh`: the same GPT from random weights, on all labels only."""
    shares: tuple[float, ...] = (1.0, 0.1, 0.01)
    """Shares of the labels that are trained on."""
    minutes: float = Field(2.0, gt=0)
    """CPU minutes of training on all labels; a tenth gets a half of it, less than that a quarter."""
    steps: int | None = Field(None, ge=1)
    """Most steps of a training; without it, the clock alone decides."""
    gpt_rates: tuple[float, ...] = (1e-4, 5e-4)
    """Learning rates that are tried on validation for the pre-trained GPT, at two sizes of its input."""
    cnn_rates: tuple[float, ...] = (1e-3, 4e-3)
    """The same for the CNN."""
    fresh_rate: float = 1e-3
    """Learning rate of the GPT from nothing, which reads the size that was chosen for the pre-trained one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of training, for all but 3D convolutions, which stay fp32; bf16 is faster on CPUs with AVX512_BF16 or
    AMX. All else is measured in fp32."""
    trial: float = Field(0.2, gt=0, le=1)
    """What a trial takes, as a share of `minutes`."""
    batch: int = Field(32, ge=2)
    """Media a step."""
    flip: bool = True
    """Whether augmentation mirrors; not for media whose labels change with it, such as text."""
    tested: int = Field(1000, ge=1)
    """Media of the test that are read, by lot; of validation at most a third of it."""
    attacked: int = Field(48, ge=0)
    """Test media that are attacked; 0 leaves robustness out."""
    epsilons: tuple[float, ...] = (1.0, 4.0)
    """Largest change of a pixel by an attack, in 255ths."""
    attack_steps: int = Field(10, ge=1)
    """Steps of PGD."""
    restarts: int = Field(2, ge=1)
    """Starts of PGD: the first from the pixels, the others random."""
    queries: int = Field(50, ge=0)
    """Queries of the Square attack; 0 leaves it out."""
    rounds: int = Field(9, ge=5)
    """Rounds of the timing, of which the median counts."""
    seed: int = Field(0, ge=0)
    """Of subsets, initial weights, order, attacks and intervals."""

    @field_validator("shares")
    @classmethod
    def _are_shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not shares or not all(0 < share <= 1 for share in shares) or 1.0 not in shares:
            raise ValueError("give shares above 0 and up to 1, and 1 among them, which speed and attacks need")
        return tuple(sorted(set(shares), reverse=True))

    def seconds(self, share: float) -> float:
        """CPU seconds of training on a share of the labels."""
        return 60 * self.minutes * (1.0 if share > 0.3 else 0.5 if share > 0.03 else 0.25)
