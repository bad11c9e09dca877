"""The tensors of a run by name, as a checkpoint has them, and back.

``modules/MODULE/NAME`` of the modules' states, ``optimizer/MODULE/NAME/KEY`` of what the optimiser keeps,
``average/MODULE/NAME`` of the averaged weights. Rows that only this process holds are a DTensor, a part of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.training.average import WeightAverage
from lwface.training.checkpoint import SavedRun, SavedTensor
from lwface.training.row_updates import RowHolder

EXTRA = "_extra_state"  # PyTorch's name of what a module keeps beside tensors of its own; its size may change

_Whole = Callable[[Tensor], Tensor]


class RunState:
    """What of a run is tensors.

    Args:
        modules: by name.
        optimizer: over parameters of theirs; None: for the modules alone.
        average: of them; None: there is none.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        optimizer: torch.optim.Optimizer | None = None,
        average: WeightAverage | None = None,
    ) -> None:
        self.modules, self.optimizer, self.average = modules, optimizer, average
        self.parameters = {
            f"{name}/{key}": parameter
            for name, module in modules.items()
            for key, parameter in module.named_parameters()
        }
        # What makes a part of the whole of rows that are held here, by the name of the parameter.
        self.rows: dict[str, _Whole] = {}
        for name, module in modules.items():
            if isinstance(module, RowHolder):
                held = {id(parameter) for parameter in module.row_parameters()}
                for key, parameter in modules[name].named_parameters():
                    if id(parameter) in held:
                        self.rows[f"{name}/{key}"] = module.global_rows

    def tensors(self) -> dict[str, Tensor]:
        """All of them, as they are: they share their memory."""
        found = {f"modules/{name}": self._whole(name, tensor) for name, tensor in self._state().items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items() if self.optimizer else ():
                if isinstance(value, Tensor):
                    found[f"optimizer/{name}/{key}"] = self._whole(name, value)
        if self.average:
            named = zip(self.average.names(), self.average.average, strict=True)
            found |= {f"average/{name}": self._whole(name, tensor) for name, tensor in named}
        return found

    def restore(self, saved: SavedRun) -> None:
        """Fill modules, optimiser and average from a checkpoint.

        Raises:
            UserError: it is damaged, or of other modules.
        """
        there = saved.tensors()
        if saved.facts.pop("by_number", False):
            self._restore_numbered(saved, there)
            return
        self._fill(saved, there, self._targets(saved.path, there), str)

    def take_modules(self, saved: SavedRun) -> None:
        """Fill the modules alone from the checkpoint of a run that has them, and maybe others.

        Raises:
            UserError: it is damaged, or of other modules.
        """
        ours = tuple(f"modules/{name}/" for name in self.modules)
        there = {name: about for name, about in saved.tensors().items() if name.startswith(ours)}
        targets = self._targets(saved.path, there)
        targets = {name: target for name, target in targets.items() if name.startswith("modules/")}
        self._fill(saved, there, targets, str)

    def _targets(self, path: Path, there: Mapping[str, SavedTensor]) -> dict[str, Tensor]:
        """What is to be filled; what the optimiser does not have yet is made."""
        for name in there:
            kind, rest = name.split("/", 1)
            if kind == "optimizer" and rest.rpartition("/")[0] not in self.parameters:
                raise UserError(f"{path}: it is of another network or loss: {name} is not in this one")
            if kind == "optimizer":
                self._room(rest.rpartition("/")[0], rest.rpartition("/")[2], there[name])
        targets = self.tensors()
        for name in targets:
            if name.endswith(EXTRA) and name in there:
                targets[name] = torch.empty(there[name].shape, dtype=there[name].dtype)
        return targets

    def _room(self, name: str, key: str, about: SavedTensor) -> None:
        """A tensor of the optimiser, to be filled."""
        assert self.optimizer is not None
        parameter = self.parameters[name]
        if name in self.rows:
            shape = (len(parameter), *about.shape[1:])
            room = torch.empty(shape, dtype=about.dtype, device=parameter.device)
        elif about.shape == parameter.shape and key != "step":
            room = torch.empty_like(parameter, dtype=about.dtype, requires_grad=False)
        else:
            room = torch.empty(about.shape, dtype=about.dtype, device=parameter.device)  # where fused updates count
        self.optimizer.state[parameter][key] = room

    def _fill(
        self,
        saved: SavedRun,
        there: Mapping[str, SavedTensor],
        targets: dict[str, Tensor],
        called: Callable[[str], str],
    ) -> None:
        """Read ``targets``; ``called`` gives the name that the checkpoint has for one of ours."""
        names = {called(name): name for name in targets}
        for name in sorted(names.keys() ^ there.keys()):
            where = "is not in it" if name in names else "is not in this one"
            raise UserError(f"{saved.path}: it is of another network or loss: {names.get(name, name)} {where}")
        for name, own in names.items():
            if there[name].shape != targets[own].shape:
                shapes = f"{tuple(there[name].shape)}, here it is {tuple(targets[own].shape)}"
                raise UserError(f"{saved.path}: it is of another network or loss: {own} is {shapes}")
        with torch.no_grad():
            saved.read({name: targets[own] for name, own in names.items()})
        for name, tensor in targets.items():
            if name.endswith(EXTRA):
                _, module, key = name.split("/", 2)
                owner = self.modules[module].get_submodule(key[: -len(EXTRA)].rstrip("."))
                owner.set_extra_state(tensor)

    def _restore_numbered(self, saved: SavedRun, there: dict[str, SavedTensor]) -> None:
        """From a checkpoint of format 2, which numbers parameters and averages, and has all rows of a classifier."""
        assert self.optimizer is not None
        numbers = {id(p): n for n, p in enumerate(p for group in self.optimizer.param_groups for p in group["params"])}
        renamed = {}
        for name, parameter in self.parameters.items():
            if id(parameter) in numbers:
                renamed[f"optimizer/{name}/"] = f"optimizer/{numbers[id(parameter)]}/"
        names = enumerate(self.average.names()) if self.average else ()
        averages = {f"average/{name}": f"average/{number}/" for number, name in names}

        def called(name: str) -> str:
            head, key = name.rpartition("/")[::2]
            return averages.get(name) or (f"{renamed[head + '/']}{key}" if head + "/" in renamed else name)

        own = {theirs: ours for ours, theirs in renamed.items()}
        for name in there:
            head, key = name.rpartition("/")[::2]
            if head + "/" in own:
                self._room(own[head + "/"].split("/", 1)[1].rstrip("/"), key, there[name])
        targets = self.tensors()
        for name in targets:
            if name.endswith(EXTRA) and name in there:
                targets[name] = torch.empty(there[name].shape, dtype=there[name].dtype)
        holders = {f"modules/{name.split('/')[0]}/{EXTRA}" for name in self.rows}
        self._fill(saved, {name: about for name, about in there.items() if name not in holders}, targets, called)

    def _state(self) -> dict[str, Tensor]:
        """Of all modules, without what says which rows a process holds."""
        return {
            f"{name}/{key}": tensor
            for name, module in self.modules.items()
            for key, tensor in module.state_dict().items()
            if not (key == EXTRA and isinstance(module, RowHolder))
        }

    def _whole(self, name: str, tensor: Tensor) -> Tensor:
        return self.rows[name](tensor.detach()) if name in self.rows else tensor.detach()
