"""The queue of scorings, in the database: each submission is scored once with each version of the reference.

A scoring process claims a submission for a while (a lease) and renews that while it works. When it is killed the lease
runs out and another claims it, under the next number of attempt; the result of an attempt that is no longer the
current one is thrown away. Result and state are written in one transaction: there is no moment between them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from lwface.hosting.database import Database, now
from lwface.hosting.site import Site
from lwface.hosting.tables import (
    CANCELLED,
    FAILED,
    QUEUED,
    REFUSED,
    REMOVED,
    RUNNING,
    SCORED,
    UPLOADING,
    WAITING,
    ScoreRow,
    UploadRow,
)
from lwface.hosting.tables import SubmissionRow as Row


@dataclass(frozen=True)
class Claim:
    """A submission that one scoring process has; ``files`` is path by part."""

    submission: int
    track: str
    version: int
    attempt: int
    worker: str
    files: dict[str, str]
    names: dict[str, str]
    digests: dict[str, str]


class Ranks(NamedTuple):
    """Which figure ranks a track, and the sign that makes more of it better."""

    figure: str
    sign: int


def claim(database: Database, site: Site, worker: str) -> Claim | None:
    """Take the submission that waits longest, or one whose process was killed; None where nothing waits."""
    with database.writing() as session:
        moment = now(session)
        stale = and_(Row.state == RUNNING, Row.lease < moment)
        waiting = select(Row).where(or_(Row.state == QUEUED, stale)).order_by(Row.accepted, Row.id).limit(1)
        row = session.scalars(waiting.with_for_update(skip_locked=True, of=Row)).first()
        if row is None:
            return None
        if row.attempt >= site.most_attempts:
            _end(row, moment, FAILED, f"its scoring was killed {row.attempt} times; the organiser can score it again")
            return None
        row.state, row.worker, row.lease, row.attempt = RUNNING, worker, moment + site.lease_s, row.attempt + 1
        row.progress, row.doing, row.line = 0.0, "starting", None
        return Claim(
            submission=row.id,
            track=row.track,
            version=row.version,
            attempt=row.attempt,
            worker=worker,
            files={one.part: str(site.files / one.id) for one in row.uploads},
            names={one.part: one.filename for one in row.uploads},
            digests={one.part: one.sha256 for one in row.uploads if one.sha256},
        )


def renew(database: Database, site: Site, held: Claim, progress: float, doing: str) -> bool:
    """Say that the scoring goes on, and how far it is; False where it is no longer ours: stop it."""
    with database.writing() as session:
        values = {"lease": now(session) + site.lease_s, "progress": progress, "doing": doing}
        return _change(session, held, values)


def finish(database: Database, held: Claim, result: dict[str, Any], ranks: Ranks) -> bool:
    """Write the result, and that it is scored; False where it was no longer ours, and nothing is written.

    Args:
        result: what :meth:`lwface.challenge.results.Result.as_json` gives, and ``gate`` where the model was tried.
    """
    with database.writing() as session:
        if not _change(session, held, _ended(now(session), SCORED, None)):
            return False
        figures = {name: value for name, value in result.items() if name != "details"}
        row = ScoreRow(
            submission_id=held.submission,
            version=held.version,
            public=ranks.sign * result["public"][ranks.figure],
            private=ranks.sign * result["private"][ranks.figure],
            figures=_json(figures),
            details=_json(result.get("details", {})),
        )
        session.add(row)
        session.flush()
        session.execute(update(Row).where(Row.id == held.submission).values(score_id=row.id))
        return True


def refuse(database: Database, held: Claim, line: str, *, failed: bool = False) -> bool:
    """Write why there is no score: the submission is malformed, or (``failed``) its scoring broke a limit."""
    with database.writing() as session:
        return _change(session, held, _ended(now(session), FAILED if failed else REFUSED, line))


def give_back(database: Database, held: Claim) -> bool:
    """Let another process score it: this one ends, or its scoring was killed from outside."""
    with database.writing() as session:
        return _change(session, held, {"state": QUEUED, "worker": None, "lease": None})


def cancel(session: Session, submission: int) -> bool:
    """Stop a submission that has no score yet; it costs no quota. False where it is too late."""
    before = Row.state.in_((UPLOADING, QUEUED, RUNNING))
    ends = _ended(now(session), CANCELLED, None)
    return _hit(session.execute(update(Row).where(Row.id == submission, before).values(**ends)))


def score_again(session: Session, version: int) -> int:
    """Queue all that was scored, is to be, or failed, to be scored with ``version`` of the reference; how many.

    What failed and whose team has removed its files stays as it is.
    """
    again = {"state": QUEUED, "version": version, "attempt": 0, "worker": None, "lease": None, "finished": None}
    gone = select(UploadRow.submission_id).where(UploadRow.state == REMOVED)
    concerned = (Row.state.in_((SCORED, FAILED, *WAITING)), Row.id.not_in(gone))
    result: Any = session.execute(update(Row).where(*concerned).values(**again))
    return int(result.rowcount)


def _change(session: Session, held: Claim, values: dict[str, Any]) -> bool:
    ours = (Row.id == held.submission, Row.state == RUNNING, Row.worker == held.worker, Row.attempt == held.attempt)
    return _hit(session.execute(update(Row).where(*ours).values(**values)))


def _ended(moment: float, state: str, line: str | None) -> dict[str, Any]:
    return {
        "state": state,
        "finished": moment,
        "line": line,
        "worker": None,
        "lease": None,
        "progress": 1.0,
        "doing": "",
    }


def _end(row: Row, moment: float, state: str, line: str) -> None:
    for name, value in _ended(moment, state, line).items():
        setattr(row, name, value)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _hit(result: Any) -> bool:
    return bool(result.rowcount == 1)
