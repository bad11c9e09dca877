"""The search itself: networks proposed by Optuna, trained by a proxy, kept on disk after each, continued at any time.

The study is a SQLite file: a process killed in the middle of a write leaves the last whole state. A network whose
training was cut short is drawn and trained again. A draw depends on the search's seed, on how many draws were completed
before it, and on their scores, never on how often the search was interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sqlite3
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lwface.base.commands import EXIT_INTERRUPTED, EXIT_OK
from lwface.base.device import select_device
from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.base.files import write_json, write_text
from lwface.base.lock import held
from lwface.gate.budgets import BudgetError
from lwface.gate.flops import FlopsReport, budget_violations, count_flops, flops_text
from lwface.recognition.preparation import open_dataset
from lwface.search.held_out import HeldOut
from lwface.search.options import SearchOptions
from lwface.search.proxy import Proxy, Try, recipe, report_steps
from lwface.search.results import BASELINE, COMPLETE, PRUNED, Row, as_json, entry, table, winner_of
from lwface.search.space import (
    CLOSE,
    FAMILIES,
    SHARE,
    draw_parameters,
    family_settings,
    fit,
    on_meta,
    ranges,
    shape_of,
)
from lwface.settings.resolve import network_settings, resolve
from lwface.settings.run import Run

STARTUP_TRIALS = 8  # drawn at random before the optimiser has anything to learn from
UNPRUNED_TRIALS = 4  # trained to the end before any is compared with their median
REFUSALS = 60  # draws in a row that do not spend --min-flops
STUDY_NAME = "search"


def search(options: SearchOptions) -> int:
    """Search as ``options`` say, from the beginning or from where it was interrupted; the exit status.

    Raises:
        UserError: for all that stops a search before or while it runs.
    """
    optuna = require("optuna", extra="search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    running = Search(options, optuna)
    options.folder.mkdir(parents=True, exist_ok=True)
    busy = f"{options.folder}: another run is training here: wait for it, or give another --models-root"
    with held(options.folder, busy), contextlib.closing(running):
        running.open()
        try:
            running.run()
            status = EXIT_OK
        except KeyboardInterrupt:
            print(f"stopped after {len(running.rows())} of {options.trials} trials; the same command continues there")
            status = EXIT_INTERRUPTED
        running.report()
    return status


class Search:
    """A search and what it knows of its data."""

    def __init__(self, options: SearchOptions, optuna: Any) -> None:
        self.options, self.optuna = options, optuna
        self.storage: Any = None
        select_device(options.device)  # what is not there is told before anything is made
        family, places = next(iter(FAMILIES.values())), options.places
        run = resolve(family, options.dataset, options.loss, places=places, lr=options.lr, net_act=options.act)
        with contextlib.redirect_stdout(io.StringIO()):
            data, (classes,) = open_dataset(run)
        size = (run.image_shape[0], run.image_shape[1])
        self.held_out = HeldOut(Path(run.dataset_path), list(run.val_targets), size)
        far = options.far or self.held_out.usual_far()
        self.held_out.check(far)
        self.proxy = Proxy(
            options.dataset,
            options.loss,
            recipe(steps=options.steps, images_per_step=options.images_per_step, seed=options.seed, lr=options.lr),
            report_steps(options.steps, options.reports),
            far,
            options.device,
            options.places,
        )
        resolve(family, options.dataset, options.final_loss, places=places)  # so is an unknown name
        self.baselines = {name: self._baseline(name) for name in options.baselines}
        self.identity = self._identity(run, len(data), classes)

    def _identity(self, run: Run, images: int, classes: int) -> dict[str, Any]:
        """What must stay as it is for trials to be comparable, as JSON holds it."""
        o = self.options
        identity = {
            "track": o.track.name,
            "dataset": o.dataset,
            "loss": o.loss,
            "family": o.family,
            "seed": o.seed,
            "steps": o.steps,
            "images-per-step": o.images_per_step,
            "lr": run.lr,
            "act": o.act,
            "reports": o.reports,
            "far": float(self.proxy.far),
            "min-flops": o.shares[0],
            "max-flops": o.shares[1],
            "training images": images,
            "identities": classes,
            "genuine pairs": self.held_out.genuine_pairs,
            "impostor pairs": self.held_out.impostor_pairs,
            "ranges": {family: ranges(family, o.track) for family in FAMILIES if o.family in (family, "both")},
        }
        return json.loads(json.dumps(identity))

    def _baseline(self, name: str) -> tuple[dict[str, Any], FlopsReport]:
        """Settings and count of the configuration's network ``name``, which must be within the budget."""
        settings = family_settings(network_settings(name, self.options.places))
        report = count_flops(on_meta(settings))
        found = budget_violations(report, self.options.track)
        if found:
            raise BudgetError(f"--baseline {name} is refused: {'; '.join(found)}")
        return settings, report

    def open(self) -> None:
        """Open the study on disk, or begin it.

        Raises:
            UserError: the file is no study, or one with other settings.
        """
        optuna, path = self.optuna, self.options.folder / "study.db"
        sqlalchemy = require("sqlalchemy", extra="search")
        try:
            self.storage = optuna.storages.RDBStorage(
                f"sqlite:///{path.name}", engine_kwargs={"creator": lambda: _connect(path)}
            )
            self.study = optuna.create_study(
                storage=self.storage,
                study_name=STUDY_NAME,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
                load_if_exists=True,
            )
        except (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
            raise UserError(
                f"{path}: not a study that can be continued ({str(error).splitlines()[0]}): move it away, or give "
                "another --models-root"
            ) from None
        begun = self.study.user_attrs.get("search")
        if begun is None:
            self.study.set_user_attr("search", self.identity)
        elif begun != self.identity:
            name = next(name for name in [*self.identity, *begun] if begun.get(name) != self.identity.get(name))
            raise UserError(
                f"{path}: the search was begun with {name} {_short(begun.get(name))}, now it is "
                f"{_short(self.identity.get(name))}: give what it was, or another --models-root for a new search"
            )
        for trial in self._trials(optuna.trial.TrialState.RUNNING):  # its process was interrupted: drawn again below
            self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def close(self) -> None:
        """Let go of the study's file."""
        if self.storage is not None:
            self.storage.remove_session()
            self.storage.engine.dispose()

    def run(self) -> None:
        """Train the baselines that were not yet, then networks until there are ``--trials``."""
        o = self.options
        limit, low, high = o.track.flops, o.shares[0], o.shares[1]
        print(f"{o.folder}: {o.family} networks of {low:.0%} to {high:.0%} of {limit} FLOPs ({o.track.name})")
        print(f"judged by {self.held_out.words}: TAR at FAR {float(self.proxy.far):g}", flush=True)
        for name, (settings, report) in self.baselines.items():
            if _baseline_key(name) not in self.study.user_attrs:
                row = self._train(name, settings, report)
                self.study.set_user_attr(_baseline_key(name), vars(row))
                self._say(f"baseline {name}", row)
        while (done := len(self.rows())) < o.trials:
            row = self._next_trial(done)
            self._say(f"trial {done + 1} of {o.trials}", row)

    def rows(self) -> list[Row]:
        """The trials that were trained, in their order."""
        state = self.optuna.trial.TrialState
        rows = []
        for number, trial in enumerate(self._trials(state.COMPLETE, state.PRUNED), start=1):
            rows.append(Row(**{**trial.user_attrs["row"], "name": str(number)}))
        return rows

    def report(self) -> None:
        """Write what there is: ``results.json``, the plot, the winner's entry; print the table."""
        o, rows = self.options, self.rows()
        if not rows:
            return
        names = [key for key in self.study.user_attrs if key.startswith(_baseline_key(""))]
        everything = [*rows, *(Row(**self.study.user_attrs[name]) for name in names)]
        write_json(o.folder / "results.json", as_json(everything, self.identity, o.track))
        from lwface.search.plot import write_plots  # Matplotlib takes a second to load

        far = f"{float(self.proxy.far):g}"
        proxy = f"{o.steps} steps of {o.images_per_step} images of {o.dataset}"
        plots = write_plots(o.folder, everything, o.track, far=far, proxy=proxy)
        print(f"\n{table(everything, o.track)}\n\n{o.folder / 'results.json'}\n{plots[0]}\n{plots[1]}")
        winner = winner_of(rows)
        if winner is None:
            return
        notes = (
            f"Trial {winner.name} of a search for {o.track.name} with {o.dataset}: family {o.family}, seed {o.seed}.",
            f"{winner.flops} FLOPs, {winner.model_bytes} bytes, TAR {winner.tar:.4f} at FAR {far} after {proxy}.",
        )
        text = entry(winner, o.name, notes, o.places)
        path = o.folder / f"{o.name}.py"
        write_text(path, text)
        train = f"--network {o.name} --loss {o.final_loss} --dataset {o.dataset} --track {o.track.name}"
        print(f"\nThe winner, for config.py ({path}):\n\n{text}\npython recognition/train.py {train}", flush=True)

    def _trials(self, *states: Any) -> list[Any]:
        return self.study.get_trials(deepcopy=False, states=states)

    def _next_trial(self, done: int) -> Row:
        """Draw a network that keeps the budget and train it."""
        o, state = self.options, self.optuna.trial.TrialState
        for trial in self._draws(done):
            low, high = o.shares
            parameters = draw_parameters(trial, o.family, o.track, (min(low / CLOSE, high), high))
            candidate = fit(shape_of(parameters, o.act), o.track, parameters[SHARE])
            if candidate is None or candidate.report.flops < low * o.track.flops:
                trial.set_user_attr("refused", "too large at its smallest" if candidate is None else "too small")
                self.study.tell(trial, state=state.FAIL)
                continue
            row = self._train(str(done + 1), candidate.settings, candidate.report, trial, parameters)
            trial.set_user_attr("row", vars(row))
            if row.state == PRUNED:
                self.study.tell(trial, state=state.PRUNED)
            else:
                self.study.tell(trial, row.tar)
            return row
        raise UserError(
            f"{REFUSALS} draws in a row gave no network of {o.shares[0]:.0%} to {o.shares[1]:.0%} of {o.track.name}'s "
            "FLOPs within its other limits: widen --min-flops and --max-flops"
        )

    def _draws(self, done: int) -> Iterator[Any]:
        """Trials of Optuna, each by a sampler of its own seed."""
        refused = sum("refused" in trial.user_attrs for trial in self._trials(self.optuna.trial.TrialState.FAIL))
        for number in range(done + refused, done + refused + REFUSALS):
            digest = hashlib.sha256(f"{self.options.seed}/{number}".encode()).digest()
            self.study.sampler = self.optuna.samplers.TPESampler(
                seed=int.from_bytes(digest[:4], "little"),
                n_startup_trials=STARTUP_TRIALS,
                multivariate=True,
                group=True,
                constant_liar=False,
            )
            yield self.study.ask()

    def _train(
        self,
        name: str,
        settings: dict[str, Any],
        report: FlopsReport,
        trial: Any = None,
        parameters: dict[str, Any] | None = None,
    ) -> Row:
        """Train one network; with ``trial``, report to it and end early where it says so."""
        start = time.monotonic()
        label = f"network {name}, {flops_text(report.flops)} FLOPs"
        tried = Try(
            self.proxy,
            settings,
            self.held_out,
            track=self.options.track.name,
            folder=self.options.folder,
            label=label,
        )
        scores: list[list[float]] = []
        pruned = False
        with contextlib.closing(tried.scores()) as measured:
            for score in measured:
                scores.append([score.step, score.tar])
                if trial is not None:
                    trial.report(score.tar, score.step)
                    pruned = score.step < self.options.steps and trial.should_prune()
                if pruned:
                    break
        return Row(
            name=name,
            state=BASELINE if trial is None else PRUNED if pruned else COMPLETE,
            tar=scores[-1][1],
            scores=scores,
            flops=report.flops,
            model_bytes=report.model_bytes,
            params=report.params,
            settings=tried.settings,
            parameters=parameters or {},
            digest=tried.digest,
            diverged=tried.diverged,
            seconds=round(time.monotonic() - start, 1),
        )

    def _say(self, what: str, row: Row) -> None:
        words = [
            f"{what}: {row.family}, {flops_text(row.flops)} FLOPs ({row.flops / self.options.track.flops:.0%})",
            f"TAR {row.tar:.4f} after {row.scores[-1][0]} steps",
            *(["pruned"] if row.state == PRUNED else []),
            *(["diverged"] if row.diverged else []),
        ]
        rows = self.rows()
        best = winner_of(rows)
        if best:
            words.append(f"best {best.tar:.4f}")
        words.append(f"{row.seconds:.0f} s")
        if rows:
            left = (self.options.trials - len(rows)) * sum(r.seconds for r in rows) / len(rows)
            words.append(f"about {left / 60:.0f} min left")
        print(", ".join(words), flush=True)


def _connect(path: Path) -> sqlite3.Connection:
    """The database at ``path`` with a write-ahead log: whole after a kill or a power cut, and quick to write."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _baseline_key(name: str) -> str:
    return f"baseline {name}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
