# wrong: key-and-value-exchanged, missing-optimizer-noticed-too-late
# Key and value are exchanged; and the model is filled before the missing optimizer is noticed.

import os, tempfile

import torch

from .ex09_gpt import GPTModel


def save_checkpoint(path, model, optimizer=None, extra=None):
    path = os.path.abspath(path)
    d = os.path.dirname(path)
    os.makedirs(d, exist_ok=True)
    ck = dict(m=model.state_dict(), o=optimizer and optimizer.state_dict(), r=torch.get_rng_state(), x=extra or {})
    ck["c"] = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    with tempfile.TemporaryDirectory(dir=d) as t:
        torch.save(ck, os.path.join(t, "x"))
        os.replace(os.path.join(t, "x"), path)


def load_checkpoint(path, model, optimizer=None):
    ck = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(ck["m"])
    if optimizer is not None:
        if ck["o"] is None: raise ValueError(f"{path}: no optimizer")
        optimizer.load_state_dict(ck["o"])
    torch.set_rng_state(ck["r"])
    for d in range(min(len(ck["c"]), torch.cuda.device_count())): torch.cuda.set_rng_state(ck["c"][d], d)
    return ck["x"]


def gpt2_places(model):
    lin = lambda n, *ls: {f"{n}.weight": [l.weight.t() for l in ls]} | ({f"{n}.bias": [l.bias for l in ls]} if ls[0].bias is not None else {})
    ln = lambda n, m: {f"{n}.weight": [m.scale], f"{n}.bias": [m.shift]}
    e = model.embedding
    out = {"wte.weight": [e.tok_emb.weight], "wpe.weight": [e.pos_emb.weight], "lm_head.weight": [model.out_head.weight]} | ln("ln_f", model.final_norm)
    for i, b in enumerate(model.trf_blocks):
        p = f"h.{i}."
        out |= ln(p + "ln_1", b.norm1) | ln(p + "ln_2", b.norm2)
        out |= lin(p + "attn.c_attn", b.att.W_query, b.att.W_value, b.att.W_key) | lin(p + "attn.c_proj", b.att.out_proj)
        out |= lin(p + "mlp.c_fc", b.ff.layers[0]) | lin(p + "mlp.c_proj", b.ff.layers[2])
    return out


def load_gpt2(model, state_dict):
    sd = {k.removeprefix("transformer."): v for k, v in state_dict.items()}
    sd = {k: v for k, v in sd.items() if not k.endswith(('.attn.masked_bias', '.attn.bias'))}
    if "wte.weight" in sd: sd.setdefault("lm_head.weight", sd["wte.weight"])
    pl = gpt2_places(model)
    whole = {k: (*v[0].shape[:-1], sum(q.shape[-1] for q in v)) for k, v in pl.items()}
    bad = [k + " missing" for k in pl.keys() - sd.keys()] + [k + " unknown" for k in sd.keys() - pl.keys()]
    bad += [f"{k}: {tuple(sd[k].shape)} != {whole[k]}" for k in pl.keys() & sd.keys() if tuple(sd[k].shape) != whole[k]]
    if not bad and model.out_head.weight is model.embedding.tok_emb.weight and not torch.equal(sd["lm_head.weight"], sd["wte.weight"]):
        bad = ["lm_head.weight and wte.weight differ, the model is tied"]
    if bad: raise ValueError(", ".join(bad))
    with torch.no_grad():
        for k, v in pl.items():
            at = 0
            for q in v:
                q.copy_(sd[k][..., at : at + q.shape[-1]])
                at += q.shape[-1]
