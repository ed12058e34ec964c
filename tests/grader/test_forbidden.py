"""What the learner is to write may not be borrowed from torch, whatever it is called."""

from __future__ import annotations

import pytest

from grader.course import catalogue
from grader.course.variants import variant_sources
from grader.grading.bench import job_for
from grader.protocol.job import Limits, Source
from grader.protocol.runs import Ending
from grader.supervisor.start import start_launcher
from grader.supervisor.watch import run
from tests.mini import ROOT

EXERCISES = {exercise.id: exercise for exercise in catalogue.load(ROOT)}

EMBEDDING = "return self.weight[ids]"
ATTENTION = "scaled_dot_product_attention(query, key, value, mask, self.dropout)"
NORM = "return self.scale * (x - mean) / torch.sqrt(variance + self.eps) + self.shift"
GELU = "return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))"
OPTIMIZER = "class AdamW(torch.optim.Optimizer):"
CLIP = "    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]\n"
SCHEDULE = "    if step < warmup_steps:\n"


@pytest.mark.parametrize(
    ("exercise", "find", "replacement"),
    [
        ("ex05_embeddings", EMBEDDING, "return nn.functional.embedding(ids, self.weight)"),
        ("ex05_embeddings", EMBEDDING, "return nn.Embedding.from_pretrained(self.weight)(ids)"),
        ("ex05_embeddings", EMBEDDING, "return torch.ops.aten.embedding(self.weight, ids)"),
        (
            "ex07_multihead",
            ATTENTION,
            "getattr(nn.functional, 'scaled_dot_' + 'product_attention')(query, key, value)",
        ),
        (
            "ex07_multihead",
            ATTENTION,
            "torch._C._nn.scaled_dot_product_attention(query, key, value, is_causal=True)",
        ),
        (
            "ex07_multihead",
            ATTENTION,
            "split_heads(nn.MultiheadAttention(self.out_proj.in_features, self.num_heads, batch_first=True)"
            "(x @ self.W_query.weight.T, x @ self.W_key.weight.T, x @ self.W_value.weight.T)[0], self.num_heads)",
        ),
        ("ex08_block", NORM, "return nn.functional.layer_norm(x, x.shape[-1:], self.scale, self.shift)"),
        ("ex08_block", NORM, "return nn.LayerNorm(x.shape[-1], dtype=x.dtype)(x) * self.scale + self.shift"),
        ("ex08_block", NORM, "return torch.layer_norm(x, x.shape[-1:], self.scale, self.shift)"),
        ("ex08_block", NORM, "return torch.native_layer_norm(x, x.shape[-1:], self.scale, self.shift, 1e-5)[0]"),
        ("ex08_block", GELU, "return nn.GELU(approximate='tanh')(x)"),
        ("ex08_block", GELU, "return torch._C._nn.gelu(x, approximate='tanh')"),
        ("ex08_block", GELU, "return torch.ops.aten.gelu.default(x, approximate='tanh')"),
        ("ex08_block", GELU, "return torch._C._nn.gelu_(x.clone(), approximate='tanh')"),
        ("ex12_optim", OPTIMIZER, "Ready = torch.optim.AdamW\n\n\nclass AdamW(Ready):"),
        ("ex12_optim", OPTIMIZER, "Ready = vars(torch.optim)['Adam']\n\n\nclass AdamW(Ready):"),
        (
            "ex12_optim",
            CLIP,
            "    from torch.nn.utils.clip_grad import clip_grad_norm_ as shorten\n"
            "    return float(shorten(parameters, max_norm))\n" + CLIP,
        ),
        (
            "ex12_optim",
            CLIP,
            "    parameters = list(parameters)\n    return float(nn.utils.get_total_norm(parameters))\n" + CLIP,
        ),
        (
            "ex12_optim",
            SCHEDULE,
            "    wave = torch.optim.lr_scheduler.CosineAnnealingLR\n"
            "    wave(torch.optim.SGD([torch.zeros(1)], lr=max_lr), total_steps, min_lr)\n" + SCHEDULE,
        ),
    ],
)
def test_the_ready_made_thing_ends_a_check(exercise: str, find: str, replacement: str) -> None:
    chosen = EXERCISES[exercise]
    assert chosen.solution.text.count(find) == 1
    text = chosen.solution.text.replace(find, replacement)
    sources = {**variant_sources(chosen), exercise: Source(chosen.solution.path, text)}
    started = start_launcher(17)
    try:
        result = run(started, job_for(chosen, sources, 17, Limits(60.0)))
    finally:
        started.close()
    endings = [check.ending for check in result.checks]
    assert Ending.FORBIDDEN in endings, [check.failure for check in result.checks if check.failure][:3]
