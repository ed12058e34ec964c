"""Probes of ex05: embeddings. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import torch
from torch.overrides import TorchFunctionMode


def test_token_lesson_example(subject, draw, observe):
    """Example: with the lesson's table, [2, 0, 2] gives (3, 1), (1, 0), (3, 1)."""
    embedding = subject.TokenEmbedding(3, 2)
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]))
    observe("vectors of tokens 2, 0, 2", embedding(torch.tensor([2, 0, 2])))


def test_token_table_is_the_only_parameter(subject, draw, observe):
    """`nn.Parameter`, float (V, D): the only parameter"""
    embedding = subject.TokenEmbedding(11, 6)
    observe("parameters", {name: value.shape for name, value in embedding.named_parameters()})
    observe("dtype of the table", embedding.weight.dtype)
    observe("is trained", embedding.weight.requires_grad)


def test_token_table_starts_with_normal_numbers(subject, draw, observe):
    """Make the table, with numbers drawn by `torch.randn`."""
    weight, other = (subject.TokenEmbedding(500, 40).weight.detach() for _ in range(2))
    observe("share of numbers that a second table has too", (weight == other).float().mean())
    observe("mean", weight.mean(), tolerance=0.1)
    observe("standard deviation, in thousandths", weight.std() * 1000, tolerance=0.1)
    observe("share of numbers between -1 and 1", (weight.abs() < 1).float().mean(), tolerance=0.03)


def test_each_token_gets_its_row(subject, draw, observe):
    """float (…, D), of the table's dtype: for ids (B, T), entry [b, t] is row ids[b, t]"""
    embedding = subject.TokenEmbedding(11, 6)
    draw.fill(embedding)
    observe("vectors of ids (2, 7)", embedding(draw.integers(2, 7, high=11)))
    observe("vectors of all tokens in random order", embedding(draw.permutation(11)))
    observe("vectors of the first token and the last", embedding(torch.tensor([[0, 10]])))


def test_ids_may_have_any_shape(subject, draw, observe):
    """ids int64 of any shape (…)"""
    embedding = subject.TokenEmbedding(11, 6)
    draw.fill(embedding)
    for shape in ((7,), (3, 1), (1, 5), (2, 3, 4), ()):
        observe(f"vectors of ids {shape}", embedding(draw.integers(*shape, high=11)))
    observe("vectors of ids with exchanged axes", embedding(draw.integers(7, 2, high=11).T))


def test_token_embedding_keeps_double_precision(subject, draw, observe):
    """float (…, D), of the table's dtype"""
    embedding = subject.TokenEmbedding(11, 6).double()
    draw.fill(embedding)
    with torch.no_grad():
        embedding.weight.div_(3)  # thirds, which a float32 would round
    # A million times what a float32 would lose.
    vectors = embedding(draw.integers(2, 7, high=11))
    observe("vectors", vectors)
    observe("what a float32 cannot hold of them", (vectors - vectors.float()) * 1e6)


def test_positional_lesson_example(subject, draw, observe):
    """Example: with the lesson's table, ids of shape (5, 2) give (0.1, 0.2), (0.3, 0.4)."""
    embedding = subject.PositionalEmbedding(3, 2)
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]))
    observe("rows for ids of shape (4, 2)", embedding(draw.integers(4, 2, high=9)))


def test_position_table_is_the_only_parameter(subject, draw, observe):
    """`nn.Parameter`, float (context_length, D): the only parameter"""
    embedding = subject.PositionalEmbedding(8, 6)
    observe("parameters", {name: value.shape for name, value in embedding.named_parameters()})
    observe("dtype of the table", embedding.weight.dtype)
    observe("is trained", embedding.weight.requires_grad)


def test_position_table_starts_with_normal_numbers(subject, draw, observe):
    """Make the table, with numbers drawn by `torch.randn`."""
    weight, other = (subject.PositionalEmbedding(500, 40).weight.detach() for _ in range(2))
    observe("share of numbers that a second table has too", (weight == other).float().mean())
    observe("mean", weight.mean(), tolerance=0.1)
    observe("standard deviation, in thousandths", weight.std() * 1000, tolerance=0.1)
    observe("share of numbers between -1 and 1", (weight.abs() < 1).float().mean(), tolerance=0.03)


def test_positions_count_from_the_first(subject, draw, observe):
    """float (T, D), of the table's dtype: its first T rows, without an axis for the batch"""
    embedding = subject.PositionalEmbedding(8, 6)
    draw.fill(embedding)
    for batch, length in ((2, 7), (3, 5), (4, 1), (2, 8), (1, 4)):
        observe(f"rows for ids ({batch}, {length})", embedding(draw.integers(batch, length, high=50)))


def test_more_sequences_than_the_context_is_long(subject, draw, observe):
    """ids int64 (B, T); only T matters"""
    embedding = subject.PositionalEmbedding(5, 6)
    draw.fill(embedding)
    for batch, length in ((7, 4), (7, 5), (12, 1)):
        observe(f"rows for ids ({batch}, {length})", embedding(draw.integers(batch, length, high=50)))


def test_positional_embedding_keeps_double_precision(subject, draw, observe):
    """float (T, D), of the table's dtype"""
    embedding = subject.PositionalEmbedding(8, 6).double()
    draw.fill(embedding)
    with torch.no_grad():
        embedding.weight.div_(3)  # thirds, which a float32 would round
    rows = embedding(draw.integers(2, 7, high=11))
    observe("rows", rows)
    observe("what a float32 cannot hold of them", (rows - rows.float()) * 1e6)


def test_gpt_lesson_example(subject, draw, observe):
    """Example: the one of the lesson, in evaluation mode."""
    embedding = subject.GPTEmbedding(3, 4, 2, dropout=0.0)
    with torch.no_grad():
        embedding.tok_emb.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]))
        embedding.pos_emb.weight.copy_(torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]]))
    observe("vectors of tokens 2, 0, 2", embedding(torch.tensor([[2, 0, 2]])))


def test_two_tables_are_all_parameters(subject, draw, observe):
    """tok_emb, pos_emb, drop_emb a TokenEmbedding, a PositionalEmbedding, an `nn.Dropout`"""
    embedding = subject.GPTEmbedding(11, 8, 6, 0.1)
    found = {name: value.shape for name, value in embedding.named_parameters()}
    observe("parameters", dict(sorted(found.items())))
    parts = (embedding.tok_emb, embedding.pos_emb, embedding.drop_emb)
    observe("kinds of tok_emb, pos_emb and drop_emb", [type(part).__name__ for part in parts])


def test_vector_is_token_plus_position(subject, draw, observe):
    """float (B, T, D): the row of each token plus the row of its position, after dropout"""
    embedding = subject.GPTEmbedding(11, 8, 6, dropout=0.0)
    draw.fill(embedding)
    for batch, length in ((2, 7), (3, 5), (4, 1), (2, 8)):
        observe(f"vectors of ids ({batch}, {length})", embedding(draw.integers(batch, length, high=11)))


def test_same_token_at_every_place(subject, draw, observe):
    """float (B, T, D): the row of each token plus the row of its position, after dropout"""
    embedding = subject.GPTEmbedding(11, 8, 6, dropout=0.0)
    draw.fill(embedding)
    ids = draw.integers(3, 1, high=11).expand(3, 7)
    observe("vectors of seven times the same token", embedding(ids))


def test_gpt_embedding_with_more_sequences_than_places(subject, draw, observe):
    """Position 0 is the same row in every sequence b."""
    embedding = subject.GPTEmbedding(11, 5, 6, dropout=0.0)
    draw.fill(embedding)
    observe("vectors of ids (7, 4)", embedding(draw.integers(7, 4, high=11)))
    observe("vectors of ids (7, 5)", embedding(draw.integers(7, 5, high=11)))


def test_dropout_only_while_training(subject, draw, observe):
    """While training, some numbers of the sum are set to 0 at random, each on its own, and the others are divided
    by 1 − probability, so that the size is right on average. Nothing is dropped in evaluation mode.
    """
    for probability in (0.5, 0.2):
        embedding = subject.GPTEmbedding(11, 8, 6, dropout=probability)
        draw.fill(embedding)
        ids = draw.integers(2, 7, high=11)
        whole = embedding.eval()(ids)
        observe(f"vectors in evaluation mode, dropout={probability}", whole)
        observe(f"once more in evaluation mode, dropout={probability}", embedding(ids))
        dropped = embedding.train()(ids)
        kept = torch.where(dropped == 0, whole / (1 - probability), dropped)
        observe(f"vectors in training mode, dropout={probability}, the dropped numbers put back", kept)


def test_each_number_is_dropped_on_its_own(subject, draw, observe):
    """While training, some numbers of the sum are set to 0 at random, each on its own, and the others are divided
    by 1 − probability, so that the size is right on average.
    """
    for probability in (0.5, 0.2):  # a module that was just made is in training mode
        wide = subject.GPTEmbedding(11, 8, 2048, dropout=probability)
        draw.fill(wide)
        ids = draw.integers(2, 5, high=11)
        kept, again = ((wide(ids) != 0).float() for _ in range(2))
        observe(
            f"share kept at each place of each sequence, dropout={probability}", kept.mean(dim=2), tolerance=0.1
        )
        observe("share kept in two calls", (kept * again).mean(dim=2), tolerance=0.1)
        pairs = (kept[:, 1:] * kept[:, :-1]).mean(dim=2)
        observe("share kept at a place and at the next", pairs, tolerance=0.1)
        narrow = subject.GPTEmbedding(11, 8, 6, dropout=probability)
        draw.fill(narrow)
        kept = (narrow(draw.integers(4000, 5, high=11)) != 0).float()
        observe(f"share kept over all sequences, dropout={probability}", kept.mean(dim=0), tolerance=0.1)


# The fine print.


def test_gradients_of_a_repeated_token_add_up(subject, draw, observe):
    """A token that occurs three times sends three gradients to its row, where they add up. A row that nobody picked
    gets a gradient of 0.
    """
    embedding = subject.TokenEmbedding(9, 6)
    draw.fill(embedding)
    ids = torch.tensor([[4, 2, 4, 0, 7], [2, 4, 8, 8, 1]])  # 3, 5 and 6 do not occur
    (embedding(ids) * draw.normal(2, 5, 6)).sum().backward()
    observe("gradient of the table", embedding.weight.grad)


def test_positions_beyond_the_context_are_refused(subject, draw, observe):
    """ValueError: T is larger than context_length. The message should name both numbers."""
    embedding = subject.PositionalEmbedding(12, 6)
    draw.fill(embedding)
    observe("rows for 12 tokens", embedding(draw.integers(2, 12, high=50)))
    observe.outcome("13 tokens", embedding, draw.integers(2, 13, high=50), mentions=("13", "12"))
    embedding.eval()
    observe.outcome("40 tokens", embedding, draw.integers(1, 40, high=50), mentions=("40", "12"))


def test_positions_are_on_the_device_of_the_ids(subject, draw, observe):
    """If you make new tensors, for instance of positions, they should be on the device of ids."""
    ids = draw.integers(2, 7, high=50)
    with _AsWithAGpu() as machine:
        embedding = subject.PositionalEmbedding(8, 6)
        draw.fill(embedding)
        machine.move(embedding)
        rows = embedding(ids)
    observe("rows", rows)
    observe("device of the rows, if ids and table were on a GPU", "CPU" if machine.on_cpu(rows) else "GPU")


def test_gradient_reaches_the_position_table(subject, draw, observe):
    """Backpropagation sends the gradient of each vector to the row that it came from."""
    embedding = subject.PositionalEmbedding(8, 6)
    draw.fill(embedding)
    (embedding(draw.integers(2, 5, high=50)) * draw.normal(5, 6)).sum().backward()
    observe("gradient of the table", embedding.weight.grad)


def test_gpt_embedding_refuses_too_many_tokens(subject, draw, observe):
    """ValueError: T is larger than context_length, as above."""
    embedding = subject.GPTEmbedding(20, 12, 6, dropout=0.0)
    draw.fill(embedding)
    observe("vectors of 12 tokens", embedding(draw.integers(2, 12, high=20)))
    observe.outcome("13 tokens", embedding, draw.integers(2, 13, high=20), mentions=("13", "12"))
    one_place = subject.GPTEmbedding(20, 1, 6, dropout=0.0).eval()
    observe.outcome("7 tokens, context_length=1", one_place, draw.integers(2, 7, high=20), mentions=("7", "1"))


def test_gpt_embedding_keeps_double_precision(subject, draw, observe):
    """A result must have its inputs' dtype."""
    embedding = subject.GPTEmbedding(11, 8, 6, dropout=0.0).double()
    draw.fill(embedding)
    with torch.no_grad():
        embedding.pos_emb.weight.div_(3)  # thirds, which a float32 would round
    vectors = embedding(draw.integers(2, 7, high=11))
    observe("vectors", vectors)
    observe("what a float32 cannot hold of them", (vectors - vectors.float()) * 1e6)


def test_gradients_reach_both_tables(subject, draw, observe):
    """Backpropagation sends the gradient of each vector to the row that it came from."""
    embedding = subject.GPTEmbedding(9, 8, 6, dropout=0.0)
    draw.fill(embedding)
    ids = torch.tensor([[4, 2, 4, 0, 7], [2, 4, 8, 8, 1], [1, 1, 1, 0, 4]])  # 3, 5 and 6 do not occur
    for mode in (True, False):  # the second gradient is added to the first
        (embedding.train(mode)(ids) * draw.normal(3, 5, 6)).sum().backward()
        observe(f"gradient of the token table, train({mode})", embedding.tok_emb.weight.grad)
        observe(f"gradient of the position table, train({mode})", embedding.pos_emb.weight.grad)


def test_dropped_numbers_send_no_gradient(subject, draw, observe):
    """While training, some numbers of the sum are set to 0 at random, each on its own, and the others are divided
    by 1 − probability, so that the size is right on average.
    """
    # One sequence of different tokens: each number of the sum belongs to one number of each table.
    embedding = subject.GPTEmbedding(7, 7, 6, dropout=0.5)
    draw.fill(embedding)
    ids = draw.permutation(7)[None]
    vectors = embedding.train()(ids)
    vectors.sum().backward()
    expected = (vectors != 0).float() * 2
    observe(
        "gradient of the token rows, without that of the numbers kept",
        embedding.tok_emb.weight.grad[ids] - expected,
    )
    observe(
        "gradient of the position table, without that of the numbers kept",
        embedding.pos_emb.weight.grad - expected[0],
    )


class _AsWithAGpu(TorchFunctionMode):
    """Tells apart, without a GPU, which tensors would be on it and which would have been left on the CPU.

    What is made without naming a device is on the CPU, and what is computed from that alone. As on a real GPU,
    the two do not go together, except where torch allows it: an index in square brackets may be on the CPU.
    (The device "meta" would tell less, and takes torch seconds to set up.)
    """

    across = {"__getitem__", "__setitem__", "copy_", "to", "type_as", "expand_as", "view_as", "reshape_as"}

    def move(self, module):
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.left_on_cpu = False

    def on_cpu(self, value):
        return getattr(value, "left_on_cpu", False)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensors = _tensors((args, tuple(kwargs.values())))
        here = [self.on_cpu(tensor) for tensor in tensors if tensor.dim() > 0]
        if name not in self.across and any(here) and not all(here):
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices")
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor):
            names_device = kwargs.get("device") is not None
            if name == "to":
                names_device |= any(isinstance(value, torch.device | str | torch.Tensor) for value in args[1:])
                names_device |= "other" in kwargs
            if name == "type_as":
                result.left_on_cpu = self.on_cpu(args[1])
            elif names_device:
                result.left_on_cpu = False
            else:
                result.left_on_cpu = self.on_cpu(tensors[0]) if tensors else True
        return result


def _tensors(value):
    """All tensors in nested tuples and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, tuple | list) else []
