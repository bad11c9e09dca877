"""IJB-B and IJB-C, 1:1 and 1:N, from their meta files and a feature file of their faces.

    python eval/ijb.py --protocol ijbc --meta IJBC/meta --features ijbc.bin --json ijbc.json

The features are those of the faces of ``P_name_5pts_score.txt``, in its order, best as the network gives them: faces
hard to see have small norms, and so count for less in their template. With ``--flip`` a row is the feature of a face
followed by that of its mirror image, and the two are added. The pooling: ``lwface/scoring/templates.py``. The meta
files: ``lwface/formats/ijb_meta.py``.

A template without a usable face fails to enrol: it matches nobody, which counts and is said.

What is counted and how it compares with the field's scripts: ``lwface/scoring/ijb.py``. Intervals of 1:N are in the
JSON.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.commands.flags import add_bootstrap_flags, command_parser
from lwface.scoring.parameters import IJB_GALLERIES, parse_fars, parse_fpirs


def main(argv: list[str] | None = None) -> None:
    """Pool, compare, search; print the tables and write the JSON where asked."""
    args = parse_arguments(argv)
    load("torch")
    from lwface.base.files import write_json
    from lwface.scoring import ijb

    folder, bootstrap = Path(args.meta), {"replicates": args.bootstrap, "seed": args.seed}
    pooled = ijb.read_templates(
        folder,
        args.protocol,
        args.features,
        norm_score=args.use_norm_score,
        detector_score=args.use_detector_score,
        flip=args.flip,
    )
    print(pooled.table())
    found = pooled.as_json()
    if args.task in ("both", "1:1"):
        verified = ijb.verify(folder, args.protocol, pooled.templates, args.far, **bootstrap)
        print(ijb.verification_table(verified))
        found["verification"] = ijb.verification_json(verified)
    if args.task in ("both", "1:N"):
        galleries = ijb.identify(folder, args.protocol, pooled.templates, args.fpir, **bootstrap)
        print(ijb.identification_table(galleries, args.fpir))
        found["identification"] = [gallery.as_json() for gallery in galleries]
    if args.json:
        write_json(args.json, found)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments, checked as far as they can be before anything is computed; ``far`` and ``fpir`` as numbers.

    Raises:
        UserError: a FAR or FPIR is not above 0 and below 1.
        OSError: the features or the folder of the meta files are not there.
    """
    parser = command_parser("IJB-B and IJB-C, 1:1 and 1:N.")
    add, flag = parser.add_argument, argparse.BooleanOptionalAction
    add("--protocol", choices=list(IJB_GALLERIES), required=True, help="which of the two")
    add("--meta", metavar="DIR", required=True, help="folder of the meta files, such as ijbc_face_tid_mid.txt")
    add(
        "--features", metavar="FILE", required=True, help="features of the faces of P_name_5pts_score.txt, in its order"
    )
    add("--task", choices=["both", "1:1", "1:N"], default="both", help="verification, identification or both")
    add("--use-norm-score", action=flag, default=True, help="a face counts with the norm of its feature")
    add("--use-detector-score", action=flag, default=True, help="a face counts with the score of its detection")
    add("--flip", action="store_true", help="a row is the feature of a face, then that of its mirror image; add them")
    add("--far", default="1e-6,1e-5,1e-4,1e-3,1e-2,1e-1", help="false accept rates of 1:1, comma-separated")
    add("--fpir", default="0.01,0.1", help="false positive identification rates of 1:N, comma-separated")
    add_bootstrap_flags(parser)
    add("--json", metavar="FILE", help="write the figures here, with all digits")
    args = parser.parse_args(argv)
    if args.bootstrap < 0:
        parser.error("--bootstrap must be at least 0")
    args.far, args.fpir = parse_fars(args.far), parse_fpirs(args.fpir)
    existing(args.features, args.meta)
    return args
