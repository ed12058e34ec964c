import torch
from torch import Tensor, nn


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    batch, length, width = x.shape
    if width % num_heads != 0:
        raise ValueError(f"a width of {width} does not divide into {num_heads} heads")
    return x.view(batch, length, num_heads, width // num_heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    return torch.flatten(x.transpose(1, 2), start_dim=2)


class MultiHeadAttention(nn.Module):
    def __init__(
        self,
        d_in: int,
        d_out: int,
        context_length: int,
        dropout: float,
        num_heads: int,
        qkv_bias: bool = False,
    ) -> None:
        super().__init__()
        if d_out % num_heads != 0:
            raise ValueError(f"a width of {d_out} does not divide into {num_heads} heads")
        self.d_out, self.head_dim = d_out, d_out // num_heads
        self.num_heads = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        places = torch.arange(context_length)
        self.register_buffer("mask", places[None, :] > places[:, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        context_length = self.mask.shape[0]
        if length > context_length:
            raise ValueError(f"{length} tokens do not fit into a context of {context_length}")
        queries = self.W_query(x).view(batch, length, self.num_heads, self.head_dim).transpose(1, 2)
        keys = self.W_key(x).view(batch, length, self.num_heads, self.head_dim).transpose(1, 2)
        values = self.W_value(x).view(batch, length, self.num_heads, self.head_dim).transpose(1, 2)
        attention_scores = queries @ keys.transpose(2, 3) / self.head_dim**0.5
        hidden = self.mask[:length, :length]
        attention_scores = attention_scores.masked_fill(hidden, -torch.inf)
        attention_weights = torch.softmax(attention_scores, dim=-1)
        attention_weights = self.dropout(attention_weights)
        vectors = (attention_weights @ values).transpose(1, 2)
        return self.out_proj(vectors.reshape(batch, length, self.d_out))
