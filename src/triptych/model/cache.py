"""Keys and values of the positions read so far, for rows of different lengths.

B rows, K key/value heads, S new positions, N positions of room, E width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP = 256  # positions; a drawing and its prompt seldom take more


class Cache:
    """Room for `room` positions of each row in each layer.

    `lengths` (B,) counts what each row holds. New positions are written behind them; what lies behind a row's
    length is never attended, so prompts of different lengths may be padded on the right and are overwritten.
    Attention reads whole steps of STEP positions, so that how it rounds doesn't hang on a row's neighbours.
    """

    def __init__(self, layers: int, rows: int, heads: int, room: int, width: int, like: Tensor) -> None:
        shape = (layers, rows, heads, room, width)
        self.keys = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self.values = torch.zeros_like(self.keys)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=like.device)
        self._held = 0  # the longest row, so that attention reads no further
        self._new: tuple[int, Tensor, Tensor, Tensor] | None = None  # count, rows, places and mask, for all layers

    @property
    def room(self) -> int:
        """Positions of room."""
        return self.keys.shape[3]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write (B, K, S, E) behind each row; give all keys, values and the mask (B, 1, S, N') of what is legal."""
        count = key.shape[2]
        end = self._held + count
        if end > self.room:
            raise ValueError(f"the cache has room for {self.room} positions, {end} are needed")
        end = min(self.room, -(-end // STEP) * STEP)
        if self._new is None or self._new[0] != count:
            places = self.lengths[:, None] + torch.arange(count, device=key.device)  # (B, S)
            row = torch.arange(len(places), device=key.device)[:, None]
            mask = torch.arange(end, device=key.device) <= places[..., None]
            self._new = count, row, places, mask[:, None]
        _, row, places, mask = self._new
        self.keys[layer][row, :, places] = key.transpose(1, 2).to(self.keys.dtype)
        self.values[layer][row, :, places] = value.transpose(1, 2).to(self.values.dtype)
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end], mask

    def advance(self, counts: Tensor | int) -> None:
        """Count (B,) new positions as held, or the same number in each row, after the last layer has written them."""
        self.lengths = self.lengths + counts
        self._new = None
        # A number needs no look at the lengths, which would make the CPU wait for the device.
        self._held = self._held + counts if isinstance(counts, int) else int(self.lengths.max())
