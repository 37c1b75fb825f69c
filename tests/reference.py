"""Slow literal twins of the update rules: one weight, one trial, plain floats, as published."""

import cmath
import math
from collections.abc import Callable

from scipy.optimize import brentq
from scipy.signal import besselap, buttap, cheb1ap


def sign(x: float) -> int:
    return 1 if x >= 0 else -1


def constant(_step: int) -> float:
    return 1.0


class FilterFlip:
    """Quist et al. (2023): two moving averages, flip where the second agrees with the weight."""

    def __init__(self, p, alpha, gamma=1.0, factor: Callable[[int], float] = constant):
        self.b, self.m, self.s, self.t = sign(p), 0.0, 0.0, 0
        self.alpha, self.gamma, self.factor = alpha, gamma, factor

    def step(self, g):
        alpha = self.alpha * self.factor(self.t)
        self.m = (1 - self.gamma) * self.m + self.gamma * g
        self.s = (1 - alpha) * self.s + alpha * self.m
        self.t += 1
        if self.s * self.b > 0:
            self.b = -self.b
        return self.b


class DesignedFilter:
    """Poles of scipy's prototypes, put on steps one by one, as delta sections with exact gains.

    Each pair of poles (or last single one) keeps w and v, which an even gradient makes equal to
    itself whatever the cut-off.
    """

    def __init__(
        self, p, family, order, memory, damping=1.0, memory_unit="steps", factor=constant
    ):
        assert memory_unit == "steps"
        self.b, self.t, self.factor, self.memory = sign(p), 0, factor, memory
        self.family, self.order = family, order
        self.poles, self.zero = self.prototype(family, order, damping)
        self.state = [[0.0, 0.0] for _ in range(0, order, 2)]

    @staticmethod
    def prototype(family, order, damping):
        """Poles in pairs, cut off at 1, and the square of the first pair's zero, if it has one."""
        zero = math.inf
        if family == "ema":
            return [-1.0] * order, zero
        if family == "butterworth":
            poles = buttap(order)[1]
        elif family == "bessel":
            poles = besselap(order, norm="mag")[1]
        elif family == "chebyshev1":
            poles = cheb1ap(order, 1.0)[1]
        elif family == "moving_average":
            poles = 2 * besselap(order, norm="delay")[1]
            zero = {3: -60.0, 4: -42.0}.get(order, math.inf)
        else:
            root = cmath.sqrt(damping**2 - 1)
            poles = [-damping + root, -damping - root] * (order // 2) + [-1.0] * (order % 2)
        poles = sorted(map(complex, poles), key=lambda p: (abs(p.imag) < 1e-9, abs(p), p.real))

        def power(w):
            gain = 1 - (1j * w) ** 2 / zero
            for pole in poles:
                gain /= 1 - 1j * w / pole
            return abs(gain) ** 2

        high = next(w / 1000 for w in range(1, 10**6) if power(w / 1000) < 0.5)
        cutoff = brentq(lambda w: power(w) - 0.5, high - 0.001, high, xtol=1e-15, rtol=1e-15)
        return [pole / cutoff for pole in poles], zero / cutoff**2

    def step(self, g):
        cutoff, x = self.factor(self.t) / self.memory, g
        self.t += 1
        for i, state in enumerate(self.state):
            feed, a1, a2, b1 = self.delta(self.poles[2 * i : 2 * i + 2], cutoff, first=i == 0)
            w, v = state
            y = w + feed * (x - w)
            if a2 is None:
                state[0] = w + a1 * (x - w)
            elif cutoff > 0:
                lean = (a1 - b1) / (1 - feed) if feed < 1 else 1.0
                state[0] = w + (a1 - lean) * (x - w) + lean * (v - w)
                state[1] = v + a2 / lean * (x - w)
            x = y
        if x * self.b > 0:
            self.b = -self.b
        return self.b

    def delta(self, poles, cutoff, *, first):
        """b0, a1, a2, b1 of (b0 d^2 + b1 d + a2) / (d^2 + a1 d + a2) with d = z - 1."""
        if self.family == "ema":
            alpha = min(1.0, cutoff / math.sqrt(2 ** (1 / self.order) - 1))
            if len(poles) == 1:
                return alpha, alpha, None, None
            return alpha**2, 2 * alpha, alpha**2, 2 * alpha**2
        k = math.tan(cutoff / 2)
        moved = [1 - (1 + k * pole) / (1 - k * pole) for pole in poles]
        if len(poles) == 1:
            return moved[0].real / 2, moved[0].real, None, None
        a1, a2 = sum(moved).real, (moved[0] * moved[1]).real
        zero = self.zero if first else math.inf
        feed = a2 / 4 if math.isinf(zero) else a2 / 4 * (1 - 1 / (zero * k * k)) if k else 0.0
        return feed, a1, a2, a2


class Bop:
    """Helwegen et al. (2019), algorithm 1."""

    def __init__(self, p, gamma, tau):
        self.b, self.m, self.gamma, self.tau = sign(p), 0.0, gamma, tau

    def step(self, g):
        self.m = (1 - self.gamma) * self.m + self.gamma * g
        if abs(self.m) > self.tau and sign(self.m) == self.b:
            self.b = -self.b
        return self.b


class Latent:
    """A latent weight with clip; subclasses move it."""

    def __init__(
        self,
        p,
        learning_rate,
        weight_decay=0.0,
        init_scale=1.0,
        clip=math.inf,
        factor: Callable[[int], float] = constant,
        **options,
    ):
        self.w, self.t = init_scale * p, 0
        self.learning_rate, self.weight_decay, self.clip = learning_rate, weight_decay, clip
        self.factor, self.options = factor, options
        self.start()

    def start(self):
        raise NotImplementedError

    def move(self, g, eta):
        raise NotImplementedError

    def step(self, g):
        self.move(g, self.learning_rate * self.factor(self.t))
        self.w = min(max(self.w, -self.clip), self.clip)
        self.t += 1
        return sign(self.w)


class LatentSGD(Latent):
    def start(self):
        self.m = 0.0

    def move(self, g, eta):
        mu, decay = self.options.get("momentum", 0.0), self.weight_decay
        if not self.options.get("coupled", False):
            self.m = mu * self.m + (1 - mu) * g
            self.w = (1 - eta * decay) * self.w - eta * self.m
            return
        d = g + decay * self.w
        if mu:
            dampening = self.options.get("dampening", 0.0)
            self.m = d if self.t == 0 else mu * self.m + (1 - dampening) * d
            d = d + mu * self.m if self.options.get("nesterov", False) else self.m
        self.w -= eta * d


class LatentAdam(Latent):
    decoupled = False

    def start(self):
        self.m = self.v = 0.0

    def move(self, g, eta):
        beta1, beta2 = self.options["beta1"], self.options["beta2"]
        if self.decoupled:
            self.w *= 1 - eta * self.weight_decay
        else:
            g = g + self.weight_decay * self.w
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g * g
        m_hat = self.m / (1 - beta1 ** (self.t + 1))
        v_hat = self.v / (1 - beta2 ** (self.t + 1))
        self.w -= eta * m_hat / (math.sqrt(v_hat) + 1e-8)


class LatentAdamW(LatentAdam):
    decoupled = True


def sign0(x: float) -> int:
    return (x > 0) - (x < 0)


class LatentSignSGD(Latent):
    """Bernstein et al. (2018), algorithm 2 (Signum), with decoupled weight decay."""

    def start(self):
        self.m = 0.0

    def move(self, g, eta):
        mu = self.options["momentum"]
        self.m = mu * self.m + (1 - mu) * g
        self.w = (1 - eta * self.weight_decay) * self.w - eta * sign0(self.m)


class LatentLion(Latent):
    """Chen et al. (2023), algorithm 2."""

    def start(self):
        self.m = 0.0

    def move(self, g, eta):
        beta1, beta2 = self.options["beta1"], self.options["beta2"]
        c = beta1 * self.m + (1 - beta1) * g
        self.w -= eta * (sign0(c) + self.weight_decay * self.w)
        self.m = beta2 * self.m + (1 - beta2) * g


class Bop2ndOrder:
    """Suarez-Ramirez et al. (2021), the biased algorithm."""

    def __init__(self, p, gamma, sigma, tau):
        self.b, self.m, self.v = sign(p), 0.0, 0.0
        self.gamma, self.sigma, self.tau = gamma, sigma, tau

    def step(self, g):
        self.m += self.gamma * (g - self.m)
        self.v += self.sigma * (g * g - self.v)
        if self.b * self.m / (math.sqrt(self.v) + 1e-10) > self.tau:
            self.b = -self.b
        return self.b


class SGDAT:
    """Gu et al. (2023): the threshold of a weight is tau times its flips so far."""

    def __init__(self, p, learning_rate, threshold, factor: Callable[[int], float] = constant):
        self.b, self.m, self.flips, self.t = sign(p), 0.0, 0, 0
        self.learning_rate, self.threshold, self.factor = learning_rate, threshold, factor

    def step(self, g):
        self.m -= self.learning_rate * self.factor(self.t) * g
        self.t += 1
        if abs(self.m) > self.threshold * self.flips and sign(self.m) != self.b:
            self.b = -self.b
            self.flips += 1
        return self.b


class BayesBiNN:
    """Meng et al. (2020), algorithm 1, with w = sign(lambda) for the relaxed sample."""

    def __init__(
        self,
        p,
        learning_rate,
        momentum,
        init,
        train_set_size,
        factor: Callable[[int], float] = constant,
    ):
        self.odds, self.m, self.t = sign(p) * init, 0.0, 0
        self.learning_rate, self.momentum, self.factor = learning_rate, momentum, factor
        self.train_set_size = train_set_size

    def step(self, g):
        temperature = eps = 1e-10
        w, mean = sign(self.odds), math.tanh(self.odds)
        scale = self.train_set_size * (1 - w * w + eps) / temperature / (1 - mean * mean + eps)
        gradient = scale * g + self.odds
        self.m = self.momentum * self.m + (1 - self.momentum) * gradient
        eta = self.learning_rate * self.factor(self.t)
        self.t += 1
        self.odds -= eta * self.m / (1 - self.momentum**self.t)
        return sign(self.odds)


class TargetFlipRatio:
    """A moving average of each weight, and one alpha for all; ``step`` takes all gradients."""

    def __init__(self, p, flip_ratio, feedback, factor: Callable[[int], float] = constant):
        self.b, self.s = [sign(x) for x in p], [0.0] * len(p)
        self.u, self.t = 0.0, 0
        self.flip_ratio, self.feedback, self.factor = flip_ratio, feedback, factor

    def step(self, g):
        law = 1 - math.cos(math.pi * min(0.5, self.flip_ratio * self.factor(self.t)))
        alpha = min(1.0, law * math.exp(self.u))
        self.t += 1
        flips = 0
        for i, x in enumerate(g):
            self.s[i] = (1 - alpha) * self.s[i] + alpha * x
            if self.s[i] * self.b[i] > 0:
                self.b[i] = -self.b[i]
                flips += 1
        ratio, expected = flips / len(g), self.from_rest(law)
        if ratio + expected > 0:
            self.u += self.feedback * (expected - ratio) / (expected + ratio)
        self.u = min(max(self.u, -math.log(1000)), math.log(1000))
        return list(self.b)

    def from_rest(self, alpha):
        """arccos of the correlation of s_t = sum (1 - alpha)^(t-k) g_k with s_{t-1}, over pi."""
        weights = [(1 - alpha) ** k for k in range(self.t)]
        before = sum(w * w for w in weights[:-1])
        both = (1 - alpha) * before
        norm = math.sqrt(before * sum(w * w for w in weights))
        if alpha == 0:
            return 0.0
        return math.acos(min(1.0, both / norm) if norm else 0.0) / math.pi


OF_ALL_WEIGHTS = ("target_flip_ratio",)
"""Rules whose twin takes a list of weights, for their steps depend on one another."""


def signs_of(rule, starts, gradients, **settings):
    """The signs of a parameter's weights after each step, shape [T, P], by the slow twin.

    Args:
        rule: A key of ``TWINS``.
        starts: First values, shape [P].
        gradients: Shape [T, P].
        settings: The twin's arguments.
    """
    if rule in OF_ALL_WEIGHTS:
        twin = TWINS[rule](starts, **settings)
        return [twin.step(g) for g in gradients]
    twins = [TWINS[rule](p, **settings) for p in starts]
    return [[twin.step(x) for twin, x in zip(twins, g, strict=True)] for g in gradients]


TWINS = {
    "filter_flip": FilterFlip,
    "latent_sgd": LatentSGD,
    "latent_adam": LatentAdam,
    "latent_adamw": LatentAdamW,
    "latent_signsgd": LatentSignSGD,
    "latent_lion": LatentLion,
    "bop": Bop,
    "bop2nd_order": Bop2ndOrder,
    "sgdat": SGDAT,
    "bayes_binn": BayesBiNN,
    "target_flip_ratio": TargetFlipRatio,
    "designed_filter": DesignedFilter,
}
