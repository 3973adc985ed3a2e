"""The parts of a Transformer block.

B batch, S positions, H query heads, K key/value heads, E width of a head, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.model.cache import Cache

HEAD = 64  # E


def rotary(positions: Tensor, theta: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, 1, S, E/2) of three-dimensional positions (B, S, 3).

    Of the 32 pairs of a head, 12 turn with time, 10 with rows, 10 with columns.
    Sources: RoFormer, arXiv 2104.09864; Qwen2-VL, arXiv 2409.12191.
    """
    parts = []
    for axis, pairs in enumerate((12, 10, 10)):
        rates = theta ** -(torch.arange(pairs, device=positions.device, dtype=torch.float32) / pairs)
        parts.append(positions[..., axis, None].float() * rates)
    angles = torch.cat(parts, -1)[:, None]
    return angles.cos(), angles.sin()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs of (B, H, S, E) by the angles of `rotary`; the result is float32."""
    cos, sin = turn
    one, two = x.float().chunk(2, -1)
    return torch.cat([one * cos - two * sin, one * sin + two * cos], -1)


class Attention(nn.Module):
    """Causal self-attention with grouped heads and query-key norm (arXiv 2305.13245, 2010.04245)."""

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * HEAD, bias=False)
        self.query_norm = nn.RMSNorm(HEAD, eps=1e-6)
        self.key_norm = nn.RMSNorm(HEAD, eps=1e-6)
        self.out = nn.Linear(heads * HEAD, width, bias=False)

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor] | None,
        cache: Cache | None = None,
        layer: int = 0,
        mask: Tensor | None = None,
    ) -> Tensor:
        """(B, S, D) -> (B, S, D); with a cache, keys and values of earlier calls are attended too.

        Without one, `mask` (B, 1, S, S) tells what may attend to what; all that came before, if it isn't given.
        """
        heads = self.qkv(x).unflatten(-1, (-1, HEAD)).transpose(1, 2)
        query, key, value = heads.split([self.heads, self.kv_heads, self.kv_heads], 1)
        # A CPU attends faster in float32, a GPU in the arithmetic of the rest.
        dtype = torch.float32 if x.device.type == "cpu" else value.dtype
        query, key = self.query_norm(query.float()), self.key_norm(key.float())
        if turn is not None:
            query, key = rotate(query, turn), rotate(key, turn)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
        if cache is not None:
            key, value, mask = cache.extend(layer, key, value)
        if self.heads != self.kv_heads:
            repeat = self.heads // self.kv_heads
            key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
        return self.out(out.transpose(1, 2).flatten(2).to(x.dtype))


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, width: int, heads: int, kv_heads: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.attention = Attention(width, heads, kv_heads)
        self.feed_norm = nn.RMSNorm(width, eps=1e-6)
        self.feed = FeedForward(width, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor] | None,
        cache: Cache | None = None,
        layer: int = 0,
        mask: Tensor | None = None,
    ) -> Tensor:
        """(B, S, D) -> (B, S, D); see `Attention`."""
        x = x + self.dropout(self.attention(self.attention_norm(x), turn, cache, layer, mask))
        return x + self.dropout(self.feed(self.feed_norm(x)))
