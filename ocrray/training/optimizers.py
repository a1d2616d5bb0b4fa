"""Muon where it applies, AdamW elsewhere, as the one optimizer that a trainer expects."""

import re
from typing import Any

import torch

_IN_A_LAYER = re.compile(r"\.\d+\.")  # of a list of layers, whatever the architecture calls it


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon (https://kellerjordan.github.io/posts/muon) for the matrices inside layers, AdamW for embeddings, head and gains.

    Both take the same learning rate: Muon's updates are scaled to AdamW's size.
    """

    def __init__(self, model: torch.nn.Module, *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
        named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        matrices = [weight for name, weight in named if weight.ndim == 2 and _IN_A_LAYER.search(name)]
        ids = {id(weight) for weight in matrices}
        others = [weight for _, weight in named if id(weight) not in ids]
        self._parts = [
            torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay),
        ]
        super().__init__([group for part in self._parts for group in part.param_groups], {"lr": lr})

    def step(self, closure: Any = None) -> None:
        """One step of both; a closure is not supported."""
        if closure is not None:
            raise ValueError("MuonWithAdamW takes no closure")
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both, Muon's first."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]  # loading made new ones
