from pathlib import Path
from tempfile import TemporaryDirectory

import torch


def save_checkpoint(path, model, optimizer=None, extra=None):
    file = Path(path)
    file.parent.mkdir(exist_ok=True, parents=True)
    in_use = torch.cuda.is_initialized()
    cards = torch.cuda.get_rng_state_all() if in_use else []
    held = [model.state_dict(), optimizer and optimizer.state_dict(), torch.get_rng_state(), cards, extra or {}]
    with TemporaryDirectory(dir=file.parent) as beside:
        torch.save(held, Path(beside, "new"))
        Path(beside, "new").replace(file)


def load_checkpoint(path, model, optimizer=None):
    weights, means, random_state, cards, extra = torch.load(path, weights_only=True, map_location="cpu")
    if optimizer is not None and means is None:
        raise ValueError(f"{path} has no optimizer")
    model.load_state_dict(weights)
    if optimizer is not None:
        optimizer.load_state_dict(means)
    torch.set_rng_state(random_state)
    for device in range(min(len(cards), torch.cuda.device_count())):
        torch.cuda.set_rng_state(cards[device], device)
    return extra


def gpt2_places(model):
    places = {
        "wte.weight": [model.embedding.tok_emb.weight],
        "wpe.weight": [model.embedding.pos_emb.weight],
        "ln_f.weight": [model.final_norm.scale],
        "ln_f.bias": [model.final_norm.shift],
        "lm_head.weight": [model.out_head.weight],
    }
    for number, block in enumerate(model.trf_blocks):
        for name, norm in (("ln_1", block.norm1), ("ln_2", block.norm2)):
            places[f"h.{number}.{name}.weight"] = [norm.scale]
            places[f"h.{number}.{name}.bias"] = [norm.shift]
        attention, feed_forward = block.att, block.ff.layers
        layers = {
            "attn.c_attn": [attention.W_query, attention.W_key, attention.W_value],
            "attn.c_proj": [attention.out_proj],
            "mlp.c_fc": [feed_forward[0]],
            "mlp.c_proj": [feed_forward[2]],
        }
        for name, linears in layers.items():
            places[f"h.{number}.{name}.weight"] = [linear.weight.T for linear in linears]
            if linears[0].bias is not None:
                places[f"h.{number}.{name}.bias"] = [linear.bias for linear in linears]
    return places


def load_gpt2(model, state_dict):
    params = {}
    for key, value in state_dict.items():
        if not key.endswith((".attn.masked_bias", ".attn.bias")):
            params[key.removeprefix("transformer.")] = value
    if "lm_head.weight" not in params and "wte.weight" in params:
        params["lm_head.weight"] = params["wte.weight"]
    _check(model, params)
    with torch.no_grad():
        model.embedding.tok_emb.weight.copy_(params["wte.weight"])
        model.embedding.pos_emb.weight.copy_(params["wpe.weight"])
        for number, block in enumerate(model.trf_blocks):
            start = f"h.{number}."
            q_w, k_w, v_w = params[start + "attn.c_attn.weight"].chunk(3, dim=-1)
            block.att.W_query.weight.copy_(q_w.T)
            block.att.W_key.weight.copy_(k_w.T)
            block.att.W_value.weight.copy_(v_w.T)
            if start + "attn.c_attn.bias" in params:
                q_b, k_b, v_b = params[start + "attn.c_attn.bias"].chunk(3, dim=-1)
                block.att.W_query.bias.copy_(q_b)
                block.att.W_key.bias.copy_(k_b)
                block.att.W_value.bias.copy_(v_b)
            block.att.out_proj.weight.copy_(params[start + "attn.c_proj.weight"].T)
            block.att.out_proj.bias.copy_(params[start + "attn.c_proj.bias"])
            block.ff.layers[0].weight.copy_(params[start + "mlp.c_fc.weight"].T)
            block.ff.layers[0].bias.copy_(params[start + "mlp.c_fc.bias"])
            block.ff.layers[2].weight.copy_(params[start + "mlp.c_proj.weight"].T)
            block.ff.layers[2].bias.copy_(params[start + "mlp.c_proj.bias"])
            block.norm1.scale.copy_(params[start + "ln_1.weight"])
            block.norm1.shift.copy_(params[start + "ln_1.bias"])
            block.norm2.scale.copy_(params[start + "ln_2.weight"])
            block.norm2.shift.copy_(params[start + "ln_2.bias"])
        model.final_norm.scale.copy_(params["ln_f.weight"])
        model.final_norm.shift.copy_(params["ln_f.bias"])
        model.out_head.weight.copy_(params["lm_head.weight"])


def _check(model, params):
    V, D = model.embedding.tok_emb.weight.shape
    shapes = {
        "wte.weight": (V, D),
        "wpe.weight": tuple(model.embedding.pos_emb.weight.shape),
        "lm_head.weight": (V, D),
    }
    shapes |= {"ln_f.weight": (D,), "ln_f.bias": (D,)}
    for number, block in enumerate(model.trf_blocks):
        of_block = {"ln_1.weight": (D,), "ln_1.bias": (D,), "ln_2.weight": (D,), "ln_2.bias": (D,)}
        linears = {
            "attn.c_attn": (D, 3 * D),
            "attn.c_proj": (D, D),
            "mlp.c_fc": (D, 4 * D),
            "mlp.c_proj": (4 * D, D),
        }
        for layer, shape in linears.items():
            of_block |= {layer + ".weight": shape, layer + ".bias": shape[1:]}
        if block.att.W_query.bias is None:
            del of_block["attn.c_attn.bias"]
        shapes |= {f"h.{number}.{name}": shape for name, shape in of_block.items()}
    wrong = [f"missing {name}" for name in shapes if name not in params]
    for name, value in params.items():
        if name not in shapes:
            wrong.append(f"unexpected {name}")
        elif tuple(value.shape) != shapes[name]:
            wrong.append(f"{name}: {tuple(value.shape)} for {shapes[name]}")
    tied = model.embedding.tok_emb.weight is model.out_head.weight
    if tied and not wrong and not torch.equal(params["lm_head.weight"], params["wte.weight"]):
        wrong.append("lm_head.weight is not wte.weight, and the model is tied")
    if wrong:
        raise ValueError(", ".join(wrong))
