"""The positions of one map while it is drawn: which are final, which are guessed, and how many come at once.

B rows, W positions a pass, N positions of a map, G codes a position.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.generate.sample import UNKNOWN


class Line:
    """The positions of one map, row by row of groups: what is final, what is guessed, and how likely each code was.

    Args:
        known: (B, N, G) given codes, UNKNOWN elsewhere.
        first: place of the map's first number in the streams of random numbers.
        window: positions that go through the network at once; where all rows have given ones ahead, more do.
    """

    def __init__(self, known: Tensor, first: int, window: int) -> None:
        rows, self.count, slots = known.shape
        self.known, self.first, self.window = known, first, window
        # Twice the length, so that guesses beyond the end have a place.
        self.codes = torch.cat([known.clamp_min(0), torch.zeros_like(known)], 1)
        self.nats = torch.zeros(rows, 2 * self.count, slots, device=known.device)
        self.at = torch.zeros(rows, dtype=torch.long, device=known.device)  # each row's last final position
        self.low = self.high = self.made = 0
        whole = (known != UNKNOWN).all(2).all(0).tolist()
        self._runs = [0] * (self.count + 1)  # at each position, how many from there on all rows are given
        for place in range(self.count - 1, -1, -1):
            self._runs[place] = self._runs[place + 1] + 1 if whole[place] else 0

    def width(self) -> int:
        """Positions of the next pass."""
        run = self._runs[self.low + 1] if self.low == self.high else 0
        return min(max(self.window, run + 1), self.count)  # at the end, some lie beyond it

    def read(self, places: Tensor) -> Tensor:
        """(B, W, G) the codes at places (B, W), final or guessed."""
        return self.codes.gather(1, places[..., None].expand(-1, -1, self.codes.shape[2]))

    def known_at(self, places: Tensor) -> Tensor:
        """(B, W, G) the given codes at places (B, W)."""
        return self.known.gather(1, places[..., None].expand(-1, -1, self.known.shape[2]))

    def write(self, places: Tensor, codes: Tensor, nats: Tensor) -> None:
        """Put codes and their log-probabilities (B, W, G) at places (B, W)."""
        index = places[..., None].expand(-1, -1, self.codes.shape[2])
        self.codes.scatter_(1, index, codes)
        self.nats.scatter_(1, index, nats)

    def advance(self, guessed: Tensor, fed: Tensor) -> Tensor | int:
        """Make final what is: the first code drawn after what was fed, and each after a right guess.

        Args:
            guessed: (B, W, G) what stood after the fed positions before they were drawn.
            fed: (B, W) positions.

        Returns:
            (B,) how many positions became final, or a number where it is one in each row.
        """
        if fed.shape[1] == 1 and self.low == self.high:  # no need to look, which would make the CPU wait
            self.at, self.low, self.high, self.made = self.at + 1, self.low + 1, self.high + 1, 1
            return 1
        right = (guessed == self.read(fed + 1)).all(2)[:, :-1]  # the last was not fed
        steps = torch.minimum(1 + right.long().cumprod(1).sum(1), self.count - 1 - self.at)
        self.at = self.at + steps
        low = int(self.at.min())
        self.made, self.low, self.high = low - self.low, low, int(self.at.max())
        return steps

    def so_far(self, columns: int) -> Tensor:
        """(B, N, G) the codes of the lines that are whole in all rows, UNKNOWN elsewhere."""
        codes = self.codes[:, : self.count].clone()
        codes[:, (self.low + 1) // columns * columns :] = UNKNOWN
        return codes


def schedule(count: int, passes: int) -> Tensor:
    """How many of `count` places are there after each pass: more come with each, and at least one.

    >>> schedule(49, 8).tolist()
    [1, 4, 8, 14, 22, 30, 39, 49]
    """
    if count == 0:
        return torch.zeros(0, dtype=torch.long)
    turns = torch.arange(1, passes + 1, dtype=torch.float64) / passes
    ends = (count * (1 - torch.cos(turns * torch.pi / 2))).round().long().clamp(1, count)
    return ends.unique()
