"""The four tracks of the Lightweight Face Recognition challenge, and other challenges, and what each allows.

Sources: the challenge page (ICCV 2019 workshop) and the organiser's rulings in deepinsight/insightface issue 632:
"1G" FLOPs is 1024**3. The light tracks' winner, VarGFaceNet, counts 1 022 388 952 FLOPs in a parameter file of
20 046 809 bytes: legal only under 1024**3 and 20 MiB, not under powers of ten. The landmark challenge (its slides,
"Model Constraints"): 15 MB, float32, one model that has weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lwface.base.errors import UserError, unknown_name

EMBEDDING_LIMIT = 512
NUMBER_TYPE = "float32"


@dataclass(frozen=True)
class Budget:
    """What a network must keep to in one challenge."""

    name: str
    flops: int | None  # official count, at most; None: no limit
    model_bytes: int | None  # size of the weights, at most; None: no limit was published
    embedding: int = field(default=EMBEDDING_LIMIT, kw_only=True)  # numbers the network may put out
    number_type: str = field(default=NUMBER_TYPE, kw_only=True)
    generous_bytes: int | None = field(default=None, kw_only=True)  # another reading of the limit: shown, never decides


@dataclass(frozen=True)
class Track(Budget):
    """A track of the recognition challenge, and how it is ranked."""

    flops: int
    rows: int  # rows of the official test set's feature file
    far: float  # the FAR at which TAR ranks
    kind: str  # "image" or "video"


LIGHT_FLOPS = 1024**3
LARGE_FLOPS = 30 * 1024**3
LIGHT_BYTES = 20 * 1024**2

TRACKS = {
    track.name: track
    for track in (
        Track("deepglint-light", LIGHT_FLOPS, LIGHT_BYTES, 1_862_120, 1e-8, "image"),
        Track("deepglint-large", LARGE_FLOPS, None, 1_862_120, 1e-8, "image"),
        Track("iqiyi-light", LIGHT_FLOPS, LIGHT_BYTES, 203_848, 1e-4, "video"),
        Track("iqiyi-large", LARGE_FLOPS, None, 203_848, 1e-4, "video"),
    )
}
# The light-weight landmark challenge: "15MB", of which 15 * 10**6 is the strict reading; no limit on FLOPs.
LANDMARKS = Budget("landmarks-68", None, 15 * 10**6, embedding=2 * 68, generous_bytes=15 * 2**20)
BUDGETS: dict[str, Budget] = {**TRACKS, LANDMARKS.name: LANDMARKS}


class BudgetError(UserError):
    """A network does not fit a track's budget."""

    exit_status = 1


def get_track(name: str) -> Track:
    """The track called ``name``; :class:`UserError` naming the nearest when there is none."""
    try:
        return TRACKS[name]
    except KeyError:
        raise unknown_name("track", name, TRACKS) from None


def get_budget(name: str) -> Budget:
    """The track or other challenge called ``name``; :class:`UserError` naming the nearest when there is none."""
    try:
        return BUDGETS[name]
    except KeyError:
        raise unknown_name("track", name, BUDGETS) from None


def violations(track: Budget, *, flops: int, model_bytes: int, embedding: int, number_type: str) -> list[str]:
    """What ``track`` forbids about a network with these figures, one sentence each; empty when it is admitted.

    Args:
        flops: official count for one 112x112 image.
        model_bytes: bytes of all weights and running statistics.
        embedding: numbers a feature has.
        number_type: name of the weights' number type, such as ``float32``.
    """
    found = []
    if model_bytes == 0:
        found.append(f"it has no weights, which {track.name} demands")
    if track.flops is not None and flops > track.flops:
        found.append(f"FLOPs {flops} exceed the limit {track.flops} of {track.name} by {flops - track.flops}")
    if track.model_bytes is not None and model_bytes > track.model_bytes:
        over = model_bytes - track.model_bytes
        found.append(f"model size {model_bytes} bytes exceeds the limit {track.model_bytes} of {track.name} by {over}")
    if embedding > track.embedding:
        over = embedding - track.embedding
        found.append(f"feature width {embedding} exceeds the limit {track.embedding} of {track.name} by {over}")
    if number_type != track.number_type:
        found.append(f"number type {number_type} is not the {track.number_type} that {track.name} demands")
    return found
