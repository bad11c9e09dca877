"""Work shared out and kept: the same sums from any number of processes, after a kill, with another number of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import lwface.commands.tar_far as script
from lwface.base.commands import run_command
from lwface.base.errors import UserError
from lwface.scoring.exact.sharding import Workers, kept_work, own_device
from lwface.scoring.exact.tiles import PairTile
from tests.scoring_oracle import make_rows

ROOT = Path(__file__).resolve().parents[3]
TILES = [PairTile(at, at + 1 + at % 3, 0, 5) for at in range(20)]


class Sum:
    """Adds up numbers and remembers them."""

    def __init__(self):
        self.seen = np.empty(0, dtype=np.int64)

    def state(self):
        return {"seen": self.seen, "total": np.array([self.seen.sum()])}

    def merge(self, states):
        assert all(state["seen"].sum() == state["total"][0] for state in states)
        self.seen = np.concatenate([state["seen"] for state in states])

    def take(self, found):
        self.seen = np.append(self.seen, found)


class Killed(Exception):
    """Stands for a SIGKILL: nothing is written after it."""


def sweep(folder, *, stop_after=None, identity="a", name="sums", threads=2):
    consumer, visited = Sum(), []

    def take(found):
        if stop_after is not None and len(visited) == stop_after:
            raise Killed
        visited.append(found)
        consumer.take(found)

    workers = Workers(folder, identity=lambda: identity, save_every=0, threads=threads)
    workers.sweep(name, TILES, lambda tile: tile.first, take, [consumer], label="test")
    return sorted(consumer.seen.tolist()), visited


def test_every_tile_is_seen_once(tmp_path):
    assert sweep(None)[0] == list(range(20))
    assert sweep(tmp_path / "state", threads=1)[0] == list(range(20))


def test_a_killed_sweep_goes_on_from_its_files(tmp_path):
    left = 20
    for stop_after in (7, 0, 5, 1, 6):
        with pytest.raises(Killed):
            sweep(tmp_path, stop_after=stop_after)
        left -= stop_after
        assert len(list(tmp_path.glob("sums.*.0.npz"))) == 1  # older generations are gone
    seen, visited = sweep(tmp_path)
    assert seen == list(range(20))
    assert len(visited) == left == 1
    assert sweep(tmp_path) == (list(range(20)), [])  # finished: read, not repeated


def test_files_of_several_processes_are_merged_once(tmp_path):
    with pytest.raises(Killed):
        sweep(tmp_path, stop_after=6)
    with np.load(tmp_path / "sums.1.0.npz") as file:
        mine = dict(file)
    other = np.flatnonzero(~mine["done"])[:4]
    done = np.zeros_like(mine["done"])
    done[other] = True
    np.savez(
        tmp_path / "sums.1.1.npz",
        identity=mine["identity"],
        run=mine["run"],
        done=done,
        **{"0.seen": other, "0.total": np.array([other.sum()])},
    )
    (tmp_path / "sums.0.0.npz").write_bytes(b"of an older generation, not removed in time")
    seen, visited = sweep(tmp_path)
    assert seen == list(range(20))
    assert len(visited) == 10
    assert not (tmp_path / "sums.0.0.npz").exists()


def test_files_of_two_runs_at_the_same_time_are_not_mixed(tmp_path):
    with pytest.raises(Killed):
        sweep(tmp_path, stop_after=6)
    with np.load(tmp_path / "sums.1.0.npz") as file:
        first = dict(file)
    for change in ({"run": first["run"] + 1, "done": ~first["done"]}, {}):  # another run; the same, with common parts
        np.savez(tmp_path / "sums.1.1.npz", **{**first, **change})
        with pytest.raises(UserError, match=r"sums.1.1.npz: is damaged \(the files beside it are of another run\)"):
            sweep(tmp_path)


def test_a_folder_is_held_by_one_run(tmp_path):
    folder = tmp_path / "kept"
    with kept_work(folder, resume=False):
        (folder / "0").mkdir()
        with pytest.raises(UserError, match=r"kept: another run is at work here"), kept_work(folder, resume=False):
            pass
        assert (folder / "0").is_dir()
    assert not folder.exists()
    (folder / "0").mkdir(parents=True)
    with kept_work(folder, resume=True):
        assert (folder / "0").is_dir()
    (folder / "0").mkdir(parents=True)
    (folder / "file").touch()
    found = []

    def killed():
        with kept_work(folder, resume=False):
            found.extend(path.name for path in folder.iterdir())
            raise Killed

    with pytest.raises(Killed):
        killed()
    assert found == ["lock"]
    assert folder.exists()  # for --resume


def test_files_of_another_run_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(Killed):
        sweep(tmp_path, stop_after=7)
    with pytest.raises(
        UserError, match=r"sums\.1\.0\.npz: was kept for other features, labels or settings: start without"
    ):
        sweep(tmp_path, identity="b")
    (path,) = tmp_path.glob("*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    with pytest.raises(UserError, match=r"npz: is damaged .*: start without --resume"):
        sweep(tmp_path)
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(path)
    with pytest.raises(UserError, match=r"npz: is damaged .*: start without --resume"):
        sweep(tmp_path)


def test_each_process_of_a_machine_takes_another_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("auto") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device("auto") == own_device("cuda") == torch.device("cuda", 1)
    assert own_device("cuda:0") == torch.device("cuda", 0)
    assert own_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="this machine offers 2 CUDA devices"):
        own_device("cuda:2")


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Features with ties, and the command that scores them in blocks so small that there are many."""
    folder = tmp_path_factory.mktemp("scored")
    features, labels = make_rows(3, 260, 16, "tied")
    header = np.array([*features.shape, 64, 5], dtype="<i4")
    (folder / "f.bin").write_bytes(header.tobytes() + features.tobytes())
    (folder / "l.txt").write_text("\n".join(map(str, labels)))
    (folder / "c.csv").write_text("cam,pose\n" + "".join(f"{row % 2},{row % 3}\n" for row in range(len(labels))))
    flags = [*("--features", "f.bin", "--labels", "l.txt", "--far", "0.3,1e-2,1e-4")]
    flags += ["--bootstrap", "40", "--block-size", "4"]
    with contextlib.chdir(folder):
        script.main([*flags, "--json", "alone.json"])
    return folder, flags, (folder / "alone.json").read_bytes()


def launched(folder, processes, flags):
    """Run the command in several processes, as torchrun does."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *flags], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_two_and_four_processes_give_the_same_file_also_after_a_kill(scored):
    folder, flags, alone = scored
    # Two processes score all of it. Then, in a second run of theirs, the second process kills itself in the middle of
    # the first sweep; the rest die with it.
    (folder / "dies.py").write_text(
        textwrap.dedent(f"""
        import contextlib, os, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        import lwface.scoring.exact.sharding as sharding, lwface.commands.tar_far
        save, saved = sharding.Workers._save, []
        def dying(self, *arguments):
            save(self, *arguments)
            saved.append(arguments)
            if self.rank == 1 and len(saved) == 9:
                os.kill(os.getpid(), signal.SIGKILL)
        with sharding.processes():
            sharding.processes = contextlib.nullcontext  # the two are together already
            lwface.commands.tar_far.main([*sys.argv[1:], "--json", "fresh.json"])
            sharding.Workers._save = dying
            lwface.commands.tar_far.main([*sys.argv[1:], "--json", "found.json"])
        """)
    )
    flags = [*flags, "--save-every", "0"]
    killed = launched(folder, 2, ["dies.py", *flags])
    assert killed.returncode != 0
    assert (folder / "fresh.json").read_bytes() == alone
    assert not (folder / "fresh.json.partial").exists()
    assert not (folder / "found.json").exists()
    assert list((folder / "found.json.partial" / "0").glob("impostors-0.*.1.npz"))
    done = launched(folder, 4, [str(ROOT / "eval" / "tar_far.py"), *flags, "--json", "found.json", "--resume"])
    assert done.returncode == 0, done.stderr
    assert (folder / "found.json").read_bytes() == alone
    assert not (folder / "found.json.partial").exists()
    assert done.stdout.count("not an official result") == 1  # one process prints


def test_other_settings_do_not_go_on_from_what_was_kept(scored, monkeypatch, capsys):
    folder, flags, alone = scored
    monkeypatch.chdir(folder)
    code = (
        "import os, sys, lwface.scoring.exact.sharding, lwface.commands.tar_far\n"
        "save = lwface.scoring.exact.sharding.Workers._save\n"
        "def dying(self, *a):\n    save(self, *a); os.kill(os.getpid(), 9)\n"
        "lwface.scoring.exact.sharding.Workers._save = dying\n"
        "lwface.commands.tar_far.main(sys.argv[1:])"
    )
    flags = [*flags, "--json", "kept.json", "--save-every", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", code, *flags], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    for other in (["--far", "0.2"], ["--seed", "1"], ["--attributes", "c.csv", "--by", "cam"]):
        arguments = [*flags, *other, "--resume"]
        with pytest.raises(SystemExit) as refused:
            run_command(lambda given=arguments: script.main(given))
        assert refused.value.code == 2
        assert "was kept for other features, labels or settings" in capsys.readouterr().err.splitlines()[-1]
    (folder / "kept.json.partial" / "1").mkdir()  # of an earlier comparison
    script.main(flags)
    assert (folder / "kept.json").read_bytes() == alone
    assert not (folder / "kept.json.partial").exists()
