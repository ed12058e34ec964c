# right: a subclass of CausalAttention, whose mask is registered anew and not saved.
import torch
from torch import Tensor, nn

from .ex06_attention import CausalAttention, causal_mask, scaled_dot_product_attention


def _must_divide(width: int, num_heads: int) -> None:
    if width % num_heads:
        raise ValueError(f"a width of {width} is no multiple of {num_heads} heads")


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    _must_divide(x.shape[-1], num_heads)
    return torch.stack([piece for piece in x.chunk(num_heads, dim=-1)], dim=1)


def merge_heads(x: Tensor) -> Tensor:
    return torch.hstack(list(x.permute(1, 3, 0, 2).flatten(0, 1).permute(1, 0, 2).split(1, dim=1))).permute(0, 2, 1)


class MultiHeadAttention(CausalAttention):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        _must_divide(d_out, num_heads)
        super().__init__(d_in, d_out, context_length, dropout, qkv_bias)
        self.num_heads = num_heads
        self.out_proj = nn.Linear(d_out, d_out)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        length = x.size(1)
        if length > self.mask.size(0):
            raise ValueError(f"{length} tokens are too long for {self.mask.size(0)}")
        query, key, value = (
            split_heads(layer(x), self.num_heads) for layer in (self.W_query, self.W_key, self.W_value)
        )
        mask = self.mask[-length:, -length:]
        heads = [
            scaled_dot_product_attention(query[:, i], key[:, i], value[:, i], mask, self.dropout)
            for i in range(self.num_heads)
        ]
        return self.out_proj(merge_heads(torch.stack(heads, dim=1)))
