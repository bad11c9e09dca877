import pytest
import torch

from lwface.base.device import select_device
from lwface.base.errors import UserError

CPU = torch.device("cpu")


def test_select_device(monkeypatch):
    assert select_device("cpu") == CPU
    for name in ("gpu", "mps", "cuda:x"):
        with pytest.raises(UserError, match=f"'{name}'.*choose auto, cpu, cuda"):
            select_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device() == select_device(None) == select_device("auto") == CPU
    with pytest.raises(UserError, match="'cuda' asked for, but this machine offers 0 CUDA devices"):
        select_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert select_device("auto").type == "cuda"
    assert select_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="offers 2 CUDA devices"):
        select_device("cuda:2")
