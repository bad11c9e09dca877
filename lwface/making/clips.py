"""Which images of a person are of one clip: too alike to be a pair that tests anything.

Neighbouring frames of a video differ in a few grey levels. A verification pack drawn without regard to that has easy
pairs in plenty, and an accuracy that says nothing of faces.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lwface.base.errors import UserError
from lwface.formats.person_names import composed
from lwface.making.image_folder import Sample
from lwface.making.tables import read_groups

AUTO, FOLDER, NAME, NONE = RULES = ("auto", "folder", "name", "none")
_NUMBER_AT_END = re.compile(r"[\s_.\-]*\d+$")
_MOST = 0.5  # of the people with several images: so many whose names look like clips are a pattern


def rule_or_table(text: str) -> str | Path:
    """What the user asks for: one of :data:`RULES`, or the path of a table; :class:`UserError` where it is neither."""
    if text not in RULES and not Path(text).is_file():
        raise UserError(f"--clips {text}: no such file; expected {', '.join(RULES)}, or a csv image,clip")
    return text if text in RULES else Path(text)


def with_clips(samples: Sequence[Sample], rule: str | Path) -> tuple[list[Sample], str]:
    """``samples`` whose ``group`` is their clip, and what is to be said about that, or nothing.

    Args:
        samples: named below the root, ``PERSON/**/IMAGE``.
        rule: ``folder``: the folder below the person's that holds the image; ``name``: its name but for the number at
            the end; ``none``; a table ``image,clip``; ``auto``: ``folder`` where a person has images in several of
            them, else ``none``.

    Raises:
        UserError: the table is wrong, or names none of the images.
    """
    if isinstance(rule, Path):
        found = _by_table(samples, rule)
        return found, _single(found, rule)
    if rule != AUTO:
        found = _grouped(samples, {FOLDER: _folder, NAME: _name, NONE: lambda _: ""}[rule])
        return found, _single(found, rule)
    if _several(samples, _folder) > 0:
        return _grouped(samples, _folder), (
            "pairs of one person are drawn across the folders below PERSON/, taken for clips, never inside one "
            "(--clips none: inside them too)"
        )
    return _grouped(samples, lambda _: ""), _doubt(samples)


def pairs_inside(samples: Iterable[Sample], pairs: Iterable[tuple[str, str]]) -> int:
    """How many of the ``pairs`` by name have both images in one folder below the person's."""
    clip = {sample.name: _folder(sample) for sample in samples}
    return sum(bool(clip[first]) and clip[first] == clip[second] for first, second in pairs)


def _folder(sample: Sample) -> str:
    """The folder of an image that does not lie in the person's own, which would say nothing."""
    folder = sample.name.rpartition("/")[0]
    return "" if folder == sample.person else folder


def _name(sample: Sample) -> str:
    """Folder and name without ending and number: ``ann/a_0001.jpg`` and ``ann/a_0002.jpg`` are of ``ann/a``."""
    return _NUMBER_AT_END.sub("", sample.name.rpartition(".")[0])


def _grouped(samples: Sequence[Sample], clip: Callable[[Sample], str]) -> list[Sample]:
    return [sample._replace(group=clip(sample)) for sample in samples]


def _by_table(samples: Sequence[Sample], table: Path) -> list[Sample]:
    clips = read_groups(table, "image", "clip")
    if not any(composed(sample.name) in clips for sample in samples):
        raise UserError(
            f"{table}: names none of the {len(samples)} images (such as {samples[0].name!r}); a name is the path below "
            "--input, with its ending"
        )
    return _grouped(samples, lambda sample: clips.get(composed(sample.name), ""))


def _several(samples: Iterable[Sample], clip: Callable[[Sample], str]) -> float:
    """The share of the people with several images whose images are of several clips, one of two images at least."""
    counted = [clips for clips in _clips_of_people(samples, clip) if len(clips) > 1]
    told = sum(1 < len(set(clips)) < len(clips) for clips in counted)
    return told / len(counted) if counted else 0


def _clips_of_people(samples: Iterable[Sample], clip: Callable[[Sample], str]) -> list[list[str]]:
    """The clip of each image of each person."""
    of_person: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        of_person[sample.person].append(clip(sample))
    return list(of_person.values())


def _single(samples: Sequence[Sample], rule: str | Path) -> str:
    """How many people give no pair, because a rule that was asked for makes one clip of all their images."""
    counted = [clips for clips in _clips_of_people(samples, lambda sample: sample.group) if len(clips) > 1]
    single = sum(len(set(clips)) == 1 and clips[0] != "" for clips in counted)
    if not single:
        return ""
    why = " (their names differ in the number at the end only)" if rule == NAME else ""
    return (
        f"--clips {rule}: all images of {single} of {len(counted)} people with several are one clip{why}, so there is "
        "no pair of one of them; --clips none if they are no clips, or a csv image,clip"
    )


def _doubt(samples: Sequence[Sample]) -> str:
    """What a person should look at where no folders tell clips."""
    if any(map(_folder, samples)):
        return "the images of each person lie in one folder: where that is one clip, pairs are of neighbouring frames"
    if _several(samples, _name) >= _MOST:
        example = next(sample for sample in samples if _name(sample) != sample.name.rpartition(".")[0])
        return (
            f"names such as {example.name} look like frames of clips, and pairs may be of neighbouring frames: "
            "--clips name keeps apart what differs in the number at the end (--clips none: say no more)"
        )
    if any(len(clips) > 1 for clips in _clips_of_people(samples, _folder)):
        return (
            "nothing tells which images are of one clip, so frames of one may be paired: --clips name goes by the "
            "names, --clips FILE by a csv image,clip, a folder for each clip below PERSON/ by folders (--clips none: "
            "they are no clips)"
        )
    return ""
