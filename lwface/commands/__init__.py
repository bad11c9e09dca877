"""The commands by name. A door such as ``recognition/train.py`` and ``lwface train`` both call :func:`run` here.

Nothing heavy is imported before a command has parsed its arguments.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

from lwface.base.commands import EXIT_OK, leave_when_interrupted, run_command
from lwface.base.errors import EXIT_ERROR, UserError, unknown_name

PROGRAM, DISTRIBUTION = "lwface", "lightweight-face-recognition"

# Subcommand -> what ``lwface --help`` says of it. Its module here has the same name with underscores.
COMMANDS = {
    "train": "train a face-recognition network",
    "finetune": "finetune a trained network on one's own people, and judge it on others",
    "report": "a training run as one HTML page",
    "card": "what a model is: data, licences, settings, figures",
    "gate": "count a network, and hold it against a track's budget",
    "gen-image-feature": "write the features of images",
    "gen-video-feature": "write the features of videos",
    "feature-file": "check a feature file before submitting it",
    "tar-far": "exact 1:1 scores: TAR at FAR",
    "compare": "are two faces one person",
    "identification": "open-set 1:N identification",
    "ijb": "IJB-B and IJB-C, 1:1 and 1:N",
    "verification": "accuracy and validation rate of an LFW-style pack",
    "split-people": "folders of people -> people to train on, and others to verify on",
    "build-rec": "folders of people -> train.rec and its companions",
    "build-pack": "pairs of faces -> verification pack",
    "align-faces": "photographs, with landmarks or without -> 112x112 crops",
    "clean": "propose which labels are wrong, and which images are there twice",
    "rec-info": "look inside a record file, check it",
    "pack-info": "look inside a verification pack, unpack it",
    "rec-to-images": "unpack a record file",
    "train-landmarks": "train a network that puts 68 points on a face",
    "train-detector": "train the face detector on scenes of rendered people",
    "predict-landmarks": "write the points of pictures: solution.txt of the landmark challenge",
    "evaluate-landmarks": "score a solution.txt: NME",
    "adapt-landmarks": "fit a model of points to the convention of another data set",
    "package-landmarks": "pack what is handed in for the landmark challenge",
    "convert-ytf": "convert the YouTube Faces teaching set",
    "make-synthetic": "make the embedded set of procedural faces",
    "make-heads": "make the bank of heads that the face detector is trained on",
    "make-keypoints": "make a set of the facial keypoints challenge",
    "train-keypoints": "train for the facial keypoints challenge",
    "submit-keypoints": "write a submission to the facial keypoints challenge",
    "check-keypoints": "check a submission to the facial keypoints challenge",
    "score-keypoints": "score a submission to the facial keypoints challenge",
    "make-people": "make procedural people in sequences, for the faceless challenge",
    "signatures": "write signatures of the faceless challenge's frames",
    "train-sequences": "train a network for the faceless challenge",
    "solve-sequences": "solve the faceless challenge",
    "evaluate-sequences": "score the faceless challenge, or a search for people",
    "embeddings": "sequences to look at, in TensorBoard's projector and as a page",
    "check-split": "is a video on both sides of a split",
    "export": "write a trained model as an ONNX model",
    "convert-model": "write a trained model as MXNet's files",
    "check-model": "find the input that a model was trained with",
    "train-quality": "train a head that weighs the frames of a video",
    "overlay": "draw the points of the face over a video",
    "montage": "a montage of other people's frames that follows a face",
    "make-montage": "make videos of the montage challenge",
    "new-challenge": "make a challenge to host, from a template",
    "score-challenge": "score a submission to a challenge",
    "host": "host a challenge: accounts, uploads, scoring, leaderboards",
    "submit": "hand a submission in to a hosted challenge",
    "make-bundle": "a challenge as a Codabench bundle",
    "search": "search for a network under a track's budget",
    "make-models": "make the models of the package again, from nothing",
    "demo": "the whole road on procedural faces",
}
ALIASES = {"flops-counter": "gate"}
SHARDED = {"tar-far", "train"}  # share their work among the processes of torchrun

# PyTorch's threads (GNU OpenMP's) spin some 300 000 turns before they sleep. Beside busy processes they then hold the
# cores that the threads they wait for need, and a training step can lose most of its speed. Some thousand turns keep
# the speed of an idle machine; not to spin at all, as OMP_WAIT_POLICY=PASSIVE, costs it a fifth to a quarter, and is
# twice as fast again where other processes want as many cores as there are. No result depends on it.
SPIN_TURNS, BUSY_SPIN_TURNS = "5000", "0"


def run(name: str) -> NoReturn:
    """Run the command ``name`` with the arguments of this process, and end the process with its exit status."""
    leave_when_interrupted()
    if "OMP_WAIT_POLICY" not in os.environ:  # the user's own settings win
        os.environ.setdefault("GOMP_SPINCOUNT", BUSY_SPIN_TURNS if busy_machine() else SPIN_TURNS)
    run_command(lambda: _command(name))


def busy_machine(statistics: str = "/proc/stat") -> bool:
    """Whether other processes run on half of the cores or more at this moment; False where Linux does not tell."""
    try:
        with open(statistics, encoding="ascii") as file:
            running = next(int(line.split()[1]) for line in file if line.startswith("procs_running"))
    except (OSError, StopIteration, ValueError, IndexError):
        return False
    others = running - 1  # one of them is this process
    return 2 * others >= (os.cpu_count() or 1)


def _command(name: str) -> int | None:
    """The command ``name``, unless torchrun started it several times and it would do the same work in each."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and name not in SHARDED:
        if os.environ.get("RANK") != "0":
            return EXIT_ERROR
        shared = ", ".join(sorted(SHARDED))
        raise UserError(
            f"{name} works in one process, torchrun started {processes}: type it with python (what is shared: {shared})"
        )
    status: int | None = importlib.import_module(f"lwface.commands.{name.replace('-', '_')}").main()
    return status


def main() -> NoReturn:
    """``lwface COMMAND ...``."""
    given = sys.argv[1] if len(sys.argv) > 1 else "--help"
    name = ALIASES.get(given, given)
    if name in COMMANDS:
        sys.argv = [f"{PROGRAM} {name}", *sys.argv[2:]]  # as its help calls it
        run(name)
    run_command(lambda: _explain(given))


def _explain(given: str) -> int:
    """The list of commands, the version, or what is wrong with ``given``."""
    if given == "--version":
        from importlib.metadata import version  # it takes longer than all else here

        print(f"{PROGRAM} {version(DISTRIBUTION)}")
        return EXIT_OK
    if given not in ("-h", "--help"):
        raise unknown_name("command", given, COMMANDS)
    width = max(map(len, COMMANDS))
    print(f"usage: {PROGRAM} COMMAND ...\n\nFace recognition under a compute budget.")
    print(f"{PROGRAM} COMMAND --help explains one, {PROGRAM} --version tells the version.\n")
    print("\n".join(f"  {name:{width}}  {says}" for name, says in COMMANDS.items()))
    return EXIT_OK
