"""A transformer's layer over sequences of which some places are empty (Vaswani et al. 2017; normalized after each sum, as in BERT, or before)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from renote.errors import UsageError


class TransformerLayer(nn.Module):
    """h ← norm(x + drop(W_o softmax(Q Kᵀ / √d) V)),  y = norm(h + drop(W_2 gelu(W_1 h))).

    With `before`, what enters Q, K, V and W_1 is normalized instead, and sums are left as they are: so deep stacks train at large steps without a long warm-up.

    Args:
        width: of each place.
        heads: attention heads, each of width / heads.
        inner: width between W_1 and W_2.
        dropout: probability, on what is added.
        attention_dropout: probability, on the shares of attention.
        before: whether to normalize before, not after.

    Raises:
        UsageError: the heads do not divide the width.

    Source:
        Vaswani et al. (2017), sections 3.1 to 3.3; gelu and the order of dropout: Devlin et al. (2019). Before: Xiong et al. (2020).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        before: bool = False,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise UsageError(f"heads is {heads}: it must divide the width, {width}")
        self.heads, self.attention_dropout, self.before = heads, attention_dropout, before
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.first, self.second = nn.Linear(width, inner), nn.Linear(inner, width)
        self.attended, self.fed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """(n, places, width) → the same shape.

        Args:
            x: the sequences.
            there: (n, places) bool, at least one of each sequence; the others are not attended to.
        """
        if self.before:
            x = x + self.drop(self._mixed(self.attended(x), there))
            summed: Tensor = x + self.drop(self._inner(self.fed(x)))
            return summed
        x = self.attended(x + self.drop(self._mixed(x, there)))
        out: Tensor = self.fed(x + self.drop(self._inner(x)))
        return out

    def shares(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """softmax(Q Kᵀ / √d), (n, heads, places, places): how much each place, of the last but one, attends to each; arguments as the call, none dropped."""
        query, key, _ = self._heads(self.attended(x) if self.before else x)
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        if there is not None:
            scores = scores.masked_fill(~there[:, None, None, :], float("-inf"))
        shares: Tensor = scores.softmax(-1)
        return shares

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Q, K and V, (n, heads, places, width / heads)."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value

    def _inner(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(functional.gelu(self.first(x)))
        return out

    def _mixed(self, x: Tensor, there: Tensor | None) -> Tensor:
        query, key, value = self._heads(x)
        mask = None if there is None else there[:, None, None, :]
        dropped = self.attention_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, mask, dropped)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out
