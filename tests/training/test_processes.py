"""Runs whose number of processes changes are the run of one process; what happens in one of two processes."""

from __future__ import annotations

import json

import pytest
import torch
import torch.multiprocessing as mp
from training import processes_worker as worker
from training.processes_worker import BAD, RUNS, STEPS, stretch

from lwface.training.checkpoint import read_checkpoint

NAMES = list(RUNS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of all runs, what each of two processes has to say of them, and how these ended."""
    folder = tmp_path_factory.mktemp("processes")
    threads, kind = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    worker.make_data(folder / "data")
    found = {}
    for name in NAMES:
        found["whole", name] = stretch(name, folder / "data", folder / f"{name}-whole", STEPS)
        found["1 first", name] = stretch(name, folder / "data", folder / f"{name}-12", STEPS // 2)
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch.distributed.checkpoint", "lwface.recognition.train"])
    port = worker.free_port()
    both = [context.Process(target=worker.work, args=(rank, folder, port)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    for name in NAMES:
        found["1 last", name] = stretch(name, folder / "data", folder / f"{name}-21", STEPS)
    torch.set_num_threads(threads)
    torch.set_default_dtype(kind)
    for rank in range(2):
        for key, value in json.loads((folder / f"{rank}.json").read_text()):
            found[(rank, key) if isinstance(key, str) else (rank, *key)] = value
    return folder, found, [process.exitcode for process in both]


def keys_and_losses(stretches):
    """Of each step: the keys of its images in their order, and the loss of each process."""
    steps: dict[int, tuple[dict, list]] = {}
    for each in stretches:
        for step, first, keys, loss in each["seen"]:
            parts, losses = steps.setdefault(step, ({}, []))
            parts[first] = keys
            losses.append(loss)
    found = {}
    for step, (parts, losses) in steps.items():
        found[step] = [key for first in sorted(parts) for key in parts[first]], losses
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["12", "21"])
def test_another_number_of_processes_changes_nothing(runs, name, order):
    folder, found, _ = runs
    stretches = {
        "12": [found["1 first", name], found[0, "2 last", name], found[1, "2 last", name]],
        "21": [found[0, "2 first", name], found[1, "2 first", name], found["1 last", name]],
    }[order]
    expected, got = keys_and_losses([found["whole", name]]), keys_and_losses(stretches)
    assert got.keys() == expected.keys() == set(range(STEPS))
    for step, (keys, (loss,)) in expected.items():
        assert got[step][0] == keys
        assert got[step][1] == pytest.approx([loss] * len(got[step][1]), rel=1e-9, abs=1e-12)
    run = f"tiny-{RUNS[name]['loss']}-synthetic"
    a, b = (read_checkpoint(folder / f"{name}-{which}" / run / "last.ckpt") for which in (order, "whole"))
    for kind in ("modules", "optimizer", *(["average"] if name == "sampled" else [])):
        assert a[kind].keys() == b[kind].keys()
        for module in b[kind]:
            assert a[kind][module].keys() - {"_extra_state"} == b[kind][module].keys() - {"_extra_state"}
            for key, tensor in b[kind][module].items():
                # AdamW divides by the root of the second moment: rounding grows where a gradient is nearly 0.
                torch.testing.assert_close(a[kind][module][key], tensor, rtol=1e-6, atol=1e-8)
    assert a["bad_images"] == b["bad_images"]
    assert sum(f"resuming after step {STEPS // 2} of {STEPS}" in part["said"] for part in stretches) == 1


def test_a_signal_to_one_process_stops_all_after_the_same_step(runs):
    folder, found, _ = runs
    both = [found[rank, "stopped"] for rank in range(2)]
    assert [each["status"] for each in both] == [143, 143]
    assert [[step for step, *_ in each["seen"]] for each in both] == [[0, 1], [0, 1]]
    assert "stopped after step 2" in both[0]["said"]
    assert both[1]["said"] == ""
    assert read_checkpoint(folder / "stopped" / "tiny-elastic_plus-synthetic" / "last.ckpt")["step"] == 2


def test_what_is_not_finite_in_one_process_changes_nothing_in_any(runs):
    """Steps 1 and 2 leave weights, moments and statistics as they are: by their norms."""
    folder, found, _ = runs
    for rank in range(2):
        first, *left_out, last = found[rank, "not finite"]["weights"]
        assert left_out == [first, first] != [last, last]
    said = found[0, "not finite"]["said"]
    assert "[2]Left out: the loss is nan; 1 in a row, 1 so far; the run stops after 10\n" in said
    assert "[3]Left out: a gradient is not finite; 2 in a row, 2 so far; the run stops after 10\n" in said
    lines = (folder / "infinite" / "tiny-adaface-synthetic" / "log.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    found = [("loss" in line, line.get("left_out", 0)) for line in logged]
    assert found == [(True, 0), (False, 1), (False, 1), (True, 0)]


def test_an_error_in_one_process_ends_all_with_its_line(runs):
    folder, _, statuses = runs
    assert sorted(statuses) == [1, 2]
    said = [line for rank in range(2) for line in (folder / f"{rank}.err").read_text().splitlines()]
    (line,) = (line for line in said if line.startswith("error: "))  # PyTorch itself logs a broken connection
    assert f"do not decode (key {BAD}: " in line
    assert "Traceback" not in "".join(said)
