"""A short run of the command that scores damaged submissions, and that its judge notices what it is there to notice."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lwface.challenge.results import Malformed
from lwface.challenge.scorers import score
from tests.challenge_targets import small_tracks

HERE = Path(__file__).parents[1]


def test_a_few_damaged_submissions_of_each_track(tmp_path):
    command = [sys.executable, str(HERE / "challenge_mutations.py"), "--count", "25", "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folder = tmp_path / "failures"
    done = subprocess.run(
        [*command, "--folder", str(folder)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failures" in done.stdout
    for track in ("landmarks", "keypoints", "sequences", "features", "montage"):
        assert f" {track}: read\n" in done.stdout, track
        assert f" {track}: refused\n" in done.stdout, track
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["landmarks", "keypoints", "sequences", "features", "montage"])
def test_a_good_submission_is_one_to_the_judge_and_half_of_it_is_none(tmp_path, kind):
    small = small_tracks(tmp_path / "tracks")[kind]
    assert small.judge(small.name, small.good) is True
    assert small.judge(small.name, small.good[: len(small.good) // 2]) is False
    path = tmp_path / small.name
    path.write_bytes(small.good)
    found = score(small.track, path, small.reference)
    assert found == score(small.track, path, small.reference)
    path.write_bytes(small.good[: len(small.good) // 2])
    with pytest.raises(Malformed):
        score(small.track, path, small.reference)


def test_another_seed_draws_other_sides(tmp_path):
    small = small_tracks(tmp_path / "tracks")["landmarks"]
    path = tmp_path / small.name
    path.write_bytes(small.good)
    found = [score(dataclasses.replace(small.track, seed=seed), path, small.reference) for seed in range(4)]
    assert len({one.all["nme"] for one in found}) == 1
    assert len({one.public["nme"] for one in found}) > 1
