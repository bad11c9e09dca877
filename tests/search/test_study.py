"""A search is the same whether or not it was interrupted, keeps what it finished, and refuses what it cannot do."""

import json
import re
from dataclasses import replace
from functools import cache

import pytest
from easydict import EasyDict

import lwface.base.extras
from lwface.base.errors import UserError
from lwface.commands.search import parse_arguments
from lwface.gate.budgets import BudgetError
from lwface.gate.flops import count_flops
from lwface.search import plot, study
from lwface.search.proxy import Report
from lwface.search.space import Candidate, family_settings, on_meta, tensor_digest

optuna = pytest.importorskip("optuna")

TRIALS = 9
FLAGS = "--track deepglint-light --dataset synthetic --steps 6 --images-per-step 8 --min-flops 0 --max-flops 0.2"


@cache
def counted(settings):
    return count_flops(on_meta(json.loads(settings)))


@cache
def digest_of(settings):
    return tensor_digest(on_meta(json.loads(settings)))


class Killed(BaseException):
    """What SIGKILL does as far as the search can see: nothing runs after it."""


class Interruption:
    """Raises ``error`` at the ``at``-th training's report number ``report``, once."""

    def __init__(self, at, report, error):
        self.at, self.report, self.error = at, report, error


class FakeTry:
    """A training whose scores are a function of the settings and the step."""

    trainings = 0
    interruption: Interruption | None = None
    tar = staticmethod(lambda settings, part: part * (sum(settings["net_kernels"]) + settings["net_widths"][0]) / 99)

    def __init__(self, proxy, settings, held_out, *, track, folder, label):
        type(self).trainings += 1
        self.number, self.proxy = self.trainings, proxy
        self.settings = family_settings(settings)
        self.digest, self.diverged = digest_of(json.dumps(settings)), False

    def scores(self):
        stop = type(self).interruption
        for number, step in enumerate(self.proxy.report_steps, start=1):
            if stop and (self.number, number) == (stop.at, stop.report):
                raise stop.error
            yield Report(step, self.tar(self.settings, step / self.proxy.report_steps[-1]))


@pytest.fixture
def fast(configured, monkeypatch):
    """No training, no plots, and small networks that are counted once."""

    def fit(shape, track, share):
        small = replace(shape, depths=(1, 1, 1, 1)).settings(4 + 60 * share)
        return Candidate(small, counted(json.dumps(small)))

    fake = type("Fake", (FakeTry,), {})
    monkeypatch.setattr(study, "fit", fit)
    monkeypatch.setattr(study, "Try", fake)
    monkeypatch.setattr(plot, "write_plots", lambda folder, *_, **__: (folder / "pareto.png", folder / "pareto.svg"))
    return fake


def run(root, *flags, trials=TRIALS, interruption=None, fake=None):
    if fake:
        fake.trainings, fake.interruption = 0, interruption
    given = [*FLAGS.split(), "--trials", str(trials), "--models-root", str(root), *flags]
    return study.search(parse_arguments(given))


def results(root, family="mobile"):
    found = json.loads((root / f"search-{family}-deepglint-light-synthetic" / "results.json").read_text())
    for network in found["networks"]:
        del network["seconds"]
    return found


def states(root, family="mobile"):
    path = root / f"search-{family}-deepglint-light-synthetic" / "study.db"
    trials = optuna.load_study(study_name="search", storage=f"sqlite:///{path}").trials
    return [trial.state.name for trial in trials]


def test_interrupted_and_continued_is_as_if_never_interrupted(fast, tmp_path, capsys):
    family = "both"  # whose parameters differ from trial to trial
    flags = ("--family", family)
    assert run(tmp_path / "whole", *flags, fake=fast) == 0
    assert fast.trainings == TRIALS
    root = tmp_path / "broken"
    with pytest.raises(Killed):
        run(root, *flags, interruption=Interruption(3, 2, Killed()), fake=fast)
    assert states(root, family)[-1] == "RUNNING"
    capsys.readouterr()
    assert run(root, *flags, interruption=Interruption(2, 1, KeyboardInterrupt()), fake=fast) == 130
    assert "stopped after 3 of 9 trials; the same command continues there" in capsys.readouterr().out
    with pytest.raises(Killed):  # in a draw, before there is a training
        run(root, *flags, interruption=Interruption(4, 1, Killed()), fake=fast)
    assert run(root, *flags, fake=fast) == 0
    assert fast.trainings == TRIALS - 6
    assert results(root, family) == results(tmp_path / "whole", family)
    finished = [state for state in states(root, family) if state in ("COMPLETE", "PRUNED")]
    assert len(finished) == TRIALS
    assert states(root, family).count("FAIL") == 3


def test_another_seed_is_another_search(fast, tmp_path):
    run(tmp_path / "a", fake=fast, trials=2)
    run(tmp_path / "b", "--seed", "1", fake=fast, trials=2)
    drawn = [{n["name"]: n["parameters"] for n in results(tmp_path / root)["networks"]} for root in "ab"]
    assert drawn[0]["1"] != drawn[1]["1"]
    assert drawn[0]["1"] != drawn[0]["2"]


def test_trials_are_the_total(fast, tmp_path):
    run(tmp_path, trials=3, fake=fast)
    before = results(tmp_path)
    run(tmp_path, trials=3, fake=fast)
    assert fast.trainings == 0
    assert results(tmp_path) == before
    run(tmp_path, trials=5, fake=fast)
    assert fast.trainings == 2
    kept = {network["name"]: network["parameters"] for network in results(tmp_path)["networks"]}
    assert {name: kept[name] for name in "123"} == {n["name"]: n["parameters"] for n in before["networks"]}


def test_pruned_trials_are_recorded_and_cannot_win(fast, tmp_path, capsys):
    """The seventh would end up best, but begins worse than the median of those before it."""
    numbers = iter(range(1, 100))

    class Seventh(fast):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            number = next(numbers)
            late = [1e-6, 2e-6, 0.999]
            self.proxy_tars = late if number == 7 else [part / (number + 1) for part in (0.2, 0.4, 0.6)]

        def scores(self):
            yield from map(Report, self.proxy.report_steps, self.proxy_tars)

    study.Try = Seventh  # put back by the fixture
    assert run(tmp_path, fake=fast) == 0
    found = {network["name"]: network for network in results(tmp_path)["networks"]}
    assert [found[str(n)]["state"] for n in range(1, 5)] == ["complete"] * study.UNPRUNED_TRIALS
    assert found["7"]["state"] == "pruned"
    assert found["7"]["scores"] == [[2, 1e-6]]
    assert results(tmp_path)["winner"] == "1"
    assert states(tmp_path)[6] == "PRUNED"
    assert re.search(r"trial 7 of 9: .* after 2 steps, pruned, best 0.3000", capsys.readouterr().out)


def test_one_report_prunes_nothing(fast, tmp_path):
    tars = iter((0.9, 0.8, 0.7, 0.6, 0.5, 0.4))
    fast.tar = staticmethod(lambda settings, part: next(tars))
    run(tmp_path, "--reports", "1", trials=6, fake=fast)
    assert {network["state"] for network in results(tmp_path)["networks"]} == {"complete"}


def test_networks_below_the_least_flops_are_drawn_again(fast, tmp_path):
    run(tmp_path, "--min-flops", "0.015", fake=fast, trials=4)
    found = results(tmp_path)["networks"]
    assert len(found) == 4
    assert min(network["flops"] for network in found) >= 0.015 * 1024**3
    assert states(tmp_path).count("COMPLETE") == 4
    assert "FAIL" in states(tmp_path)


def test_no_network_at_all(fast, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "fit", lambda *_: None)
    monkeypatch.setattr(study, "REFUSALS", 3)
    with pytest.raises(UserError, match=r"3 draws in a row gave no network of 0% to 20% .* widen --min-flops"):
        run(tmp_path, fake=fast)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--steps", "7"], "begun with steps 6, now it is 7: give what it was, or another --models-root"),
        (["--act", "relu"], "begun with act prelu, now it is relu"),
        (["--seed", "4"], "begun with seed 0, now it is 4"),
        (["--max-flops", "0.1"], "begun with max-flops 0.2, now it is 0.1"),
        (["--far", "2e-2"], "begun with far 0.1, now it is 0.02"),
        (["--loss", "nsoftmax"], "begun with loss softmax, now it is nsoftmax"),
        (["--lr", "0.01"], "begun with lr 0.1, now it is 0.01"),
    ],
)
def test_a_changed_search_is_refused(fast, tmp_path, flags, message):
    run(tmp_path, trials=1, fake=fast)
    with pytest.raises(UserError, match=message):
        run(tmp_path, *flags, trials=2, fake=fast)
    assert len(results(tmp_path)["networks"]) == 1


def test_baselines_are_trained_once_and_shown_beside(fast, tmp_path):
    run(tmp_path, trials=1, fake=fast)
    run(tmp_path, "--baseline", "y1", trials=2, fake=fast)
    assert fast.trainings == 2
    run(tmp_path, "--baseline", "y1", trials=2, fake=fast)
    assert fast.trainings == 0
    baseline = next(network for network in results(tmp_path)["networks"] if network["name"] == "y1")
    assert (baseline["state"], baseline["flops"], baseline["parameters"]) == ("baseline", 439821056, {})


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        (["--baseline", "r50"], BudgetError, "--baseline r50 is refused: FLOPs 12612791296 exceed"),
        (["--baseline", "y11"], UserError, "unknown network 'y11': did you mean 'y1'"),
        (["--loss", "sofmax"], UserError, "unknown loss 'sofmax': did you mean 'softmax'"),
        (["--final-loss", "arcfase"], UserError, "unknown loss 'arcfase': did you mean 'arcface'"),
        (["--dataset", "sintetic"], UserError, "unknown dataset 'sintetic': did you mean 'synthetic'"),
        (["--dataset", "emore"], UserError, "there is no data set 'emore'"),
        (["--far", "1e-6"], UserError, "--far 1e-06 needs at least 1000000 impostor pairs"),
        (["--act", "rellu"], UserError, "net_act = 'rellu': expected one of prelu, relu"),
        (["--device", "tpu"], UserError, "device 'tpu'"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_made(configured, tmp_path, flags, error, message):
    configured.dataset.emore.dataset_path = str(tmp_path / "absent")
    with pytest.raises(error, match=message):
        run(tmp_path / "models", *flags)
    assert not (tmp_path / "models").exists()


def test_a_missing_optimiser_says_what_to_install(configured, tmp_path, monkeypatch):
    monkeypatch.setattr(lwface.base.extras, "available", lambda module: False)
    with pytest.raises(UserError, match=r"optuna is not installed: .* pip install '[\w-]+\[search\]'"):
        run(tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_study_is_one_line(fast, tmp_path, content):
    run(tmp_path, trials=1, fake=fast)
    path = tmp_path / "search-mobile-deepglint-light-synthetic" / "study.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"study.db: not a study that can be continued") as raised:
        run(tmp_path, trials=1, fake=fast)
    assert "\n" not in str(raised.value)


def test_a_real_search_from_end_to_end(configured, tmp_path, capsys):
    """Real networks of the space, really trained, on six made-up people."""
    flags = "--max-flops 0.2 --min-flops 0.1 --act relu --steps 2 --reports 2 --family residual --name mine"
    assert run(tmp_path, *flags.split(), "--final-loss", "arcface_small", trials=2) == 0
    folder = tmp_path / "search-residual-deepglint-light-synthetic"
    assert {"results.json", "pareto.png", "pareto.svg", "mine.py", "study.db"} <= {
        path.name for path in folder.iterdir()
    }
    found = results(tmp_path, "residual")
    winner = next(network for network in found["networks"] if network["name"] == found["winner"])
    assert all(0.1 * 1024**3 <= network["flops"] <= 0.2 * 1024**3 for network in found["networks"])
    output = capsys.readouterr().out
    entry = (folder / "mine.py").read_text()
    assert entry in output
    assert (
        "recognition/train.py --network mine --loss arcface_small --dataset synthetic --track deepglint-light" in output
    )
    exec(entry, {"network": configured.network, "edict": EasyDict})
    network = on_meta({**configured.config, **configured.network["mine"]})
    assert count_flops(network).flops == winner["flops"]
    assert tensor_digest(network) == winner["digest"]
