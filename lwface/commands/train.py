"""Train a face-recognition network: ``python recognition/train.py --network y2 --loss arcface --dataset retina``."""

from __future__ import annotations

import sys

from lwface.recognition.options import parse_options
from lwface.training.loop import train


def main() -> int:
    """Parse the command line and train."""
    return train(parse_options(sys.argv[1:]))
