"""The flags that say where data and models lie and whose configuration is read."""

from __future__ import annotations

import argparse

from lwface.settings.places import Places


def add_place_flags(parser: argparse.ArgumentParser) -> None:
    """``--root`` and ``--config``."""
    parser.add_argument(
        "--root", metavar="DIR", help="folder of datasets/ and models/; not given: the checkout, or the current folder"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="overrides of sample_config.py; not given: the checkout's config.py, if any"
    )


def places_of(args: argparse.Namespace) -> Places:
    """What these flags say; :class:`UserError` for what does not exist."""
    return Places.of(args.root, args.config)
