"""The tables of a hosted challenge. Every time is seconds since 1970 in UTC, so that all databases agree on it.

A submission is a row of one of these states, and only the arrows change it::

    uploading -> queued -> running -> scored | refused | failed
        |          |          |
        +----------+----------+---> cancelled       running -> queued where its process was killed
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

ORGANISER, LEADER, MEMBER = ROLES = ("organiser", "leader", "member")
OUT = "removed"  # instead of a role: who may not log in any more
UPLOADING, QUEUED, RUNNING, SCORED, REFUSED, FAILED, CANCELLED = STATES = (
    "uploading",
    "queued",
    "running",
    "scored",
    "refused",
    "failed",
    "cancelled",
)
WAITING = (QUEUED, RUNNING)
COUNTED = (QUEUED, RUNNING, SCORED)  # what costs quota: not what was malformed, crashed or cancelled
OPEN, COMPLETE, REMOVED = "open", "complete", "removed"  # of an upload


class Table(DeclarativeBase):
    """What all tables are made of."""

    type_annotation_map = {str: Text, float: Double, int: BigInteger}  # noqa: RUF012 (SQLAlchemy's own way)


class Serial(Table):
    """A table whose rows are numbered."""

    __abstract__ = True
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


class TeamRow(Serial):
    """A team; ``disqualified`` is the reason, where it is."""

    __tablename__ = "team"
    name: Mapped[str] = mapped_column(unique=True)
    created: Mapped[float]
    disqualified: Mapped[str | None]


class PersonRow(Serial):
    """Someone who can log in, unless their role is :data:`OUT`; an organiser has no team."""

    __tablename__ = "person"
    name: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]  # argon2's own text: parameters, salt, hash
    role: Mapped[str]
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    created: Mapped[float]
    team: Mapped[TeamRow | None] = relationship(lazy="joined")


class InviteRow(Serial):
    """A link to become ``role``: in ``team_id``, or with a new team; or to give ``person_id`` a new password."""

    __tablename__ = "invite"
    digest: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    left: Mapped[int]  # how often it can still be used
    expires: Mapped[float]


class SessionRow(Table):
    """A browser that has logged in."""

    __tablename__ = "session"
    digest: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    csrf: Mapped[str]
    expires: Mapped[float]
    person: Mapped[PersonRow] = relationship(lazy="joined")


class TokenRow(Serial):
    """A key for programs."""

    __tablename__ = "token"
    digest: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    label: Mapped[str]
    created: Mapped[float]
    person: Mapped[PersonRow] = relationship(lazy="joined")


class TallyRow(Table):
    """How often something was tried in one minute."""

    __tablename__ = "tally"
    key: Mapped[str] = mapped_column(primary_key=True)
    minute: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int]


class SubmissionRow(Serial):
    """A submission; see the states above. ``attempt`` and ``worker`` name the scoring process that has it."""

    __tablename__ = "submission"
    __table_args__ = (Index("submission_queue", "state", "accepted"), Index("submission_team", "team_id", "track"))
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    track: Mapped[str]
    state: Mapped[str] = mapped_column(default=UPLOADING)
    note: Mapped[str] = mapped_column(default="")
    created: Mapped[float]
    accepted: Mapped[float | None]
    finished: Mapped[float | None]
    line: Mapped[str | None]  # why it was refused, or failed
    progress: Mapped[float] = mapped_column(default=0.0)  # of its scoring, 0..1
    doing: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(default=1)  # of the reference that it is to be scored with
    attempt: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease: Mapped[float | None]
    score_id: Mapped[int | None]  # the newest of its scores
    team: Mapped[TeamRow] = relationship()
    person: Mapped[PersonRow] = relationship()
    uploads: Mapped[list[UploadRow]] = relationship(back_populates="submission")
    scores: Mapped[list[ScoreRow]] = relationship(back_populates="submission", order_by="ScoreRow.version")


class UploadRow(Table):
    """A file on its way; ``offset`` bytes of it are on disk and safe."""

    __tablename__ = "upload"
    __table_args__ = (UniqueConstraint("submission_id", "part"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"))
    part: Mapped[str]  # "submission" or "model"
    filename: Mapped[str]
    length: Mapped[int]
    offset: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str | None]  # what the sender says it is, in hexadecimal digits
    state: Mapped[str] = mapped_column(default=OPEN)
    touched: Mapped[float]
    submission: Mapped[SubmissionRow] = relationship(back_populates="uploads", lazy="joined")


class ScoreRow(Serial):
    """What a submission scored with one version of the reference: once, whatever was killed meanwhile."""

    __tablename__ = "score"
    __table_args__ = (UniqueConstraint("submission_id", "version"),)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"))
    version: Mapped[int]
    public: Mapped[float]  # the figure that ranks, of the public half, with the sign that makes more better
    private: Mapped[float]
    figures: Mapped[str]  # JSON: public, private, all, intervals, and what the gate counted
    details: Mapped[str]  # JSON, for the report
    submission: Mapped[SubmissionRow] = relationship(back_populates="scores")


class SettingRow(Table):
    """What the organiser has set."""

    __tablename__ = "setting"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class DeedRow(Serial):
    """What an organiser or a team did to people or files, and when."""

    __tablename__ = "deed"
    at: Mapped[float]
    person: Mapped[str]
    what: Mapped[str]
