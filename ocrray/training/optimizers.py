"""Muon and AdamW combined into the one optimizer that a trainer expects."""

import re
from collections.abc import Callable
from typing import Any, overload

import torch

from ocrray.training.muon import FullPrecisionMuon

_IN_A_LAYER = re.compile(r"\.\d+\.")  # index in a list of layers, whatever the architecture calls the list
_POSITIONS = re.compile(r"(^|\.)rel_pos_[hw]$")  # SAM's and GOT-OCR2's tables of relative positions: rows that are looked up


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon (https://kellerjordan.github.io/posts/muon) for the matrices inside layers, AdamW for all else.

    Both use the same learning rate: Muon's updates are scaled to the RMS of AdamW's.
    """

    def __init__(self, model: torch.nn.Module, *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
        named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        matrices = [weight for name, weight in named if _is_matrix(name, weight)]
        ids = {id(weight) for weight in matrices}
        others = [weight for _, weight in named if id(weight) not in ids]
        self._parts: list[torch.optim.Optimizer] = [
            FullPrecisionMuon(matrices, lr=lr, weight_decay=weight_decay),
            torch.optim.AdamW(others, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay),
        ]
        super().__init__([group for part in self._parts for group in part.param_groups], {"lr": lr})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Do one step of both optimizers; closures are not supported."""
        if closure is not None:
            raise ValueError("MuonWithAdamW takes no closure")
        for part in self._parts:
            part.step()
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both, Muon's first."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the result of `state_dict`."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]  # loading creates new groups


def _is_matrix(name: str, weight: torch.Tensor) -> bool:
    return weight.ndim == 2 and bool(_IN_A_LAYER.search(name)) and not _POSITIONS.search(name)
