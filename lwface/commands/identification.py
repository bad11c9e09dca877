"""Open-set 1:N identification from feature files: rank-1/5/10, CMC, TPIR at FPIR.

    python eval/identification.py --probe p.bin --probe-labels p.txt --gallery g.bin --gallery-labels g.txt
    python eval/identification.py --features features.bin --labels labels.txt --gallery-per-person 1
    python eval/identification.py --features features.bin --labels people --strangers 20

Labels are one integer a line in the order of the rows, a column of a csv, the folders of a file list, or the folder of
people that the features were made from. -1 (in a csv also nothing) is a person of its own: in the probe somebody who is
not in the gallery, in the gallery somebody who is not searched for. With ``--features`` the first rows of each person
are enrolled and all other rows are searched for, those labelled -1 as strangers, and those of as many other people as
``--strangers`` says.

What is counted, how ties fall and why it is exact: ``lwface/scoring/open_set.py``. Intervals:
``lwface/scoring/search_intervals.py``. In the JSON, ``cmc`` has an entry ``[rank, hits]`` for each rank that occurs:
between two of them the curve stays as it is.
"""

from __future__ import annotations

import argparse

from lwface.base.commands import existing, load
from lwface.commands.flags import add_bootstrap_flags, add_label_flags, check_label_flags, command_parser
from lwface.scoring.parameters import BLOCK_SIZE, parse_fpirs, parse_ranks


def main(argv: list[str] | None = None) -> None:
    """Search, print the tables, write the JSON where asked."""
    args = parse_arguments(argv)
    load("torch")
    from lwface.base.files import write_json
    from lwface.scoring.identification import identify, read_one, read_two, table

    kind = {"column": args.label_column, "depth": args.label_folders}
    if args.features:
        given = {"gallery_per_person": args.gallery_per_person, "strangers": args.strangers, "seed": args.seed}
        sides = read_one(args.features, args.labels, **given, **kind)
    else:
        sides = read_two((args.probe, args.probe_labels), (args.gallery, args.gallery_labels), **kind)
    found = identify(
        *sides,
        args.rank,
        args.fpir,
        rank_limit=args.tpir_rank,
        replicates=args.bootstrap,
        seed=args.seed,
        block_size=args.block_size,
    )
    print(table(found))
    if args.json:
        write_json(args.json, found.as_json())


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments, checked as far as they can be before anything is computed; ``rank`` and ``fpir`` as numbers.

    Raises:
        UserError: a rank is not a number from 1 on, or an FPIR not above 0 and below 1.
        OSError: a file is not there.
    """
    parser = command_parser("Open-set 1:N identification.")
    add = parser.add_argument
    add("--probe", metavar="FILE", help="feature file whose rows are searched for")
    add(
        "--probe-labels",
        metavar="FILE",
        help="who is on each row, one integer a line unless a flag below says otherwise; -1: a stranger",
    )
    add("--gallery", metavar="FILE", help="feature file of the enrolled people")
    add("--gallery-labels", metavar="FILE", help="the same for the gallery; -1: nobody who is searched for")
    add("--features", metavar="FILE", help="in place of these: one feature file, cut into gallery and probe")
    add("--labels", metavar="FILE", help="who is on each of its rows; or its folder of people")
    add_label_flags(parser)
    add("--gallery-per-person", type=int, metavar="N", default=1, help="rows of each person that are enrolled")
    strangers = "with --features: people, drawn by --seed, who are kept out of the gallery and searched for in vain"
    add("--strangers", type=int, metavar="N", default=0, help=strangers)
    add("--rank", default="1,5,10", help="ranks to print, comma-separated")
    add("--fpir", default="0.1,0.01,0.001", help="false positive identification rates, above 0 and below 1")
    add("--tpir-rank", type=int, default=1, metavar="R", help="a mate counts as identified at this rank or better")
    add_bootstrap_flags(parser)
    add("--json", metavar="FILE", help="write the figures and the whole CMC here")
    add("--block-size", type=int, default=BLOCK_SIZE, help="gallery rows of a block: never changes a result")
    args = parser.parse_args(argv)
    four = ("probe", "probe_labels", "gallery", "gallery_labels")
    given = [name for name in four if getattr(args, name)]
    if bool(args.features) != bool(args.labels) or len(given) not in (0, 4) or bool(args.features) == bool(given):
        parser.error("give --probe and --gallery with their labels, or --features with --labels")
    if args.strangers < 0 or (args.strangers and not args.features):
        parser.error("--strangers N takes N from 0 on, and --features: of --probe and --gallery they are known")
    if args.bootstrap < 0:
        parser.error("--bootstrap must be at least 0")
    check_label_flags(parser, args)
    for name in ("gallery_per_person", "tpir_rank", "block_size"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    args.rank, args.fpir = parse_ranks(args.rank), parse_fpirs(args.fpir)
    existing(args.probe, args.probe_labels, args.gallery, args.gallery_labels, args.features, args.labels)
    return args
