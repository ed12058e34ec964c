# wrong: no-output-projection
# Long and typed; out_proj is made and never called.
from typing import List

import torch
from torch import Tensor, nn

from .ex06_attention import causal_mask


class HeadDimensionValidator:
    @staticmethod
    def validate(width: int, number_of_heads: int) -> int:
        if width % number_of_heads != 0:
            raise ValueError("The width " + str(width) + " is not a multiple of " + str(number_of_heads))
        return width // number_of_heads


class SingleHead:
    def __init__(self, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor, dropout: nn.Dropout) -> None:
        self.query, self.key, self.value = query, key, value
        self.hidden = hidden
        self.dropout = dropout

    def getContext(self) -> Tensor:
        scores: Tensor = torch.bmm(self.query, self.key.transpose(1, 2)) / (self.key.size(2) ** 0.5)
        scores = scores.masked_fill(self.hidden, float("-inf"))
        weights: Tensor = self.dropout(torch.softmax(scores, dim=2))
        return torch.bmm(weights, self.value)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    head_width: int = HeadDimensionValidator.validate(x.size(2), num_heads)
    list_of_heads: List[Tensor] = list(torch.split(x, head_width, dim=2))
    return torch.stack(list_of_heads, dim=1)


def merge_heads(x: Tensor) -> Tensor:
    list_of_heads: List[Tensor] = list(torch.unbind(x, dim=1))
    return torch.cat(list_of_heads, dim=2)


class MultiHeadAttention(nn.Module):
    def __init__(
        self, d_in: int, d_out: int, context_length: int, dropout: float, num_heads: int, qkv_bias: bool = False
    ) -> None:
        super().__init__()
        self.head_width: int = HeadDimensionValidator.validate(d_out, num_heads)
        self.num_heads: int = num_heads
        self.W_query = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_key = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.W_value = nn.Linear(d_in, d_out, bias=qkv_bias)
        self.out_proj = nn.Linear(d_out, d_out)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mask", causal_mask(context_length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        sequence_length: int = x.size(1)
        maximum_length: int = self.mask.size(0)
        if sequence_length > maximum_length:
            raise ValueError("Sequence of " + str(sequence_length) + " exceeds " + str(maximum_length))
        hidden: Tensor = self.mask[:sequence_length, :sequence_length]
        contexts: List[Tensor] = []
        for index in range(self.num_heads):
            start: int = index * self.head_width
            end: int = start + self.head_width
            head = SingleHead(
                self.W_query(x)[:, :, start:end],
                self.W_key(x)[:, :, start:end],
                self.W_value(x)[:, :, start:end],
                hidden,
                self.dropout,
            )
            contexts.append(head.getContext())
        return torch.cat(contexts, dim=2)
