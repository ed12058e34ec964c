# right: weights reshaped to (H, h, d_in), everything by einsum, -1e9 for minus infinity.
import torch
from torch import einsum, nn

from .ex06_attention import causal_mask


def split_heads(x, num_heads):
    batch, length, width = x.shape
    if width % num_heads:
        raise ValueError(f"width {width} and {num_heads} heads do not go together")
    pick = torch.eye(width, dtype=x.dtype, device=x.device).view(num_heads, width // num_heads, width)
    return einsum("btd,hsd->bhts", x, pick)


def merge_heads(x):
    return x.permute(0, 2, 1, 3).reshape(len(x), x.shape[2], x.shape[1] * x.shape[3])


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        if d_out % num_heads:
            raise ValueError(f"width {d_out} and {num_heads} heads do not go together")
        self.num_heads, self.d_in = num_heads, d_in
        self.dropout = nn.Dropout(p=dropout)
        self.out_proj = nn.Linear(d_out, d_out)
        for name in ("W_value", "W_key", "W_query"):
            setattr(self, name, nn.Linear(d_in, d_out, bias=qkv_bias))
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x):
        length = x.shape[-2]
        if length > self.mask.shape[-1]:
            raise ValueError(f"length {length} but context {self.mask.shape[-1]}")

        def project(layer):
            weight = layer.weight.view(self.num_heads, -1, self.d_in)
            result = einsum("btd,hsd->bhts", x, weight)
            if layer.bias is not None:
                result = result + layer.bias.view(self.num_heads, 1, -1)
            return result

        scores = einsum("bhqs,bhks->bhqk", project(self.W_query), project(self.W_key))
        scores = scores / (self.W_key.out_features // self.num_heads) ** 0.5
        scores = torch.where(self.mask[:length, :length], scores.new_tensor(-1e9), scores)
        weights = self.dropout(scores.softmax(-1))
        context = einsum("bhqk,bhks->bqhs", weights, project(self.W_value)).flatten(2)
        return einsum("btd,od->bto", context, self.out_proj.weight) + self.out_proj.bias
