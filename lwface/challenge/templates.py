"""Makes a new challenge from a template: its definition, pages, and a generated test set with a starting kit.

What a folder holds::

    challenge.toml          the definition
    pages/*.md              overview, data, evaluation, rules: for participants
    reference/TRACK/        the truth: never given away
    kit/TRACK/              what participants get: data, a sample submission, README.md

Tracks that share their data share the folders; a kit is found by the name of its track's reference (:func:`kit_of`).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from lwface.base.errors import UserError, unknown_name
from lwface.base.files import replacing_folder, write_text
from lwface.challenge.definition import DEFINITION, Challenge
from lwface.challenge.kinds import KINDS, ChallengeTrack, FigureKind, TrackKind, get_kind

PAGES, REFERENCE, KIT = "pages", "reference", "kit"
SAMPLE = "sample_submission"  # its ending is the kind's
FEWEST = 4  # samples of a test that has two sides


class TrackTemplate(NamedTuple):
    """A track of a template.

    Attributes:
        name: its name and those of its folders.
        title: for people.
        kind: of :data:`lwface.challenge.kinds.KINDS`.
        lines: what its table in the definition says beside.
        data_rules: what may be learnt from.
        maker: module with ``make(reference, kit, samples, seed)``.
        data: name of the data, where several tracks share it; None: the track's.
    """

    name: str
    title: str
    kind: str
    lines: tuple[str, ...]
    data_rules: str
    maker: str
    data: str | None = None


class ChallengeTemplate(NamedTuple):
    """A challenge to start from: one of the five seeds'."""

    name: str
    title: str
    description: str
    tracks: tuple[TrackTemplate, ...]


_MODEL = "needs_model = false  # true: the model is handed in, too, and held against the limits"
_RECOGNITION_RULES = "ms1m-retinaface-t1 alone; test images may not be resized or re-aligned."


def _recognition(name: str, title: str, what: str, budget: str) -> TrackTemplate:
    lines = (f'limits = {{ budget = "{budget}" }}', 'settings = { far = "1e-2" }', _MODEL)
    maker = f"lwface.challenge.make_{what}s"
    return TrackTemplate(name, title, f"recognition-{what}s", lines, _RECOGNITION_RULES, maker, f"{what}s")


TEMPLATES = {
    template.name: template
    for template in (
        ChallengeTemplate(
            "recognition",
            "Lightweight face recognition",
            "Features of faces under a budget of 1 (light) or 30 (large) GFLOPs, ranked by TAR at FAR.",
            (
                _recognition("images-light", "Images, light: 1 GFLOP and 20 MiB", "image", "deepglint-light"),
                _recognition("images-large", "Images, large: 30 GFLOPs", "image", "deepglint-large"),
                _recognition("videos-light", "Videos, light: 1 GFLOP and 20 MiB", "video", "iqiyi-light"),
                _recognition("videos-large", "Videos, large: 30 GFLOPs", "video", "iqiyi-large"),
            ),
        ),
        ChallengeTemplate(
            "landmarks",
            "Light-weight facial landmark prediction",
            "Put 68 points on a face, with a model of at most 15 MB.",
            (
                TrackTemplate(
                    "landmarks",
                    "68 points under 15 MB",
                    "landmarks",
                    ('limits = { budget = "landmarks-68" }', _MODEL),
                    "The training part of the starting kit alone: no other landmarks, no detector in training.",
                    "lwface.challenge.make_landmarks",
                ),
            ),
        ),
        ChallengeTemplate(
            "keypoints",
            "Facial keypoints",
            "Find 15 keypoints on grey faces of 96x96; most training rows lack some.",
            (
                TrackTemplate(
                    *("keypoints", "15 keypoints", "keypoints", ()),
                    "training.csv of the starting kit.",
                    "lwface.challenge.make_keypoints",
                ),
            ),
        ),
        ChallengeTemplate(
            "sequences",
            "Faceless recognition",
            "Who is it? Five guesses for each sequence of crops of 64x64.",
            (
                TrackTemplate(
                    *("sequences", "Who is on each sequence", "sequences", ()),
                    "Any data and any open-source library.",
                    "lwface.challenge.make_sequences",
                ),
            ),
        ),
        ChallengeTemplate(
            "montage",
            "A montage that follows a face",
            "Answer each frame of a video by a frame of somebody else.",
            (
                TrackTemplate(
                    *("montage", "A montage that follows a face", "montage", ()),
                    "The database of the starting kit; 10 minutes for an index, a minute for 240 frames.",
                    "lwface.challenge.make_montage",
                ),
            ),
        ),
    )
}


def get_template(name: str) -> ChallengeTemplate:
    """The template called ``name``; :class:`UserError` naming the nearest when there is none."""
    try:
        return TEMPLATES[name]
    except KeyError:
        raise unknown_name("template", name, TEMPLATES) from None


@dataclass(frozen=True)
class NewChallenge:
    """What to make.

    Attributes:
        folder: for it, new or empty.
        template: a key of :data:`TEMPLATES`.
        samples: about how many each track's test has.
        seed: of the data and of the two sides.
        opens: when submissions are taken, with its zone.
        days: for how long.
    """

    folder: Path
    template: str
    samples: int
    seed: int
    opens: datetime
    days: int = 14


def data_of(track: TrackTemplate) -> str:
    """Name of the folders of a track's data."""
    return track.data or track.name


def check_new(job: NewChallenge) -> None:
    """:class:`UserError` for what cannot be made."""
    get_template(job.template)
    if job.samples < FEWEST:
        raise UserError(f"--samples {job.samples}: expected {FEWEST} or more, so that both sides have some")
    if job.days < 1:
        raise UserError(f"--days {job.days}: expected 1 or more")
    if job.seed < 0:
        raise UserError(f"--seed {job.seed}: expected 0 or more")
    if job.folder.exists() and (not job.folder.is_dir() or any(job.folder.iterdir())):
        raise UserError(f"{job.folder}: is there and not an empty folder; choose another name")


def make_challenge(job: NewChallenge) -> None:
    """Write it: complete or not at all."""
    check_new(job)
    template = get_template(job.template)
    if job.folder.is_dir():
        job.folder.rmdir()  # empty, as was looked for
    with replacing_folder(job.folder) as folder:
        for name, maker in {data_of(track): track.maker for track in template.tracks}.items():
            reference, kit = folder / REFERENCE / name, folder / KIT / name
            reference.mkdir(parents=True)
            kit.mkdir(parents=True)
            importlib.import_module(maker).make(reference, kit, job.samples, job.seed)
        write_text(folder / DEFINITION, definition_text(template, job))
        for name, text in _pages(template).items():
            write_text(folder / PAGES / f"{name}.md", text)


def definition_text(template: ChallengeTemplate, job: NewChallenge) -> str:
    """``challenge.toml`` of a template."""
    lines = [
        "# A challenge: what each key means is in docs/challenge.md.",
        f'title = "{template.title}"',
        f'description = "{template.description}"',
        f"opens = {job.opens.isoformat(timespec='seconds')}",
        f"closes = {(job.opens + timedelta(days=job.days)).isoformat(timespec='seconds')}",
        "public_share = 0.6  # of the samples, those that the leaderboard shows while it runs",
        f"seed = {job.seed}  # draws them",
        "submissions_a_day = 5",
        "submissions_in_all = 60",
    ]
    for track in template.tracks:
        kind = KINDS[track.kind]
        lines += [
            "",
            f"[tracks.{track.name}]",
            f'title = "{track.title}"',
            f'kind = "{track.kind}"  # {kind.says}',
            f'reference = "{REFERENCE}/{data_of(track)}"',
            f'ranks_by = "{kind.figures[0].name}"  # or {", ".join(figure.name for figure in kind.figures[1:])}',
            f'data_rules = "{track.data_rules}"',
            *track.lines,
        ]
    return "\n".join(lines) + "\n"


def kit_of(challenge: Challenge, track: ChallengeTrack) -> Path:
    """The folder that participants of a track get."""
    return challenge.folder / KIT / Path(track.reference).name


def check_trials(challenge: Challenge) -> None:
    """:class:`UserError` where a kit lacks what a model is tried on."""
    for track in filter(lambda track: track.is_tried, challenge.tracks):
        for name in get_kind(track.kind).trial:
            if not (path := kit_of(challenge, track) / name).exists():
                remedy = f"put it there, or say tries_model = false in [tracks.{track.name}]: models are counted alone"
                raise UserError(f"{path}: is not there, and the models of track {track.name} are tried on it: {remedy}")


def sample_of(challenge: Challenge, track: ChallengeTrack) -> Path | None:
    """The sample submission of a track, where its kit has one."""
    return next(iter(sorted(kit_of(challenge, track).glob(f"{SAMPLE}.*"))), None)


def _pages(template: ChallengeTemplate) -> dict[str, str]:
    """Markdown for participants, by name; an organiser's to change."""
    kinds = [(track, KINDS[track.kind]) for track in template.tracks]
    return {
        "overview": f"# {template.title}\n\n{template.description}\n\n"
        + _listed(f"**{track.title}**: {kind.says}." for track, kind in kinds),
        "data": "# Data\n\nThe starting kit holds, for each track, the data and a sample submission.\n\n"
        + _listed(f"**{track.title}**: {track.data_rules}" for track, _ in kinds),
        "evaluation": "# Evaluation\n\n" + "\n\n".join(_evaluation(track, kind) for track, kind in kinds) + "\n",
        "rules": "# Rules\n\n"
        + _listed(
            (
                "60 % of the test samples are public: their figures are on the leaderboard while the challenge runs.",
                "The private 40 % decide, on the same files, once it has closed.",
                "5 submissions a day and 60 in all. A file that is malformed costs none; its message says where.",
            )
        ),
    }


def _evaluation(track: TrackTemplate, kind: TrackKind) -> str:
    figures = [_figure_text(figure) for figure in kind.figures]
    return (
        f"## {track.title}\n\nHand in {kind.says}; the name ends in {' or '.join(kind.endings)}. "
        f"Ranked by {figures[0]}; also told:\n\n{_listed(figures[1:])}".rstrip()
    )


def _figure_text(figure: FigureKind) -> str:
    better = "higher" if figure.higher_is_better else "lower"
    title = figure.title.replace(" {far}", "")  # which one it is, the definition says
    return f"{title} (`{figure.name}`, {better} is better)"


def _listed(lines: Iterable[str]) -> str:
    return "".join(f"* {line}\n" for line in lines)
