"""Poses of procedural people for the tests of this room."""

import numpy as np
import pytest
import torch

from lwface.synthetic.body import draw_body
from lwface.synthetic.skeleton import COCO, draw_motion, joints


def made(frames=3, scale=0.5, *, body=0):
    """Frames (1, T, 17, 3) of somebody who faces the camera, all points there."""
    motion = draw_motion(np.random.default_rng(body))
    places = np.stack([joints(draw_body(0, body), motion, t / 6)[:COCO] for t in range(frames)])
    points = np.stack([0.5 + scale * places[..., 0], 0.9 - scale * places[..., 1], np.ones(places.shape[:2])], axis=2)
    return torch.from_numpy(points)[None]


@pytest.fixture(scope="session")
def poses():
    """The function above."""
    return made
