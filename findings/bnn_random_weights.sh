#!/usr/bin/env bash
# A network whose binary weights are never trained classifies 92% of scikit-learn's digits.
#
# Expected: with all binary weights frozen at random signs, the accuracy is near chance, 10%, or
#   far below what training reaches; so 90% on digits shows that the binary weights have learned.
# Seen (torch 2.14.1, scikit-learn 1.9.1): with batch norm and a real-valued last layer trained, as
#   most BNNs have them, 92%; with all layers binary and nothing but batch norm trained, 77%. The
#   hidden layers are random features, and batch norm weighs them.
# Why it matters: on small data most of a BNN's accuracy is no evidence for its update rule;
#   compare with this floor, and keep the last layer binary where rules are compared.
# Source: Frankle, Schwab & Morcos (2021), arXiv:2003.00152, for batch norm alone in real networks.
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
    def forward(self, x):  # the straight-through estimator
        return x + (torch.where(x >= 0, 1.0, -1.0) - x).detach()

def accuracy(seed, last_is_binary):
    torch.manual_seed(seed)
    layers = []
    for inputs, outputs in ((64, 256), (256, 256), (256, 10)):
        layer = nn.Linear(inputs, outputs, bias=False)
        if outputs > 10 or last_is_binary:
            layer.weight.data.sign_()
            layer.requires_grad_(False)
        layers += [layer, nn.BatchNorm1d(outputs), Sign()]
    network = nn.Sequential(*layers[:-1])
    trained = [p for p in network.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=0.01)
    for _ in range(30):
        for rows in torch.randperm(1400).split(50):
            adam.zero_grad()
            cross_entropy(network(images[rows]), labels[rows]).backward()
            adam.step()
    network.eval()
    with torch.no_grad():
        return float((network(images[1400:]).argmax(1) == labels[1400:]).float().mean())

print("expected: near chance, 10%")
binary, real = ([accuracy(seed, kind) for seed in range(3)] for kind in (True, False))
for name, found in (("all layers binary", binary), ("last layer real", real)):
    print(f"seen: {name}: " + ", ".join(f"{share:.1%}" for share in found))
if sum(binary) / 3 < 0.6 or sum(real) / 3 < 0.85:
    sys.exit("CHANGED: frozen weights reach less than 60% or, before a real last layer, 85%")
PY
