"""A small challenge of each template, made once; recognition and montage of noise, as rendering takes long."""

from datetime import datetime, timezone
from types import SimpleNamespace

import numpy as np
import pytest

from lwface.challenge import make_images, make_montage, make_videos
from lwface.challenge.definition import read_challenge
from lwface.challenge.templates import NewChallenge, make_challenge

SAMPLES = 6


def _noise(seed, person, number, **_):
    """A "face" of a person: the same coarse noise, and some of its own."""
    whose, own = np.random.default_rng((seed, person)), np.random.default_rng((seed, person, number))
    coarse = np.kron(whose.normal(128, 40, (7, 7, 3)), np.ones((16, 16, 1)))
    return SimpleNamespace(crop=np.clip(coarse + own.normal(0, 60, coarse.shape), 0, 255).astype(np.uint8))


def _noise_video(seed, person, _number, *, frames, **_):
    """Frames of noise with points that move."""
    for frame in range(frames):
        points = np.random.default_rng((seed, person)).uniform(10, 90, (68, 2)) + 2 * frame
        yield SimpleNamespace(frame=_noise(seed, person, frame).crop, landmarks68=points.astype(np.float32))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """``made(template)`` is the challenge of it, made when it is first asked for."""
    known = {}

    def make(template):
        if template not in known:
            folder = tmp_path_factory.mktemp("challenge") / template
            with pytest.MonkeyPatch.context() as patch:
                for maker in (make_images, make_videos):
                    patch.setattr(maker, "sample_image", _noise)
                patch.setattr(make_montage, "video", _noise_video)
                make_challenge(NewChallenge(folder, template, SAMPLES, 0, datetime(2026, 3, 1, tzinfo=timezone.utc)))
            known[template] = read_challenge(folder)
        return known[template]

    return make
