"""People and teams: they come by an invite link, log in with a password, and stay logged in by a cookie or a key."""

from __future__ import annotations

import unicodedata
from typing import TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lwface.base.errors import UserError
from lwface.hosting.database import Database, clock, now
from lwface.hosting.keys import digest, hash_password, is_outdated, is_password, new_key
from lwface.hosting.tables import (
    LEADER,
    ORGANISER,
    OUT,
    ROLES,
    InviteRow,
    PersonRow,
    SessionRow,
    TallyRow,
    TeamRow,
    TokenRow,
)

SESSION_S = 14 * 86400
INVITE_S = 30 * 86400
MOST_NAME = 40
MOST_TEAM = 20  # people
Row = TypeVar("Row", PersonRow, TeamRow)


class DeniedError(UserError):
    """Who asks may not; ``status`` is HTTP's."""

    def __init__(self, line: str, status: int = 403) -> None:
        super().__init__(line)
        self.status = status


def tally(database: Database, key: str, most: int) -> None:
    """Count one more try of this minute, for all processes.

    Raises:
        DeniedError: there were more than ``most``.
    """
    try:
        count = _count(database, digest(key))
    except IntegrityError:  # another process has begun to count the same at the same moment
        count = _count(database, digest(key))
    if count > most:
        raise DeniedError(f"more than {most} tries in a minute: wait for the next one", 429)


def _count(database: Database, key: str) -> int:
    with database.writing() as session:
        minute = int(now(session) // 60)
        session.execute(delete(TallyRow).where(TallyRow.minute < minute - 60))
        row = session.get(TallyRow, (key, minute), with_for_update=True)
        if row is None:
            row = TallyRow(key=key, minute=minute, count=0)
            session.add(row)
        row.count += 1
        return row.count


def invite(session: Session, role: str, *, team: int | None = None, person: int | None = None, uses: int = 1) -> str:
    """A key for ``/join/KEY``; see :class:`InviteRow`."""
    if role not in ROLES or uses < 1 or uses > 1000:
        raise UserError(f"{uses} invites as {role!r}: expected 1 to 1000, as {', '.join(ROLES)}")
    key = new_key()
    expires = now(session) + INVITE_S
    session.add(InviteRow(digest=digest(key), role=role, team_id=team, person_id=person, left=uses, expires=expires))
    return key


def find_invite(session: Session, key: str) -> InviteRow:
    """The invite of a link; :class:`DeniedError` where it is none, used up, or old."""
    row = session.scalars(select(InviteRow).where(InviteRow.digest == digest(key)).with_for_update()).first()
    if row is None or row.left < 1 or row.expires < now(session):
        raise DeniedError("this link has been used, has expired or never was: ask for another one", 404)
    return row


def join(session: Session, key: str, name: str, password: str, team: str = "") -> PersonRow:
    """Use an invite link: the person who came by it.

    Args:
        team: name of the team, where the invite makes one.

    Raises:
        UserError: a name or a password cannot be; nothing is changed.
    """
    row = find_invite(session, key)
    hashed = hash_password(password)
    row.left -= 1
    if row.person_id is not None:
        person = session.get_one(PersonRow, row.person_id)
        person.password = hashed
        session.execute(delete(SessionRow).where(SessionRow.person_id == person.id))
        return person
    team_id = row.team_id if row.role != LEADER or row.team_id is not None else _new_team(session, team)
    if team_id is not None:
        _check_room(session, team_id)
    person = PersonRow(name=clean_name(name), password=hashed, role=row.role, team_id=team_id, created=now(session))
    return _add(session, person, f"{person.name!r} is taken: choose another name")


def log_in(session: Session, name: str, password: str) -> PersonRow:
    """The person of that name and password; :class:`DeniedError` where there is none."""
    folded = _folded(name)
    rows = select(PersonRow).where(PersonRow.name == (folded if folded.isprintable() else ""))
    person = session.scalars(rows).first()
    if not is_password(person.password if person else None, password) or person is None:
        raise DeniedError("no such name and password")
    if person.role == OUT:
        raise DeniedError("an organiser has removed you: ask them")
    if is_outdated(person.password):
        person.password = hash_password(password)
    return person


def open_session(session: Session, person: PersonRow) -> str:
    """A key for the cookie of a browser."""
    key = new_key()
    moment = now(session)
    session.execute(delete(SessionRow).where(SessionRow.expires < moment))
    session.add(SessionRow(digest=digest(key), person_id=person.id, csrf=new_key(), expires=moment + SESSION_S))
    return key


def find_session(session: Session, key: str) -> SessionRow | None:
    """Who a cookie belongs to."""
    if not key:
        return None
    rows = select(SessionRow).where(SessionRow.digest == digest(key), SessionRow.expires >= clock(session))
    row = session.scalars(rows).first()
    return row if row is not None and row.person.role != OUT else None


def close_session(session: Session, key: str) -> None:
    """Log out."""
    session.execute(delete(SessionRow).where(SessionRow.digest == digest(key)))


def new_token(session: Session, person: PersonRow, label: str) -> str:
    """A key for a program."""
    key = new_key()
    session.add(
        TokenRow(digest=digest(key), person_id=person.id, label=printable(label, MOST_NAME), created=now(session))
    )
    return key


def find_token(session: Session, key: str) -> PersonRow | None:
    """Who a program's key belongs to."""
    row = session.scalars(select(TokenRow).where(TokenRow.digest == digest(key))).first()
    return row.person if row is not None and row.person.role != OUT else None


def has_organiser(session: Session) -> bool:
    """Whether somebody runs this challenge yet."""
    return session.scalars(select(PersonRow).where(PersonRow.role == ORGANISER)).first() is not None


def clean_name(name: str) -> str:
    """A name as it is kept; :class:`UserError` where it is empty, too long, or holds what cannot be seen."""
    name = _folded(name)
    if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
        raise UserError(f"a name has 1 to {MOST_NAME} letters that can be printed")
    return name


def printable(text: str, most: int) -> str:
    """The first ``most`` letters of a line that can be printed, without what cannot."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:most]


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split())


def _new_team(session: Session, name: str) -> int:
    row = TeamRow(name=clean_name(name), created=now(session))
    return _add(session, row, f"there is a team {row.name!r} already: choose another name").id


def _check_room(session: Session, team: int) -> None:
    inside = (PersonRow.team_id == team, PersonRow.role != OUT)
    people = session.execute(select(func.count()).where(*inside)).scalar_one()
    if people >= MOST_TEAM:
        raise UserError(f"the team has {people} people, which is as many as it may have")


def _add(session: Session, row: Row, taken: str) -> Row:
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise UserError(taken) from None
    return row
