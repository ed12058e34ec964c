# right: in-place arithmetic on fresh tensors, buffers of its own that are not saved, functional dropout.
import torch
import torch.nn as nn
import torch.nn.functional as F


def split_heads(x, num_heads):
    B, T, D = x.shape
    if D / num_heads != D // num_heads:
        raise ValueError(f"D={D} H={num_heads}")
    out = x.new_zeros(B, num_heads, T, D // num_heads)
    for i, piece in enumerate(x.split(D // num_heads, dim=-1)):
        out[:, i] = piece
    return out


def merge_heads(x):
    B, H, T, h = x.shape
    out = torch.zeros(B, T, H * h, dtype=x.dtype, device=x.device)
    for i in range(H):
        out[:, :, i * h : (i + 1) * h] += x[:, i]
    return out


class MultiHeadAttention(nn.Module):
    def __init__(self, d_in, d_out, context_length, dropout, num_heads, qkv_bias=False):
        super().__init__()
        self.num_heads = num_heads
        if d_out / num_heads != d_out // num_heads:
            raise ValueError(f"D={d_out} H={num_heads}")
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        mask = torch.ones(context_length, context_length).triu_(1).bool()
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("lowest", torch.tensor(float("-inf")), persistent=False)
        self.register_buffer("scale", torch.tensor((d_out // num_heads) ** -0.5), persistent=False)

    def forward(self, x):
        T, longest = x.size(1), self.mask.size(1)
        if longest < T:
            raise ValueError(f"T={T} longest={longest}")
        q = split_heads(self.W_query(x), self.num_heads)
        q *= self.scale
        k = split_heads(self.W_key(x), self.num_heads)
        v = split_heads(self.W_value(x), self.num_heads)
        s = torch.matmul(q, k.mT)
        s.masked_fill_(self.mask[:T, :T], self.lowest.item())
        s -= s.detach().amax(dim=-1, keepdim=True)
        w = s.exp()
        w = w / w.sum(dim=-1, keepdim=True)
        w = F.dropout(w, p=self.dropout.p, training=self.training)
        return F.linear(merge_heads(w @ v), self.out_proj.weight, self.out_proj.bias)
