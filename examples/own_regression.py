"""Energy-based regression of your own data in forty lines, and a picture: python examples/own_regression.py [PNG]

133 measurements of a crash test (Silverman 1985): how a motorcyclist's helmet accelerates after the impact. The noise
grows and shrinks with time and is skewed, so a curve alone says little. A network gives f(x, y). From it `ebm_common`
computes the loss, the density p(y | x) = exp f / Z, the smallest region that holds 80% of it, and its mode.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn import Linear, Sequential, Tanh

from ebm_common import (
    GaussianMixtureProposal,
    ascend_backtracking,
    importance_sample,
    nll_importance_sampling,
    normalized_log_density_grid,
)

torch.manual_seed(0)
data = np.loadtxt(Path(__file__).with_name("motorcycle.csv"), delimiter=",", skiprows=1, dtype=np.float32)
x = torch.tensor(data[:, :1] / 30 - 1)  # (B, 1), about -1 .. 1
y = torch.tensor(data[:, 1:] / 50)  # (B, 1), about -2.7 .. 1.5
encode = Sequential(Linear(1, 24), Tanh(), Linear(24, 24), Tanh())
joint = Sequential(Linear(25, 24), Tanh(), Linear(24, 24), Tanh(), Linear(24, 1))


def energy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """f (B, M) of x (B, 1) and candidates y (B, M, 1)."""
    features = encode(x)[:, None].expand(-1, y.shape[1], -1)
    f: torch.Tensor = joint(torch.cat([features, y], dim=-1))
    return f[..., 0]


# Train by maximum likelihood, with Z estimated from candidates around the labels (Eq. 4 and 5).
proposal = GaussianMixtureProposal([0.05, 0.3, 1.5])  # from the narrowest width of p(y | x) to the widest
optimizer = torch.optim.AdamW([*encode.parameters(), *joint.parameters()], lr=0.01, weight_decay=0.1)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=400)
for _ in range(400):
    candidates = proposal.sample(y, 64)
    f = energy(x, torch.cat([y[:, None], candidates], dim=1))
    loss = nll_importance_sampling(f[:, 0], f[:, 1:], proposal.log_prob(candidates, y))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

# Compute the density at 300 times. The region that holds 80% is where p exceeds a threshold: sorted, the p above it sum
# up to 80%.
times = torch.linspace(0, 60, 300)[:, None]
low, high = torch.full_like(times, -4.0), torch.full_like(times, 3.0)
grid = normalized_log_density_grid(lambda y: energy(times / 30 - 1, y), low, high, 700)
p = grid.log_density.exp() / 50  # per g
ordered = p.sort(dim=1, descending=True).values
threshold = ordered.gather(1, (ordered.cumsum(dim=1) < 0.8 * p.sum(dim=1, keepdim=True)).sum(dim=1, keepdim=True))
best = grid.y[torch.arange(len(times)), p.argmax(dim=1)][:, None]
mode = (
    ascend_backtracking(lambda y: energy(times / 30 - 1, y), best, step=1e-3, iterations=10, decay=0.5).y[:, 0, 0] * 50
)
# The same without a grid, as in many dimensions: which labels lie within that region?
sample = importance_sample(lambda y: energy(x, y), y, proposal, 2000)
inside = (sample.level(energy(x, y[:, None])[:, 0]) < 0.8).float().mean().item()

figure = Figure(figsize=(7.5, 4.2), dpi=100, layout="constrained")
axes = figure.subplots()
image = axes.imshow(
    p.T, origin="lower", extent=(0, 60, -200, 150), aspect="auto", cmap="Blues", vmax=p.quantile(0.98).item()
)
axes.contour(times[:, 0], grid.y[0, :, 0] * 50, (p / threshold).T, levels=[1], colors="tab:orange", linewidths=1)
axes.plot(times[:, 0], mode, color="tab:red", linewidth=1, label="mode")
axes.plot([], [], color="tab:orange", label="80% region")
axes.plot(data[:, 0], data[:, 1], "k.", markersize=4, label="measured")
axes.set(xlabel="time after the impact, ms", ylabel="acceleration of the helmet, g", ylim=(-160, 110))
axes.legend(loc="upper left")
figure.colorbar(image, label="p(y | x)", extend="max")
picture = sys.argv[1] if len(sys.argv) > 1 else "own_regression.png"
figure.savefig(picture)
print(f"{inside:.0%} of the measurements lie within their 80% region; picture: {picture}")
