"""The processes that measure one loss together: under torch.distributed each has its own examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .errors import RankLost, Unsuitable

__all__ = ["Processes"]


class Processes:
    """The ranks of a process group; one rank where there is none.

    Every sum is taken by all ranks at once and is the same on each to the bit. So all ranks take the same way through a
    search, and nothing else has to be sent.
    """

    def __init__(self, group: Any = None) -> None:
        self.group = group
        self.size = 1 if group is None else torch.distributed.get_world_size(group)
        self.rank = 0 if group is None else torch.distributed.get_rank(group)

    @staticmethod
    def of(model: nn.Module) -> Processes:
        """Those of a model in DistributedDataParallel, else this one."""
        while not isinstance(model, nn.parallel.DistributedDataParallel):
            inner = getattr(model, "_orig_mod", None)
            if inner is None:
                return Processes()
            model = inner
        return Processes(model.process_group)

    @staticmethod
    def present() -> int:
        """How many ranks torch.distributed has, whether a model uses them or not."""
        there = torch.distributed.is_available() and torch.distributed.is_initialized()
        return torch.distributed.get_world_size() if there else 1

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, in place. **Raises** RankLost where a rank did not take part in time."""
        if self.size > 1:
            try:
                torch.distributed.all_reduce(tensor, group=self.group)
            except RuntimeError as error:
                raise RankLost(
                    f"rank {self.rank} of {self.size} waited for a sum over all ranks, and one of them was gone or did "
                    "not ask for it: every rank has to measure at the same "
                    f"steps. The ranks cannot go on together (torch: {str(error).strip().splitlines()[0][:200]})"
                ) from error
        return tensor

    def total(self, number: int, device: torch.device) -> int:
        """The sum of a count over ranks."""
        return number if self.size == 1 else int(self.add(torch.tensor([number], dtype=torch.int64, device=device)))

    def agree(self, check: Callable[[], None], device: torch.device) -> None:
        """Runs a check that each rank makes of its own examples: where one refuses, all do."""
        if self.size == 1:
            return check()
        refusal: Unsuitable | None = None
        try:
            check()
        except Unsuitable as error:
            refusal = error
        if self.total(int(refusal is not None), device):
            raise refusal or Unsuitable("another rank refused to measure: its message says why")
