"""A submission from its first byte to the queue: one file, or two where the track wants the model as well."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from lwface.base.errors import UserError
from lwface.challenge.definition import Challenge
from lwface.challenge.kinds import ChallengeTrack, get_kind
from lwface.hosting.accounts import printable
from lwface.hosting.database import Database, now
from lwface.hosting.quotas import QuotaError, check_count, check_open, check_space, lock_team
from lwface.hosting.site import GIB, Site
from lwface.hosting.tables import (
    CANCELLED,
    COMPLETE,
    FAILED,
    OPEN,
    QUEUED,
    REFUSED,
    REMOVED,
    UPLOADING,
    PersonRow,
    SubmissionRow,
    UploadRow,
)
from lwface.hosting.uploads import begin_upload

SUBMISSION, MODEL = "submission", "model"
MODEL_ENDINGS = (".onnx", ".safetensors")
MODEL_BYTES = 4 * GIB  # that are taken of a model where the track has no limit
MODEL_SLACK = 1024**2  # bytes of a model's file beside its weights: graph, names
MOST_NOTE = 200  # letters
UNTOUCHED_S = 7 * 86400  # an unfinished submission that nobody goes on with is cancelled
_SHA256 = re.compile(r"[0-9a-f]{64}")


def parts(track: ChallengeTrack) -> tuple[str, ...]:
    """The files that a track wants."""
    return (SUBMISSION, MODEL) if track.needs_model else (SUBMISSION,)


def safe_name(name: str) -> str:
    """The last part of a file's name in letters that mean nothing to any program; its ending is kept."""
    last = re.split(r"[/\\]", name)[-1]
    stem, ending = os.path.splitext(re.sub(r"[^A-Za-z0-9._-]", "_", last))
    return (stem.lstrip(".")[:80] or "file") + ending[:12]


def working_name(part: str, name: str) -> str:
    """The name that a file has where it is scored; a model of ours is found by its number."""
    return "model-0001.safetensors" if part == MODEL and name.endswith(".safetensors") else safe_name(name)


def check_time(session: Session, challenge: Challenge) -> None:
    """:class:`QuotaError` outside the challenge's time."""
    moment = now(session)
    if moment < challenge.opens.timestamp():
        raise QuotaError(f"the challenge opens at {challenge.opens.isoformat()}")
    if moment >= challenge.closes.timestamp():
        raise QuotaError(f"the challenge closed at {challenge.closes.isoformat()}")


def check_file(track: ChallengeTrack, part: str, filename: str, length: int) -> None:
    """:class:`UserError` for a file that the track has no use for, before a byte of it is sent."""
    if part not in parts(track):
        raise UserError(f"part {part!r}: track {track.name} takes {' and '.join(parts(track))}")
    kind = get_kind(track.kind)
    endings, largest = (kind.endings, kind.largest) if part == SUBMISSION else (MODEL_ENDINGS, _most_of_model(track))
    if not filename.lower().endswith(endings):
        raise UserError(f"{filename!r}: the {part} of track {track.name} ends in {' or '.join(endings)}")
    if not 0 < length <= largest:
        raise UserError(f"{filename!r} has {length} bytes; the {part} of track {track.name} has 1 to {largest}")


def start(
    session: Session, site: Site, challenge: Challenge, person: PersonRow, metadata: Mapping[str, str], length: int
) -> UploadRow:
    """Take note of a file that will come: a new submission, or another part of one that has begun.

    A file of the same digest that the same person has begun to send is the same upload: whoever did not hear the answer
    asks again.

    Args:
        metadata: ``track``, ``filename``; where there are such ``part``, ``sha256``, ``note``, ``submission`` (its
            number: where this is another part of it).

    Raises:
        UserError: it cannot come; :class:`QuotaError` where it is too many or too much.
    """
    if person.team_id is None:
        raise UserError("only a team hands in, and you are in none")
    track = challenge.track(metadata.get("track", ""))
    part, filename = metadata.get("part", SUBMISSION), safe_name(metadata.get("filename", ""))
    check_file(track, part, filename, length)
    digest = metadata.get("sha256") or None
    if digest is not None and not _SHA256.fullmatch(digest):
        raise UserError("sha256: expected 64 hexadecimal digits, small letters")
    team = lock_team(session, person.team_id)
    if team.disqualified:
        raise QuotaError(f"your team is disqualified: {team.disqualified}")
    check_time(session, challenge)
    if digest and "submission" not in metadata and (same := _same(session, person, track.name, part, length, digest)):
        return same
    check_count(session, team.id, track.name, challenge.submissions_a_day, challenge.submissions_in_all)
    check_space(session, team.id, length, site.team_bytes)
    row = _begun(session, team.id, track.name, part, metadata) if "submission" in metadata else None
    if row is None:
        check_open(session, team.id)
        row = SubmissionRow(
            team_id=team.id,
            person_id=person.id,
            track=track.name,
            note=printable(metadata.get("note", ""), MOST_NOTE),
            created=now(session),
        )
        session.add(row)
        session.flush()
    return begin_upload(session, row.id, part, filename, length, digest)


def complete(session: Session, challenge: Challenge, upload: UploadRow) -> None:
    """A file is whole: with the last one of its submission this enters the queue, or is refused for quota or time."""
    row = upload.submission
    lock_team(session, row.team_id)
    session.refresh(row, with_for_update={"of": SubmissionRow})
    here = {one.part for one in row.uploads if one.state == COMPLETE}
    if row.state != UPLOADING or not here.issuperset(parts(challenge.track(row.track))):
        return
    try:
        check_time(session, challenge)
        check_count(session, row.team_id, row.track, challenge.submissions_a_day, challenge.submissions_in_all)
        row.state, row.accepted = QUEUED, now(session)
    except QuotaError as error:
        row.state, row.line, row.finished = REFUSED, str(error), now(session)


def sweep(database: Database, site: Site) -> int:
    """Remove the files of what was refused or cancelled, and cancel what nobody goes on with; how many files."""
    with database.writing() as session:
        old = select(UploadRow.submission_id).where(UploadRow.touched >= now(session) - UNTOUCHED_S)
        idle = (SubmissionRow.state == UPLOADING, SubmissionRow.id.not_in(old))
        session.execute(update(SubmissionRow).where(*idle).values(state=CANCELLED, finished=now(session)))
    return _remove(database, site, SubmissionRow.state.in_((REFUSED, CANCELLED)))


def remove_files(database: Database, site: Site, submission: int) -> int:
    """Remove the files of a submission that no score needs (:func:`is_done_with`); how many files."""
    failed = and_(SubmissionRow.state == FAILED, SubmissionRow.score_id.is_(None))
    unused = or_(SubmissionRow.state.in_((REFUSED, CANCELLED)), failed)
    return _remove(database, site, SubmissionRow.id == submission, unused)


def is_done_with(row: SubmissionRow) -> bool:
    """Whether it ended without a score and still has files."""
    unused = row.state in (REFUSED, CANCELLED) or (row.state == FAILED and row.score_id is None)
    return unused and any(one.state != REMOVED for one in row.uploads)


def _remove(database: Database, site: Site, *which: ColumnElement[bool]) -> int:
    """The files first, then what the database tells of them: killed in between, this is done again."""
    with database.writing() as session:
        there = select(UploadRow).join(SubmissionRow).where(*which, UploadRow.state != REMOVED)
        rows = session.scalars(there.order_by(UploadRow.id).with_for_update(of=(UploadRow, SubmissionRow))).all()
        for row in rows:
            (site.files / row.id).unlink(missing_ok=True)
            row.state = REMOVED
        return len(rows)


def _same(session: Session, person: PersonRow, track: str, part: str, length: int, digest: str) -> UploadRow | None:
    rows = select(UploadRow).join(SubmissionRow).where(UploadRow.state == OPEN, UploadRow.sha256 == digest)
    own = (SubmissionRow.person_id == person.id, SubmissionRow.track == track, SubmissionRow.state == UPLOADING)
    return session.scalars(rows.where(*own, UploadRow.part == part, UploadRow.length == length)).first()


def _begun(session: Session, team: int, track: str, part: str, metadata: Mapping[str, str]) -> SubmissionRow:
    number = metadata["submission"]
    row = (
        session.get(SubmissionRow, int(number)) if number.isascii() and number.isdigit() and len(number) < 16 else None
    )
    if row is None or (row.team_id, row.track, row.state) != (team, track, UPLOADING):
        raise UserError(f"submission {number[:20]!r}: your team has begun none of that number in track {track}")
    if any(one.part == part for one in row.uploads):
        raise UserError(f"submission {number}: its {part} has been begun already")
    return row


def _most_of_model(track: ChallengeTrack) -> int:
    limit = track.limits.model_bytes if track.limits else None
    return MODEL_BYTES if limit is None else limit + MODEL_SLACK
