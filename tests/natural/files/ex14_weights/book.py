# right: the book's way, name by name, chunks into .data.

import os
from pathlib import Path

import torch

from .ex09_gpt import GPTModel


def save_checkpoint(path, model, optimizer=None, extra=None):
    path = Path(path)
    os.makedirs(path.parent, exist_ok=True)
    checkpoint = {
        "model_state_dict": model.state_dict(),
        "rng_state": torch.get_rng_state(),
        "extra": extra or {},
    }
    if optimizer is not None:
        checkpoint["optimizer_state_dict"] = optimizer.state_dict()
    if torch.cuda.is_initialized():
        checkpoint["cuda_rng_state"] = torch.cuda.get_rng_state_all()
    tmp = path.parent / (path.name + ".tmp")
    try:
        torch.save(checkpoint, tmp)
        os.replace(tmp, path)
    except BaseException:
        if tmp.exists():
            os.remove(tmp)
        raise


def load_checkpoint(path, model, optimizer=None):
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if optimizer is not None and "optimizer_state_dict" not in checkpoint:
        raise ValueError(f"No optimizer in {path}")
    model.load_state_dict(checkpoint["model_state_dict"])
    if optimizer is not None:
        optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    torch.set_rng_state(checkpoint["rng_state"])
    for i, state in enumerate(checkpoint.get("cuda_rng_state", [])):
        if i < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, i)
    return checkpoint["extra"]


def gpt2_places(model):
    places = {}
    places["wpe.weight"] = [model.embedding.pos_emb.weight]
    places["wte.weight"] = [model.embedding.tok_emb.weight]
    for b in range(len(model.trf_blocks)):
        block = model.trf_blocks[b]
        att = block.att
        places[f"h.{b}.attn.c_attn.weight"] = [att.W_query.weight.T, att.W_key.weight.T, att.W_value.weight.T]
        if att.W_query.bias is not None:
            places[f"h.{b}.attn.c_attn.bias"] = [att.W_query.bias, att.W_key.bias, att.W_value.bias]
        places[f"h.{b}.attn.c_proj.weight"] = [att.out_proj.weight.T]
        places[f"h.{b}.attn.c_proj.bias"] = [att.out_proj.bias]
        places[f"h.{b}.mlp.c_fc.weight"] = [block.ff.layers[0].weight.T]
        places[f"h.{b}.mlp.c_fc.bias"] = [block.ff.layers[0].bias]
        places[f"h.{b}.mlp.c_proj.weight"] = [block.ff.layers[2].weight.T]
        places[f"h.{b}.mlp.c_proj.bias"] = [block.ff.layers[2].bias]
        places[f"h.{b}.ln_1.weight"] = [block.norm1.scale]
        places[f"h.{b}.ln_1.bias"] = [block.norm1.shift]
        places[f"h.{b}.ln_2.weight"] = [block.norm2.scale]
        places[f"h.{b}.ln_2.bias"] = [block.norm2.shift]
    places["ln_f.weight"] = [model.final_norm.scale]
    places["ln_f.bias"] = [model.final_norm.shift]
    places["lm_head.weight"] = [model.out_head.weight]
    return places


def _clean(state_dict):
    params = {}
    for k, v in state_dict.items():
        k = k[len("transformer."):] if k.startswith("transformer.") else k
        if k.endswith(".attn.bias") or k.endswith(".attn.masked_bias"):
            continue
        params[k] = v
    if "lm_head.weight" not in params and "wte.weight" in params:
        params["lm_head.weight"] = params["wte.weight"]
    return params


def load_gpt2(model, state_dict):
    params = _clean(state_dict)
    places = gpt2_places(model)
    errors = []
    for k in places:
        if k not in params:
            errors.append(f"missing: {k}")
            continue
        want = list(places[k][0].shape)
        want[-1] *= len(places[k])
        if list(params[k].shape) != want:
            errors.append(f"Shape mismatch in {k}. Left: {want}, Right: {list(params[k].shape)}")
    for k in params:
        if k not in places:
            errors.append(f"unexpected: {k}")
    if model.out_head.weight is model.embedding.tok_emb.weight and "lm_head.weight" in params and not errors:
        if not torch.equal(params["lm_head.weight"], params["wte.weight"]):
            errors.append("lm_head.weight is not wte.weight")
    if errors:
        raise ValueError("\n".join(errors))
    for k, targets in places.items():
        chunks = torch.chunk(params[k], len(targets), dim=-1)
        for t, c in zip(targets, chunks):
            t.data.copy_(c)
