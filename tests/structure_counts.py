"""How many files a thing passes or touches: ``python tests/structure_counts.py``.

*Entered* are the files of the library in which a function runs, once everything is imported: from feature file to table
(``eval/tar_far.py``), from arrays to a TAR (``lwface.tar_at_far``), from record to step (one update of a training).
*Touched* are the files that adding something changes in a copy of the tree: the network and the loss are those that
CONTRIBUTING.md shows. Each addition is used before it is counted, and the tests that run over what is registered must
pass with it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = str(ROOT / "lwface")

PROTOCOL = '''
    """Each row with the next one, for the count of files."""

    import numpy as np

    from lwface.scoring.exact.comparisons import PairList
    from lwface.scoring.request import ScoringRequest


    def neighbours(request: ScoringRequest) -> PairList:
        """Every row with the one after it."""
        rows = np.arange(len(request.rows.features))
        return PairList(request.feature_set(), rows, (rows + 1) % len(rows), None)
'''
USE_PROTOCOL = """
    from fractions import Fraction
    import numpy as np
    from lwface.formats.person_labels import People
    from lwface.scoring.neighbours import neighbours
    from lwface.scoring.request import LabelledRows, ScoringRequest
    from lwface.scoring.tar_far import score_request

    features = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    rows = LabelledRows(features, People(np.arange(40) // 2))
    found = score_request(ScoringRequest(rows, [Fraction(1, 10)], replicates=0, protocol=neighbours)).result
    assert found.genuine_pairs + found.impostor_pairs == 40
"""


def entered(action: Callable[[], Any]) -> tuple[list[str], int]:
    """The files of the library in which a function runs during ``action``, and the calls from one file to another."""
    files: set[str] = set()
    moves = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal moves
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(LIBRARY) and frame.f_code.co_name != "<module>":
            files.add(os.path.relpath(name, ROOT))
            moves += frame.f_back is not None and frame.f_back.f_code.co_filename != name

    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        action()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return sorted(files), moves


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is printed inside the block."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def scoring(folder: Path) -> dict[str, Callable[[], Any]]:
    """From a feature file to a table, and from arrays to a TAR."""
    import lwface
    from lwface.commands import tar_far

    random = np.random.default_rng(0)
    features = random.normal(size=(400, 64)).astype("<f4")
    labels = np.arange(400) // 4
    (folder / "f.bin").write_bytes(np.array([400, 64, 256, 5], dtype="<i4").tobytes() + features.tobytes())
    (folder / "l.txt").write_text("".join(f"{label}\n" for label in labels))
    flags = [*("--features", str(folder / "f.bin"), "--labels", str(folder / "l.txt")), "--far", "1e-2", "--json"]

    def by_command() -> None:
        with quiet():
            tar_far.main([*flags, str(folder / "scores.json")])

    def by_function() -> None:
        lwface.tar_at_far(features, labels, [1e-2])

    return {"from feature file to table": by_command, "from arrays to a TAR": by_function}


def training(folder: Path) -> Callable[[], Any]:
    """One update of a small network."""
    from lwface.formats.image import encode_jpeg
    from lwface.formats.recordio import Header, RecordWriter, pack
    from lwface.recognition.train import prepare
    from lwface.settings.resolve import resolve

    random = np.random.default_rng(0)
    with RecordWriter(folder / "train.rec") as writer:
        for key in range(32):
            image = encode_jpeg(random.integers(0, 256, (112, 112, 3), dtype=np.uint8))
            writer.write(key, pack(Header(0, float(key % 4), key, 0), image))
    (folder / "property").write_text("4,112,112")
    settings = {"per_batch_size": 4, "max_steps": 4, "num_workers": 0, "warmup_steps": 1, "val_targets": []}
    run = resolve("m025", "synthetic", "arcface_small", dataset_path=str(folder), **settings)
    with quiet():
        updates = prepare(run, device="cpu", folder=folder).updates()
        next(updates)
    return lambda: next(updates)


def touched(name: str, files: dict[str, str], sample: str, use: list[list[str]]) -> list[str]:
    """What ``git`` says changed in a copy of the tree that was given ``files`` and a line of the sample, and used.

    Args:
        use: commands of Python that must succeed there.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
        for path, text in files.items():
            (copy / path).write_text(textwrap.dedent(text).lstrip())
        if sample:
            path = copy / "sample_config.py"
            path.write_text(path.read_text() + sample + "\n")
        environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        for command in use:
            done = subprocess.run(
                [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"{name}: {' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        status = ["git", "status", "--porcelain", "--untracked-files=all"]
        changed = subprocess.run(status, cwd=copy, check=True, capture_output=True, text=True).stdout
    return [line[3:] for line in changed.splitlines()]


def shown(word: str) -> tuple[str, str]:
    """The file that CONTRIBUTING.md shows for a ``network`` or a ``loss``, and the line of the sample after it."""
    found = re.search(
        rf"^```python\n((?:(?!^```).)*@{word}.*?)^```\n\n    (\w+\.\w+ = edict\(.*?\))(?:  .*)?$",
        (ROOT / "CONTRIBUTING.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"CONTRIBUTING.md shows no {word}"
    return found[1], found[2]


def additions() -> Iterator[tuple[str, list[str]]]:
    """What adding a loss, a network, a data set and a protocol touches."""
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    structure = [*pytest, "tests/test_structure.py", "-k", "not explains"]
    resolve = "from lwface.settings.resolve import resolve; resolve('m025', {!r}, {!r})"
    text, line = shown("LOSSES")
    loss = [["-c", resolve.format("synthetic", "norm_cosface")], [*pytest, "tests/losses", "tests/settings"], structure]
    yield "a loss", touched("a loss", {"lwface/losses/norm_cosface.py": text}, line, loss)
    text, line = shown("NETWORKS")
    suites = ["tests/networks", "tests/settings", "tests/mxnet/test_export.py", "tests/benchmarks/test_networks.py"]
    gate = ["common/flops_counter.py", "--network", "wide_toy", "--track", "deepglint-light"]
    network = [gate, [*pytest, *suites, "-k", "toy"], structure]
    yield "a network", touched("a network", {"lwface/networks/toy.py": text}, line, network)
    line = "dataset.mine = edict(dataset.synthetic, dataset='mine', dataset_path='datasets/mine')"
    yield "a data set", touched("a data set", {}, line, [["-c", resolve.format("mine", "arcface")]])
    use = [["-c", textwrap.dedent(USE_PROTOCOL)], structure]
    yield "a protocol", touched("a protocol", {"lwface/scoring/neighbours.py": PROTOCOL}, "", use)


def main() -> None:
    """Count and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    if find_spec("pytest") is None:
        raise SystemExit("error: pytest is not installed: make .venv/.develops installs what the tests run on")
    print("files entered, calls from file to file")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for what, action in {**scoring(folder), "from record to step": training(folder)}.items():
            action()  # everything is imported
            files, moves = entered(action)
            print(f"  {what:28}{len(files):3}{moves:6}   {' '.join(files)}")
    print("files touched by adding")
    for what, files in additions():
        print(f"  {what:28}{len(files):3}         {' '.join(files)}", flush=True)


if __name__ == "__main__":
    main()
