# right: the places come from the state dict's tensors, filled through a flat table.

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
    if optimizer is not None and ck["o"] is None: raise ValueError(f"{path}: no optimizer")
    model.load_state_dict(ck["m"])
    if optimizer is not None: optimizer.load_state_dict(ck["o"])
    torch.set_rng_state(ck["r"])
    for d in range(min(len(ck["c"]), torch.cuda.device_count())): torch.cuda.set_rng_state(ck["c"][d], d)
    return ck["x"]


NAMES = {"ln_1": "norm1", "ln_2": "norm2", "attn.c_proj": "att.out_proj", "mlp.c_fc": "ff.layers.0", "mlp.c_proj": "ff.layers.2"}


def gpt2_places(model):
    own = model.state_dict()
    get = lambda name: [own[name]] if name in own else []
    found = {"wte.weight": get("embedding.tok_emb.weight"), "wpe.weight": get("embedding.pos_emb.weight")}
    found["lm_head.weight"] = get("out_head.weight")
    found["ln_f.weight"], found["ln_f.bias"] = get("final_norm.scale"), get("final_norm.shift")
    for i in range(len(model.trf_blocks)):
        for theirs, ours in NAMES.items():
            kinds = ("scale", "shift") if "ln" in theirs else ("weight", "bias")
            for kind, their_kind in zip(kinds, ("weight", "bias")):
                found[f"h.{i}.{theirs}.{their_kind}"] = get(f"trf_blocks.{i}.{ours}.{kind}")
        for kind in ("weight", "bias"):
            three = [get(f"trf_blocks.{i}.att.W_{what}.{kind}") for what in ("query", "key", "value")]
            found[f"h.{i}.attn.c_attn.{kind}"] = sum(three, [])
    turned = lambda name, ts: [t.T for t in ts] if ".c_" in name and name.endswith(".weight") else ts
    return {name: turned(name, ts) for name, ts in found.items() if ts}


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
