"""From a trained model to a folder with a page, which gets its name when all of it is checked and written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from lwface.base.files import replacing_folder
from lwface.deploy.export import checked_model
from lwface.deploy.web.page import make_page
from lwface.deploy.web.runtime import read_runtime
from lwface.deploy.web.wish import MODEL, PAGE, PageWish, check_folder
from lwface.deploy.wish import Wish


def export_page(network: nn.Module, config: Mapping[str, Any], output: Path, wish: Wish, page: PageWish) -> list[str]:
    """Make, check and write the folder ``output``; what was found, as lines for the user.

    Args:
        network, config, wish: as for :func:`lwface.deploy.export.export`.
        page: what the page is made of beside the model.

    Raises:
        BudgetError: the model is over the budget of the track; nothing is written.
        UserError: the model cannot be exported or fed by a page, or onnxruntime-web not be had; nothing is written.
    """
    check_folder(output)
    runtime = read_runtime(page.runtime)
    model, lines = checked_model(network, config, page.name, wish)
    text = make_page(model, page, runtime).encode()
    with replacing_folder(output) as folder:
        (folder / MODEL).write_bytes(model)
        (folder / PAGE).write_bytes(text)
    written = (
        f"{output / PAGE}: written, {len(text)} bytes, the network and all that runs it inside; and {output / MODEL}"
    )
    return [*lines, *([runtime.note] if runtime.note else []), written]
