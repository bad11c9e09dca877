"""Raw photographs to a report by what comes inside the package, and what its crops lose against true landmarks.

    python datasets/convert_ytf.py --input ytf-keypoints --output datasets/ytf --train-people 220
    python benchmarks/photographs.py --data ytf-keypoints --truth datasets/ytf --work build/photographs

``--data`` is the YouTube Faces teaching set, ``--truth`` the crops of its people held out by their labelled points.
First forty raw frames of ten people go the user's road: found, put points on, aligned, a record set, features, a
report, by commands without a model named. Then all frames of the people held out are aligned alike and embedded, as are
the crops by true points: TAR of both on the same pairs, with the interval of the difference over people. Frames without
a face are counted; both sides leave them out. With ``--model`` another network embeds, such as one that is better at it
and so sees more of what alignment loses.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from lwface.base.commands import existing, load, run_command
from lwface.base.errors import UserError
from lwface.base.files import write_text
from lwface.commands.demo import Road, Step
from lwface.detection.choices import OWN
from lwface.models.names import DEFAULT

PEOPLE, EACH = 10, 4  # forty photographs
FARS = "1e-1,1e-2,1e-3"


def raw_frame(data: Path, crop: str) -> Path:
    """The raw frame behind the crop ``PERSON_VIDEO_PART0.jpg``: ``PART/PERSON_VIDEO0.jpg``."""
    video, _, end = crop.removesuffix(".jpg").rpartition("_")
    return data / end[:-1] / f"{video}{end[-1]}.jpg"


def person_of(crop: str) -> str:
    """``PERSON`` of ``PERSON_VIDEO_PART0.jpg``."""
    return crop.rsplit("_", 2)[0]


def lay_out(data: Path, crops: list[str], folder: Path) -> None:
    """Copies of the raw frames behind ``crops`` as PERSON/CROP in ``folder``, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for crop in crops:
        target = folder / person_of(crop) / crop
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(raw_frame(data, crop), target)


def forty(crops: list[str]) -> list[str]:
    """Four crops each of the first ten people who have as many, evenly spread."""
    by_person: dict[str, list[str]] = {}
    for crop in crops:
        by_person.setdefault(person_of(crop), []).append(crop)
    rich = [own for own in by_person.values() if len(own) >= EACH][:PEOPLE]
    if len(rich) < PEOPLE:
        raise UserError(f"{len(rich)} people have {EACH} frames: expected {PEOPLE}")
    return [own[i * len(own) // EACH] for own in rich for i in range(EACH)]


def users_road(road: Road, work: Path, model: str, detector: str) -> None:
    """Forty photographs to a report."""
    raw, people = str(work / "forty"), str(work / "people")
    features = str(work / "forty.bin")
    road.run(
        Step("Find, put points, align", "align-faces", ["--input", raw, "--output", people, "--detector", detector])
    )
    road.run(Step("A record set of them", "build-rec", ["--input", people, "--output", str(work / "records")]))
    asked = ["--model", model, "--input", people, "--output", features]
    road.run(Step("Features", "gen-image-feature", asked))
    asked = ["--features", features, "--labels", people, "--far", "1e-1,1e-2", "--images", people]
    road.run(Step("A report", "tar-far", [*asked, "--report", str(work / "report")]))


def loss(road: Road, work: Path, truth: Path, crops: list[str], model: str, detector: str) -> None:
    """All frames of the people held out, aligned by the package and by true points, embedded and scored alike."""
    asked = ["--input", str(work / "all"), "--output", str(work / "found"), "--quality", "95", "--detector", detector]
    road.run(Step("Align all", "align-faces", asked))
    both = [crop for crop in crops if (work / "found" / person_of(crop) / crop).is_file()]
    print(f"\n{len(both)} of {len(crops)} frames have a face that is clear")
    people = sorted({person_of(crop) for crop in both})
    write_text(work / "labels.txt", "".join(f"{people.index(person_of(crop))}\n" for crop in both))
    for crop in both:
        target = work / "true" / person_of(crop) / crop
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(truth / "images" / crop, target)
    for name in ("found", "true"):
        write_text(work / name / "filelist.txt", "".join(f"{person_of(crop)}/{crop}\n" for crop in both))
        asked = ["--model", model, "--input", str(work / name), "--output", str(work / f"{name}.bin")]
        road.run(Step(f"Features of the crops by {name} points", "gen-image-feature", asked))
    asked = ["--features", str(work / "found.bin"), "--compare", str(work / "true.bin"), "--far", FARS]
    asked += ["--labels", str(work / "labels.txt"), "--json", str(work / "loss.json")]
    road.run(Step("Both on the same pairs", "tar-far", asked))


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="the YouTube Faces teaching set")
    add("--truth", type=Path, required=True, help="what convert_ytf made of it")
    add("--work", type=Path, default=Path("build/photographs"), help="folder for all that is made, emptied first")
    add("--model", default=DEFAULT, help="what embeds the crops")
    add("--detector", default=OWN, help="what finds the faces")
    args = parser.parse_args(argv)
    existing(args.data, args.truth / "images" / "filelist.txt")
    load()
    data, truth, work = (path.absolute() for path in (args.data, args.truth, args.work))
    shutil.rmtree(work, ignore_errors=True)
    crops = (truth / "images" / "filelist.txt").read_text().split()
    lay_out(data, forty(crops), work / "forty")
    lay_out(data, crops, work / "all")
    road = Road()
    users_road(road, work, args.model, args.detector)
    loss(road, work, truth, crops, args.model, args.detector)


if __name__ == "__main__":
    run_command(main)
