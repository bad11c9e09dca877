"""Train a face-recognition network: ``python recognition/train.py --network y2 --loss arcface --dataset retina``."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's root comes first, not this file's folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.commands import run_command
from recognition.options import parse_options
from recognition.trainer import train


def main() -> int:
    """Parse the command line and train."""
    return train(parse_options(sys.argv[1:]))


if __name__ == "__main__":
    run_command(main)
