"""The compiled batch norm, sign and pooling against their twins in torch."""

from dataclasses import dataclass, replace
from itertools import cycle, product

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tuner import kernels
from tuner.bnn import normsign
from tuner.bnn.normsign import EPS, Norm, batch_norm, max_pool, norm_add_sign, norm_sign

pytestmark = pytest.mark.usefixtures("compiled", "single_thread")

CHANNELS = [1, 3, 16, 17, 48, 64, 100]
"""Below, at and beyond one, two and four vectors of 16, with and without a rest."""

ROWS = [(1, (2,)), (3, (63,)), (1, (64,)), (3, (65,)), (3, (300,))]
"""Trials, and N of [K, N, C]: around and beyond the 64 that are summed at a time."""

IMAGES = [(1, (2, 1, 1)), (3, (3, 5, 3)), (1, (5, 8, 8)), (3, (7, 6, 5))]
"""Trials, and N, H, W of [N, K*C, H, W]."""

LAYOUTS = ["channels_last", "channels_first", "gaps"]
DTYPES = [torch.float32, torch.bfloat16]
MARGIN = {torch.float32: 1e-5, torch.bfloat16: 0.005}
"""How far from -1, 0 and 1 rounding moves z; bfloat16 has steps of 2^-7 = 0.0078 beyond 1."""


@dataclass(frozen=True)
class Given:
    """What goes into one call; the gradients that come back for z and for the signs."""

    x: Tensor
    residual: Tensor | None
    gz: Tensor | None
    gs: Tensor | None
    norm: Norm

    def to(self, dtype: torch.dtype) -> "Given":
        """The numbers rounded, but for the norm's, which are float32 at least."""
        tensors = [self.x, self.residual, self.gz, self.gs]
        wide = torch.promote_types(dtype, torch.float32)
        *norm, training = vars(self.norm).values()
        return Given(
            *(None if t is None else t.to(dtype) for t in tensors),
            Norm(*(t.to(wide) for t in norm), training),
        )


def draw(k, channels, sizes, *, training=True, residual=False) -> Given:
    n, *sides = sizes
    shape = (n, k * channels, *sides) if sides else (k, n, channels)
    generator = torch.Generator().manual_seed(17)
    x, added, gz, gs = torch.randn((4, *shape), generator=generator)
    weight, bias, mean, var = torch.randn((4, k, channels), generator=generator)
    norm = Norm(1 + 0.5 * weight, 0.5 * bias, mean, 0.5 + var.square(), training)
    return Given(0.3 + 1.5 * x, 0.5 * added if residual else None, gz, gs, norm)


def laid_out(x, layout):
    """The same numbers, otherwise in memory."""
    if layout == "gaps":
        return torch.stack([x, x + 7], -1)[..., 0]
    if x.dim() == 4 and layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    if x.dim() == 3 and layout == "channels_first":
        return x.transpose(1, 2).contiguous().transpose(1, 2)
    return x.contiguous()


def columns(norm):
    """The same numbers; weight and bias are columns of a wider buffer, with gaps between rows."""
    k, channels = norm.weight.shape
    wide = torch.cat([torch.zeros(k, 3), norm.weight, norm.bias], 1)
    weight, bias = (part.requires_grad_() for part in wide[:, 3:].detach().split(channels, 1))
    assert weight.is_contiguous() == bias.is_contiguous() == (k == 1)
    return Norm(weight, bias, norm.running_mean.clone(), norm.running_var.clone(), norm.training)


def run(given: Given, *, signs_only=False, layout="channels_last") -> dict[str, Tensor]:
    """Outputs, running statistics and, where gradients are given, what they become."""
    norm = columns(given.norm)
    inputs = {"dweight": norm.weight, "dbias": norm.bias}
    inputs["dx"] = laid_out(given.x, layout).detach().requires_grad_()
    if given.residual is not None:
        inputs["dresidual"] = laid_out(given.residual, layout).detach().requires_grad_()
    if signs_only:
        found = {"signs": norm_sign(inputs["dx"], norm)}
    else:
        z, signs = norm_add_sign(inputs["dx"], norm, inputs.get("dresidual"))
        found = {"z": z, "signs": signs}
    gradients = {"z": given.gz, "signs": given.gs}
    pairs = [(out, gradients[name]) for name, out in found.items() if gradients[name] is not None]
    if pairs:
        outputs, gradients = zip(*pairs, strict=True)
        given_back = torch.autograd.grad(outputs, list(inputs.values()), gradients)
        found |= zip(inputs, given_back, strict=True)
    return found | {"running_mean": norm.running_mean, "running_var": norm.running_var}


@pytest.fixture
def twin(monkeypatch):
    """``run`` as torch computes it."""

    def run_plain(given, **options):
        with monkeypatch.context() as plain:
            plain.setattr(normsign, "_compiled", lambda _: False)
            return run(given, **options)

    return run_plain


def clear(given, margin):
    """Stop the signs' gradients where rounding decides the mask; and where it decides nothing."""
    exact = given.to(torch.float64)
    z = batch_norm(exact.x, columns(exact.norm)).detach()
    z = z if exact.residual is None else z + exact.residual
    comparable = torch.stack([(z - edge).abs() > margin for edge in (-1, 0, 1)]).all(0)
    assert comparable.float().mean() >= 0.5
    if given.gs is None or comparable.all():
        return given, comparable
    return replace(given, gs=given.gs * comparable), comparable


def rows_last(x, norm):
    """[K, N, C] or [N, K*C, H, W] -> [K, C, rows]; [K, C] as it is."""
    if x.dim() < 4:
        return x.mT if x.dim() == 3 else x
    return x.unflatten(1, norm.weight.shape).movedim(0, 2).flatten(2)


def scales(given, expected):
    """The largest value of each kind; for dx and dweight, of the terms that may cancel in them."""
    found = {name: max(value.abs().max().item(), 1e-3) for name, value in expected.items()}
    if "dx" in found:
        gradient = sum(g.abs().max().item() for g in (given.gz, given.gs) if g is not None)
        rows = rows_last(given.x.double(), given.norm)
        var = rows.var(2, correction=0) if given.norm.training else given.norm.running_var
        found["dx"] = gradient * (given.norm.weight / (var + EPS).sqrt()).abs().max().item()
        found["dweight"] = max(found["dweight"], gradient * rows.shape[2] ** 0.5)
    return found


def assert_close(found, expected, comparable, scale, *, loose=None, rounding=None):
    """Equal comparable signs; all else within 1e-5 of its scale, or ``loose``, and rounding."""
    assert found.keys() == expected.keys()
    for name, value in found.items():
        want = expected[name].double()
        if name == "signs":
            assert value.abs().eq(1).all()
            assert torch.equal(value[comparable].double(), want[comparable])
        else:
            rtol, atol = (rounding or {}).get(name, 0), (loose or {}).get(name, 1e-5) * scale[name]
            error = (value.double() - want).abs() - rtol * want.abs()
            assert error.max() <= atol, f"{name}: {error.max() / scale[name]:.1e} of its scale"


def assert_same(given, dtype, twin, **options):
    """The compiled operation gives in this dtype what torch gives in float32 for the same numbers.

    float32 agrees to a few of its roundings, 6e-8 each, over some hundred rows. In bfloat16, too,
    statistics are sums in float32 of the same numbers, and so are the gradients of weight and
    bias. z, dx and the residual's gradient are rounded when written, by 2^-8 of themselves at
    most; dx is made from a gradient that was, so that its larger terms are off by as much.
    """
    given, comparable = clear(given.to(dtype).to(torch.float32), MARGIN[dtype])
    found = run(given.to(dtype), **options)
    expected = twin(given, **options)
    assert found["signs"].dtype == dtype
    narrow = dtype == torch.bfloat16
    rounding = dict.fromkeys(("z", "dx", "dresidual"), 2**-8) if narrow else {}
    loose = {"dx": 2**-8 + 1e-5} if narrow else {}
    scale = scales(given, expected)
    assert_close(found, expected, comparable, scale, loose=loose, rounding=rounding)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_norm_sign_is_its_twin(channels, dtype, twin):
    layouts = cycle(LAYOUTS)
    for k, sizes in ROWS + IMAGES:
        given = draw(k, channels, sizes)
        assert_same(given, dtype, twin, signs_only=True, layout=next(layouts))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("channels", CHANNELS)
def test_norm_add_sign_is_its_twin(channels, residual, dtype, twin):
    layouts = cycle(LAYOUTS)
    for k, sizes in IMAGES:
        given = draw(k, channels, sizes, residual=residual)
        assert_same(given, dtype, twin, layout=next(layouts))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_evaluation_uses_the_running_statistics_and_leaves_them(channels, dtype, twin):
    for (k, sizes), residual in product([(1, (1, 1, 1)), *IMAGES], [False, True]):
        given = draw(k, channels, sizes, training=False, residual=residual)
        given = replace(given, gz=None, gs=None)
        assert_same(given, dtype, twin)
        assert_same(replace(given, residual=None), dtype, twin, signs_only=True)


@pytest.mark.parametrize("residual", [False, True])
def test_evaluation_has_the_gradient_of_fixed_statistics(residual, twin):
    assert_same(draw(3, 17, (3, 5, 3), training=False, residual=residual), torch.float32, twin)


@pytest.mark.parametrize("arriving", ["expanded", "of a mean", *LAYOUTS])
@pytest.mark.parametrize("missing", ["gz", "gs", None])
@pytest.mark.parametrize("residual", [False, True])
def test_gradients_may_come_for_either_output_and_lie_as_they_like(
    residual, missing, arriving, twin
):
    given = draw(3, 17, (3, 5, 3), residual=residual)
    arranged = {
        "expanded": lambda g: g[0, 0, 0, 0].expand(g.shape),
        "of a mean": lambda g: g[:, :, :1, :1].expand(g.shape),
    }.get(arriving, lambda g: laid_out(g, arriving))
    given = replace(given, gz=arranged(given.gz), gs=arranged(given.gs))
    _, comparable = clear(given, MARGIN[torch.float32])
    assert comparable.all()  # so that the gradients arrive as they are
    if missing:
        given = replace(given, **{missing: None})
    assert_same(given, torch.float32, twin)
    if missing != "gs":
        assert_same(replace(given, residual=None), torch.float32, twin, signs_only=True)


@pytest.mark.parametrize("sizes", [(300,), (5, 8, 8)])
def test_the_variance_beside_a_large_mean_does_not_cancel(sizes, twin):
    mean, deviation = 1e3, 0.1
    given = draw(3, 17, sizes)
    given = replace(given, x=mean + deviation * given.x)
    rounding = mean * 2**-24 / deviation  # of the mean to float32, as it shows in z
    given, comparable = clear(given, 4 * rounding)
    found, exact = run(given), twin(given.to(torch.float64))
    loose = dict.fromkeys(("z", "dx", "dweight"), 2 * rounding)
    assert_close(found, exact, comparable, scales(given, exact), loose=loose)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(70,), (5, 4, 4)])
def test_a_channel_without_variance_becomes_its_bias(sizes, dtype):
    edges = {2: 0.0, 3: -0.0, 16: 1.0}  # where z is exactly an edge, and rounding decides nothing
    given = draw(1, 17, sizes).to(dtype)
    for c, edge in edges.items():
        given.x.movedim(-1 if len(sizes) == 1 else 1, 0)[c] = 0.1 - 100 * c
        given.norm.bias[0, c] = edge
    found = run(given)
    for c, edge in edges.items():
        z, signs, dx, gz, gs = (
            rows_last(t, given.norm)[0, c].double()
            for t in (*(found[name] for name in ("z", "signs", "dx")), given.gz, given.gs)
        )
        assert z.eq(edge).all()
        assert signs.eq(1).all()
        gradient = gz + gs * (edge != 1)  # the interval that the sign's passes is open
        dbias = found["dbias"][0, c].double()
        torch.testing.assert_close(dbias, gradient.sum(), rtol=1e-5, atol=1e-5)
        assert found["dweight"][0, c] == 0
        exact = given.norm.weight[0, c] / EPS**0.5 * (gradient - gradient.mean())
        tolerance = 1e-5 if dtype == torch.float32 else 2**-7  # two roundings
        assert (dx - exact).abs().max() <= tolerance * exact.abs().max()
        var = 0.9 * given.norm.running_var[0, c]
        torch.testing.assert_close(found["running_var"][0, c], var)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("sizes", [(70,), (3, 5, 5)])
def test_what_is_not_finite_shows_and_stays_in_its_trial(sizes, training, bad, dtype, twin):
    k, c = 3, 6  # two trials meet in one vector
    given = draw(k, c, sizes, training=training).to(dtype)
    broken = replace(given, x=given.x.clone())
    at = (1, 33, 2) if len(sizes) == 1 else (2, c + 2, 3, 1)
    broken.x[at] = bad
    before, after, plain = run(given), run(broken), twin(broken)
    for name, value in after.items():
        found, expected = (rows_last(t, given.norm)[[0, 2]] for t in (value, before[name]))
        assert torch.equal(found, expected), name
        if training or name == "z":
            assert torch.equal(value.isfinite(), plain[name].isfinite()), name
    assert not after["z"][at].isfinite()
    assert torch.equal(after["z"].isnan(), plain["z"].isnan())


def test_bfloat16_rounds_ties_to_even():
    one = torch.ones(1, 1)
    norm = Norm(one, 0 * one, 0 * one, one - EPS, False)  # leaves x as it is
    x = torch.tensor([1, 1 + 2**-7, -1], dtype=torch.bfloat16).view(3, 1, 1, 1)
    z, _ = norm_add_sign(x, norm, torch.full_like(x, 2**-8))
    assert z.flatten().tolist() == [1, 1 + 2**-6, -1 + 2**-8]


def test_every_nan_stays_one_when_rounded_to_bfloat16():
    nan = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)  # as GPUs make it
    given = draw(1, 3, (2, 2, 2)).to(torch.bfloat16)
    given.norm.weight[0, 1] = nan
    assert run(given)["z"][:, 1].isnan().all()


def test_the_compiled_operations_are_taken_where_they_fit(monkeypatch):
    taken = []
    call = kernels.call
    monkeypatch.setattr(kernels, "call", lambda name, *a: (taken.append(name), call(name, *a)))
    for dtype, suffix in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
        given = draw(3, 4, (2, 4, 4), residual=True).to(dtype)
        both = [f"tuner_norm_sign_{suffix}", f"tuner_norm_sign_backward_{suffix}"]
        run(given)
        run(replace(given, residual=None), signs_only=True)
        assert taken == both * 2
        max_pool(given.x.requires_grad_()).backward(given.gz[..., :2, :2])
        assert taken[4:] == [f"tuner_pool_{suffix}", f"tuner_pool_backward_{suffix}"]
        taken.clear()
    run(given.to(torch.float64))
    max_pool(given.x.double())
    mixed = replace(given, residual=given.residual.float(), gz=None)
    assert run(mixed)["z"].dtype == torch.float32
    assert taken == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_parameters_of_another_type_are_not_misread(dtype):
    norm = Norm(*(torch.ones(1, 64, dtype=dtype)[:, :4] for _ in range(4)), True)
    with pytest.raises(RuntimeError, match="mixed dtype"):  # as torch has it
        norm_sign(torch.randn(1, 8, 4), norm)


def pooled(pool, x, gradient):
    x = x.detach().requires_grad_()
    out = pool(x)
    out.backward(gradient)
    return out.detach(), x.grad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_max_pool_is_torchs(channels, layout, dtype):
    generator = torch.Generator().manual_seed(3)
    for height, width in ((2, 2), (4, 6), (5, 4), (4, 5), (7, 3)):
        x = torch.randn((3, channels, height, width), generator=generator).to(dtype)
        ties = torch.randint(-1, 2, x.shape, generator=generator).to(dtype) * 0.5
        half = (3, channels, height // 2, width // 2)
        gradient = torch.randn(half, generator=generator).to(dtype)
        expanded = gradient[:, :, :1, :1].expand(gradient.shape)
        for values, g in product((x, ties), (gradient, laid_out(gradient, layout), expanded)):
            out, dx = pooled(max_pool, laid_out(values, layout), g)
            twin_out, twin_dx = pooled(lambda t: F.max_pool2d(t, 2), values, g)
            assert out.dtype == dx.dtype == dtype
            assert torch.equal(out, twin_out)
            assert torch.equal(dx, twin_dx)
            assert not dx[:, :, height // 2 * 2 :].any()
            assert not dx[..., width // 2 * 2 :].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_equal_values_the_first_gets_the_gradient(dtype):
    windows = torch.ones(5, 4).triu()  # the first of the largest is the i-th
    windows[4, 1] = -0.0  # equal to the other zeros
    x = windows.view(5, 1, 2, 2).expand(5, 17, 2, 2).to(dtype)
    _, dx = pooled(max_pool, x, torch.full((5, 17, 1, 1), 3.0, dtype=dtype))
    first = 3.0 * F.one_hot(torch.tensor([0, 1, 2, 3, 0]), 4).view(5, 1, 2, 2)
    assert torch.equal(dx.float(), first.expand(5, 17, 2, 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool_keeps_nan_and_infinity_in_their_window(dtype):
    x = torch.randn((2, 18, 4, 4), generator=torch.Generator().manual_seed(5)).to(dtype)
    clean = max_pool(x)
    for bad, (i, j) in product((torch.nan, torch.inf), ((0, 0), (0, 1), (1, 0), (1, 1))):
        broken = x.clone()
        broken[1, 7, 2 + i, j] = bad
        out = max_pool(broken)
        torch.testing.assert_close(out, F.max_pool2d(broken, 2), rtol=0, atol=0, equal_nan=True)
        assert not out[1, 7, 1, 0].isfinite()
        assert (out != clean).sum() == 1
    lowest = torch.full((1, 3, 2, 2), -torch.inf, dtype=dtype)
    out, dx = pooled(max_pool, lowest, torch.ones(1, 3, 1, 1, dtype=dtype))
    assert out.eq(-torch.inf).all()
    assert dx.flatten(2).tolist() == [[[1, 0, 0, 0]] * 3]
