"""What a team sees of its own: submissions, reports, the page to hand in, people, keys."""

from __future__ import annotations

import json

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy import Select, delete, select
from sqlalchemy.orm import defer, joinedload
from sqlalchemy.orm.interfaces import ORMOption

from lwface.challenge.kinds import get_kind
from lwface.hosting.accounts import DeniedError, invite, new_token, tally
from lwface.hosting.board import PRIVATE, PUBLIC, shown_figure, shown_half
from lwface.hosting.database import standing
from lwface.hosting.hall import Hall
from lwface.hosting.membership import hand_lead, write_deed
from lwface.hosting.queue import cancel
from lwface.hosting.quotas import counted, used_bytes
from lwface.hosting.submissions import MODEL, MODEL_ENDINGS, SUBMISSION, is_done_with, parts, remove_files
from lwface.hosting.tables import MEMBER, ORGANISER, OUT, PersonRow, ScoreRow, SubmissionRow, TokenRow
from lwface.hosting.visit import Asking, Changing, Fields, InHall, Number, Visit, number_of

router = APIRouter()
LATEST = 100  # submissions on a page


@router.get("/submissions")
def submissions(hall: InHall, visit: Asking) -> Response:
    """All of the team's."""
    team = visit.team
    with hall.database.reading() as session:
        found = session.execute(_latest(team)).unique().all()
        used = used_bytes(session, team)
    rows = [row for row, _ in found]
    figures = {row.id: _public(hall, row, scores) for row, scores in found}
    return hall.page(
        "submissions.html",
        visit=visit,
        here="/submissions",
        rows=rows,
        figures=figures,
        used=used,
        is_done_with=is_done_with,
    )


@router.get("/submissions/{number}")
def submission(number: Number, hall: InHall, visit: Asking) -> Response:
    """One, and its report."""
    row, score, halves = _seen(hall, visit, number)
    return hall.page(
        "submission.html",
        visit=visit,
        here="",
        row=row,
        track=hall.challenge.track(row.track),
        found=json.loads(score.figures) if score else None,
        details=json.loads(score.details) if score else None,
        halves=halves,
        shown=shown_figure,
        is_done_with=is_done_with,
    )


@router.get("/api/submissions/{number}")
def as_json(number: Number, hall: InHall, visit: Asking) -> Response:
    """One, for programs."""
    row, score, halves = _seen(hall, visit, number, defer(ScoreRow.details))
    found = json.loads(score.figures) if score else {}
    told = {name: getattr(row, name) for name in ("id", "track", "state", "line", "progress", "doing", "attempt")}
    return JSONResponse(told | {"figures": {half: found[half] for half in halves if half in found}})


@router.post("/submissions/{number}/cancel")
def stop(number: Number, hall: InHall, visit: Changing) -> Response:
    """Cancel one that has no score."""
    row, _, _ = _seen(hall, visit, number)
    if row.team_id != visit.member.team_id:
        raise DeniedError("only its team cancels a submission")
    with hall.database.writing() as session:
        if not cancel(session, number):
            raise DeniedError("it is too late to cancel it", 409)
    remove_files(hall.database, hall.site, number)
    return RedirectResponse("/submissions", 303)


@router.post("/submissions/{number}/remove")
def remove(number: Number, hall: InHall, visit: Changing) -> Response:
    """Remove the files of one that ended without a score: their space is the team's again."""
    row, _, _ = _seen(hall, visit, number)
    if row.team_id != visit.member.team_id:
        raise DeniedError("only its team removes a submission's files")
    if not remove_files(hall.database, hall.site, number):
        raise DeniedError("its files are in use, for its score, or gone already; cancel what is not scored yet", 409)
    with hall.database.writing() as session:
        write_deed(session, visit.member, f"removed the files of submission {number}, which has no score")
    return RedirectResponse("/submissions", 303)


@router.get("/submit/{track}")
def submit_page(track: str, hall: InHall, visit: Asking) -> Response:
    """The page to hand in."""
    wanted = hall.challenge.track(track)
    with hall.database.reading() as session:
        today, ever = counted(session, visit.team, track)
    kind = get_kind(wanted.kind)
    return hall.page(
        "submit.html",
        visit=visit,
        here="",
        track=wanted,
        kind=kind,
        parts=parts(wanted),
        endings={SUBMISSION: kind.endings, MODEL: MODEL_ENDINGS},
        today=today,
        ever=ever,
    )


@router.get("/team")
def team_page(hall: InHall, visit: Asking) -> Response:
    """People and keys."""
    return _team(hall, visit)


@router.post("/team/invite")
def invite_member(hall: InHall, visit: Changing) -> Response:
    """A link into the team."""
    leader = visit.leader
    with hall.database.writing() as session:
        key = invite(session, MEMBER, team=leader.team_id)
    return _team(hall, visit, f"{hall.site.url}/join/{key}", "A link for one person.")


@router.post("/team/lead")
def lead(hall: InHall, form: Fields, visit: Changing) -> Response:
    """Hand the lead to a member of the team."""
    with hall.database.writing() as session:
        heir = hand_lead(session, visit.leader.team_id or 0, number_of(form, "person"), by=visit.leader.id)
        write_deed(session, visit.leader, f"handed the lead of the team to {heir.name}")
    return RedirectResponse("/team", 303)


@router.post("/keys")
def make_key(hall: InHall, form: Fields, visit: Changing) -> Response:
    """A key for a program."""
    tally(hall.database, f"keys {visit.member.id}", hall.site.requests)
    with hall.database.writing() as session:
        key = new_token(session, visit.member, form.get("label", ""))
    return _team(hall, visit, key, "A key.")


@router.post("/keys/{number}/remove")
def remove_key(number: Number, hall: InHall, visit: Changing) -> Response:
    """Make a key worth nothing."""
    with hall.database.writing() as session:
        own = (TokenRow.id == number, TokenRow.person_id == visit.member.id)
        session.execute(delete(TokenRow).where(*own))
    return RedirectResponse("/team", 303)


def _team(hall: Hall, visit: Visit, made: str = "", made_says: str = "") -> Response:
    with hall.database.reading() as session:
        people = session.scalars(
            select(PersonRow)
            .where(PersonRow.team_id == visit.member.team_id, PersonRow.team_id.is_not(None), PersonRow.role != OUT)
            .order_by(PersonRow.id)
        ).all()
        tokens = session.scalars(
            select(TokenRow).where(TokenRow.person_id == visit.member.id).order_by(TokenRow.id)
        ).all()
    return hall.page(
        "team.html", visit=visit, here="/team", people=people, tokens=tokens, made=made, made_says=made_says
    )


def _seen(
    hall: Hall, visit: Visit, number: int, *options: ORMOption
) -> tuple[SubmissionRow, ScoreRow | None, list[str]]:
    """A submission that who asks may see, its score (loaded with ``options``), and the halves that they may see."""
    with hall.database.reading() as session:
        wanted = (joinedload(SubmissionRow.uploads), joinedload(SubmissionRow.team), joinedload(SubmissionRow.person))
        row = session.get(SubmissionRow, number, options=wanted)
        organises = visit.member.role == ORGANISER
        if row is None or not (organises or row.team_id == visit.member.team_id):
            raise DeniedError("your team has no submission of this number", 404)
        if not row.score_id:
            return row, None, []
        score = session.get(ScoreRow, row.score_id, options=options)
        private = organises or shown_half(standing(session), hall.challenge) == PRIVATE
        return row, score, [PUBLIC, PRIVATE, "all"] if private else [PUBLIC]


def _latest(team: int) -> Select[SubmissionRow, str]:
    """A team's latest submissions with the figures of their scores, in one statement, without the long reports."""
    rows = select(SubmissionRow, ScoreRow.figures).outerjoin(ScoreRow, ScoreRow.id == SubmissionRow.score_id)
    with_them = (joinedload(SubmissionRow.uploads), joinedload(SubmissionRow.person).lazyload(PersonRow.team))
    return rows.where(SubmissionRow.team_id == team).options(*with_them).order_by(SubmissionRow.id.desc()).limit(LATEST)


def _public(hall: Hall, row: SubmissionRow, scores: str | None) -> str:
    if scores is None:
        return ""
    figure = hall.challenge.track(row.track).figures[0]
    return shown_figure(figure, json.loads(scores)[PUBLIC][figure.name])
