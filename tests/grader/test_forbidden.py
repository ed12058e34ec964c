"""What the learner is to write may not be borrowed from torch, whatever it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from grader.course import catalogue
from grader.course.variants import variant_sources
from grader.grading.bench import job_for
from grader.protocol.job import OUT_OF_SIGHT, UNKNOWN, Limits, Source
from grader.protocol.runs import Ending, SubjectRun
from grader.sandbox.forbid import ForbiddenCall, forbidding, watched
from grader.sandbox.forbidden import operations
from grader.sandbox.forbidden.families import STEMS, is_forbidden
from grader.sandbox.forbidden.private import unknown_private
from grader.supervisor.jobs import run
from grader.supervisor.start import start_launcher
from tests.mini import ROOT

EXERCISES = {exercise.id: exercise for exercise in catalogue.load(ROOT)}

EMBEDDING = "return self.weight[ids]"
ATTENTION = "scaled_dot_product_attention(query, key, value, mask, self.dropout)"
NORM = "return self.scale * (x - mean) / torch.sqrt(variance + self.eps) + self.shift"
GELU = "return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))"
OPTIMIZER = "class AdamW(torch.optim.Optimizer):"
CLIP = "    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]\n"
STEP = '                t = int(state["step"])'
IMPORT = "\nimport torch\n"
SCHEDULE = "    if step < warmup_steps:\n"


Run = Callable[..., SubjectRun]


@pytest.fixture(scope="module")
def run_with() -> Iterator[Run]:
    """Run an exercise's solution with something else in it."""
    started = start_launcher(17)

    def run_it(exercise: str, *edits: tuple[str, str]) -> SubjectRun:
        (chosen,) = (found for name, found in EXERCISES.items() if name.startswith(exercise))
        text = chosen.solution.text
        for find, replacement in edits:
            assert text.count(find) == 1
            text = text.replace(find, replacement)
        sources = {**variant_sources(chosen), chosen.id: Source(chosen.solution.path, text)}
        job = job_for(chosen, sources, 17, Limits(60.0))
        return run(started, replace(job, checks=tuple(job.forbidden_operations)))

    try:
        yield run_it
    finally:
        started.close()


def refused(result: SubjectRun) -> set[str]:
    """The names of what was refused, each once."""
    failures = [check.failure for check in result.checks if check.ending is Ending.FORBIDDEN]
    return {failure.message for failure in failures if failure}


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
def test_the_ready_made_thing_ends_a_check(run_with: Run, exercise: str, find: str, replacement: str) -> None:
    result = run_with(exercise, (find, replacement))
    assert refused(result), [check.failure for check in result.checks if check.failure][:3]


OPS = "torch.ops.aten."
FLASH = "q, q, q, None, None, 1, 1, 0.0, False, False"
MEANS = "[x], [x], [x], [x], []"
BETAS = "lr=0.1, beta1=0.9, beta2=0.9, weight_decay=0.0, eps=1e-8, maximize=False, amsgrad=False"


@pytest.mark.parametrize(
    ("word", "call"),
    [
        ("softmax", "torch._safe_softmax(x, -1)"),
        ("softmax", "torch._log_softmax(x, -1, False)"),
        ("softmax", "torch._masked_softmax(x, x > 0, -1)"),
        ("softmax", "torch._softmax_backward_data(x, x, -1, x.dtype)"),
        ("softmax", "torch.special.softmax(x, -1)"),
        ("softmax", "torch.sparse.softmax(x.to_sparse(), -1)"),
        ("softmax", "torch.masked.softmax(x, -1)"),
        ("softmax", "nn.functional.gumbel_softmax(x)"),
        ("softmax", "nn.AdaptiveLogSoftmaxWithLoss(4, 3, [1])(x[:3], torch.tensor([0, 1, 2]))"),
        ("softmax", "torch.ops.quantized.softmax(torch.quantize_per_tensor(x, 0.1, 0, torch.quint8), -1, 0.1, 0)"),
        ("softmax", "torch.logcumsumexp(x, -1)"),
        ("softmax", "torch.distributions.Categorical(logits=x)"),
        ("softmax", "nn.functional.cross_entropy(x, torch.tensor([0, 1, 2, 3]))"),
        ("softmax", "nn.functional.scaled_dot_product_attention(x, x, torch.eye(4))"),
        ("softmax", "torch.vmap(lambda row: torch.ops.aten._softmax(row, -1, False))(x)"),
        ("softmax", "torch.func.functionalize(lambda x: torch.softmax(x, -1))(x)"),
        ("softmax", "torch.fx.symbolic_trace(nn.Softmax(-1))(x)"),
        ("softmax", "torch.jit.CompilationUnit('def f(x):\\n  return torch.softmax(x, -1)\\n').f(x)"),
        ("softmax", "torch.func.jvp(lambda x: x.softmax(-1), (x,), (x,))"),
        ("softmax", "torch.autograd.functional.jacobian(lambda x: x.softmax(-1), x)"),
        ("softmax", "torch.utils.checkpoint.checkpoint(nn.Softmax(-1), x, use_reentrant=False)"),
        ("softmax", "torch.inference_mode()(torch.softmax)(x, -1)"),
        ("softmax", "torch._C._jit_get_operation('aten::softmax')[0](x, -1)"),
        ("softmax", f"torch._C._dispatch_call_boxed({OPS}_softmax.default._handle, x, -1, False)"),
        ("softmax", "torch._refs.softmax(x, -1)"),
        ("softmax", "torch._refs.nn.functional.softmin(x, -1)"),
        ("softmax", f"torch._decomp.decomposition_table[{OPS}_softmax.default](x, -1, False)"),
        ("softmax", f"{OPS}softmax.int.redispatch(CPU, x, -1)"),
        ("softmax", f"{OPS}_softmax.default._handle.redispatch_boxed(CPU, x, -1, False)"),
        ("softmax", f"{OPS}_softmax.default._op_dk(torch._C.DispatchKey.CPU, x, -1, False)"),
        ("softmax", "torch.library.get_kernel('aten::_softmax', 'CPU').call_boxed(CPU, x, -1, False)"),
        ("linear", f"{OPS}linear.default.decompose(x, x)"),
        ("linear", "torch.ops.mkldnn._linear_pointwise(x, x, None, 'none', [], '')"),
        ("linear", "torch.jit.CompilationUnit('def f(x):\\n  return torch._C._nn.linear(x, x)\\n').f(x)"),
        ("linear", "nn.functional.bilinear(x, x, torch.ones(1, 4, 4))"),
        ("embedding", "nn.functional.embedding_bag(torch.tensor([[1]]), x)"),
        ("embedding", "torch._embedding_bag(x, torch.tensor([1]), torch.tensor([0]))"),
        ("embedding", f"torch._decomp.decomposition_table[{OPS}embedding.default](x, torch.tensor([1]))"),
        ("scaled_dot_product_attention", "torch._scaled_dot_product_flash_attention_for_cpu(q, q, q)"),
        ("scaled_dot_product_attention", "torch._scaled_dot_product_attention_math(q, q, q)"),
        ("scaled_dot_product_attention", "nn.MultiheadAttention(4, 1)(x, x, x)"),
        ("scaled_dot_product_attention", "nn.TransformerEncoderLayer(4, 1).eval()(x)"),
        ("scaled_dot_product_attention", f"{OPS}_flash_attention_forward({FLASH})"),
        ("layer_norm", "torch._refs.nn.functional.layer_norm(x, [4])"),
        ("layer_norm", "torch._refs._normalize(x, [1], 1e-5)"),
        ("layer_norm", "torch.native_group_norm(x, None, None, 4, 4, 1, 1, 1e-5)"),
        ("layer_norm", "torch.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5)"),
        ("layer_norm", "nn.functional.instance_norm(q)"),
        ("layer_norm", "nn.functional.local_response_norm(x[..., None], 8)"),
        ("layer_norm", "torch._fused_rms_norm(x, [4], None, 1e-5)"),
        ("rms_norm", f"torch._decomp.decomposition_table[{OPS}_fused_rms_norm.default](x, [4], None, 1e-5)"),
        ("gelu", "torch._refs.nn.functional.gelu(x, 'tanh')"),
        ("gelu", "torch._addmm_activation(x, x, x, use_gelu=True)"),
        ("gelu", "torch.ops.mkldnn._linear_pointwise(x, x, None, 'gelu', [], 'tanh')"),
        ("gelu", "torch._C._nn.gelu_(x)"),
        ("adamw", f"torch._fused_adamw_({MEANS}, [x[0, 0]], {BETAS})"),
        ("AdamW", f"sys.modules['torch.optim.adam']._single_tensor_adam({MEANS}, [x[0, 0]])"),
        ("AdamW", f"torch.optim._functional.adam({MEANS}, [x[0, 0]], {BETAS})"),
        ("AdamW", "__import__('torch.optim._multi_tensor').optim._multi_tensor.AdamW([x])"),
        ("AdamW", "torch.optim.NAdam([x])"),
        ("clip_grad_norm_", "nn.utils.clip_grad._get_total_norm([x])"),
        ("clip_grad_norm_", "nn.utils.clip_grad._clip_grads_with_norm_([x], 1.0, x[0, 0])"),
        ("lr_scheduler", "torch.optim.swa_utils.SWALR(torch.optim.SGD([x]), 1.0)"),
        ("lr_scheduler", "torch.optim.lr_scheduler.OneCycleLR._annealing_cos(1.0, 0.0, 0.5)"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:torch.quantize")
def test_whatever_computes_it_is_refused(word: str, call: str) -> None:
    cpu = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
    scope = {
        "torch": torch,
        "nn": torch.nn,
        "sys": sys,
        "CPU": cpu,
        "x": torch.rand(4, 4),
        "q": torch.rand(1, 1, 4, 4),
    }
    with watched([word]), pytest.raises(ForbiddenCall), forbidding([word]):
        eval(call, scope)


COPIED = """
import types
from torch.nn.utils import clip_grad_norm_ as ready
inner = ready.__wrapped__
copied = types.FunctionType(inner.__code__, inner.__globals__, "mine", inner.__defaults__)
"""
OWN = """
@torch.library.custom_op("mine::own", mutates_args=())
def own(x: torch.Tensor) -> torch.Tensor: return torch.nn.functional.gelu(x)
"""
NEW = """
library = torch.library.Library("aten", "FRAGMENT")
library.define("_new_in_torch(Tensor x) -> Tensor")
library.impl("_new_in_torch", torch.nn.functional.gelu, "CPU")
"""
MODE = """
from torch.utils._python_dispatch import TorchDispatchMode
class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None): return torch.nn.functional.gelu(args[0])
def in_mode(x):
    with Mode(): return x.exp()
"""
TENSOR = """
class Mine(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None): return torch.nn.functional.gelu(args[0])
"""
KEPT = """
ready = torch.optim.AdamW([nn.Parameter(torch.ones(1))])
class Mine(torch.optim.AdamW): pass
"""


@pytest.mark.parametrize(
    ("exercise", "kept", "find", "call", "name"),
    [
        ("ex08", "TABLE = torch.nn.functional.gelu(torch.linspace(-9, 9, 999))", GELU, "TABLE[x.long()]", "gelu"),
        (
            "ex08",
            "TABLE = (torch.nn.functional.gelu(torch.ones(9)) * 2)[1:]",
            GELU,
            "TABLE + x.sum()",
            "gelu",
        ),
        ("ex12", COPIED, CLIP, "copied(list(parameters), max_norm)", "clip_grad_norm_"),
        ("ex12", KEPT, STEP, "ready.step()", "Adam"),
        ("ex12", KEPT, STEP, "Mine([parameter])", "AdamW"),
    ],
)
def test_what_was_kept_at_import_may_not_be_used(
    run_with: Run, exercise: str, kept: str, find: str, call: str, name: str
) -> None:
    kept_edit = (IMPORT, f"{IMPORT}from torch import nn\n{kept}\n")
    indent = find[: len(find) - len(find.lstrip())]
    edit = f"return {call}" if find == GELU else f"{indent}{call}\n{find}"
    assert refused(run_with(exercise, kept_edit, (find, edit))) == {name}
    assert not refused(run_with(exercise, kept_edit))


IN_THREAD = """
import ctypes
def in_thread(work):
    done = []
    call = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: done.append(work()))
    thread, library = ctypes.c_void_p(), ctypes.CDLL(None)
    library.pthread_create(ctypes.byref(thread), None, call, None)
    library.pthread_join(thread, None)
    return done[0]
"""


@pytest.mark.parametrize(
    ("kept", "call", "name"),
    [
        (IN_THREAD, "in_thread(lambda: nn.functional.gelu(x))", "ctypes.pthread_create"),
        (OWN, "own(x)", "torch.library.Library.impl"),
        (NEW, "torch.ops.aten._new_in_torch(x)", "torch.library.Library.impl"),
        (MODE, "in_mode(x)", "__torch_dispatch__"),
        (TENSOR, "Mine(x).exp()", "__torch_dispatch__"),
        ("def inside(x):\n    with torch._C.DisableTorchFunction(): return x + 1", "inside(x)",
         "torch._C.DisableTorchFunction"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_or_is_not_known_is_refused(run_with: Run, kept: str, call: str, name: str) -> None:
    result = run_with("ex08", (IMPORT, f"{IMPORT}{kept}\n"), (GELU, f"return {call}"))
    assert refused(result) == {name}
    assert name.startswith((*OUT_OF_SIGHT, UNKNOWN))


@pytest.mark.parametrize(
    ("word", "operations"),
    [
        ("softmax", "exp sum amax max sub div log logaddexp sigmoid where"),
        ("linear", "matmul mm bmm addmm t permute einsum"),
        ("cross_entropy", "gather index mean neg log_softmax nll_loss"),
        ("embedding", "index index_select gather one_hot"),
        ("scaled_dot_product_attention", "softmax _softmax masked_fill bmm dropout baddbmm linear"),
        ("layer_norm", "mean var var_mean rsqrt norm linalg_vector_norm normalize std"),
        ("rms_norm", "mean pow rsqrt norm layer_norm"),
        ("gelu", "tanh erf mul pow silu relu addmm"),
        ("AdamW", "lerp_ addcmul_ addcdiv_ sqrt _foreach_add_ _fused_sgd_"),
        ("clip_grad_norm_", "norm linalg_vector_norm _foreach_norm mul_ clamp clip"),
    ],
)
def test_what_it_is_built_of_is_not_forbidden(word: str, operations: str) -> None:
    assert word.strip("_").lower() in STEMS
    assert [name for name in operations.split() if is_forbidden(name, frozenset({word}))] == []


def test_every_private_operation_of_this_torch_was_looked_at() -> None:
    assert unknown_private() == set()


def test_a_private_operation_that_nobody_has_looked_at_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "UNKNOWN_PRIVATE", {"_weight_norm"})
    x = torch.rand(3, 3)
    for call in ("torch._weight_norm(x, x[0])", "torch.ops.aten._weight_norm.default(x, x[0])"):
        with watched(["gelu"]), pytest.raises(ForbiddenCall, match=r"aten\._weight_norm"), forbidding(["gelu"]):
            eval(call, {"torch": torch, "x": x})
    with watched(["gelu"]), forbidding(["gelu"]):
        layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 3))
        assert layer(x).shape == (3, 3)


@pytest.mark.parametrize(
    "name", ["_ExcludeDispatchKeyGuard", "_dispatch_tls_set_dispatch_key_included", "_get_operation_overload"]
)
def test_what_lowers_the_watch_is_refused(name: str) -> None:
    with watched(["gelu"]), pytest.raises(ForbiddenCall, match=name), forbidding(["gelu"]):
        getattr(torch._C, name)(torch._C.DispatchKeySet(torch._C.DispatchKey.CPU))
    assert not hasattr(getattr(torch._C, name), "__wrapped__") and "grader" not in repr(getattr(torch._C, name))


class Derived(torch.autograd.Function):
    """Goes on with what it gets, and takes a softmax on the way back."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0].softmax(-1)


def test_what_runs_on_the_way_back_is_seen() -> None:
    x = torch.rand(4, 4, requires_grad=True)
    with watched(["softmax"]), pytest.raises(ForbiddenCall), forbidding(["softmax"]):
        Derived.apply(x).sum().backward()
    x.register_hook(lambda gradient: gradient.softmax(-1))
    with watched(["softmax"]), pytest.raises(ForbiddenCall), forbidding(["softmax"]):
        (x * 2).sum().backward()


def test_without_the_modes_of_torch_what_is_forbidden_still_is() -> None:
    x = torch.rand(4, 4)
    with watched(["softmax"]), pytest.raises(ForbiddenCall), forbidding(["softmax"]):
        with torch._C.DisableTorchFunctionSubclass(), torch.utils._python_dispatch._disable_current_modes():
            torch.softmax(x, -1)


def test_what_torch_computes_it_of_may_be_forbidden() -> None:
    x = torch.rand(4, 4, requires_grad=True)
    with watched(["sum"]), forbidding(["sum"]):
        assert "tensor" in repr(x.mean())
        x.mean().backward()
    with watched(["sum"]), pytest.raises(ForbiddenCall), forbidding(["sum"]), torch.inference_mode():
        x.sum()


def test_what_has_no_gate_is_as_fast_as_without() -> None:
    """A mode of torch would see each operation, and would take longer than the operation itself."""
    with watched(["gelu"]), forbidding(["gelu"]):
        assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
        assert torch._C._len_torch_function_stack() == 0
