"""The weights of a model as one flat vector, and stand-ins for them while a measurement goes on."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .errors import Unsuitable

COARSE = (torch.float16, torch.bfloat16)


def unwrap(model: nn.Module) -> nn.Module:
    """The module beneath DistributedDataParallel, DataParallel and torch.compile."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            inner = model.module
        if inner is None:
            return model
        model = inner


class Weights:
    """The measured parameters as one vector: tied ones once, frozen ones left out.

    Vectors are of f32, or of f64 where a parameter is. A measurement differentiates by *stand-ins*, leaves that share
    the memory of the parameters: so no hook on a parameter runs, no ``.grad`` is touched, and DistributedDataParallel
    sees nothing.
    """

    def __init__(self, model: nn.Module, params: Iterable[Tensor] | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        names = {id(p): name for name, p in model.named_parameters()}
        chosen = [p for p in model.parameters() if p.requires_grad] if params is None else list(params)
        for p in chosen:
            if id(p) not in names:
                raise ValueError("params holds a tensor that is not a parameter of the model")
        self._refuse_shards(
            [names[id(p)] for p in chosen if "DTensor" in (type(p).__name__, type(getattr(p, "data", None)).__name__)]
        )
        if any(type(m).__name__ == "FullyShardedDataParallel" for m in model.modules()):
            raise Unsuitable(
                "the model is in FullyShardedDataParallel, which torch replaces by fully_shard: shard it by "
                "torch.distributed.fsdp.fully_shard, or measure a model that is not sharded"
            )
        if not chosen:
            raise ValueError("no parameter requires a gradient: unfreeze some, or name them with params=[…]")
        if len({p.device for p in chosen}) > 1:
            raise Unsuitable("the parameters live on several devices: measure those of one, with params=[…]")
        for p in chosen:
            if p.dtype in COARSE:
                raise Unsuitable(
                    f"{names[id(p)]} is stored in {p.dtype}, whose relative rounding is "
                    f"{torch.finfo(p.dtype).eps:.0e}: a second derivative is lost in "
                    "it. Keep the weights in float32 (under autocast they are), or measure model.float()"
                )
        self.model = model
        self.params: list[Tensor] = list({id(p): p for p in chosen}.values())
        self.names = [names[id(p)] for p in self.params]
        self.sizes = [p.numel() for p in self.params]
        self.dtype = torch.float64 if any(p.dtype == torch.float64 for p in self.params) else torch.float32
        self.device = self.params[0].device

    def _refuse_shards(self, sharded: list[str]) -> None:
        if sharded:
            raise Unsuitable(
                f"{sharded[0]} is a distributed tensor, but no part of the model went through fully_shard (tensor "
                "parallelism?): measure a model that is not cut that way"
            )

    @property
    def length(self) -> int:
        """How many entries a vector has."""
        return sum(self.sizes)

    def flat(self, tensors: Iterable[Tensor]) -> Tensor:
        """Tensors shaped like the parameters, as one vector."""
        return torch.cat([t.detach().reshape(-1).to(self.dtype) for t in tensors])

    def vector(self, plain: Tensor) -> Tensor:
        """A flat tensor that was saved, as one of the vectors here."""
        return plain.to(device=self.device, dtype=self.dtype)

    def parts(self, vector: Tensor) -> list[Tensor]:
        """A vector as tensors shaped like the parameters."""
        return [x.view(p.shape).to(p.dtype) for x, p in zip(torch.split(vector, self.sizes), self.params)]

    def leaves(self, at: Tensor | None = None) -> list[Tensor]:
        """Stand-ins for the parameters at the point ``at``, or where they are."""
        tensors = self.params if at is None else self.parts(at)
        return [t.detach().requires_grad_(True) for t in tensors]

    @contextlib.contextmanager
    def standing_in(self, leaves: list[Tensor]) -> Iterator[None]:
        """The modules see ``leaves`` instead of their parameters; those that are not measured are seen without a
        gradient.
        """
        by_id = {id(p): leaf for p, leaf in zip(self.params, leaves)}
        owners: list[tuple[nn.Module, dict[str, Any]]] = []
        flats: list[tuple[nn.RNNBase, list[Any]]] = []
        try:
            for module in self.model.modules():
                kept = dict(module._parameters)
                owners.append((module, kept))
                for name, p in kept.items():
                    if p is not None:
                        module._parameters[name] = by_id.setdefault(id(p), p.detach())  # type: ignore[assignment]
                if isinstance(module, nn.RNNBase):
                    flats.append((module, module._flat_weights))
                    module._flat_weights = [by_id.get(id(w), w) for w in module._flat_weights]
            yield
        finally:
            for module, kept in owners:
                for name, p in kept.items():
                    module._parameters[name] = p
            for rnn, weights in flats:
                rnn._flat_weights = weights


class Generators:
    """The states of all generators that a forward pass may draw from."""

    def __init__(self, devices: set[torch.device]) -> None:
        self.devices = [d for d in devices if d.type not in ("cpu", "meta")]
        self.states = self._read()

    def _read(self) -> tuple[Any, ...]:
        numpy = sys.modules.get("numpy")
        drawn = numpy.random.get_state() if numpy is not None else None
        device = [torch.get_device_module(d).get_rng_state(d) for d in self.devices]
        return torch.get_rng_state(), device, random.getstate(), drawn

    def has_moved(self) -> bool:
        """Whether torch's have drawn since."""
        now = self._read()
        pairs = zip((self.states[0], *self.states[1]), (now[0], *now[1]))
        return not all(torch.equal(before, after) for before, after in pairs)

    def rewind(self) -> None:
        cpu, device, python, drawn = self.states
        torch.set_rng_state(cpu)
        for d, state in zip(self.devices, device):
            torch.get_device_module(d).set_rng_state(state, d)
        random.setstate(python)
        if drawn is not None:
            sys.modules["numpy"].random.set_state(drawn)


class Quiet:
    """A span in which the model may be run and nothing of it changes; ``rewind`` leads back to its beginning, or to
    where the generators stood at ``beginning``, such as before the forward pass of a step.

    Kept and restored: the generators of the CPU, of every device of the model, of Python and of numpy; all buffers (the
    modules work on copies); training modes; ``requires_grad``; backward hooks of modules, which are lifted meanwhile;
    grad, inference and autocast mode.
    """

    def __init__(self, model: nn.Module, beginning: Generators | None = None) -> None:
        self.model, self.beginning = model, beginning
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Quiet:
        model, enter = self.model, self.stack.enter_context
        try:
            tensors = [*model.parameters(), *model.buffers()]
            self.generators = Generators({t.device for t in tensors})
            self.stack.callback(self.generators.rewind)
            if self.beginning is None:
                self.beginning = self.generators
            self._lend_buffers()
            self._keep_flags()
            enter(torch.inference_mode(False))
            enter(torch.enable_grad())
            for kind in {"cpu", *(t.device.type for t in tensors)} - {"meta"}:
                enter(torch.autocast(kind, enabled=False))
            enter(torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH))
            enter(torch.compiler.set_stance("force_eager"))
            if any(isinstance(m, nn.RNNBase) for m in model.modules()) and any(t.is_cuda for t in tensors):
                enter(torch.backends.cudnn.flags(enabled=False))
            fast = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
            self.stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        except BaseException:
            self.stack.close()
            raise
        return self

    def has_drawn(self) -> bool:
        """Whether random numbers were drawn since the last :meth:`rewind`."""
        return self.beginning is not None and self.beginning.has_moved()

    def __exit__(self, *raised: Any) -> None:
        self.stack.__exit__(*raised)

    def rewind(self) -> None:
        assert self.beginning is not None, "the span was entered"
        self.beginning.rewind()
        for lent, saved in self.buffers:
            lent.data.copy_(saved)  # not in place for autograd: graphs that saved the buffer stay valid

    def _lend_buffers(self) -> None:
        self.buffers: list[tuple[Tensor, Tensor]] = []
        lent: dict[int, Tensor] = {}
        owners: list[tuple[nn.Module, dict[str, Any]]] = []
        originals: list[tuple[Tensor, Tensor]] = []

        def give_back() -> None:
            for module, kept in owners:
                for name in [name for name in module._buffers if name not in kept]:
                    del module._buffers[name]
                module._buffers.update(kept)
            for original, saved in originals:
                # Reached past the module, by another name.
                if not torch.equal(
                    original.view(torch.uint8) if original.dim() else original,
                    saved.view(torch.uint8) if saved.dim() else saved,
                ):
                    original.data.copy_(saved)

        self.stack.callback(give_back)
        for module in self.model.modules():
            kept = dict(module._buffers)
            owners.append((module, kept))
            for name, b in kept.items():
                if b is None:
                    continue
                if id(b) not in lent:
                    saved, lent[id(b)] = b.detach().clone(), b.detach().clone()
                    self.buffers.append((lent[id(b)], saved))
                    originals.append((b, saved))
                module._buffers[name] = lent[id(b)]

    def _keep_flags(self) -> None:
        training = [(m, m.training) for m in self.model.modules()]
        wanted = [(p, p.requires_grad) for p in self.model.parameters()]
        hooks = [(m, m._backward_hooks, m._backward_pre_hooks) for m in self.model.modules()]

        def give_back() -> None:
            for m, mode in training:
                m.training = mode
            for p, flag in wanted:
                if p.requires_grad != flag:
                    p.requires_grad_(flag)
            for m, after, before in hooks:
                m._backward_hooks, m._backward_pre_hooks = after, before

        self.stack.callback(give_back)
        for m, after, before in hooks:
            m._backward_hooks, m._backward_pre_hooks = type(after)(), type(before)()
