"""One optimizer for all weights of a network: a rule for the binary ones, another for the rest."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn

from tuner.errors import InvalidInput
from tuner.optim.base import BinaryOptimizer
from tuner.optim.groups import Group
from tuner.optim.parameters import marked
from tuner.optim.uncompiled import Optimizer

Named = list[tuple[str, nn.Parameter]]


class Binary(Optimizer):
    """Two optimizers as one, for frameworks and schedulers that take one only.

    Its parameter groups are those of both, the rule's first; a scheduler drives ``lr`` in all of
    them. ``rule`` and ``real`` are the two themselves.

    Args:
        model: The network; each of its parameters goes to one of the two.
        rule: Makes the binary weights' optimizer of (name, weight) pairs, such as
            ``partial(FilterFlip, alpha=1e-3)``.
        real: Makes the others' of a list of them, such as ``partial(torch.optim.Adam, lr=3e-4)``.
        binary: The binary weights; those of layers that say so, if left out. See
            ``layers.binary_parameters``.

    Raises:
        InvalidInput: If the network has no binary weights or no others, ``binary`` has a weight
            that is not the network's, or ``real`` needs a closure at each step.

    Example:
        >>> from functools import partial
        >>> from tuner.optim import FilterFlip
        >>> net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3))
        >>> rule = partial(FilterFlip, alpha=0.01)
        >>> optimizer = Binary(net, rule, torch.optim.SGD, binary=[net[0].weight])
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.01, 0.001]
    """

    rule: BinaryOptimizer
    real: torch.optim.Optimizer

    def __init__(
        self,
        model: nn.Module,
        rule: Callable[[Named], BinaryOptimizer],
        real: Callable[[list[nn.Parameter]], torch.optim.Optimizer] = torch.optim.Adam,
        *,
        binary: Iterable[Tensor] | None = None,
    ) -> None:
        ours, others = _split(model, binary)
        parts = {"rule": rule(ours), "real": real(others)}
        if signature(parts["real"].step).parameters["closure"].default is Parameter.empty:
            raise InvalidInput(
                f"Binary: {type(parts['real']).__name__} takes several looks at a batch in each "
                "step, and a rule takes one; choose another optimizer for the real weights"
            )
        super().__setstate__({"defaults": {}, **parts})  # groups and state are those of the two

    @property
    def param_groups(self) -> list[Group]:  # type: ignore[override]  # the parts have them
        """The groups of both, the rule's first; to add some, add them to a part."""
        return [*self.rule.param_groups, *self.real.param_groups]

    @property
    def state(self) -> "_States":  # type: ignore[override]  # the parts have it
        """What both keep of each parameter."""
        return _States(self.rule.state, self.real.state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:  # noqa: ARG002
        """Refused: it must be said to which of the two.

        Raises:
            InvalidInput: Saying how.
        """
        raise InvalidInput(
            "Binary: say whether these parameters are binary, by rule.add_param_group(...) or "
            "real.add_param_group(...); those that are frozen now need not be added later"
        )

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch's overloads
        """A step of both, on the gradients of one look at the batch; returns the closure's loss.

        torch's compiler leaves it alone, as it does a rule.
        """
        if torch.compiler.is_compiling():
            return torch.compiler.disable(self._take_step)(closure)  # type: ignore[no-any-return, no-untyped-call]  # torch's
        return self._take_step(closure)

    def _take_step(self, closure: Callable[[], float] | None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self._only_begins():
            self.rule.step()
        self.real.step()
        return loss

    def _only_begins(self) -> bool:
        """Whether it is the step by which torch's checkpoints have an optimizer make its state.

        It has no rate and no gradient; a rule has its state from the start.
        """
        if self.real.state or any(
            torch.as_tensor(g.get("lr", 0)).any() for g in self.param_groups
        ):
            return False
        params = [param for group in self.param_groups for param in group["params"]]
        return not any(param.grad is not None and bool(param.grad.any()) for param in params)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As torch's, each part its own.

        Raises:
            InvalidInput: If it is not what a ``Binary`` of the same two saved.
        """
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, dict(state_dict)) or state_dict
        groups, n_rule = state_dict["param_groups"], len(self.rule.param_groups)
        if len(groups) != len(self.param_groups):
            raise InvalidInput(
                f"Binary: this state has {len(groups)} parameter groups and the optimizer "
                f"{len(self.param_groups)}, the rule's and those of real weights; load what the "
                "same Binary saved"
            )
        for part, theirs in ((self.rule, groups[:n_rule]), (self.real, groups[n_rule:])):
            numbers = {number for group in theirs for number in group["params"]}
            state = {key: kept for key, kept in state_dict["state"].items() if key in numbers}
            part.load_state_dict({"state": state, "param_groups": theirs})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __repr__(self) -> str:
        return f"Binary (\n{self.rule!r}\n{self.real!r}\n)"

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle needs; not what a scheduler hung on ``step``."""
        return {"defaults": self.defaults, "rule": self.rule, "real": self.real}


class _States(MutableMapping[Tensor, Any]):
    """What the two keep of their parameters, as one mapping."""

    def __init__(self, rules: dict[Tensor, Any], reals: dict[Tensor, Any]) -> None:
        self._rules, self._reals = rules, reals

    def _home(self, param: Tensor) -> dict[Tensor, Any]:
        return self._rules if param in self._rules else self._reals

    def __getitem__(self, param: Tensor) -> Any:
        return self._home(param)[param]

    def __setitem__(self, param: Tensor, value: Any) -> None:
        self._home(param)[param] = value

    def __delitem__(self, param: Tensor) -> None:
        del self._home(param)[param]

    def __iter__(self) -> Iterator[Tensor]:
        yield from self._rules
        yield from self._reals

    def __len__(self) -> int:
        return len(self._rules) + len(self._reals)

    def __bool__(self) -> bool:
        """Whether both have begun: torch's checkpoints take an empty state for one to begin."""
        return bool(self._rules and self._reals)


def _split(model: nn.Module, binary: Iterable[Tensor] | None) -> tuple[Named, list[nn.Parameter]]:
    """The network's binary weights with their names, and its other parameters."""
    weights = list(marked(model).values()) if binary is None else list(binary)
    wanted = {id(weight) for weight in weights}
    named = list(model.named_parameters())
    ours = [(name, param) for name, param in named if id(param) in wanted]
    others = [param for _, param in named if id(param) not in wanted]
    if not weights:
        raise InvalidInput(
            "Binary: no layer of this network says that its weights are binary: make some so by "
            "tuner.bnn.binarize(model), or name them, "
            "binary=tuner.bnn.binary_parameters(model, MyLayer)"
        )
    if strangers := len(wanted) - len(ours):
        raise InvalidInput(
            f"Binary: {strangers} of the {len(wanted)} binary weights are not this network's"
        )
    if not others:
        raise InvalidInput(
            "Binary: all parameters of this network are binary; give them to the rule alone"
        )
    return ours, others
