"""Slow literal twins of the update rules: one weight, one trial, plain floats, as published."""

import math
from collections.abc import Callable


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


TWINS = {
    "filter_flip": FilterFlip,
    "latent_sgd": LatentSGD,
    "latent_adam": LatentAdam,
    "latent_adamw": LatentAdamW,
    "bop": Bop,
}
