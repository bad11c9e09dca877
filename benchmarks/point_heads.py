"""Bodies, heads and losses of points, each trained as long as the others, on people that none of them saw.

    python benchmarks/point_heads.py --data ytf-keypoints --work build/heads --steps 500

Every combination sees the same pictures in the same order, with the same augmentation and rate; the error is that of
the people held out, as it is and behind a linear map fitted on those learnt from (``landmarks/adapt.py``), with its
95 % interval over people. One seed: differences within an interval tell nothing. Models are kept in --work, so the
same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from lwface.base.commands import load, run_command
from lwface.base.errors import UserError
from lwface.landmarks.options import LOSS_OF_HEAD, PointSource, PointWish

COMBINATIONS = (  # network, head, loss
    ("r12_p", "integral", "l1"),
    ("r12_ps", "integral", "l1"),
    ("r12_ps", "integral", "smooth_l1"),
    ("r12_ps", "integral", "wing"),
    ("r12_ps", "coordinates", "l1"),
    ("r12_ps", "coordinates", "wing"),
    ("r12_ps", "coordinates", "smooth_l1"),
    ("r12_ps", "coordinates", "nll"),
    ("r12_ps", "simcc", "l1"),
    ("r12_ps", "simcc", "cross_entropy"),
    ("r10_xs", "integral", "l1"),
    ("r10_xs", "coordinates", "l1"),
    ("r10_xs", "heatmap", "adaptive_wing"),
    ("r10_xs", "pip", "l1"),
)
ROW = "| `{}` | `{}` | `{}` | {:.0f} | {:.2f} | {:.2f} | {:.2f} ({:.2f} to {:.2f}) |"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pictures with points, several people")
    parser.add_argument("--work", type=Path, required=True, help="folder of the models")
    parser.add_argument("--steps", type=int, default=500, help="of 64 pictures each (default: 500)")
    parser.add_argument("--lr", type=float, default=0.003, help="learning rate of all (default: 0.003)")
    parser.add_argument("--held-out", type=float, default=0.2, help="share of the people that judge (default: 0.2)")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--only", metavar="NETWORK-HEAD-LOSS", nargs="+", help="these combinations")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Train what is not there yet, and print the table."""
    args = parse_arguments(argv)
    if not args.data.exists():
        raise UserError(f"--data {args.data}: no such folder or csv")
    load("torch")
    torch.set_num_threads(1)
    chosen = [one for one in COMBINATIONS if not args.only or "-".join(one) in args.only]
    if not chosen:
        raise UserError(f"--only {' '.join(args.only)}: known are {', '.join('-'.join(one) for one in COMBINATIONS)}")
    rows = [row(args, *one) for one in chosen]
    print("\n| network | head | loss | MFLOPs | MB | NME % | adapted % (95 %) |\n|---|---|---|--:|--:|--:|--:|")
    print("\n".join(rows))


def row(args: argparse.Namespace, network: str, head: str, loss: str) -> str:
    """A line of the table; the model is trained where it is not there."""
    from lwface.gate.flops import count_flops
    from lwface.landmarks.adapting import fit_map
    from lwface.landmarks.dataset import PointDataset
    from lwface.landmarks.task import PointTask, nme_by_box
    from lwface.landmarks.train import open_data, point_run, prepare, run_folder
    from lwface.models.store import load_model
    from lwface.networks.points import PointNetwork
    from lwface.scoring.drawn_groups import interval

    assert head in LOSS_OF_HEAD
    wish = PointWish(network, head, loss, [PointSource(args.data)], held_out=args.held_out, augmentation=0.5)
    settings = {
        "max_steps": args.steps, "lr": args.lr, "warmup_steps": 50, "verbose": args.steps, "num_workers": 0,
        "precision": args.precision, "models_root": str(args.work / f"{loss}-{args.steps}-{args.precision}"),
    }  # fmt: skip
    run = point_run(wish, **settings)
    folder = run_folder(run)
    if not (folder / "model-0001.safetensors").is_file():
        loop = prepare(wish, run, folder=folder)
        if loop.start(resume=True):
            raise SystemExit(130)
    model, _ = load_model(f"{folder / 'model'},1")
    assert isinstance(model, PointNetwork)
    learnt, held_out, _ = open_data(wish)
    place = torch.device("cpu")
    fit, judge = PointDataset(learnt), PointDataset(held_out)
    task = PointTask(model, fit, judge, loss, run, place)
    found, true = task.found(judge)
    before, wanted = task.found(fit)
    fitted = fit_map(before.double().numpy(), wanted.double().numpy(), [one.person for one in learnt])
    mapped = torch.from_numpy(fitted(found.double().numpy()))
    told = interval(nme_by_box(mapped, true.double()).numpy(), [one.person for one in held_out])
    raw = float(nme_by_box(found, true).mean())
    cost = count_flops(model)
    shares = (100 * value for value in (raw, told.value, told.low or 0.0, told.high or 0.0))
    return ROW.format(network, head, loss, cost.flops / 1e6, cost.model_bytes / 1e6, *shares)


if __name__ == "__main__":
    run_command(main)
