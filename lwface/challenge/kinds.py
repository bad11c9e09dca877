"""What a track can be: of each kind what is handed in, which figures it gets, and which of them ranks.

Nothing here computes; :mod:`lwface.challenge.scorers` does. Everything that scores runs on Python 3.9 with NumPy alone,
as a challenge's server may have no more: see ``docs/challenge.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lwface.base.errors import unknown_name

if TYPE_CHECKING:
    from lwface.gate.budgets import Budget

MIB = 2**20
SIDES = ("public", "private", "all")


class FigureKind(NamedTuple):
    """A figure of a submission.

    Attributes:
        name: its key in results.
        title: for people.
        higher_is_better: which way it ranks.
        percent: whether it is a share that people read in per cent; the figure itself stays a share.
        decimals: that a table shows, of per cent where it is one.
    """

    name: str
    title: str
    higher_is_better: bool = False
    percent: bool = False
    decimals: int = 3

    def text(self, value: float) -> str:
        """``value`` as a table shows it."""
        return f"{100 * value:.{self.decimals}f} %" if self.percent else f"{value:.{self.decimals}f}"


class TrackKind(NamedTuple):
    """A kind of track.

    Attributes:
        name: as a definition writes it.
        says: what it asks for, one line.
        scorer: module with ``score(track, submission, reference)``.
        figures: what is told of a submission; the first ranks unless a track says otherwise.
        endings: of a submission's name.
        largest: bytes of a submission that is looked at.
        reference: files that a reference folder holds, and what each is; those that need not be there end in ``?``, and
            of ``a|b`` one has to be.
        settings: what a track may set, with defaults.
        by: what is public or private as one: a picture, a person, ...
        trial: what of the starting kit a model is run on, to see that it made the submission; (): a submission of this
            kind is not what a model puts out.
    """

    name: str
    says: str
    scorer: str
    figures: tuple[FigureKind, ...]
    endings: tuple[str, ...]
    largest: int
    reference: Mapping[str, str]
    by: str
    settings: Mapping[str, Any] = {}
    trial: tuple[str, ...] = ()


LANDMARKS = TrackKind(
    "landmarks",
    "68 points on each picture, in a solution.txt or the zip of one",
    "lwface.challenge.score_landmarks",
    (
        FigureKind("nme", "NME, of 384 pixels", percent=True),
        FigureKind("nme_box", "NME, root of the box", percent=True),
        FigureKind("nme_eyes", "NME, between the eyes' corners", percent=True),
        FigureKind("auc", "area under the curve to 8 %", higher_is_better=True, decimals=4),
        FigureKind("failures", "faces above 8 % of the box", percent=True),
    ),
    (".txt", ".zip"),
    64 * MIB,
    {
        "truth.txt|annot.pkl": "true points, as a solution.txt or as the challenge's annotations",
        "people.csv?": "image,person: whom each picture shows",
    },
    "picture",
    trial=("test",),
)

KEYPOINTS = TrackKind(
    "keypoints",
    "15 keypoints of grey pictures of 96x96, in a table RowId,Location",
    "lwface.challenge.score_keypoints",
    (FigureKind("rmse", "RMSE, pixels", decimals=4), FigureKind("smooth_l1", "smooth L1 loss, pixels", decimals=4)),
    (".csv",),
    64 * MIB,
    {
        "truth.csv": "RowId,ImageId,FeatureName,Location: what is asked for, where known with its place",
        "people.csv?": "ImageId,Person: whom each picture shows",
    },
    "picture",
    trial=("test.csv", "IdLookupTable.csv"),
)
SEQUENCES = TrackKind(
    "sequences",
    "five guesses who is on each sequence, the best first, as JSON or a table",
    "lwface.challenge.score_sequences",
    (
        FigureKind("score", "score, points of 100", higher_is_better=True, decimals=2),
        FigureKind("top1", "right at once", higher_is_better=True, percent=True, decimals=2),
        FigureKind("top5", "among the five", higher_is_better=True, percent=True, decimals=2),
    ),
    (".json", ".csv"),
    64 * MIB,
    {
        "truth.csv": "sample,index,person: who is on each sequence",
        "people.csv": "index,person: whom the guesses can name",
    },
    "sequence",
)

MONTAGE = TrackKind(
    "montage",
    "other people's frames that follow each query video, in a zip of an .npz a video",
    "lwface.challenge.score_montage",
    (
        FigureKind("cost_honest", "cost of a frame, honest", decimals=5),
        FigureKind("cost_signed", "cost of a frame, signed", decimals=5),
        FigureKind("cost_public", "cost of a frame, as published", decimals=5),
    ),
    (".zip",),
    2 * 2**30,
    {"queries": "videos to follow and their videos.csv", "videos": "videos to show frames of and their videos.csv"},
    "video",
)


def _recognition(what: str) -> TrackKind:
    """Images and videos are handed in and scored alike."""
    return TrackKind(
        f"recognition-{what}s",
        f"a feature file, a row for each {what} of the list",
        "lwface.challenge.score_features",
        (
            FigureKind("tar", "TAR at FAR {far}", higher_is_better=True, percent=True),
            FigureKind("eer", "equal error rate", percent=True),
        ),
        (".bin",),
        4 * 2**30,
        {"labels.txt": f"who is on each {what}: a whole number a line in the order of the list; -1: a distractor"},
        "person",
        {"far": "1e-8" if what == "image" else "1e-4"},
        ("test",),
    )


IMAGES, VIDEOS = _recognition("image"), _recognition("video")

KINDS: dict[str, TrackKind] = {kind.name: kind for kind in (IMAGES, VIDEOS, LANDMARKS, KEYPOINTS, SEQUENCES, MONTAGE)}


def get_kind(name: str) -> TrackKind:
    """The kind called ``name``; :class:`UserError` naming the nearest when there is none."""
    try:
        return KINDS[name]
    except KeyError:
        raise unknown_name("kind of track", name, KINDS) from None


@dataclass(frozen=True)
class ChallengeTrack:
    """A track of a challenge: all that a scorer, a gate and a leaderboard need to know.

    Attributes:
        name: short, in commands and addresses.
        title: for people.
        kind: a key of :data:`KINDS`.
        reference: the folder with the truth, from the challenge's own.
        public_share, seed: which samples are public (:mod:`lwface.challenge.halves`).
        ranks_by: name of the figure that ranks.
        higher_is_better: which way it does.
        limits: of the model; None: any.
        needs_model: whether a submission comes with its model, which is counted.
        tries_model: whether that is run, too, on some of the kit, where the kind has such a trial.
        data_rules: what may be learnt from, in words.
        settings: of the kind.
        widest: numbers a feature may have, by the limits.
    """

    name: str
    title: str
    kind: str
    reference: str
    public_share: float
    seed: int
    ranks_by: str
    higher_is_better: bool
    limits: Budget | None = None
    needs_model: bool = False
    data_rules: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    widest: int = 512
    tries_model: bool = True

    @property
    def is_tried(self) -> bool:
        """Whether a submission's model is run to see that it made the submission."""
        return self.needs_model and self.tries_model and bool(get_kind(self.kind).trial)

    @property
    def figures(self) -> tuple[FigureKind, ...]:
        """What is told of a submission, the one that ranks first."""
        every = [one._replace(title=one.title.format(**self.settings)) for one in get_kind(self.kind).figures]
        return tuple(sorted(every, key=lambda figure: figure.name != self.ranks_by))
