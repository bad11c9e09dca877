"""The organiser's page: invites, freezing, disqualifying, scoring again, and what was done."""

from __future__ import annotations

from typing import TypeVar

from fastapi import APIRouter, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from lwface.base.errors import UserError
from lwface.hosting.accounts import invite, printable
from lwface.hosting.board import FROZEN, REVEALED
from lwface.hosting.database import change_setting, now, setting, standing
from lwface.hosting.hall import Hall
from lwface.hosting.membership import hand_lead, let_in_again, remove_person, write_deed
from lwface.hosting.queue import score_again
from lwface.hosting.quotas import used_bytes_of_all
from lwface.hosting.tables import (
    LEADER,
    ORGANISER,
    OUT,
    STATES,
    DeedRow,
    PersonRow,
    SubmissionRow,
    TeamRow,
)
from lwface.hosting.visit import Asking, Changing, Fields, InHall, Number, Visit, number_of

router = APIRouter(prefix="/organise")
VERSION = "version"  # setting: of the reference
LATEST, MOST_REASON = 50, 200
Row = TypeVar("Row", TeamRow, PersonRow)


@router.get("")
def organise(hall: InHall, visit: Asking) -> Response:
    """All of it."""
    return _page(hall, visit)


@router.post("/invite")
def invite_someone(hall: InHall, form: Fields, visit: Changing) -> Response:
    """A link to come by."""
    role, uses = form.get("role", ""), form.get("uses", "")
    if role not in (LEADER, ORGANISER) or not (uses.isascii() and uses.isdigit()):
        raise UserError(f"{uses[:20]!r} invites as {role[:20]!r}: expected a number, as {LEADER} or {ORGANISER}")
    with hall.database.writing() as session:
        key = invite(session, role, uses=int(uses))
        note(session, visit, f"made a link for {uses} as {role}")
    return _page(hall, visit, made=f"{hall.site.url}/join/{key}", made_says="The link, good for 30 days.")


@router.post("/people/{number}/password")
def new_password(number: Number, hall: InHall, visit: Changing) -> Response:
    """A link for who has lost a password."""
    with hall.database.writing() as session:
        visit.organiser  # noqa: B018 (it denies)
        person = _one(session, PersonRow, number)
        key = invite(session, person.role, person=person.id)
        note(session, visit, f"made a link for a new password of {person.name}")
    return _page(hall, visit, made=f"{hall.site.url}/join/{key}", made_says=f"The link for {person.name}.")


@router.post("/people/{number}/remove")
def remove(number: Number, hall: InHall, visit: Changing) -> Response:
    """Let somebody log in no more."""
    with hall.database.writing() as session:
        person = remove_person(session, visit.organiser.id, number)
        note(session, visit, f"removed {person.name}")
    return _page(
        hall, visit, done=f"{person.name} is removed: logged out everywhere, and their keys are worth nothing."
    )


@router.post("/people/{number}/return")
def let_in(number: Number, hall: InHall, visit: Changing) -> Response:
    """Let somebody who was removed log in again."""
    with hall.database.writing() as session:
        visit.organiser  # noqa: B018 (it denies)
        person = let_in_again(session, number)
        note(session, visit, f"let {person.name} in again, as {person.role}")
    return _page(hall, visit, done=f"{person.name} can log in again, as {person.role}.")


@router.post("/teams/{number}/lead")
def lead(number: Number, hall: InHall, form: Fields, visit: Changing) -> Response:
    """Hand the lead of a team to one of its members."""
    with hall.database.writing() as session:
        visit.organiser  # noqa: B018 (it denies)
        team = _one(session, TeamRow, number)
        heir = hand_lead(session, team.id, number_of(form, "person"))
        note(session, visit, f"handed the lead of {team.name} to {heir.name}")
    return _page(hall, visit, done=f"{heir.name} leads {team.name}.")


@router.post("/freeze")
def freeze(hall: InHall, form: Fields, visit: Changing) -> Response:
    """Let the board stay as it is, or go on."""
    on = form.get("freeze") == "yes"
    with hall.database.writing() as session:
        change_setting(session, FROZEN, repr(now(session)) if on else "")
        note(session, visit, "froze the leaderboard" if on else "let the leaderboard go on")
    return _page(hall, visit, done="Frozen." if on else "It shows everything again.")


@router.post("/reveal")
def reveal(hall: InHall, form: Fields, visit: Changing) -> Response:
    """When the private half is shown."""
    value = form.get("reveal", "")
    if value not in ("", "yes", "no"):
        raise UserError(f"reveal {value[:20]!r}: expected yes, no or nothing")
    with hall.database.writing() as session:
        change_setting(session, REVEALED, value)
        note(session, visit, f"the private half is shown: {value or 'from the end on'}")
    return _page(hall, visit, done="Set.")


@router.post("/rescore")
def rescore(hall: InHall, visit: Changing) -> Response:
    """Score everything with the next version of the reference."""
    with hall.database.writing() as session:
        version = int(setting(session, VERSION, "1")) + 1
        change_setting(session, VERSION, str(version))
        number = score_again(session, version)
        note(session, visit, f"score all again: version {version} of the reference, {number} submissions")
    return _page(hall, visit, done=f"{number} submissions are scored again, as version {version}.")


@router.post("/teams/{number}")
def disqualify(number: Number, hall: InHall, form: Fields, visit: Changing) -> Response:
    """Take a team out of the ranking with a reason, or back into it without one."""
    reason = printable(form.get("reason", ""), MOST_REASON) or None
    with hall.database.writing() as session:
        visit.organiser  # noqa: B018 (it denies)
        team = _one(session, TeamRow, number)
        team.disqualified = reason
        note(session, visit, f"{team.name}: " + (f"disqualified: {reason}" if reason else "not disqualified"))
    return _page(hall, visit, done=f"{team.name}: " + ("disqualified." if reason else "in the ranking."))


def note(session: Session, visit: Visit, what: str) -> None:
    """Write down who did what; :class:`lwface.hosting.accounts.DeniedError` for one who may not."""
    write_deed(session, visit.organiser, what)


def _one(session: Session, kind: type[Row], number: int) -> Row:
    row = session.get(kind, number)
    if row is None:
        raise UserError(f"{number}: there is none of this number")
    return row


def _page(hall: Hall, visit: Visit, *, made: str = "", made_says: str = "", done: str = "") -> Response:
    visit.organiser  # noqa: B018 (it denies)
    with hall.database.reading() as session:
        counts = dict(session.execute(select(SubmissionRow.state, func.count()).group_by(SubmissionRow.state)).all())
        handed_in = dict(
            session.execute(select(SubmissionRow.team_id, func.count()).group_by(SubmissionRow.team_id)).all()
        )
        teams = session.scalars(select(TeamRow).order_by(TeamRow.name)).all()
        space, told = used_bytes_of_all(session), standing(session).settings
        latest = select(SubmissionRow).options(joinedload(SubmissionRow.team))
        return hall.page(
            "organise.html",
            visit=visit,
            here="/organise",
            made=made,
            made_says=made_says,
            done=done,
            counts=[f"{counts.get(state, 0)} {state}" for state in STATES],
            frozen=told.get(FROZEN),
            revealed=told.get(REVEALED, ""),
            version=told.get(VERSION, "1"),
            teams=[(team, handed_in.get(team.id, 0), space.get(team.id, 0)) for team in teams],
            people=session.scalars(select(PersonRow).order_by(PersonRow.role == OUT, PersonRow.name)).all(),
            rows=session.scalars(latest.order_by(SubmissionRow.id.desc()).limit(LATEST)).all(),
            deeds=session.scalars(select(DeedRow).order_by(DeedRow.id.desc()).limit(LATEST)).all(),
        )
