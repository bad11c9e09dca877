"""Who is in and who leads: an organiser removes somebody and lets them in again, the lead of a team changes hands.

Nobody is erased: who is removed keeps the name, and the team keeps what they handed in. They cannot log in, and their
sessions, their keys and the links for them end in the same transaction; a page that is being made meanwhile asks for
the role anew (:func:`lwface.hosting.accounts.find_session`).
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from lwface.base.errors import UserError
from lwface.hosting.accounts import DeniedError
from lwface.hosting.database import now
from lwface.hosting.quotas import lock_team
from lwface.hosting.tables import (
    LEADER,
    MEMBER,
    ORGANISER,
    OUT,
    DeedRow,
    InviteRow,
    PersonRow,
    SessionRow,
    TokenRow,
)


def remove_person(session: Session, by: int, number: int) -> PersonRow:
    """Let ``number`` in no more, on behalf of the organiser ``by``; links into their team, or as organiser, end too.

    Raises:
        UserError: it is themselves, a leader whose team has others, or already out.
    """
    if by == number:
        raise UserError("you cannot remove yourself: another organiser can")
    both = select(PersonRow).where(PersonRow.id.in_((by, number))).order_by(PersonRow.id)
    people = {one.id: one for one in session.scalars(both.with_for_update(of=PersonRow))}
    if by not in people or people[by].role != ORGANISER:  # two organisers remove each other at the same moment
        raise DeniedError("this is for organisers")
    person = _there(people.get(number))
    if person.role == LEADER and person.team_id is not None and _others(session, person.team_id, number):
        raise UserError(f"{person.name} leads a team with others in it: hand its lead to one of them first")
    _end_all(session, person)
    person.role = OUT
    return person


def let_in_again(session: Session, number: int) -> PersonRow:
    """Let somebody who was removed log in again: as organiser, as member, or as leader where their team has none."""
    person = session.get(PersonRow, number, with_for_update={"of": PersonRow})
    if person is None or person.role != OUT:
        raise UserError(f"person {number}: nobody of this number has been removed")
    if person.team_id is None:
        person.role = ORGANISER
    else:
        lock_team(session, person.team_id)
        leads = select(PersonRow.id).where(PersonRow.team_id == person.team_id, PersonRow.role == LEADER)
        person.role = LEADER if session.scalars(leads).first() is None else MEMBER
    return person


def hand_lead(session: Session, team: int, number: int, *, by: int | None = None) -> PersonRow:
    """Make the member ``number`` the leader of ``team``, and who led it a member.

    Args:
        by: the leader who does it; None for an organiser.

    Raises:
        DeniedError: ``by`` leads the team no more.
        UserError: they are no member of that team.
    """
    lock_team(session, team)
    mates = select(PersonRow).where(PersonRow.team_id == team, PersonRow.role.in_((LEADER, MEMBER)))
    people = {one.id: one for one in session.scalars(mates.order_by(PersonRow.id).with_for_update(of=PersonRow))}
    if by is not None and (by not in people or people[by].role != LEADER):  # an organiser was quicker
        raise DeniedError("this is for the leader of a team")
    heir = people.get(number)
    if heir is None or heir.role != MEMBER:
        raise UserError(f"person {number}: the team has no member of this number to lead it")
    for one in people.values():
        one.role = LEADER if one is heir else MEMBER
    return heir


def write_deed(session: Session, person: PersonRow, what: str) -> None:
    """Write down who did what."""
    session.add(DeedRow(at=now(session), person=person.name, what=what))


def _there(person: PersonRow | None) -> PersonRow:
    if person is None or person.role == OUT:
        raise UserError("there is nobody of this number to remove")
    return person


def _others(session: Session, team: int, number: int) -> bool:
    mates = (PersonRow.team_id == team, PersonRow.id != number, PersonRow.role != OUT)
    return session.scalars(select(PersonRow.id).where(*mates)).first() is not None


def _end_all(session: Session, person: PersonRow) -> None:
    """Sessions, keys, and the links by which they could come back."""
    for table in (SessionRow, TokenRow, InviteRow):
        session.execute(delete(table).where(table.person_id == person.id))
    if person.role == ORGANISER:
        session.execute(delete(InviteRow).where(InviteRow.role == ORGANISER))
    elif person.team_id is not None:
        session.execute(delete(InviteRow).where(InviteRow.team_id == person.team_id))
