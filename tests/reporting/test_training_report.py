"""A training run's report: read from its log, and what it says of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.commands import report as command
from lwface.reporting import plots
from lwface.reporting.training_log import read_run
from lwface.reporting.training_page import write_training_report
from lwface.reporting.training_plots import figure_of_steps, validation_figure
from tests.reporting.test_page import Page

DRAWN = ("test_the_command", "test_the_page_has_the_figures_of_the_log")  # the others are about words


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    if request.node.name not in DRAWN:
        monkeypatch.setattr(plots, "_save", lambda figure, **options: b"<svg/>")


def write_run(folder, losses, accuracies=(), *, pack="cfp_fp", std=0.01, folds=None, settings=None, rest=""):
    """A log of an entry each ten steps and a validation after each of them, as the loop writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, loss in enumerate(losses):
        step = 10 * (number + 1)
        lines.append(
            {"step": step, "epoch": number // 2, "loss": loss, "acc": 0.1 * number, "lr": 0.1, "images_per_s": 50.0}
        )
        if number < len(accuracies):
            for name, value in (("lfw", 0.9), (pack, accuracies[number])):
                found = {"accuracy": value, "std": std, "xnorm": 11.0 + number}
                found |= {} if folds is None else {"folds": folds}
                lines.append({"step": step, "epoch": number // 2, "verification": name, **found})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + rest)
    if settings is not None:
        (folder / "config.json").write_text(json.dumps(settings))
    return folder


def page_of(folder, *runs):
    path = write_training_report(folder, runs)
    return Page(path.read_text(encoding="utf-8")), path.read_text(encoding="utf-8")


def test_the_log_is_read_as_it_was_written(tmp_path):
    run = read_run(
        write_run(tmp_path / "y2-arcface-mine", [5.0, 4.0, 3.0], [0.7, 0.9, 0.8], settings={"max_steps": 60})
    )
    assert run.name == "y2-arcface-mine"
    assert [entry.value("loss") for entry in run.steps] == [5, 4, 3]
    assert np.isnan(run.steps[0].value("nothing"))
    assert list(run.validations) == ["lfw", "cfp_fp"]
    assert (run.judging, run.last_step, run.planned_steps, run.unread) == ("cfp_fp", 30, 60, 0)
    assert run.best("cfp_fp").step == 20
    assert run.best("lfw").step == 30  # of equal ones the last


def test_lines_that_cannot_be_read_are_counted_and_said(tmp_path):
    rest = '{"step": 99, "lo\n[]\n{"step": "x", "loss": 1}\n{"note": "text"}\nnull\n'
    run = read_run(write_run(tmp_path / "r", [2.0, 1.0], [0.6, 0.7], rest=rest))
    assert (run.unread, run.last_step) == (5, 20)
    page, _ = page_of(tmp_path / "o", run)
    assert "5 lines of the log could not be read" in page.everything


@pytest.mark.parametrize("content", [None, "", "no json\n", '{"step": 3}\n'])
def test_no_run_is_an_error_that_says_what_to_do(tmp_path, content):
    if content is not None:
        (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"log\.jsonl: (no such file; give the folder|nothing is logged yet)"):
        read_run(tmp_path)


def test_the_page_has_the_figures_of_the_log(tmp_path):
    accuracies = [0.7, 0.9, 0.8]
    settings = {"lr": 0.1, "network": "<b>y2", "max_steps": 30}
    run = read_run(write_run(tmp_path / "r", [5.0, 4.0, 3.0], accuracies, settings=settings))
    page, _ = page_of(tmp_path / "o", run)
    assert page.tables["outcome-table"][1:] == [
        ["lfw", "0.90000", "30", "0.01000", "13", "0.90000"],
        ["cfp_fp", "0.90000", "20", "0.01000", "12", "0.80000"],
    ]
    rows = page.tables["validation-table"][1:]
    assert [row[0] for row in rows] == ["10", "20", "30"]
    assert [row[2] for row in rows] == [f"{value:.5f}" for value in accuracies]
    assert [row[2] for row in page.tables["validation-table-by-3"][1:]] == ["0.90000", "0.80000", "0.70000"]
    assert dict(row for row in page.tables["settings-table"][1:])["network"] == "<b>y2"
    assert "30 of 30 steps" in page.texts["summary"]
    assert "at step 20, judges 90.0 % of the pairs of cfp_fp right" in page.texts["summary"]
    assert not {"script", "form"} & set(page.tags)
    assert {link[1:] for link in page.addresses if link.startswith("#")} <= set(page.ids)
    plots = {path.name for path in (tmp_path / "o").iterdir()}
    names = ("validation-1", "norms", "loss", "lr", "acc", "images-per-s")
    assert plots == {"report.html", *(f"{name}.{kind}" for name in names for kind in ("png", "svg"))}


@pytest.mark.parametrize(
    ("losses", "accuracies", "says", "not_said"),
    [
        ([5, 4, 3], [0.7, 0.8, 0.9], "a longer run may do better", "got worse"),
        ([5, 4, 3], [0.7, 0.9, 0.8], "Since then it got worse, to 80.0 %", "longer run"),
        ([5, 4, 3], [0.7, 0.9, 0.895], "90.0 %", "got worse"),
        ([5, 4, 3], [0.5, 0.52, 0.51], "next to chance", "longer run"),
        ([5, 9, 30], [0.7, 0.8, 0.9], "The loss ended higher than it began", "chance"),
        ([5, 4, 3], [], "has not been validated", "judges"),
    ],
)
def test_what_a_reader_should_not_overlook_is_said(tmp_path, losses, accuracies, says, not_said):
    page, _ = page_of(tmp_path / "o", read_run(write_run(tmp_path / "r", losses, accuracies)))
    assert says in page.texts["summary"]
    assert not_said not in page.texts["summary"]


def test_a_figure_of_which_less_is_better(tmp_path):
    lines = [
        {"step": 10 * at, "epoch": 0, "verification": "heldout", "nme": nme}
        for at, nme in enumerate((0.3, 0.1, 0.2), 1)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = read_run(tmp_path)
    assert run.best("heldout").step == 20
    page, _ = page_of(tmp_path / "o", run)
    assert "has nme 0.1 on heldout" in page.texts["summary"]
    assert [row[1] for row in page.tables["validation-table-by-2"][1:]] == ["0.10000", "0.20000", "0.30000"]


def test_several_runs_share_plots_and_their_settings_are_compared(tmp_path):
    one = read_run(write_run(tmp_path / "a", [5, 4], [0.7, 0.9], settings={"lr": 0.1, "seed": 0}))
    two = read_run(write_run(tmp_path / "b", [5, 3], [0.7, 0.95], settings={"lr": 0.01, "seed": 0}))
    page, text = page_of(tmp_path / "o", one, two)
    assert "b is the best on cfp_fp, 5.0 percentage points ahead of a" in page.texts["summary"]
    assert [row[0] for row in page.tables["outcome-table"][1:]] == ["a|lfw", "a|cfp_fp", "b|lfw", "b|cfp_fp"]
    assert page.tables["settings-table"][1] == ["lr differs", "0.1", "0.01"]
    assert "1 of them differ" in text
    close = read_run(write_run(tmp_path / "c", [5, 3], [0.7, 0.905], settings={}))
    page, _ = page_of(tmp_path / "p", one, close)
    assert "Which run is the best cannot be told" in page.texts["summary"]


@pytest.mark.parametrize(("folds", "said"), [(4, "4 folds"), (10, "10 folds"), (None, "folds")])
def test_the_folds_are_those_of_the_pack(tmp_path, folds, said):
    one = read_run(write_run(tmp_path / "a", [5, 4], [0.7, 0.9], folds=folds))
    two = read_run(write_run(tmp_path / "b", [5, 3], [0.7, 0.912], folds=folds))
    page, text = page_of(tmp_path / "o", one)
    assert f"(its {said} deviate by 1.0 %)" in page.texts["summary"]
    assert f"Shaded: the deviation of the {said}." in text
    page, text = page_of(tmp_path / "p", one, two)
    assert f" its {said} deviate by 1.0 percentage point" in page.texts["summary"]
    # Of four folds 0.01 is a larger error of their mean than of ten: sqrt(10 / 4) times.
    assert ("Which run is the best cannot be told" in page.texts["summary"]) == (folds == 4)
    assert "ten folds" not in text


def test_curves_are_the_figures_of_the_log(tmp_path):
    runs = [
        read_run(write_run(tmp_path / name, losses, [0.6, 0.7, 0.8]))
        for name, losses in (("a", [5, 4, 3]), ("$b_1$", [6, 5, 1]))
    ]
    (axes,) = figure_of_steps(runs, "loss", "loss").axes
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [[5, 4, 3], [6, 5, 1]]
    assert [line.get_xdata().tolist() for line in axes.get_lines()] == [[10, 20, 30]] * 2
    figure = validation_figure(runs[:1], "accuracy", "accuracy")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lfw", "cfp_fp"]
    assert figure.axes[0].get_lines()[1].get_ydata().tolist() == [0.6, 0.7, 0.8]
    band = figure.axes[0].collections[1].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([band.min(), band.max()], [0.59, 0.81])


def test_the_command(tmp_path, capsys):
    folder = write_run(tmp_path / "a", [5, 4], [0.7, 0.9], settings={"lr": 0.1})
    (folder / "model-0001.safetensors").write_bytes(b"weights")
    command.main(["--run", f"{folder}/model,1"])
    assert capsys.readouterr().out == (
        f"a: 20 steps, best accuracy on cfp_fp 0.90000 at step 20\nreport: {folder}/report/report.html\n"
    )
    text = (folder / "report" / "report.html").read_text()
    assert re.search(r"model model-0001\.safetensors: .*SHA-256", text)
    other = write_run(tmp_path / "x" / "a", [5.0])
    command.main(["--run", str(folder), str(other), "--output", str(tmp_path / "o")])
    assert f"{other}: 10 steps, not validated" in capsys.readouterr().out
    for arguments, says in (
        (["--run", str(folder), f"{folder}/model,1"], "compared with itself"),
        (["--run", str(tmp_path / "none")], "no such file; give the folder"),
        (["--run", str(folder), "--output", str(folder / "log.jsonl")], "is a file"),
    ):
        with pytest.raises(UserError, match=says):
            command.main(arguments)
