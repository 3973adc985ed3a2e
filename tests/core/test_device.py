"""In which arithmetic a network trains, by name."""

import pytest
import torch

from triptych.device import arithmetic, autocast


@pytest.mark.parametrize("tiles", [False, True])
def test_arithmetic(monkeypatch, tiles):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert arithmetic("auto", cpu) == (torch.bfloat16 if tiles else torch.float32)
    assert arithmetic("auto", cuda) == arithmetic("bf16", cpu) == torch.bfloat16
    assert arithmetic("fp32", cuda) == arithmetic("fp32", cpu) == torch.float32
    for precision in ("fp32", "bf16"):
        with autocast(precision, cpu):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == arithmetic(precision, cpu)
