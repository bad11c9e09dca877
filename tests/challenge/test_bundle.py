"""A bundle's scoring program, run as on the platform, gives the digits of the scorer; its yaml is what was meant."""

import dataclasses
import datetime
import io
import zipfile

import pytest
import yaml

from lwface.base.errors import UserError
from lwface.challenge import bundle, subset
from lwface.challenge.on_platform import strict_zip
from lwface.challenge.packing import packed_modules
from lwface.challenge.scorers import score
from lwface.challenge.templates import TEMPLATES, sample_of
from lwface.commands import make_bundle as command
from tests.challenge.platform import run_on_platform


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_the_scoring_program_gives_the_scorers_digits(made, tmp_path, template):
    challenge = made(template)
    track = challenge.tracks[0]
    sample = sample_of(challenge, track)
    files = bundle.make_bundle(challenge, track).files
    expected = score(track, sample, challenge.reference(track))
    for side in ("public", "private") if template == "landmarks" else ("private",):
        (tmp_path / side).mkdir()
        found = run_on_platform(files, side, sample, tmp_path / side)
        assert (found.status, found.errors) == (0, "")
        assert found.scores == getattr(expected, side)
        assert found.files == ["output/detailed_results.html", "output/scores.json"]
        assert f">{found.scores[track.ranks_by]!r}</td>" in found.details


def test_a_malformed_submission_fails_with_its_place(made, tmp_path):
    challenge = made("landmarks")
    (track,) = challenge.tracks
    lines = sample_of(challenge, track).read_text().splitlines()
    path = tmp_path / "solution.txt"
    path.write_text("\n".join([lines[0], lines[1].replace(" ", " x", 1), *lines[2:]]))
    found = run_on_platform(bundle.make_bundle(challenge, track).files, "public", path, tmp_path)
    assert (found.status, found.scores) == (1, None)
    assert found.errors.startswith("error: solution.txt: row 2: field 2 is 'x")
    assert "row 2: field 2" in found.details
    assert found.files == ["output/detailed_results.html"]


def test_the_yaml_is_what_the_definition_says(made):
    challenge = made("landmarks")
    (track,) = challenge.tracks
    files = bundle.make_bundle(challenge, track).files
    told = yaml.safe_load(files["competition.yaml"])
    public, private = told["phases"]
    assert (told["version"], told["title"], told["docker_image"]) == (2, challenge.title, bundle.IMAGE)
    assert (public["max_submissions_per_day"], public["max_submissions"]) == (5, 60)
    assert [phase["auto_migrate_to_this_phase"] for phase in told["phases"]] == [False, True]
    assert isinstance(public["start"], str)  # as a time, the platform would cut it to its day
    times = [datetime.datetime.fromisoformat(time) for time in (public["start"], public["end"], private["start"])]
    assert times[:2] == [moment.replace(tzinfo=None) for moment in (challenge.opens, challenge.closes)]
    assert times[2] > times[1]
    named = [task[key] for task in told["tasks"] for key in ("scoring_program", "reference_data")]
    named += [told["image"], told["terms"], public["starting_kit"], *(page["file"] for page in told["pages"])]
    assert set(named) | {"competition.yaml"} == set(files)
    columns = told["leaderboards"][0]["columns"]
    assert [column["key"] for column in columns] == [figure.name for figure in track.figures]
    assert columns[0]["sorting"] == "asc"
    assert [column["title"] for column in columns] == [figure.title for figure in track.figures]  # none is cut
    assert all(files[name].strip() for name in files)


def test_equal_challenges_give_equal_bytes(made, tmp_path):
    challenge = made("sequences")
    paths = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for path in paths:
        command.main([str(challenge.folder), "--output", str(path)])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert archive.testzip() is None
        kit = zipfile.ZipFile(io.BytesIO(archive.read("starting_kit.zip")))
        assert "truth.csv" not in " ".join(kit.namelist())


def test_what_the_platform_cannot_hold_is_refused(made, monkeypatch):
    challenge = made("recognition")
    track = challenge.track("images-light")
    with pytest.raises(UserError, match=r"public samples have 1,056 impostor pairs; FAR 1e-4 needs 10,000"):
        bundle.make_bundle(challenge, dataclasses.replace(track, settings={"far": "1e-4"}))
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "LARGEST_PART", 1000)
        with pytest.raises(UserError, match="keep large data elsewhere"):
            bundle.make_bundle(challenge, track)
    monkeypatch.setattr(subset, "QUOTA", 80 * 512 * 4 * 10)
    with pytest.raises(UserError, match=r"hold 9, fewer than the 60 submissions allowed.*at most 13 rows"):
        bundle.make_bundle(challenge, track)
    with pytest.raises(UserError, match="give --track, one of images-light, images-large"):
        command.parse_arguments([str(challenge.folder), "--output", "b.zip"])


def test_a_sub_set_of_people_is_a_protocol_of_its_own(made, tmp_path):
    challenge = made("recognition")
    path = tmp_path / "bundle.zip"
    command.main([str(challenge.folder), "--track", "videos-large", "--people", "16", "--output", str(path)])
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert "16 of 20 people and 64 of 80 rows" in files["pages/evaluation.md"].decode()
    with zipfile.ZipFile(io.BytesIO(files["starting_kit.zip"])) as kit:
        listed = kit.read("test/filelist.txt").decode().split()
        shown = {name.split("/")[1] for name in kit.namelist() if name.endswith(".jpg")}
        sample = tmp_path / "sample_submission.bin"
        sample.write_bytes(kit.read(sample.name))
    assert len(listed) == 64
    assert shown == set(listed)
    assert run_on_platform(files, "public", sample, tmp_path).status == 0


def test_what_is_packed_needs_no_more_than_numpy():
    roots = [
        f"lwface.challenge.score_{name}" for name in ("features", "landmarks", "keypoints", "sequences", "montage")
    ]
    packed = packed_modules(
        ["lwface.challenge.on_platform", "lwface.challenge.report", "lwface.challenge.scorers", *roots]
    )
    assert {"lwface/__init__.py", "lwface/scoring/exact/feature_set.py"} <= set(packed)
    with pytest.raises(ValueError, match="imports cv2"):
        packed_modules(["lwface.challenge.make_images"])


def test_zip_of_an_old_python_minds_lengths():
    assert list(strict_zip([1, 2], "ab", strict=True)) == [(1, "a"), (2, "b")]
    assert list(strict_zip([1, 2], "a")) == [(1, "a")]
    for parts in ([[1, 2], "a"], [[1], "ab"], [[], "a", "b"]):
        with pytest.raises(ValueError, match="lengths"):
            list(strict_zip(*parts, strict=True))
