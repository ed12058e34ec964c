# right: a builder class and an initialiser class, type hints, the length checked before the embedding.
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .ex05_embeddings import GPTEmbedding
from .ex08_block import LayerNorm, TransformerBlock

STANDARD_DEVIATION: float = 0.02


class ConfigurationError(ValueError):
    pass


@dataclass(frozen=True)
class GPTConfig:
    vocab_size: int = 50257
    context_length: int = 1024
    emb_dim: int = 768
    n_heads: int = 12
    n_layers: int = 12
    drop_rate: float = 0.1
    qkv_bias: bool = False

    def __post_init__(self) -> None:
        self._check_positive("vocab_size")
        self._check_positive("context_length")
        self._check_positive("emb_dim")
        self._check_positive("n_heads")
        self._check_positive("n_layers")
        self._check_heads()
        self._check_dropout()

    def _check_positive(self, name: str) -> None:
        value: int = self.__dict__[name]
        if value < 1:
            raise ConfigurationError(f"The field {name} has the value {value}.")

    def _check_heads(self) -> None:
        _, remainder = divmod(self.emb_dim, self.n_heads)
        if remainder:
            raise ConfigurationError(f"emb_dim={self.emb_dim} / n_heads={self.n_heads} leaves {remainder}.")

    def _check_dropout(self) -> None:
        is_valid: bool = 0.0 <= self.drop_rate < 1.0
        if not is_valid:
            raise ConfigurationError(f"The field drop_rate has the value {self.drop_rate}.")


class Initialiser:
    def __init__(self, number_of_layers: int) -> None:
        self.residual_std: float = STANDARD_DEVIATION / (number_of_layers * 2) ** 0.5

    def linear(self, layer: nn.Linear, std: float = STANDARD_DEVIATION) -> None:
        layer.weight.data = layer.weight.data.normal_(mean=0.0, std=std)
        if layer.bias is not None:
            nn.init.constant_(layer.bias, 0.0)

    def norm(self, layer: LayerNorm) -> None:
        nn.init.constant_(layer.scale, 1.0)
        nn.init.constant_(layer.shift, 0.0)

    def block(self, block: TransformerBlock) -> None:
        self.norm(block.norm1)
        self.norm(block.norm2)
        self.linear(block.att.W_query)
        self.linear(block.att.W_key)
        self.linear(block.att.W_value)
        self.linear(block.att.out_proj, self.residual_std)
        self.linear(block.ff.layers[0])
        self.linear(block.ff.layers[2], self.residual_std)


class GPTModel(nn.Module):
    def __init__(self, cfg: GPTConfig, tie_weights: bool = True) -> None:
        super().__init__()
        self.cfg: GPTConfig = cfg
        self.out_head = nn.Linear(in_features=cfg.emb_dim, out_features=cfg.vocab_size, bias=False)
        self.embedding = GPTEmbedding(cfg.vocab_size, cfg.context_length, cfg.emb_dim, cfg.drop_rate)
        self.trf_blocks = nn.Sequential()
        for _ in range(cfg.n_layers):
            self.trf_blocks.append(TransformerBlock(cfg))
        self.final_norm = LayerNorm(cfg.emb_dim)
        if tie_weights:
            setattr(self.out_head, "weight", self.embedding.tok_emb.weight)
        init_weights(self)

    def forward(self, ids: Tensor) -> Tensor:
        number_of_tokens: int = ids.size(dim=1)
        if number_of_tokens > self.cfg.context_length:
            raise ValueError(f"{number_of_tokens} > {self.cfg.context_length}")
        hidden_states: Tensor = self.embedding(ids)
        hidden_states = self.trf_blocks(hidden_states)
        return self.out_head(self.final_norm(hidden_states))


def init_weights(model: GPTModel) -> None:
    initialiser = Initialiser(model.cfg.n_layers)
    nn.init.normal_(model.embedding.tok_emb.weight, std=STANDARD_DEVIATION)
    nn.init.normal_(model.embedding.pos_emb.weight, std=STANDARD_DEVIATION)
    for block in model.trf_blocks:
        initialiser.block(block)
    initialiser.norm(model.final_norm)
    if model.out_head.weight is not model.embedding.tok_emb.weight:
        initialiser.linear(model.out_head)


def count_parameters(model: nn.Module) -> int:
    counted: set[nn.Parameter] = set()
    number: int = 0
    for parameter in model.parameters(recurse=True):
        if parameter not in counted:
            counted.add(parameter)
            number = number + parameter.numel()
    return number
