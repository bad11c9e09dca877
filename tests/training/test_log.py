"""Lines and files of a run."""

from __future__ import annotations

import json

import pytest

from lwface.training import log as training_log
from lwface.training.log import TrainingLog
from lwface.training.task import Score


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when told."""
    now = [100.0]
    monkeypatch.setattr(training_log.time, "monotonic", lambda: now[0])
    return now


def make(folder, **changes):
    return TrainingLog(
        folder, **({"frequent": 20, "show_loss": True, "steps_per_epoch": 45, "last_step": 90} | changes)
    )


def feed(log, clock, steps, seconds=0.5):
    for step in steps:
        clock[0] += seconds
        log.record(step, loss=step / 7, sums={"acc": step % 3}, images=2, rate=0.1)


def test_lines_are_those_of_mxnets_speedometer(tmp_path, clock, capfd):
    """The first two are what MXNet 1.9.1's Speedometer(2, 20) prints with this clock and these values.

    Its first line covers batches 0 to 20 in its means and 20 batches in its speed. The others are the form of the lines
    of its Module.fit at the end of an epoch; here their means cover the whole epoch.
    """
    log = make(tmp_path)
    log.open(0)
    feed(log, clock, range(1, 46))
    log.close()
    assert capfd.readouterr().err.splitlines() == [
        "INFO:root:Epoch[0] Batch [0-20]\tSpeed: 4.00 samples/sec\tacc=0.500000\tlossvalue=1.571429",
        "INFO:root:Epoch[0] Batch [20-40]\tSpeed: 4.00 samples/sec\tacc=0.525000\tlossvalue=4.500000",
        "INFO:root:Epoch[0] Train-acc=0.500000",
        "INFO:root:Epoch[0] Train-lossvalue=3.285714",
        "INFO:root:Epoch[0] Time cost=22.500",
    ]


def test_loss_is_left_out_on_request(tmp_path, clock, capfd):
    log = make(tmp_path, show_loss=False)
    log.open(0)
    feed(log, clock, range(1, 46))
    log.close()
    assert "lossvalue" not in capfd.readouterr().err


def test_objects_are_means_between_two_of_them(tmp_path, clock):
    log = make(tmp_path, frequent=4, last_step=10)
    log.open(0)
    feed(log, clock, range(1, 9))
    log.validation(8, [Score("lfw", {"accuracy": 0.75, "std": 0.1, "xnorm": 11.5})])
    feed(log, clock, range(9, 11))
    log.close()
    objects = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert objects[0] == {
        "step": 4,
        "epoch": 0,
        "loss": pytest.approx(2.5 / 7),
        "acc": 0.5,
        "lr": 0.1,
        "images_per_s": 4.0,
    }
    assert [entry["step"] for entry in objects] == [4, 8, 8, 10]  # the last step too
    assert objects[2] == {"step": 8, "epoch": 0, "verification": "lfw", "accuracy": 0.75, "std": 0.1, "xnorm": 11.5}
    assert objects[3]["loss"] == pytest.approx(9.5 / 7)


@pytest.mark.parametrize("cut", [0, 3, 5, 8, 19, 20, 47])
def test_resumed_log_equals_an_unbroken_one(tmp_path, clock, cut):
    texts = []
    for name, parts in [("whole", [(0, 60)]), ("cut", [(0, cut + 2), (cut, 60)])]:
        folder = tmp_path / name
        state = None
        for start, stop in parts:
            log = make(folder, frequent=5, last_step=60)
            if state:
                log.restore(json.loads(state))
            log.open(start)
            for step in range(start + 1, stop + 1):
                feed(log, clock, [step])
                if step == cut:
                    state = json.dumps(log.state())
            log.close()
            with open(folder / "log.jsonl", "a") as file:
                file.write('{"step": 1, "los')  # what a crash of the machine may leave
        lines = (folder / "log.jsonl").read_text().splitlines()[:-1]
        texts.append([{k: v for k, v in json.loads(line).items() if k != "images_per_s"} for line in lines])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 12


def test_time_left_comes_by_the_clock(tmp_path, clock, capfd):
    log = make(tmp_path, frequent=1000, steps_per_epoch=2000, last_step=1000)
    log.open(100)
    feed(log, clock, range(101, 110), seconds=4.0)
    log.close()
    assert capfd.readouterr().out.splitlines() == [
        "[103]Time-left: 0:59:48 for 897 steps",
        "[106]Time-left: 0:59:36 for 894 steps",
        "[109]Time-left: 0:59:24 for 891 steps",
    ]


def test_time_left_knows_of_validations(tmp_path, clock, capfd):
    """Steps of 1 s with images of which the network sees 12 forward in the time of one step; a slow first step."""
    log = make(tmp_path, frequent=1000, steps_per_epoch=2000, last_step=100, verbose=20, validation_images=1200)
    log.open(0)
    feed(log, clock, [1], seconds=9.0)  # what is compiled and cached in it takes no time later
    feed(log, clock, range(2, 13), seconds=1.0)
    validation = 1200 / (3 * 2)  # images are 2 a step
    assert seconds_left(capfd) == pytest.approx(88 + 5 * validation, abs=1)
    feed(log, clock, range(13, 21), seconds=1.0)
    clock[0] += 50  # what it took
    log.validation(20, [], seconds=50.0)
    feed(log, clock, [21], seconds=1.0)
    assert seconds_left(capfd) == pytest.approx(79 + 4 * 50, abs=1)
    log.close()


def seconds_left(capfd):
    """The last line's."""
    hours, minutes, seconds = capfd.readouterr().out.splitlines()[-1].split("Time-left: ")[1].split()[0].split(":")
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds)


@pytest.mark.parametrize(("epoch", "lines"), [(1, [19, 39, 49]), (3, [6, 13]), (19, [1])])
def test_short_epochs_share_their_lines(tmp_path, clock, capfd, epoch, lines):
    log = make(tmp_path, steps_per_epoch=epoch, last_step=50)
    log.open(0)
    feed(log, clock, range(1, 51))
    log.close()
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if "Time cost" in line] == [
        line for number in lines for line in said if line.startswith(f"INFO:root:Epoch[{number}] Time cost")
    ]
    speeds = [line for line in said if "Speed: 4.00 samples/sec" in line]
    assert [line.split("\t")[0] for line in speeds] == [
        f"INFO:root:Epoch[{number}] Batch [0-{epoch - 1}]" for number in lines
    ]


@pytest.mark.parametrize("cut", [None, 12])
def test_a_loss_far_above_its_start_is_said_once(tmp_path, clock, capfd, cut):
    losses = [8.0, 7.0, 15.0, 17.0, 30.0, 90.0]  # one an object; twice the first is 16
    log = make(tmp_path, frequent=4, last_step=24, hints=["lower --lr"])
    log.open(0)
    for step in range(1, 25):
        if step == cut:
            state = json.loads(json.dumps(log.state()))
            log.close()
            log = make(tmp_path, frequent=4, last_step=24, hints=["lower --lr"])
            log.restore(state)
            log.open(step - 1)
        log.record(step, loss=losses[(step - 1) // 4], sums={}, images=2, rate=0.1)
    log.close()
    assert [line for line in capfd.readouterr().out.splitlines() if "Loss" in line] == [
        "[16]Loss: 17.00 is more than 2 times that of the first steps, 8.00: lower --lr"
    ]
