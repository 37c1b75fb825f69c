"""Every way in which a training script takes a step: right, or refused in a sentence."""

import copy
import pickle

import pytest
import torch
from torch import nn

from tests.optim.common import MAKERS, make, noise, train, weight
from tuner import kernels
from tuner.errors import InvalidInput
from tuner.optim import LatentAdam

SHAPE = (6, 5)


@pytest.fixture(params=["kernels", "torch"], autouse=True)
def _either(request, monkeypatch):
    if request.param == "torch":
        monkeypatch.setattr(kernels, "library", lambda: None)
    elif kernels.library() is None:
        pytest.skip("needs a C++ compiler")


pytestmark = pytest.mark.parametrize("name", MAKERS)


def stepped(optimizer, param, gradient):
    param.grad = gradient
    optimizer.step()
    return param.detach().clone()


def test_accumulated_gradients_are_their_sum(name):
    one, two = nn.Linear(5, 6, bias=False), nn.Linear(5, 6, bias=False)
    two.load_state_dict(one.state_dict())
    first, second = (make(name, net.parameters()) for net in (one, two))
    for step in range(8):
        x = noise(step, 4, 5)
        one(x).square().sum().backward()
        for part in x.split(2):
            two(part).square().sum().backward()
        first.step()
        second.step()
        torch.testing.assert_close(one.weight, two.weight)
        for optimizer in (first, second):
            optimizer.zero_grad()


def test_a_scaler_of_gradients_skips_what_overflowed_and_nothing_else(name):
    one, two = weight(), weight()
    plain, scaled = make(name, [one]), make(name, [two])
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for step in range(6):
        one.grad = noise(step)
        two.grad = torch.autograd.grad(scaler.scale((two * one.grad).sum()), two)[0]
        if step == 3:
            two.grad[0, 0] = torch.inf
        else:
            plain.step()
        scaler.step(scaled)
        scaler.update()
    assert plain.step_count == scaled.step_count == 5
    assert torch.equal(one, two)


def test_a_closure_is_run_with_gradients_and_its_loss_returned(name):
    param = weight()
    optimizer = make(name, [param])

    def closure():
        optimizer.zero_grad()
        loss = (param * noise(1)).sum()
        loss.backward()
        return loss

    other = weight()
    expected = stepped(make(name, [other]), other, noise(1))
    with torch.no_grad():
        loss = optimizer.step(closure)
    assert loss.requires_grad
    assert torch.equal(param, expected)


def test_what_is_made_or_stepped_in_inference_mode_goes_on_outside(name):
    one, two = weight(), weight()
    plain = make(name, [one])
    with torch.inference_mode():
        inside = make(name, [two])
    for step in range(4):
        one.grad = noise(step)
        two.grad = noise(step)
        plain.step()
        if step == 1:
            with torch.inference_mode():
                inside.step()
        else:
            inside.step()
    assert torch.equal(one, two)
    with torch.inference_mode():
        param = weight()
        with pytest.raises(InvalidInput, match=r"made under torch\.inference_mode"):
            make(name, [param])


def test_a_parameter_that_is_unfrozen_or_added_later_steps_as_if_it_began_then(name):
    early, late, fresh = weight(0), weight(1), weight(1)
    late.requires_grad_(False)
    optimizer = make(name, [early, late])
    train(optimizer, early, 5)
    unmoved = late.detach().clone()
    late.requires_grad_(True)
    expected = train(make(name, [fresh]), fresh, 4, begin=5)
    assert torch.equal(train(optimizer, late, 4, begin=5), expected)
    assert set(unmoved.sign().unique().tolist()) == {-1.0, 1.0}
    added = weight(1)
    optimizer.add_param_group({"params": [added]})
    assert torch.equal(train(optimizer, added, 4, begin=5), expected)
    assert optimizer.param_groups[1]["step_count"] == optimizer.step_count == 13


def test_a_parameter_without_a_gradient_is_left_alone(name):
    one, two = weight(0), weight(1)
    optimizer = make(name, [one, two])
    before = two.detach().clone()
    with pytest.warns(
        UserWarning, match="parameter 1 of group 0.* had no gradient in the first 3"
    ):
        train(optimizer, one, 3)
    assert torch.equal(two, before)


@pytest.mark.parametrize(
    ("saved", "now"), [((6, 5), (5, 6)), ((6, 5), (3, 5)), ((4,), (100_000,))]
)
def test_state_of_another_shape_is_refused(name, saved, now):
    small, large = weight(0, *saved), weight(0, *now)
    one, two = make(name, [small]), make(name, [large])
    train(one, small, 2)
    two.load_state_dict(one.state_dict())
    large.grad = torch.ones(now)
    with pytest.raises(RuntimeError, match="of shape"):
        two.step()


def test_a_parameter_pruned_in_place_is_refused(name):
    param = weight()
    optimizer = make(name, [param])
    train(optimizer, param, 2)
    for pruned in (param.data[3:], param.data[:3], param.data[:3].clone()):
        param.grad = None
        param.data = pruned
        param.grad = torch.zeros(3, 5)
        with pytest.raises(RuntimeError, match="of shape"):
            optimizer.step()


def test_sparse_gradients_and_parameters_that_cannot_be_binary_are_refused_in_words(name):
    table = nn.Embedding(9, 4, sparse=True)
    optimizer = make(name, table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(InvalidInput, match="does not support sparse gradients"):
        optimizer.step()
    for param, words in (
        (nn.Parameter(torch.randn(3, dtype=torch.complex64)), "complex64"),
        (nn.Parameter(torch.ones(3, dtype=torch.int32), requires_grad=False), "int32"),
        (nn.LazyLinear(3).weight, "run the network once"),
        (nn.Parameter(torch.eye(3).to_sparse()), "is sparse"),
    ):
        with pytest.raises(InvalidInput, match=words):
            make(name, [param])


def test_gradients_are_read_as_they_are_meant(name):
    def gradients(g):
        yield torch._neg_view(-g)
        yield g.t().contiguous().t()
        yield torch.stack([g, g], dim=-1)[..., 0]
        yield g[:, :1].expand(*g.shape)

    for number in range(4):
        one, two = weight(), weight()
        plain, other = make(name, [one]), make(name, [two])
        for step in range(4):
            gradient = list(gradients(noise(step)))[number]
            stepped(plain, one, gradient.clone(memory_format=torch.contiguous_format))
            stepped(other, two, gradient)
            assert torch.equal(one.sign(), two.sign()), number
            torch.testing.assert_close(one, two)


def test_gradients_and_weights_may_be_of_other_types_than_the_state(name):
    exact, half = weight(), weight()
    reference, optimizer = make(name, [exact]), make(name, [half])
    half.data = half.data.to(torch.bfloat16)
    for step in range(6):
        gradient = noise(step).to(torch.bfloat16)
        stepped(reference, exact, gradient.float())
        stepped(optimizer, half, gradient)
        assert torch.equal(exact.sign(), half.float().sign())
    half.grad = None
    half.data = half.data.float()
    for step in range(6, 9):
        stepped(reference, exact, noise(step))
        stepped(optimizer, half, noise(step))
        assert torch.equal(exact.sign(), half.sign())


def test_weights_that_are_not_contiguous_step_as_those_that_are(name):
    one = weight()
    two = nn.Parameter(one.detach().t().contiguous().t())
    assert not two.is_contiguous()
    assert torch.equal(
        train(make(name, [one]), one, 5),
        train(make(name, [two]), two, 5),
    )


def test_weights_may_lie_on_several_devices(name):
    here, there, alone = weight(), nn.Parameter(torch.empty(7, device="meta")), weight()
    optimizer = make(name, [here, there])
    for step in range(4):
        here.grad, there.grad = noise(step), torch.empty(7, device="meta")
        optimizer.step()
        assert optimizer.flips.is_meta
    train_alone = make(name, [alone])
    for step in range(4):
        stepped(train_alone, alone, noise(step))
    assert torch.equal(here, alone)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on_by_itself(name, copied):
    param = weight()
    optimizer = make(name, [param])
    train(optimizer, param, 3)
    other, theirs = copied((optimizer, param))
    assert repr(other) == repr(optimizer)
    ours = train(optimizer, param, 5, begin=3)
    assert torch.equal(train(other, theirs, 5, begin=3), ours)


def test_a_second_backward_through_weights_that_were_stepped_is_an_error(name):
    param = nn.Parameter(noise(0, 3, 3))
    optimizer = make(name, [param])
    loss = (noise(1, 4, 3) @ param @ param).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_tensors_without_memory_are_never_read_by_address(name):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        param = nn.Parameter(torch.randn(SHAPE))
        optimizer = make(name, [param])
        for _ in range(5):
            param.grad = torch.randn(SHAPE)
            optimizer.step()
        assert optimizer.flips.shape == ()
        optimizer.load_state_dict(optimizer.state_dict())


class Logged(torch.Tensor):
    """A subclass that sees every operation, as wrappers of tensors do."""

    seen = 0

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        cls.seen += 1
        with torch._C._DisableTorchDispatch():
            return function(*args, **(kwargs or {}))


class Named(nn.Parameter):
    """A subclass that only bears a name."""


def test_subclasses_of_tensors_step_as_tensors_do(name):
    for kind, counts in ((Named, False), (Logged, True)):
        one = weight()
        two = one.detach().clone().as_subclass(kind).requires_grad_()
        expected = train(make(name, [one]), one, 4)
        optimizer = make(name, [two])
        before = Logged.seen
        for step in range(4):
            two.grad = noise(100 + step)
            optimizer.step()
        assert torch.equal(two.detach().as_subclass(torch.Tensor).sign(), expected[-1])
        assert (Logged.seen > before) == counts


@pytest.mark.slow
def test_a_compiled_step_is_the_step(name):
    def run(compiled):
        torch._dynamo.reset()
        param = weight(0, 40)
        schedule = lambda step: 1 - step / 12  # noqa: E731
        optimizer = make(name, [param], schedule=schedule)
        step = torch.compile(lambda: optimizer.step(), backend="eager") if compiled else None
        signs = []
        for number in range(12):
            param.grad = noise(number, 40)
            (step or optimizer.step)()
            signs.append(param.detach().clone())
        return torch.stack(signs), optimizer.step_count

    plain, compiled = run(False), run(True)
    assert compiled[1] == plain[1] == 12
    assert torch.equal(plain[0], compiled[0])


def test_adam_counts_the_steps_of_each_parameter_as_torchs_does(name):
    if "adam" not in name:
        pytest.skip("counts no steps")
    ours = [weight(seed, dtype=torch.float64) for seed in range(2)]
    theirs = [nn.Parameter(w.detach().clone()) for w in ours]
    adam, torchs = LatentAdam(ours, lr=0.01), torch.optim.Adam(theirs, lr=0.01)
    ours[1].requires_grad_(False)
    for step in range(10):
        for number in range(2):
            if number == 0 or step >= 4:
                ours[number].requires_grad_(True)
                gradient = noise(step, dtype=torch.float64)
                ours[number].grad, theirs[number].grad = gradient, gradient.clone()
        adam.step()
        torchs.step()
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(adam.state[one]["w"], two.detach(), rtol=0, atol=1e-12)
