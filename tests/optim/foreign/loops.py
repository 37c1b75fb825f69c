"""The kinds of training loops around such layers: what they do to weights before and after."""

import torch


class Plain:
    """Nothing."""

    def __init__(self, weights):
        self.weights = weights

    def before(self):
        pass

    def after_backward(self):
        pass

    def after_step(self):
        pass


class KeepsCopies(Plain):
    """Real copies lie beside the weights: binary for forward, real for the step, then clipped."""

    def before(self):
        for weight in self.weights:
            if not hasattr(weight, "latent"):
                weight.latent = weight.data.clone()
            weight.data = weight.latent.sign()

    def after_backward(self):
        for weight in self.weights:
            weight.data.copy_(weight.latent)

    def after_step(self):
        for weight in self.weights:
            weight.latent.copy_(weight.data.clamp_(-1, 1))


class CentresAndSwaps(Plain):
    """Centred, clipped, saved and replaced by scaled signs; after backward all is put back.

    The gradient is that of the scaled signs, made into one of the real weights.
    """

    def before(self):
        self.saved = []
        for weight in self.weights:
            data = weight.data
            data.sub_(data.mean(1, keepdim=True)).clamp_(-1, 1)
            self.saved.append(data.clone())
            data.copy_(data.sign() * data.abs().mean(1, keepdim=True))

    def after_backward(self):
        for weight, saved in zip(self.weights, self.saved, strict=True):
            weight.data.copy_(saved)
            size = saved.abs().mean(1, keepdim=True).expand_as(saved)
            through = size.masked_fill(saved.abs() > 1, 0.0) * weight.grad
            shared = (saved.sign() * weight.grad).mean(1, keepdim=True)
            weight.grad.copy_(through + saved.sign() * shared)


def run(net, optimizer, loop, *, steps=30):
    """Train on noise that a random network has labelled; the losses.

    Give the optimizer binary weights alone, so that nothing else can bring the loss down.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(128, 16, generator=generator)
    y = (x @ torch.randn(16, 4, generator=generator)).argmax(1)
    losses = []
    for _ in range(steps):
        loop.before()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        loop.after_backward()
        optimizer.step()
        loop.after_step()
        losses.append(float(loss.detach()))
    return losses
