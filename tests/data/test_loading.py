"""Worker processes' errors come out as they were raised."""

import pytest
import torch

from triptych.data.loading import loaded
from triptych.errors import DataError, MediaError, MissingExtra


class Items:
    """Eight numbers, one of which can't be read."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 8

    def __getitem__(self, number: int) -> tuple[torch.Tensor, float]:
        if number == 5:
            raise self.error
        return torch.full((2,), number), number / 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [None, 2])
@pytest.mark.parametrize(
    "error",
    [
        MediaError("a.png", "cut off", "write it anew"),
        DataError("b.bin: damaged"),
        MissingExtra("av", "video", "reading clips"),
    ],
)
def test_what_a_user_has_to_mend_comes_when_its_turn_is(error, size, workers):
    items = loaded(Items(error), batch_size=size, num_workers=workers)
    found = []
    with pytest.raises(type(error)) as raised:
        found.extend(first.reshape(-1, 2)[:, 0].tolist() for first, _ in items)
    assert str(raised.value) == str(error)
    assert found == ([[0], [1], [2], [3], [4]] if size is None else [[0, 1], [2, 3]])


def test_all_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError, match="Caught ZeroDivisionError in DataLoader worker"):
        list(loaded(Items(ZeroDivisionError("x")), num_workers=1))


def test_items_are_gathered_or_left():
    whole = list(loaded(range(4), sampler=[3, 1]))
    assert whole == [3, 1]
    assert [batch.tolist() for batch in loaded(range(4), batch_size=3)] == [[0, 1, 2], [3]]
