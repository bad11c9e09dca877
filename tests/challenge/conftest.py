"""A small challenge of each template, made once."""

from datetime import datetime, timezone

import pytest

from lwface.challenge.definition import read_challenge
from lwface.challenge.templates import NewChallenge, make_challenge

SAMPLES = 6


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """``made(template)`` is the challenge of it, made when it is first asked for."""
    known = {}

    def make(template):
        if template not in known:
            folder = tmp_path_factory.mktemp("challenge") / template
            make_challenge(NewChallenge(folder, template, SAMPLES, 0, datetime(2026, 3, 1, tzinfo=timezone.utc)))
            known[template] = read_challenge(folder)
        return known[template]

    return make
