"""Mirroring on the device, by seed and step alone."""

from __future__ import annotations

import torch

from lwface.training.sampler import random_stream


def mirror_choice(seed: int, step: int, images: int) -> torch.Tensor:
    """Which images of ``step`` are mirrored, bool ``(images,)``: by seed and step alone, on any device."""
    return torch.rand(images, generator=random_stream(seed, "mirror", step)) < 0.5


def to_network_input(images: torch.Tensor, mirror: torch.Tensor | None = None) -> torch.Tensor:
    """``images`` (N, H, W, 3) uint8 as (N, 3, H, W) uint8, channels-last, those where ``mirror`` (N,) is true flipped.

    One operation on the batch wherever it lies; the network itself turns pixels into normalised floats.
    """
    channels_first = images.permute(0, 3, 1, 2)  # (N, 3, H, W): a view whose memory is channels-last already
    if mirror is None:
        return channels_first
    return torch.where(mirror[:, None, None, None], channels_first.flip(3), channels_first)
