"""How much a team may hand in: submissions a day and in all, and space. A day begins at midnight UTC."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from lwface.base.errors import UserError
from lwface.hosting.database import now
from lwface.hosting.tables import COUNTED, OPEN, REMOVED, UPLOADING, SubmissionRow, TeamRow, UploadRow

DAY_S = 86400
MOST_OPEN = 20  # unfinished submissions of a team


class QuotaError(UserError):
    """The team has handed in as much as it may."""


def lock_team(session: Session, team: int) -> TeamRow:
    """The row of a team, held until the transaction ends: what is counted for it stays true."""
    return session.scalars(select(TeamRow).where(TeamRow.id == team).with_for_update()).one()


def counted(session: Session, team: int, track: str) -> tuple[int, int]:
    """What a team has handed in to a track: today, and in all.

    What is unfinished, malformed, failed or cancelled is not counted.
    """
    midnight = now(session) // DAY_S * DAY_S
    mine = (SubmissionRow.team_id == team, SubmissionRow.track == track, SubmissionRow.state.in_(COUNTED))
    today = func.count().filter(SubmissionRow.accepted >= midnight)
    found = session.execute(select(today, func.count()).select_from(SubmissionRow).where(*mine)).one()
    return int(found[0]), int(found[1])


def check_count(session: Session, team: int, track: str, a_day: int, in_all: int) -> None:
    """:class:`QuotaError` where one more submission would be too many."""
    today, ever = counted(session, team, track)
    if ever >= in_all:
        raise QuotaError(
            f"track {track}: your team has handed in {ever} of {in_all} submissions, and that was the last"
        )
    if today >= a_day:
        raise QuotaError(f"track {track}: your team has handed in {today} of {a_day} today; come back after 0:00 UTC")


def check_open(session: Session, team: int) -> None:
    """:class:`QuotaError` where a team has begun more than it ends."""
    begun = _number(session, SubmissionRow.team_id == team, SubmissionRow.state == UPLOADING)
    if begun >= MOST_OPEN:
        raise QuotaError(f"{begun} submissions of your team are unfinished: end or cancel one")


def used_bytes(session: Session, team: int) -> int:
    """Space of a team's files, those on their way at their full length."""
    return used_bytes_of_all(session, SubmissionRow.team_id == team).get(team, 0)


def used_bytes_of_all(session: Session, *which: ColumnElement[bool]) -> dict[int, int]:
    """The same of every team, by its number; those without files are left out."""
    lengths = select(SubmissionRow.team_id, func.sum(UploadRow.length)).join(UploadRow.submission)
    rows = session.execute(lengths.where(UploadRow.state != REMOVED, *which).group_by(SubmissionRow.team_id))
    return {team: int(length) for team, length in rows}


def check_space(session: Session, team: int, length: int, most: int) -> None:
    """:class:`QuotaError` where ``length`` more bytes are too many."""
    used = used_bytes(session, team)
    if used + length > most:
        raise QuotaError(f"{length} bytes: your team has used {used} of its {most}; cancel or remove older files")


def open_uploads(session: Session, team: int) -> list[UploadRow]:
    """Files of a team that are on their way."""
    rows = select(UploadRow).join(SubmissionRow).where(SubmissionRow.team_id == team, UploadRow.state == OPEN)
    return list(session.scalars(rows.order_by(UploadRow.touched)))


def _number(session: Session, *conditions: ColumnElement[bool]) -> int:
    return int(session.execute(select(func.count()).select_from(SubmissionRow).where(*conditions)).scalar_one())
