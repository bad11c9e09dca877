"""The report of one or several training runs: what came out, the curves, the best step, the settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lwface.base.files import PathLike
from lwface.reporting.builder import Page, picture, write_page
from lwface.reporting.glossary import terms
from lwface.reporting.markup import (
    MOST_ORDERS,
    Order,
    clean,
    escape,
    head,
    name,
    order_by,
    plural,
    row,
    scrolling,
    shorten,
    sortable,
    table,
)
from lwface.reporting.provenance import Provenance, provenance_section
from lwface.reporting.summary import percent, points
from lwface.reporting.training_log import BETTER_IS_LESS, Logged, TrainingRun
from lwface.reporting.training_plots import figure_of_steps, norm_figure, packs_with, validation_figure
from lwface.reporting.worst_images import WorstImages, worst_section
from lwface.scoring.pack_accuracy import chance_difference
from lwface.scoring.parameters import FOLDS

CHANCE, NEAR_CHANCE = 0.5, 0.55  # accuracy of guessing on a pack of as many pairs of either kind, and next to it
NORM = "xnorm"  # of the figures of a validation
LAST_SHARE = 10  # one in so many of the log's entries, at least one, are the beginning and the end of the loss
CURVES = {
    "loss": ("loss", "Mean loss of the training images since the point before. Lower is better."),
    "lr": ("learning rate", "How far each step goes."),
    "acc": ("training accuracy", "Share of the training images put first by the classifier, margin included."),
    "teacher": ("teacher's loss", "How far the student is from its teacher, by --distill, with its weight."),
    "images_per_s": ("images a second", "Speed, with reading and checkpoints."),
}
SECTIONS = {
    "outcome": "Outcome",
    "curves": "Curves",
    "worst": "Worst images",
    "validations": "Validations",
    "settings": "Settings",
    "made": "How this was made",
    "reading": "Questions",
}
READING = """<h2 id="reading">Questions</h2><dl class="questions">
<dt>Is it done, and is it good?</dt>
<dd>The sentences on top. A pack’s accuracy tells models of one run apart; how many strangers get in at what price is
told by scoring features of the saved model: <code>eval/tar_far.py --report</code>.</dd>
<dt>Is the best step really the best?</dt>
<dd>Folds of a pack vary by the deviation given. Steps whose accuracies differ by less are not told apart by it, and the
best of many is a little too good.</dd>
<dt>Would more steps help?</dt>
<dd>Where the validation still rises while the learning rate has not come down, likely. A loss of another size says
nothing when the loss function or its margin is another.</dd>
<dt>Which model was kept?</dt>
<dd>With <code>--ckpt 1</code> or <code>3</code> the best on the last validation set, with <code>2</code> each. The
files are listed under “How this was made”.</dd></dl>"""


def write_training_report(
    folder: PathLike,
    runs: Sequence[TrainingRun],
    made: Provenance | None = None,
    worst: WorstImages | None = None,
) -> Path:
    """Write ``report.html`` and its plots as PNG and SVG into ``folder``; returns the path of the page.

    Args:
        folder: made when missing.
        runs: one, or several to compare.
        made: how the report came to be, and the files it is made of.
        worst: the training images that the one run finds hardest.
    """
    target = Path(folder)
    main = [
        f'<h2 id="outcome">Outcome</h2>{terms("pack accuracy", "XNorm", "loss")}{_outcome(runs)}',
        _curves(target, runs),
        worst_section(worst),
        *(_validations(run, index, several=len(runs) > 1) for index, run in enumerate(runs)),
        _settings(runs),
        provenance_section(made),
    ]
    names = ", ".join(run.name for run in runs)
    unread = sum(run.unread for run in runs)
    missed = f'<p class="caveat">{plural(unread, "line")} of the log could not be read and left out.</p>'
    return write_page(
        target,
        Page(
            title=f"Training: {names}",
            heading="Training",
            subject=", ".join(f"<b>{name(run.name, 60)}</b>" for run in runs),
            lead=_summary(runs) + (missed if unread else ""),
            main="".join(main),
            footer=READING,
            sections=SECTIONS,
        ),
    )


def _summary(runs: Sequence[TrainingRun]) -> str:
    sentences = [" ".join(_sentences(run)) for run in runs]
    text = "".join(f"<p>{sentence}</p>" for sentence in [*_compared(runs), *sentences])
    return f'<section class="lead" id="summary" aria-label="In short">{text}</section>'


def _compared(runs: Sequence[TrainingRun]) -> list[str]:
    """Which run is the best on the set that judges all of them; nothing where there is no such set."""
    pack = runs[0].judging
    if len(runs) < 2 or pack is None or any(run.judging != pack or run.merit(pack) != "accuracy" for run in runs):
        return []
    first, second = sorted(runs, key=lambda run: -run.best(pack).value("accuracy"))[:2]
    lead = first.best(pack).value("accuracy") - second.best(pack).value("accuracy")
    best = first.best(pack)
    spread = best.value("std")
    ahead = f"{points(lead)} ahead of {name(second.name)}"
    folds = "how its folds vary is not logged" if math.isnan(spread) else f"{_folds(best)} deviate by {points(spread)}"
    if not lead > chance_difference(spread, _number_of_folds(best) or FOLDS):
        return [
            f"<b>Which run is the best cannot be told</b> on {name(pack)}: {name(first.name)} is {ahead}, and {folds}."
        ]
    return [f"<b>{name(first.name)} is the best</b> on {name(pack)}, {ahead}; {folds}."]


def _sentences(run: TrainingRun) -> list[str]:
    """How far it is and how good, and what to look after."""
    planned = run.planned_steps
    done = f"{run.last_step:,}" + (f" of {planned:,} steps" if planned else " steps")
    start = f"<b>{name(run.name)}</b> has logged {done}"
    pack = run.judging
    if pack is None:
        return [f"{start}; it has not been validated, so that nothing tells how good it is.", *_doubts(run)]
    figure, best = run.merit(pack), run.best(pack)
    value = best.value(figure)
    if figure == "accuracy":
        found = f"judges <b>{percent(value)}</b> of the pairs of {name(pack)} right"
    else:
        found = f"has {escape(figure)} <b>{value:.5g}</b> on {name(pack)}"
    around = best.value("std")
    spread = "" if math.isnan(around) else f" ({_folds(best)} deviate by {percent(around)})"
    return [f"{start}. Its best model, at step {best.step:,}, {found}{spread}.", *_doubts(run)]


def _doubts(run: TrainingRun) -> list[str]:
    """What a reader should not overlook, in words."""
    found = []
    losses = [entry.value("loss") for entry in run.steps if not math.isnan(entry.value("loss"))]
    few = max(1, len(losses) // LAST_SHARE)
    if len(losses) > 1 and sum(losses[-few:]) > sum(losses[:few]):
        found.append(
            f"<b>The loss ended higher than it began</b> ({losses[0]:.3g} to {losses[-1]:.3g}): "
            "the learning rate may be too high."
        )
    pack = run.judging
    if pack is None:
        return found
    figure, best, last = run.merit(pack), run.best(pack), run.validations[pack][-1]
    if figure == "accuracy" and best.value(figure) < NEAR_CHANCE:
        found.append(f"<b>That is next to chance</b> ({percent(CHANCE)}): it has not learnt to tell people apart.")
        return found
    change = abs(best.value(figure) - last.value(figure))
    spread = best.value("std")
    if len(run.validations[pack]) > 1 and last.step == best.step and run.last_step == last.step:
        found.append("The last validation is the best one: a longer run may do better.")
    elif not math.isnan(spread) and change > spread:
        now = percent(last.value(figure)) if figure == "accuracy" else f"{last.value(figure):.5g}"
        found.append(f"Since then it got worse, to {now}.")
    return found


def _outcome(runs: Sequence[TrainingRun]) -> str:
    """For each run and validation set: the best step, its figures, and the last one's."""
    headings = ("run" if len(runs) > 1 else "validation set", "best", "at step", "deviation of folds", "XNorm", "last")
    rows = []
    for run in runs:
        for pack in run.validations:
            figure, best, last = run.merit(pack), run.best(pack), run.validations[pack][-1]
            label = name(pack) if len(runs) == 1 else f"{name(run.name)}<small>{name(pack)}</small>"
            what = "" if figure == "accuracy" else f"<small>{escape(figure)}</small>"
            cells = [label, _figure(best, figure) + what, f"{best.step:,}"]
            cells += [_figure(best, "std"), _figure(best, "xnorm"), _figure(last, figure)]
            rows.append(row(headings, cells, ("", "main")))
        if not run.validations:
            rows.append(row(headings, [name(run.name), "not validated"]))
    return table("outcome-table", "Best step of each validation set", headings, rows)


def _number_of_folds(entry: Logged) -> int | None:
    """Of the pack that was verified on; None where the log is older than its saying so."""
    number = entry.value("folds")
    return None if math.isnan(number) else int(number)


def _folds(entry: Logged) -> str:
    number = _number_of_folds(entry)
    return "its folds" if number is None else f"its {number} folds"


def _folds_of_all(runs: Sequence[TrainingRun]) -> str:
    """The folds of all packs in words: their number, where all have the same."""
    numbers = {_number_of_folds(entries[-1]) for run in runs for entries in run.validations.values()}
    number = numbers.pop() if len(numbers) == 1 else None
    return "the folds" if number is None else f"the {number} folds"


def _figure(entry: Logged, figure: str) -> str:
    value = entry.value(figure)
    if math.isnan(value):
        return "–"
    return f"{value:.4g}" if figure in ("xnorm", "loss") else f"{value:.5f}"


def _curves(folder: Path, runs: Sequence[TrainingRun]) -> str:
    drawn: list[str] = []
    merits = dict.fromkeys(run.merit(pack) for run in runs for pack in run.validations)
    for figure in merits:
        label = "accuracy of a validation set" if figure == "accuracy" else figure
        better = "Lower is better." if figure in BETTER_IS_LESS else "Higher is better."
        better += f" Shaded: the deviation of {_folds_of_all(runs)}." if figure == "accuracy" else ""
        best = "; ".join(
            f"{run.name} {pack}: best {run.best(pack).value(figure):.5g} at step {run.best(pack).step}"
            for run in runs
            for pack in run.validations
            if run.merit(pack) == figure
        )
        drawing = validation_figure(runs, label, figure)
        stem = f"validation-{len(drawn) + 1}"
        drawn.append(picture(folder, stem, drawing, f"{label} over the steps. {best}.", better))
    drawn += _norms(folder, runs)
    for figure, (label, caption) in CURVES.items():
        known = [(run, _ends(run, figure)) for run in runs]
        if all(ends is None for _, ends in known):
            continue
        words = "; ".join(f"{run.name}: from {ends[0]:.4g} to {ends[1]:.4g}" for run, ends in known if ends)
        drawing = figure_of_steps([run for run, ends in known if ends], figure, label)
        drawn.append(picture(folder, figure.replace("_", "-"), drawing, f"{label} over the steps. {words}.", caption))
    words = terms("loss", "learning rate", "training accuracy", "pack accuracy")
    return f'<h2 id="curves">Curves</h2>{words}<div class="plots">{"".join(drawn)}</div>' if drawn else ""


def _norms(folder: Path, runs: Sequence[TrainingRun]) -> list[str]:
    """The mean norm of the embeddings of each pack, where it is logged."""
    known = [(run, pack) for run in runs for pack in run.validations if pack in packs_with(run, NORM)]
    if not known:
        return []
    parts = []
    for run, pack in known:
        entries = run.validations[pack]
        parts.append(f"{run.name} {pack}: from {entries[0].value(NORM):.4g} to {entries[-1].value(NORM):.4g}")
    words = "; ".join(parts)
    drawing = norm_figure(runs, "mean norm of embeddings", NORM)
    caption = (
        "Mean length of the features of each pack, before they are normalised. One that grows without end diverges."
    )
    return [picture(folder, "norms", drawing, f"norms over the steps. {words}.", caption)]


def _ends(run: TrainingRun, figure: str) -> tuple[float, float] | None:
    values = [entry.value(figure) for entry in run.steps if not math.isnan(entry.value(figure))]
    return (values[0], values[-1]) if values else None


def _validations(run: TrainingRun, index: int, *, several: bool) -> str:
    """Every validation, a row a step, to be sorted."""
    if not run.validations:
        return ""
    packs = list(run.validations)
    by_step: dict[int, dict[str, Logged]] = {}
    for pack, entries in run.validations.items():
        for entry in entries:
            by_step.setdefault(entry.step, {})[pack] = entry
    headings = ["step", *(f"{pack}: {run.merit(pack)}" for pack in packs), "epoch"]
    rows, values = [], []
    for step, found in by_step.items():
        figures = [_figure(found[pack], run.merit(pack)) if pack in found else "–" for pack in packs]
        values.append([found[pack].value(run.merit(pack)) if pack in found else None for pack in packs])
        rows.append(row(headings, [f"{step:,}", *figures, str(next(iter(found.values())).epoch)]))
    orders = [Order("step", 0, range(len(rows)))]
    for place, pack in enumerate(packs[: MOST_ORDERS - 1]):
        descending = run.merit(pack) not in BETTER_IS_LESS
        column = [row_values[place] for row_values in values]
        orders.append(order_by(f"best {shorten(pack, 24)}", 1 + place, column, descending=descending))

    def content(order: Order) -> str:
        return f"{head(headings, (), order)}<tbody>{''.join(rows[place] for place in order.places)}</tbody>"

    suffix = f"-{index + 1}" if several else ""
    box = sortable(f"validation-table{suffix}", f"Validations of {clean(run.name)}", orders, content)
    title = "Validations" + (f": {name(run.name)}" if several else "")
    heading = f'<h2 id="validations{suffix}">{title}</h2>'
    return f'<details class="model"><summary>{heading}</summary>{box}</details>' if several else heading + box


def _settings(runs: Sequence[TrainingRun]) -> str:
    """All settings of the runs; of several, those that differ come first and are marked."""
    known = [run for run in runs if run.settings]
    if not known:
        return ""
    keys = list(dict.fromkeys(key for run in known for key in run.settings))
    differ = {key for key in keys if len({repr(run.settings.get(key)) for run in known}) > 1}
    headings = ("setting", *(run.name for run in known))
    rows = []
    for key in sorted(keys, key=lambda key: key not in differ):
        cells = [f'<span class="digits">{escape(str(run.settings.get(key, "–")))}</span>' for run in known]
        label = escape(key) + (' <i class="flag">differs</i>' if key in differ else "")
        rows.append(row(headings, [label, *cells], [""] + ["text wrap"] * len(known)))
    content = f"{head(headings, range(1, len(headings)))}<tbody>{''.join(rows)}</tbody>"
    box = scrolling("settings-table", "Settings", content)
    count = plural(len(keys), "setting") + (f", {len(differ)} of them differ" if differ else "")
    return f'<h2 id="settings">Settings</h2><details><summary>{count}</summary>{box}</details>'
