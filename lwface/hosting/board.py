"""The leaderboard: of each team the submission that is best on the public half, and its place.

While the challenge runs, the public half ranks. At the end the private half ranks the same submissions: nobody chose
them by looking at it. Equal figures share a place, and the places behind them are left out: 1, 1, 3.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from lwface.challenge.definition import Challenge
from lwface.challenge.kinds import ChallengeTrack, FigureKind
from lwface.hosting.database import Standing
from lwface.hosting.tables import QUEUED, RUNNING, SCORED, ScoreRow, SubmissionRow, TeamRow

PUBLIC, PRIVATE = "public", "private"
FROZEN = "frozen"  # settings: when the board was frozen;
REVEALED = "revealed"  # "yes": the private half is shown before the end, "no": not even after it


@dataclass(frozen=True)
class BoardEntry:
    """A team on the board.

    Attributes:
        place: from 1; None for one that is disqualified.
        shared: whether another team has the same place.
        unclear: whether the interval reaches the figure of the place before it.
        figures, intervals: of the half that ranks, by name.
        flops, model_bytes: that the gate counted; None where no model is asked for.
    """

    team: str
    submission: int
    accepted: float
    place: int | None
    shared: bool
    unclear: bool
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    flops: int | None = None
    model_bytes: int | None = None
    disqualified: str | None = None


@dataclass(frozen=True)
class Board:
    """A track's leaderboard; ``half`` ranks."""

    track: ChallengeTrack
    half: str
    frozen: float | None
    entries: list[BoardEntry] = field(default_factory=list)


def shown_half(now: Standing, challenge: Challenge) -> str:
    """The half that people see now."""
    revealed = now.settings.get(REVEALED, "")
    ended = now.moment >= challenge.closes.timestamp()
    return PRIVATE if revealed == "yes" or (ended and revealed != "no") else PUBLIC


def make_board(session: Session, now: Standing, track: ChallengeTrack, half: str) -> Board:
    """The board of ``track`` as it is now, or was when it was frozen."""
    text = now.settings.get(FROZEN)
    frozen = float(text) if text else None
    rows = _best(session, track.name, half, frozen)
    figures = [json.loads(score.figures) for _, score, _ in rows]
    values = [found[half][track.ranks_by] for found in figures]
    out = [team.disqualified is not None for *_, team in rows]
    places = _places(values, out)
    entries = [
        BoardEntry(
            team=team.name,
            submission=submission.id,
            accepted=submission.accepted or 0.0,
            place=place,
            shared=place is not None and places.count(place) > 1,
            unclear=place is not None and _reaches(found, track, half, values, places, place),
            figures=found[half],
            intervals=found.get("intervals", {}).get(half, {}),
            flops=found.get("gate", {}).get("flops"),
            model_bytes=found.get("gate", {}).get("model_bytes"),
            disqualified=team.disqualified,
        )
        for (submission, score, team), found, place in zip(rows, figures, places, strict=True)
    ]
    return Board(track, half, frozen, sorted(entries, key=lambda entry: entry.place is None))


def _best(
    session: Session, track: str, half: str, until: float | None
) -> list[tuple[SubmissionRow, ScoreRow, TeamRow]]:
    """The submission of each team, best team first; of equal ones of a team the earlier, of equal teams by name."""
    rank = func.row_number().over(
        partition_by=SubmissionRow.team_id, order_by=(ScoreRow.public.desc(), SubmissionRow.accepted, SubmissionRow.id)
    )
    chosen = select(SubmissionRow.id, rank.label("rank")).join(ScoreRow, ScoreRow.id == SubmissionRow.score_id)
    chosen = chosen.where(SubmissionRow.track == track, SubmissionRow.state.in_((SCORED, QUEUED, RUNNING)))
    if until is not None:
        chosen = chosen.where(SubmissionRow.accepted <= until)
    best = chosen.subquery()
    order = (ScoreRow.public if half == PUBLIC else ScoreRow.private).desc()
    rows = select(SubmissionRow, ScoreRow, TeamRow).join(ScoreRow, ScoreRow.id == SubmissionRow.score_id)
    rows = rows.options(defer(ScoreRow.details))  # the longest of it, and no board shows it
    rows = rows.join(TeamRow, TeamRow.id == SubmissionRow.team_id).join(best, best.c.id == SubmissionRow.id)
    found = session.execute(rows.where(best.c.rank == 1).order_by(order)).all()
    by_name = [(one[0], one[1], one[2]) for one in found]
    sign = (lambda row: row[1].public) if half == PUBLIC else (lambda row: row[1].private)
    return sorted(by_name, key=lambda row: (-sign(row), row[2].name))  # names by code, as no two databases sort texts


def _places(values: Sequence[float], out: Sequence[bool]) -> list[int | None]:
    """The place of each value, best first: one more than there are better ones; None for those that are out."""
    places: list[int | None] = []
    seen, last, place = 0, None, 0
    for value, is_out in zip(values, out, strict=True):
        if is_out:
            places.append(None)
            continue
        seen += 1
        if value != last:
            last, place = value, seen
        places.append(place)
    return places


def _reaches(
    found: dict[str, Any],
    track: ChallengeTrack,
    half: str,
    values: Sequence[float],
    places: Sequence[int | None],
    place: int,
) -> bool:
    """Whether the interval holds the figure of the nearest better place."""
    ends = found.get("intervals", {}).get(half, {}).get(track.ranks_by)
    better = [value for value, other in zip(values, places, strict=True) if other is not None and other < place]
    return bool(ends and better and ends[0] <= better[-1] <= ends[1])


def shown_figure(figure: FigureKind, value: float) -> str:
    """A figure as a table shows it."""
    return f"{100 * value:.{figure.decimals}f} %" if figure.percent else f"{value:.{figure.decimals}f}"


def board_json(board: Board) -> str:
    """The board with all digits, for programs; the same bytes for the same scores."""
    entries = [
        {
            "place": entry.place,
            "team": entry.team,
            "figures": entry.figures,
            "intervals": entry.intervals,
            "flops": entry.flops,
            "model_bytes": entry.model_bytes,
            "disqualified": entry.disqualified,
        }
        for entry in board.entries
    ]
    table = {"track": board.track.name, "half": board.half, "ranks_by": board.track.ranks_by, "entries": entries}
    return json.dumps(table, indent=2, sort_keys=True) + "\n"


def board_csv(board: Board) -> str:
    """The board as a table; a text that a spreadsheet would run as a formula gets an apostrophe before it."""
    names = [figure.name for figure in board.track.figures]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["place", "team", *names, "low", "high", "flops", "model_bytes", "disqualified"])
    for entry in board.entries:
        low, high = entry.intervals.get(board.track.ranks_by, ("", ""))
        figures = [repr(entry.figures[name]) for name in names]
        more = (low, high, entry.flops, entry.model_bytes, guarded(entry.disqualified or ""))
        writer.writerow([entry.place, guarded(entry.team), *figures, *more])
    return file.getvalue()


def guarded(text: str) -> str:
    """``text`` for a cell of a table."""
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text
