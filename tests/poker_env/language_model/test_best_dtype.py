"""Models are loaded as what the hardware multiplies fastest, the same every time."""

import pytest
import torch

from poker_env.language_model import loading


@pytest.mark.parametrize(
    ("amx", "instructions", "intel", "expected"),
    [
        (True, True, True, torch.bfloat16),
        (False, True, True, torch.float32),
        (False, True, False, torch.bfloat16),
        (False, False, False, torch.float32),
    ],
)
def test_a_processor_that_is_slow_with_bfloat16_has_float32(amx, instructions, intel, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    monkeypatch.setattr(loading, "_is_intels", lambda: intel)
    assert loading.best_dtype() == expected
