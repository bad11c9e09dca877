"""What the scripts that train small networks on rendered faces share: the short recipe, and one training of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lwface.base.errors import UserError
from lwface.base.files import write_text
from lwface.settings.dataset_folder import TEACHER

ROOT = Path(__file__).resolve().parents[1]
NETWORK, LOSS = "r10_s", "supcon"
PACE = "--per-batch-size 128 --lr 0.1 --lr-policy cosine --warmup-steps 50 --num-workers 1 --in-memory --clip-norm 5"
TEACHING = "--distill cosine --distill-weight 5"
PRECISION = "bf16"
NOTHING: Mapping[str, Any] = MappingProxyType({})


def run(command: str, *flags: str) -> None:
    """Run a door of this checkout; its words go to where ours go."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    status = subprocess.run([sys.executable, str(ROOT / command), *flags], env=environment).returncode
    if status:
        raise UserError(f"{command} ended with status {status}; what it says is above")


def train(
    data: Path,
    models: Path,
    *flags: str,
    network: str = NETWORK,
    loss: str = LOSS,
    steps: int,
    seed: int,
    taught: bool = True,
    augment: float = 1.0,
    precision: str = PRECISION,
    settings: Mapping[str, Any] = NOTHING,
) -> Path:
    """Train ``network`` on a rendered set as the network inside the package is, for fewer steps; the model's file.

    Args:
        data: what ``make_synthetic.py --teacher`` made.
        models: folder for the run, which goes on where it stopped.
        flags: more of ``recognition/train.py``.
        taught: the renderer teaches too.
        augment: strength of what is done to the pictures beside mirroring.
        settings: of the network, other than the configuration says.
    """
    asked = ["--network", network, "--loss", loss, "--dataset", str(data.resolve()), "--resume", *PACE.split()]
    asked += ["--models-root", str(models.resolve()), "--max-steps", str(steps), "--seed", str(seed)]
    asked += ["--augment", str(augment), "--precision", precision, "--verbose", "100000"]
    asked += ["--teacher", str(data / TEACHER), *TEACHING.split()] if taught else []
    if settings:
        lines = [f"network.{network}.{name} = {value!r}\n" for name, value in settings.items()]
        models.mkdir(parents=True, exist_ok=True)
        write_text(models / "config.py", "".join(["from sample_config import *\n", *lines]))
        asked += ["--config", str((models / "config.py").resolve())]
    run("recognition/train.py", *asked, *flags)
    return models / f"{network}-{loss}-{data.name}" / "model-0001.safetensors"
