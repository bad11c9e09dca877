"""Where models and data lie, and which ``config.py`` is the user's.

In a checkout that is its root, whatever the current folder is, and its ``config.py``. Installed, the library is
nobody's experiment: models and data are looked for below the current folder or ``--root``, and a ``config.py`` that
happens to lie there is never run; ``--config`` names one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lwface.base.errors import UserError
from lwface.base.files import shown

SYNTHETIC = "synthetic"  # the data set that is made and not fetched


def checkout() -> Path | None:
    """The root of the checkout that this package lies in; None where it is installed."""
    root = Path(__file__).resolve().parents[2]
    is_ours = (root / "sample_config.py").is_file() and (root / "recognition" / "train.py").is_file()
    return root if is_ours else None


def typed(command: str, script: str) -> str:
    """How a command is typed from the current folder: the ``script`` of the checkout, or ``command`` installed."""
    root = checkout()
    return f"lwface {command}" if root is None else f"python {shown(root / script)}"


@dataclass(frozen=True)
class Places:
    """Where relative paths of a configuration start, and the user's configuration.

    Attributes:
        root: absolute.
        config: a file with overrides of ``sample_config.py``; None: there are none.
    """

    root: Path
    config: Path | None

    def dataset_folder(self, path: str) -> Path:
        """``path`` from the root, or from ``recognition/``, where the original's ``../datasets/x`` starts."""
        folder = Path(path).expanduser()
        from_root, from_recognition = (self.root / folder).resolve(), (self.root / "recognition" / folder).resolve()
        return from_recognition if path.startswith("../") and not from_root.exists() else from_root

    @classmethod
    def of(cls, root: str | None = None, config: str | None = None) -> Places:
        """The places that ``--root`` and ``--config`` name, or else the usual ones.

        Raises:
            UserError: one of them does not exist.
        """
        ours = checkout()
        if root is not None and not Path(root).is_dir():
            raise UserError(f"--root {root}: no such folder; expected the one with datasets/ and models/")
        if config is not None and not Path(config).is_file():
            what = "is a folder" if Path(config).is_dir() else "no such file"
            raise UserError(f"--config {config}: {what}; expected a file such as config.py")
        if config is not None:
            chosen: Path | None = Path(config).resolve()
        else:
            chosen = ours / "config.py" if ours and (ours / "config.py").is_file() else None
        return cls((Path(root) if root is not None else ours or Path.cwd()).resolve(), chosen)


def how_to_make(folder: Path) -> str:
    """What makes the data set :data:`SYNTHETIC` at ``folder``."""
    return f"{typed('make-synthetic', 'datasets/make_synthetic.py')} --output {shown(folder)} makes it"


def require_dataset(folder: Path, name: str) -> None:
    """Stop where the folder of data set ``name`` is not there, or holds no records.

    Raises:
        UserError: with what to do.
    """
    if not folder.exists() and folder.name == SYNTHETIC:
        raise UserError(f"{folder}: there is no data set {name!r} yet: {how_to_make(folder)}")
    if not folder.exists():
        raise UserError(
            f"{folder}: there is no data set {name!r}: the README says where to get it or how to make it; "
            "another place is set by dataset_path in config.py"
        )
    if folder.is_dir() and not (folder / "train.rec").is_file():
        raise UserError(
            f"{folder}: no train.rec in it: python datasets/build_rec.py --input PEOPLE --output {folder} makes it of "
            "a folder of people"
        )
