"""Networks that are shown categories and say how likely each category is."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError
from renote.nets.embedding import check_each, sinusoidal
from renote.nets.transformer import TransformerLayer


class SequenceTransformer(nn.Module):
    """h_i = E[x_i] + Σ_d W_d E[x_{i + d}] + P_i + V time, layer by layer, then a logit for each category: every place sees every other.

    The sum over the `reach` next places on either side tells neighbours from others at once; attention alone is long in learning where they are.

    Args:
        length: of the sequences.
        states: that a place can be in; a mask is the last.
        categories: that it says the chances of.
        width: of a place.
        layers: number of `TransformerLayer`s.
        heads: attention heads.
        dropout: probability.
        reach: places on either side; 0 leaves the sum out.

    Raises:
        UsageError: for numbers that make no network.

    Source:
        Vaswani et al. (2017); as a denoiser of text: Austin et al. (2021), appendix B.2.
    """

    def __init__(
        self,
        length: int,
        states: int,
        categories: int,
        width: int = 256,
        layers: int = 6,
        heads: int = 4,
        dropout: float = 0.0,
        reach: int = 4,
    ) -> None:
        super().__init__()
        if reach < 0:
            raise UsageError(f"reach = {reach}: must not be negative")
        for name, value in {"length": length, "categories": categories, "width": width, "layers": layers}.items():
            if value < 1:
                raise UsageError(f"{name} = {value}: must be at least 1")
        self.length, self.width = length, 2 * ((width + 1) // 2)
        self.place = nn.Parameter(torch.randn(length, width) / width**0.5)
        self.symbol = nn.Embedding(states, width)
        self.around = nn.Conv1d(width, width, 2 * reach + 1, padding=reach) if reach else None
        self.embed = nn.Sequential(nn.Linear(self.width, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, 4 * width, dropout, dropout, before=True) for _ in range(layers)
        )
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, categories)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """States (n, length) int64 at times (n,) → logits (n, length, categories); a label is not used.

        Raises:
            UsageError: for another length or number of times.
        """
        if x.ndim != 2 or x.shape[1] != self.length:
            raise UsageError(f"sequences of shape {tuple(x.shape)}: this network takes (n, {self.length})")
        check_each(len(x), time, None)
        when = self.embed(sinusoidal(time, self.width).to(self.place.dtype))
        symbol = self.symbol(x)
        h = symbol + self.place + when[:, None]
        if self.around is not None:
            h = h + self.around(symbol.mT).mT
        for layer in self.layers:
            h = layer(h)
        out: Tensor = self.last(self.norm(h))
        return out


class CategoryNetwork(nn.Module):
    """A network of numbers, shown ordered categories as values v_c = 2 c / (K - 1) - 1, and what it gives as logits of categories.

    Without `logistic`, K values for each site are its logits. With it, two are a place m and a scale s of a logistic distribution around what is seen, cut off
    at the ends:

        logit_c = log σ((v_c + δ - μ) / s) + log σ(-(v_c - δ - μ) / s),  μ = v_x + m,  δ = 1 / (K - 1)

    which is log [σ((v_c + δ - μ) / s) - σ((v_c - δ - μ) / s)] but for a number that is the same for all c.

    Args:
        network: `network(values, time, label)`; its channels are those of a sample, times 2 in with a mask (whether a site is masked follows the values), and times K
            or 2 out.
        categories: K.
        masked: whether there is a state K, the mask, shown as 0.
        logistic: whether it gives places and scales.
        unordered: whether it is shown a unit vector of each state in the place of a value; its channels in are then those of a sample times the states.

    Raises:
        UsageError: for a logistic of what has no order.

    Source:
        Austin et al. (2021), appendix A.8 (the logistic) and B.1.
    """

    def __init__(
        self,
        network: nn.Module,
        categories: int,
        masked: bool = False,
        logistic: bool = False,
        unordered: bool = False,
    ) -> None:
        super().__init__()
        if logistic and unordered:
            raise UsageError("logistic: categories without an order have no place on a line; use logits")
        self.network, self.categories, self.masked, self.logistic = network, categories, masked, logistic
        self.unordered = unordered

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """States (n, channels, …) int64 at times (n,) → logits (n, channels, …, K)."""
        hidden = x == self.categories
        dtype = next(self.parameters()).dtype
        value = (x.to(dtype) * (2 / (self.categories - 1)) - 1).masked_fill(hidden, 0.0)
        shown = torch.cat([value, hidden.to(dtype)], 1) if self.masked else value
        if self.unordered:
            each = functional.one_hot(x, self.categories + self.masked).movedim(-1, 1)
            shown = each.flatten(1, 2).to(dtype)
        out = cast(Tensor, self.network(shown, time, label))
        per_site = out.reshape(len(out), -1, *x.shape[1:]).movedim(1, -1)
        per_site = per_site.to(torch.promote_types(out.dtype, torch.float32))
        return self._logistic(value, *per_site.unbind(-1)) if self.logistic else per_site

    def _logistic(self, value: Tensor, place: Tensor, log_scale: Tensor) -> Tensor:
        each = torch.linspace(-1, 1, self.categories, dtype=place.dtype, device=place.device)
        half = 1 / (self.categories - 1)
        away = each - (value.to(place.dtype) + place)[..., None]
        # at first, a scale of a few categories
        steep = torch.exp(-log_scale.clamp(-8, 8))[..., None] / (4 * half)
        return functional.logsigmoid((away + half) * steep) + functional.logsigmoid((half - away) * steep)
