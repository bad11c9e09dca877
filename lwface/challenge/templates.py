"""Makes a new challenge from a template: its definition, pages, and a generated test set with a starting kit.

What a folder holds::

    challenge.toml          the definition
    pages/*.md              overview, data, evaluation, rules: for participants
    reference/TRACK/        the truth: never given away
    kit/TRACK/              what participants get: data, a sample submission, README.md
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
from lwface.challenge.definition import DEFINITION
from lwface.challenge.kinds import KINDS, TrackKind

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
    """

    name: str
    title: str
    kind: str
    lines: tuple[str, ...]
    data_rules: str
    maker: str


class ChallengeTemplate(NamedTuple):
    """A challenge to start from: one of the five seeds'."""

    name: str
    title: str
    description: str
    tracks: tuple[TrackTemplate, ...]


TEMPLATES = {
    template.name: template
    for template in (
        ChallengeTemplate(
            "landmarks",
            "Light-weight facial landmark prediction",
            "Put 68 points on a face, with a model of at most 15 MB.",
            (
                TrackTemplate(
                    "landmarks",
                    "68 points under 15 MB",
                    "landmarks",
                    ('limits = { budget = "landmarks-68" }', "needs_model = false"),
                    "The training part of the starting kit alone: no other landmarks, no detector in training.",
                    "lwface.challenge.make_landmarks",
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
        for track in template.tracks:
            reference, kit = folder / REFERENCE / track.name, folder / KIT / track.name
            reference.mkdir(parents=True)
            kit.mkdir(parents=True)
            importlib.import_module(track.maker).make(reference, kit, job.samples, job.seed)
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
            f'reference = "{REFERENCE}/{track.name}"',
            f'ranks_by = "{kind.figures[0].name}"  # or {", ".join(figure.name for figure in kind.figures[1:])}',
            f'data_rules = "{track.data_rules}"',
            *track.lines,
        ]
    return "\n".join(lines) + "\n"


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
    figures = [
        f"{figure.title} (`{figure.name}`, {'higher' if figure.higher_is_better else 'lower'} is better)"
        for figure in kind.figures
    ]
    return (
        f"## {track.title}\n\nHand in {kind.says}; the name ends in {' or '.join(kind.endings)}. "
        f"Ranked by {figures[0]}; also told:\n\n{_listed(figures[1:])}".rstrip()
    )


def _listed(lines: Iterable[str]) -> str:
    return "".join(f"* {line}\n" for line in lines)
