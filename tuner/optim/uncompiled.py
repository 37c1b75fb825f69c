"""torch's optimizers without torch's compiler.

torch wraps what they do in a request that its compiler leave them alone, and imports the compiler
to make it: two seconds of every process that takes a step, though nothing here is compiled. These
are the same functions without the wrapping.
"""

from inspect import unwrap

import torch


class Optimizer(torch.optim.Optimizer):
    """``torch.optim.Optimizer``."""

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)


class Adam(Optimizer, torch.optim.Adam):
    """``torch.optim.Adam``; it is not differentiable itself."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
