"""Items of a dataset, read ahead by worker processes, whose errors come out as they were raised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate, default_convert

from triptych.errors import TriptychError


class _Told(Dataset[Any]):
    """A dataset that gives what a user has to mend (a damaged file) as an item: torch would make another error of it,
    with the worker's traceback as its message."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        try:
            return self.items[number]
        except TriptychError as error:
            return error


def _gathered(some: list[Any]) -> Any:
    return next((one for one in some if isinstance(one, TriptychError)), None) or default_collate(some)


def loaded(items: Any, *, batch_size: int | None = None, **options: Any) -> Iterator[Any]:
    """Give the items of a dataset as torch's DataLoader does.

    Args:
        items: the dataset, by number.
        batch_size: how many are gathered into one; None for items as they are.
        options: others of DataLoader.

    Raises: the TriptychError that an item raised, when its turn comes.
    """
    gather = default_convert if batch_size is None else _gathered
    for item in DataLoader(_Told(items), batch_size, collate_fn=gather, **options):
        if isinstance(item, TriptychError):
            raise item
        yield item
