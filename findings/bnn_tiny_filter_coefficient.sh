#!/usr/bin/env bash
# A gradient filter for binary weights learns as well with a memory of a million steps as of 1,000.
#
# Expected: weights flip where a running mean of the gradient, s = (1 - alpha) s + alpha g, agrees
#   with the weight. With alpha = 1e-6 the mean has moved by 0.1% after 840 steps: nothing is
#   learned.
# Seen (torch 2.14.1, scikit-learn 1.9.1): alpha = 1e-6 gives the same accuracy as 1e-3 and more
#   than 1e-2. Only the sign of s counts, so its scale is no matter: below about 1 / steps the
#   filter is the plain sum of all gradients, whatever alpha.
# Why it matters: a search range that reaches far below 1 / steps spends its draws on one and the
#   same setting, and "alpha does not matter" holds on one side only.
# Source: Quist et al. (2023), arXiv:2303.02452, for the filter.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 scikit-learn==1.9.1 numpy==2.4.6
python - <<'PY'
import sys
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)
images, labels = map(torch.from_numpy, load_digits(return_X_y=True))
order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
images, labels = (images.float() / 8 - 1)[order], labels[order]

class Sign(nn.Module):
    def forward(self, x):  # the straight-through estimator, 1 where |x| <= 1
        clipped = x.clamp(-1, 1)
        return clipped + (torch.where(x >= 0, 1.0, -1.0) - clipped).detach()

def accuracy(seed, alpha):
    torch.manual_seed(seed)
    layers = []
    for inputs, outputs in ((64, 256), (256, 256), (256, 10)):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), Sign()]
    network = nn.Sequential(*layers[:-1])
    weights = [layer.weight for layer in layers if isinstance(layer, nn.Linear)]
    for weight in weights:
        weight.data.sign_()
    means = [torch.zeros_like(weight) for weight in weights]
    adam = torch.optim.Adam([p for p in network.parameters() if p.dim() == 1], lr=1e-3)
    for _ in range(30):
        for rows in torch.randperm(1400).split(50):
            network.zero_grad()
            cross_entropy(network(images[rows]), labels[rows]).backward()
            adam.step()
            for weight, mean in zip(weights, means):
                mean.mul_(1 - alpha).add_(weight.grad, alpha=alpha)
                weight.data = torch.where(mean * weight.data > 0, -weight.data, weight.data)
    network.eval()
    with torch.no_grad():
        return float((network(images[1400:]).argmax(1) == labels[1400:]).float().mean())

print("expected: alpha = 1e-6 learns little in 840 steps, larger ones more")
seen = {alpha: sum(accuracy(seed, alpha) for seed in range(3)) / 3 for alpha in (1e-6, 1e-3, 1e-2)}
for alpha, share in seen.items():
    print(f"seen: alpha = {alpha:g}: {share:.1%}, mean of three seeds")
if seen[1e-6] < seen[1e-3] - 0.03 or seen[1e-6] < seen[1e-2] + 0.01:
    sys.exit("CHANGED: alpha = 1e-6 is 3 points below 1e-3, or not a point above 1e-2")
PY
