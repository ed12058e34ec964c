"""Errors that beginners meet, raised for real, and what is said about each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from grader.judge.errors_explained import MEANINGS, meaning
from grader.sandbox.observe import error_types, message_of
from grader.text import shorten

ONES = torch.ones(2, 3)
IDS = torch.tensor([0, 1])
BATCH = torch.ones(2, 4, 3)
WEIGHT = nn.Parameter(torch.ones(3))


@dataclasses.dataclass(frozen=True)
class Config:
    emb_dim: int = 3


class Forgetful(nn.Module):
    """Without `super().__init__()`."""

    def __init__(self) -> None:
        self.layer = nn.Linear(2, 2)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w_query = nn.Linear(2, 2)


class Selfless:
    def size():  # type: ignore[no-untyped-def, misc]
        return 1


def backward_twice() -> None:
    loss = (WEIGHT * WEIGHT).sum()
    loss.backward()
    loss.backward()


def changed_before_backward() -> None:
    x = (WEIGHT * 2).exp()
    y = x.sum() + (x * x).sum()
    x += 1.0
    y.backward()


def in_place_on_a_leaf() -> None:
    leaf = nn.Parameter(torch.ones(3))
    leaf += 1.0


def own_name_before_its_value() -> object:
    if len(ONES) > 5:
        late = 1
    return late


def endless() -> object:
    return endless()


def spent() -> Iterator[int]:
    yield next(iter(()))


def grown_within_a_loop() -> None:
    counts = {1: 1}
    for key in counts:
        counts[key + 1] = 1


def other_state(rows: int, name: str = "weight") -> None:
    nn.Linear(3, 2, bias=False).load_state_dict({name: torch.ones(rows, 3)})


def two_of(items: object) -> None:
    _first, _second = items  # type: ignore[misc]


def parameter_of_text() -> None:
    layer = nn.Linear(2, 2)
    layer.weight = torch.ones(2, 2)  # type: ignore[assignment]


def frozen() -> None:
    Config().emb_dim = 4  # type: ignore[misc]


nothing: object = None
RAISING: dict[str, tuple[Callable[[], object], str]] = {
    "keys.T on two axes": (lambda: ONES @ ONES, "transpose(-2, -1)"),
    "keys.T on three axes": (lambda: BATCH @ BATCH.T, "turns all of them round"),
    "three axes": (lambda: BATCH @ torch.ones(2, 4, 3), "first axes"),
    "bmm": (lambda: torch.bmm(BATCH, BATCH), "first axes"),
    "a sum": (lambda: ONES + torch.ones(2, 4), "right-aligned"),
    "cat": (lambda: torch.cat([ONES, torch.ones(3, 4)]), "joined"),
    "cat of axes": (lambda: torch.cat([ONES, IDS]), "joined"),
    "stack": (lambda: torch.stack([ONES, torch.ones(3, 3)]), "joined"),
    "view, wrong number": (lambda: ONES.view(4, 2), "keep the number"),
    "view, not contiguous": (lambda: BATCH.transpose(1, 2).view(2, 12), "contiguous"),
    "expand": (lambda: ONES.expand(4, 3), "expanded"),
    "copy": (lambda: ONES.clone().copy_(torch.ones(2, 5)), "right-aligned | expanded"),
    "mask as index": (lambda: ONES[torch.ones(3, 3) > 0], "mask"),
    "in place": (lambda: torch.ones(3).add_(ONES), "in place"),
    "axis": (lambda: ONES.sum(dim=3), "no axis"),
    "indices": (lambda: ONES[0, 0, 0], "fewer axes than there are indices"),
    "layer norm": (lambda: F.layer_norm(ONES, (4,)), "layer norm"),
    "double and float": (lambda: ONES @ torch.ones(3, 2).double(), "different dtypes"),
    "linear on double": (lambda: nn.Linear(3, 2)(ONES.double()), "different dtypes"),
    "embedding of floats": (lambda: nn.Embedding(4, 2)(ONES), "takes ids"),
    "index of floats": (lambda: ONES[torch.tensor([0.0])], "int64 or bool"),
    "gather by floats": (lambda: ONES.gather(1, torch.zeros(2, 1)), "gather"),
    "mask of ints": (lambda: ONES.masked_fill(torch.ones(2, 3).int(), 0.0), "dtype bool"),
    "where of ints": (lambda: torch.where(torch.ones(2, 3), ONES, ONES), "dtype bool"),
    "floats into ints": (lambda: IDS.add_(0.5), "whole numbers"),
    "mean of ints": (lambda: IDS.mean(), "for floats"),
    "softmax of ints": (lambda: torch.softmax(IDS, 0), "for floats"),
    "1 - mask": (lambda: 1 - (ONES > 0), "~mask"),
    "cross entropy, batch": (lambda: F.cross_entropy(ONES, torch.tensor([0, 1, 2])), "Flatten"),
    "cross entropy, floats": (lambda: F.cross_entropy(ONES, torch.tensor([0.0, 1.0])), "Flatten"),
    "cross entropy, three axes": (lambda: F.cross_entropy(BATCH, torch.zeros(2, 4).long()), "Flatten"),
    "cross entropy, targets of two axes": (lambda: F.cross_entropy(ONES, torch.zeros(2, 3).long()), "Flatten"),
    "embedding, id too large": (lambda: nn.Embedding(2, 2)(torch.tensor([2])), "vocabulary"),
    "index of an axis": (lambda: ONES[5], "length - 1"),
    "index_select": (lambda: ONES.index_select(0, torch.tensor([7])), "selects from"),
    "gather": (lambda: ONES.gather(1, torch.tensor([[7]])), "Counting begins at 0"),
    "cross entropy, target": (lambda: F.cross_entropy(ONES, torch.tensor([0, 9])), "Counting begins at 0"),
    "topk": (lambda: ONES.topk(9), "topk"),
    "multinomial, NaN": (lambda: torch.multinomial(ONES * torch.nan, 1), "softmax"),
    "multinomial, negative": (lambda: torch.multinomial(-ONES, 1), "softmax"),
    "multinomial, nothing": (lambda: torch.multinomial(ONES * 0, 1), "softmax"),
    "multinomial, three axes": (lambda: torch.multinomial(BATCH, 1), "softmax"),
    "list index": (lambda: [1][1], "one shorter"),
    "item of many": (lambda: ONES.item(), "single value"),
    "float of many": (lambda: float(ONES), "single number"),
    "range of many": (lambda: range(ONES), "single number"),  # type: ignore[call-overload]
    "if tensor": (lambda: 1 if ONES > 0 else 2, "one yes or no"),
    "leaf in place": (in_place_on_a_leaf, "no_grad"),
    "backward twice": (backward_twice, "anew"),
    "no gradient": (lambda: ONES.sum().backward(), "frozen"),
    "changed before backward": (changed_before_backward, "Make a new one"),
    "backward of many": (lambda: (WEIGHT * 2).backward(), "mean or the sum"),
    "numpy": (lambda: WEIGHT.numpy(), "detach"),
    "gradient of ids": (lambda: IDS.requires_grad_(), "Only floats"),
    "parameter of ids": (lambda: nn.Parameter(IDS), "Only floats"),
    "two devices": (lambda: torch.ones(2, device="meta") @ torch.ones(2), "device=x.device"),
    "meta item": (lambda: torch.ones((), device="meta").item(), "no values"),
    "meta copy": (lambda: torch.ones(2, device="meta").to("cpu"), "no values"),
    "no super": (Forgetful, "super().__init__()"),
    "tensor for parameter": (parameter_of_text, "cannot take its place"),
    "size mismatch": (lambda: other_state(5), "another shape"),
    "unexpected key": (lambda: other_state(2, "w"), "not those of this model"),
    "no forward": (lambda: nn.Module()(ONES), "no `forward`"),
    "None, attribute": (lambda: nothing.shape, "return"),  # type: ignore[attr-defined]
    "None, sum": (lambda: nothing + 1, "return"),  # type: ignore[operator]
    "None, call": (lambda: nothing(1), "return"),  # type: ignore[operator]
    "None, index": (lambda: nothing[0], "return"),  # type: ignore[index]
    "None, matmul": (lambda: torch.matmul(ONES, nothing), "return"),  # type: ignore[arg-type]
    "look-alike": (lambda: Layer().W_query, "spelled"),
    "list attribute": (lambda: [1].shape, "another type"),  # type: ignore[attr-defined]
    "attribute": (lambda: SimpleNamespace().other, "spelled"),
    "dataclass": (lambda: Config()["emb_dim"], "by a dot"),  # type: ignore[index]
    "no self": (lambda: Selfless().size(), "self"),
    "no init": (lambda: object(1) or Config.__class__, "self"),  # type: ignore[call-arg]
    "missing argument": (lambda: Layer.forward(), "fewer arguments | def"),  # type: ignore[call-arg]
    "too many arguments": (lambda: endless(1), "self"),  # type: ignore[call-arg]
    "unexpected argument": (lambda: Config(dim=1), "same parameters"),  # type: ignore[call-arg]
    "not callable": (lambda: ONES(0), "no function"),  # type: ignore[operator]
    "list by text": (lambda: [1]["a"], "whole number"),  # type: ignore[call-overload]  # noqa: RUF016
    "unhashable": (lambda: {[1]: 2}, "tuple"),
    "unhashable in a set": (lambda: {1, [1]}, "tuple"),  # type: ignore[list-item]
    "generator has no length": (lambda: len(x for x in [1]), "once"),  # type: ignore[arg-type]
    "generator has no index": (lambda: (x for x in [1])[0], "once | dot"),  # type: ignore[index]
    "spent iterator": (lambda: next(iter([])), "no items left"),
    "spent in a generator": (lambda: list(spent()), "no items left"),
    "grown": (grown_within_a_loop, "copy"),
    "key": (lambda: {}["a"], "no such key"),
    "byte too large": (lambda: bytes([300]), "from 0 to 255"),
    "bytearray too large": (lambda: bytearray(1).append(300), "from 0 to 255"),
    "part of a character": (lambda: "é".encode()[:1].decode(), "Join"),
    "ascii": (lambda: "é".encode("ascii"), "UTF-8"),
    "recursion": (endless, "calls itself"),
    "division": (lambda: 1 / 0, "divided by 0"),
    "local": (own_name_before_its_value, "no"),
    "name": (lambda: missing_name, "this name"),  # type: ignore[name-defined]  # noqa: F821
    "unpack": (lambda: two_of((1, 2, 3)), "left of"),
    "text and number": (lambda: "a" + 1, "different types"),  # type: ignore[operator]
    "bytes and text": (lambda: b"a" + "b", "different types"),  # type: ignore[operator]
    "join": (lambda: "".join([1]), "different types"),  # type: ignore[list-item]
    "frozen": (frozen, "replace"),
}


def raised(call: Callable[[], object]) -> tuple[str, str]:
    """The type and the message, as the judge has them."""
    try:
        call()
    except Exception as error:
        return error_types(error)[0], shorten(message_of(error), 300)
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(("call", "said"), RAISING.values(), ids=RAISING)
def test_an_error_is_explained(call: Callable[[], object], said: str) -> None:
    error, message = raised(call)
    text = meaning(error, message)
    assert any(part in text for part in said.split(" | ")), (error, message, text)


def test_every_explanation_is_of_an_error_that_there_is() -> None:
    said = {meaning(*raised(call)) for call, _ in RAISING.values()}
    assert [text for _, _, text in MEANINGS if text not in said] == []


def test_what_nobody_has_met_is_not_explained() -> None:
    assert meaning("ValueError", "the sky is falling") == ""
    assert meaning("MyError", "mat1 and mat2 shapes cannot be multiplied") == ""
