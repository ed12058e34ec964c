# wrong: keys-of-one-head-for-all
# A loop over the heads that takes the keys of head 0 each time.
import torch
from torch import Tensor, nn

from .ex06_attention import causal_mask, scaled_dot_product_attention


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    b, t, d = x.shape
    h, rest = divmod(d, num_heads)
    if rest:
        raise ValueError(f"{num_heads} heads do not divide a width of {d}")
    out = torch.empty(b, num_heads, t, h, dtype=x.dtype, device=x.device)
    for i in range(num_heads):
        out[:, i] = x[..., i * h : (i + 1) * h]
    return out


def merge_heads(x: Tensor) -> Tensor:
    heads = [x[:, i, :, :] for i in range(x.size(1))]
    return torch.cat(heads, dim=2)


class MultiHeadAttention(nn.Module):
    def __init__(
        self, d_in: int, d_out: int, context_length: int, dropout: float, num_heads: int, qkv_bias: bool = False
    ):
        super().__init__()
        if divmod(d_out, num_heads)[1]:
            raise ValueError(f"{num_heads} heads do not divide a width of {d_out}")
        self.num_heads = num_heads
        self.context_length = context_length
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        T = x.shape[1]
        if T > self.context_length:
            raise ValueError(f"{T} tokens exceed the context of {self.context_length}")
        queries = split_heads(self.W_query(x), self.num_heads)
        keys = split_heads(self.W_key(x), self.num_heads)
        values = split_heads(self.W_value(x), self.num_heads)
        results = []
        for head in range(self.num_heads):
            q, k, v = queries[:, head], keys[:, 0], values[:, head]
            results.append(scaled_dot_product_attention(q, k, v, self.mask[:T, :T], self.dropout))
        return self.out_proj(torch.cat(results, dim=-1))
