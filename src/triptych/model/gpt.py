"""The network: a causal Transformer over text ids and visual values, with a head for each.

B batch, S positions, D width, V ids, G codes a position, d latent dimensions, C visual codes, M chosen positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.config import PLACES, TICK, TICKS, GPTConfig
from triptych.model.cache import Cache
from triptych.model.layers import HEAD, Block, rotary

AGAIN = 4.0  # how much likelier a code is to come again, in nats, before anything is learned


def seen(config: GPTConfig, values: Tensor, positions: Tensor) -> Tensor:
    """What the network reads of positions (..., 3) that hold values (..., k): (..., inputs), see `config.parts`.

    Positions may be those of one row for a whole batch. Rows, columns and times are ones among zeros; the last of each
    stands for all that are further out.
    """
    own, beside, planned, place, time = config.parts
    read = [values[..., : own + beside]]
    if planned:
        read.append(values[..., -planned:])
    for width, numbers, count in ((place, positions[..., 1:], PLACES), (time, positions[..., :1] // TICK, TICKS)):
        if width:
            ones = numbers[..., None].clamp_max(count - 1) == torch.arange(count, device=positions.device)
            read.append(ones.flatten(-2).to(values.dtype).expand(*values.shape[:-1], width))
    return torch.cat(read, -1)


def legal(branches: Tensor) -> Tensor:
    """What may attend to what, (B, 1, S, S) bool: to what came before, in the same branch (B, S) or in branch 0."""
    count = torch.arange(branches.shape[1], device=branches.device)
    same = (branches[:, None, :] == 0) | (branches[:, None, :] == branches[:, :, None])
    return (same & (count <= count[:, None]))[:, None]


class DepthHead(nn.Module):
    """Predicts the G codes of a position one after another, from the state before it (RQ-Transformer, 2203.01941)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.head_width
        self.slots = config.slots
        self.state = nn.Linear(config.width, width, bias=False)
        self.code = nn.Embedding(config.codes, width)
        self.place = nn.Parameter(torch.zeros(config.slots, width))
        heads = width // HEAD
        self.blocks = nn.ModuleList(Block(width, heads, heads, config.head_hidden) for _ in range(config.head_layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.out = nn.Linear(width, config.codes, bias=False)
        self.again = nn.Linear(width, 1) if config.beside else None

    def forward(self, state: Tensor, codes: Tensor, before: Tensor | None = None) -> Tensor:
        """States (M, D) and the codes known so far (M, k), k < G -> logits (M, k + 1, C).

        `before` (M, G) holds the codes, plus one, of the same place in the map before, zero where there are none. How
        much likelier each becomes to come again is one number, read off the same features as the logits (a pointer of
        one place; See et al., arXiv 1704.04368).
        """
        x = torch.cat([self.state(state)[:, None], self.code(codes).to(state.dtype)], 1)
        x = x + self.place[: x.shape[1]]
        for block in self.blocks:
            x = block(x, None)
        x = self.norm(x)
        logits = self.out(x)
        if before is None or self.again is None:
            return logits
        there = before[:, : x.shape[1], None]
        return logits.scatter_add(2, (there - 1).clamp_min(0), self.again(x).to(logits.dtype) * (there > 0))


class GPT(nn.Module):
    """Text ids and visual values in, states out; two heads read the states."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.text = nn.Embedding(config.vocabulary, width)
        self.visual = nn.Linear(config.inputs, width)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.kv_heads, config.hidden, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.head = DepthHead(config)
        self.apply(_initialise)
        for block in [*self.blocks, *self.head.blocks]:
            # Each block starts as the identity: the deeper the network, the more this steadies the first steps.
            nn.init.zeros_(block.attention.out.weight)
            nn.init.zeros_(block.feed.down.weight)
        # A latent of exactly zero must not leave the residual stream empty: the norms would blow its gradient up.
        nn.init.normal_(self.visual.bias, std=0.02)
        nn.init.normal_(self.head.place, std=0.02)
        if self.head.again is not None:
            nn.init.zeros_(self.head.again.weight)
            nn.init.constant_(self.head.again.bias, AGAIN)

    def forward(
        self,
        ids: Tensor,
        values: Tensor,
        is_visual: Tensor,
        positions: Tensor,
        cache: Cache | None = None,
        branches: Tensor | None = None,
    ) -> Tensor:
        """States of each position.

        Args:
            ids: (B, S) int64 in [0, V).
            values: (B, S, k) latents where `is_visual`, ignored elsewhere, as `sequence.layout` lays them; of the k
                values of a position those are read that `config.parts` names.
            is_visual: (B, S) bool.
            positions: (B, S, 3) time, row, column.
            cache: earlier positions of the same rows; the caller advances it.
            branches: (B, S) numbers of the branches of a row (see `sequence.layout`).

        Returns:
            (B, S, D) normed states; the state of a position predicts the next one.

        Raises:
            ValueError: branches and a cache, which keeps none apart.
        """
        if cache is not None and branches is not None:
            raise ValueError("branches are read whole: a cache doesn't keep them apart")
        return self.norm(self._blocks(ids, values, is_visual, positions, len(self.blocks), cache, branches))

    def pooled(
        self, ids: Tensor, values: Tensor, is_visual: Tensor, positions: Tensor, where: Tensor, layer: int
    ) -> Tensor:
        """Vectors of rows: the mean output of a block over some positions, (B, D) float32 of length 1.

        Args:
            ids, values, is_visual, positions: as of `forward`.
            where: (B, S) bool, at least one of each row.
            layer: number of the block, from 0; those above it are not run.
        """
        x = self._blocks(ids, values, is_visual, positions, layer + 1)
        weight = where[..., None].float()
        return F.normalize((x.float() * weight).sum(1) / weight.sum(1), dim=-1)

    def _blocks(
        self,
        ids: Tensor,
        values: Tensor,
        is_visual: Tensor,
        positions: Tensor,
        count: int,
        cache: Cache | None = None,
        branches: Tensor | None = None,
    ) -> Tensor:
        """The residual stream (B, S, D) after the first `count` blocks."""
        x = torch.where(is_visual[..., None], self.visual(seen(self.config, values, positions)), self.text(ids))
        turn, mask = rotary(positions), None if branches is None else legal(branches)
        for layer, block in enumerate(self.blocks[:count]):
            x = block(x, turn, cache, layer, mask)
        return x

    def text_logits(self, states: Tensor) -> Tensor:
        """(..., D) -> (..., V); the embedding's weights serve again."""
        return F.linear(states, self.text.weight)

    def code_logits(self, states: Tensor, codes: Tensor, before: Tensor | None = None) -> Tensor:
        """States (M, D) and their next codes (M, G), or the first k < G of them -> logits (M, min(k + 1, G), C).

        `before` (M, G) holds the codes, plus one, of the same place in the map before; zero, or None, for none.
        """
        return self.head(states, codes[:, : self.config.slots - 1], before)

    def new_cache(self, rows: int, room: int) -> Cache:
        """An empty cache for this network."""
        return Cache(len(self.blocks), rows, self.config.kv_heads, room, HEAD, like=self.norm.weight)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
