# wrong: softmax-over-axis-one
# The axis of the softmax is counted from the front: 1 is the queries of (B, T, T), and the heads of (B, H, T, T).
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask=None, dropout=None) -> Tensor:
    logits = torch.einsum("...id,...jd->...ij", query, key) * query.size(-1) ** -0.5
    if mask is not None:
        logits = torch.where(mask, torch.full_like(logits, float("-inf")), logits)
    attn = F.softmax(logits, dim=1)
    attn = attn if dropout is None else dropout(attn)
    return torch.einsum("...ij,...jd->...id", attn, value)


def causal_mask(length: int) -> Tensor:
    return ~torch.ones(length, length, dtype=torch.bool).tril()


class SelfAttention(nn.Module):
    def __init__(self, d_in: int, d_out: int, qkv_bias: bool = False) -> None:
        super().__init__()
        for name in ("W_query", "W_key", "W_value"):
            setattr(self, name, nn.Linear(d_in, d_out, bias=qkv_bias))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x) for layer in (self.W_query, self.W_key, self.W_value))
        return scaled_dot_product_attention(q, k, v)


class CausalAttention(nn.Module):
    def __init__(
        self, d_in: int, d_out: int, context_length: int, dropout: float, qkv_bias: bool = False
    ) -> None:
        super().__init__()
        for name in ("W_query", "W_key", "W_value"):
            setattr(self, name, nn.Linear(d_in, d_out, bias=qkv_bias))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length))

    def forward(self, x: Tensor) -> Tensor:
        t, limit = x.size(-2), self.mask.size(-1)
        if t > limit:
            raise ValueError(f"{t} tokens, but the context is {limit}")
        q, k, v = (layer(x) for layer in (self.W_query, self.W_key, self.W_value))
        return scaled_dot_product_attention(q, k, v, self.mask[:t, :t], self.dropout)
