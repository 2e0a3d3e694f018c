"""A corruption of one's own: name it, and training, sampling, films and measures work on it.

`python own_corruption.py` shows it in a minute. With arguments this file is the command line that knows it:

    python own_corruption.py train cold-diffusion --degradation curtain --data digits --out runs/curtain --preset small
    python own_corruption.py sample runs/curtain --out samples.png --film way.png
"""

import sys

import torch

from renote import cli, systems
from renote.diffusion.process import OPERATORS, Operator


class Curtain(Operator):
    """A striped curtain falls: row i of H is covered once t H > i, little by little. The stripes are the sample's own."""

    def degrade(self, clean: torch.Tensor, strength: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """D(x, t; ε), of any size; at t = 1 nothing of x is left, so the operator's `end` needs no words."""
        height = clean.shape[2]
        row = torch.arange(height).reshape(height, *(1,) * (clean.ndim - 3)).to(clean)
        fallen = (strength * height).to(clean).reshape(-1, *(1,) * (clean.ndim - 1)) - row
        stripes = noise[:, :, :1].tanh().expand_as(clean)
        return torch.lerp(clean, stripes, fallen.clamp(0, 1).expand_as(clean))


OPERATORS["curtain"] = Curtain

if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(cli.main())
    run = systems.get("cold-diffusion").train(
        "digits", preset="small", steps=150, channels=16, head_channels=16, degradation="curtain"
    )
    way = run.film(1, frames=5)
    print("mean of each row, as the curtain rises:")
    for picture in way:
        print(" ".join(f"{float(row):5.1f}" for row in picture[0, 0].float().mean(1)))
    for algorithm in ("naive", "improved"):
        print(f"{algorithm}: distance to the data {run.evaluate(200, algorithm=algorithm)['frechet_distance']:.2f}")
