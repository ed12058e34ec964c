"""Probes of ex07: multi-head attention. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import torch


def _hand_over_the_weights(attention):
    """Make every value a row of the identity, over and over, and let out_proj change nothing."""
    width, tokens = attention.W_value.weight.shape
    with torch.no_grad():
        attention.W_value.weight.copy_(torch.eye(tokens).repeat(width // tokens, 1))
        attention.out_proj.weight.copy_(torch.eye(width))
        attention.out_proj.bias.zero_()


def test_split_lesson_example(subject, draw, observe):
    """Example: split_heads(torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8]]]), 2) is tensor([[[[1, 2], [5, 6]], [[3, 4],
    [7, 8]]]]).
    """
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]])
    observe("heads", subject.split_heads(x, 2))


def test_each_head_gets_its_piece_of_every_token(subject, draw, observe):
    """float (B, H, T, h) with h = D / H: entry [b, i, t] is x[b, t, i*h : (i+1)*h], the i-th piece of token t"""
    x = draw.normal(2, 7, 12)
    for heads in (3, 4, 2):
        observe(f"{heads} heads", subject.split_heads(x, heads))
    observe("3 heads, by name", subject.split_heads(x, num_heads=3))


def test_split_into_one_head_and_into_the_most(subject, draw, observe):
    """float (B, H, T, h) with h = D / H: entry [b, i, t] is x[b, t, i*h : (i+1)*h], the i-th piece of token t"""
    x = draw.normal(2, 7, 12)
    observe("1 head", subject.split_heads(x, 1))
    observe("12 heads of width 1", subject.split_heads(x, 12))
    observe("one token in 3 heads", subject.split_heads(draw.normal(2, 1, 12), 3))


def test_merge_lesson_example(subject, draw, observe):
    """Example: merge_heads(torch.tensor([[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]])) is tensor([[[1, 2, 3, 4], [5, 6,
    7, 8]]]).
    """
    x = torch.tensor([[[[1.0, 2.0], [5.0, 6.0]], [[3.0, 4.0], [7.0, 8.0]]]])
    observe("merged", subject.merge_heads(x))


def test_merge_puts_the_pieces_side_by_side(subject, draw, observe):
    """float (B, T, D) with D = H * h: entry [b, t] is x[b, 0, t], then x[b, 1, t], and so on"""
    for heads, width in ((3, 4), (2, 5), (4, 3), (1, 6), (6, 1)):
        observe(f"{heads} heads of width {width}", subject.merge_heads(draw.normal(2, heads, 7, width)))
    observe("one token", subject.merge_heads(draw.normal(2, 3, 1, 4)))


def test_merge_undoes_the_split(subject, draw, observe):
    """Put the pieces of every token side by side again: the inverse of split_heads."""
    x = draw.normal(2, 7, 12)
    for heads in (3, 1, 12):
        observe(f"{heads} heads, split and merged", subject.merge_heads(subject.split_heads(x, heads)))


def test_four_linear_layers_are_all_parameters(subject, draw, observe):
    """The linear layers should hold all the parameters."""
    for bias in (False, True):
        attention = subject.MultiHeadAttention(10, 12, 7, 0.0, 3, qkv_bias=bias)
        found = {name: value.shape for name, value in attention.named_parameters()}
        observe(f"parameters, qkv_bias={bias}", dict(sorted(found.items())))
        found = {name: value.requires_grad for name, value in attention.named_parameters()}
        observe(f"which of them are trained, qkv_bias={bias}", dict(sorted(found.items())))
    layers = (attention.W_query, attention.W_key, attention.W_value, attention.out_proj)
    widths = [(getattr(layer, "in_features", None), getattr(layer, "out_features", None)) for layer in layers]
    observe("in_features and out_features of the four nn.Linear", widths)
    attention = subject.MultiHeadAttention(10, 12, 7, 0.0, 3)
    observe("names of the parameters by default", sorted(name for name, _ in attention.named_parameters()))


def test_number_of_heads_is_an_attribute(subject, draw, observe):
    """num_heads as given"""
    made = [subject.MultiHeadAttention(10, 12, 7, 0.0, heads) for heads in (3, 4)]
    observe("num_heads", [getattr(attention, "num_heads", "no such attribute") for attention in made])


def test_lesson_example(subject, draw, observe):
    """Example: the one of the lesson gives (1, 0) and (1.881, 0.731)."""
    attention = subject.MultiHeadAttention(2, 2, context_length=2, dropout=0.0, num_heads=2)
    with torch.no_grad():
        for layer in (attention.W_query, attention.W_key, attention.W_value, attention.out_proj):
            layer.weight.copy_(torch.eye(2))
        attention.out_proj.bias.zero_()
    observe("context", attention(torch.tensor([[[1.0, 0.0], [2.0, 1.0]]])))


def test_attention_in_several_heads(subject, draw, observe):
    """Head i should work with the i-th piece of query, key and value, as split_heads cuts them. Its scores should
    be divided by √h, and its weights should go through dropout.
    """
    sizes = [(bias, heads) for bias in (False, True) for heads in (3, 2)]
    # All are made before the first is used: none may know of another.
    made = [subject.MultiHeadAttention(10, 12, 7, 0.0, heads, qkv_bias=bias) for bias, heads in sizes]
    for (bias, heads), attention in zip(sizes, made, strict=True):
        draw.fill(attention)
        observe(f"context of {heads} heads, qkv_bias={bias}", attention(draw.normal(2, 7, 10)), tolerance=1e-4)


def test_one_head_and_the_most_heads(subject, draw, observe):
    """Head i should work with the i-th piece of query, key and value, as split_heads cuts them."""
    for heads in (1, 12):
        attention = subject.MultiHeadAttention(10, 12, context_length=7, dropout=0.0, num_heads=heads)
        draw.fill(attention)
        observe(f"context of {heads} heads", attention(draw.normal(2, 7, 10)), tolerance=1e-4)


def test_width_in_and_out_may_be_equal(subject, draw, observe):
    """Head i should work with the i-th piece of query, key and value, as split_heads cuts them."""
    attention = subject.MultiHeadAttention(12, 12, context_length=7, dropout=0.0, num_heads=3, qkv_bias=True)
    draw.fill(attention)
    observe("context", attention(draw.normal(2, 7, 12)), tolerance=1e-4)


def test_width_in_need_not_divide(subject, draw, observe):
    """num_heads H, which divides d_out"""
    for width in (7, 16):
        attention = subject.MultiHeadAttention(width, 12, context_length=9, dropout=0.0, num_heads=3)
        draw.fill(attention)
        observe(f"context, d_in={width}", attention(draw.normal(2, 5, width)), tolerance=1e-4)


def test_fewer_tokens_than_the_context(subject, draw, observe):
    """x float (B, T, d_in), T at most context_length"""
    attention = subject.MultiHeadAttention(10, 12, context_length=9, dropout=0.0, num_heads=3)
    draw.fill(attention)
    for batch, length in ((2, 5), (4, 1), (1, 8), (11, 3)):
        observe(f"context of {length} tokens", attention(draw.normal(batch, length, 10)), tolerance=1e-4)


def test_a_change_reaches_later_tokens_only(subject, draw, observe):
    """Attend to the past and the present, once in every head."""
    attention = subject.MultiHeadAttention(10, 12, context_length=7, dropout=0.0, num_heads=3)
    draw.fill(attention)
    x = draw.normal(2, 7, 10)
    before = attention(x)
    for place in (0, 4):
        changed = x.clone()
        changed[:, place] += 1.0
        observe(f"what moves when token {place} changes", attention(changed) - before, tolerance=1e-4)


def test_mask_is_a_buffer_that_is_not_saved(subject, draw, observe):
    """mask `causal_mask(context_length)`, a buffer with persistent=False"""
    attention = subject.MultiHeadAttention(10, 12, context_length=5, dropout=0.0, num_heads=3)
    mask = dict(attention.named_buffers()).get("mask")
    observe("the buffer named mask", None if mask is None else mask != 0)
    observe("what is saved", sorted(attention.state_dict()))
    observe("parameters", sorted(name for name, _ in attention.named_parameters()))
    mask = dict(attention.to("meta").named_buffers()).get("mask")
    observe("the mask moves with the module", None if mask is None else mask.device)


def test_dropout_only_while_training(subject, draw, observe):
    """Its scores should be divided by √h, and its weights should go through dropout."""
    # Each head's values are the identity twice over, so its context *is* its weights, twice over.
    tokens = 7
    for heads, probability in ((2, 0.5), (3, 0.2)):
        attention = subject.MultiHeadAttention(tokens, 2 * heads * tokens, tokens, probability, heads)
        observe("probability of the nn.Dropout", getattr(getattr(attention, "dropout", None), "p", None))
        draw.fill(attention)
        _hand_over_the_weights(attention)
        x = torch.eye(tokens).expand(2, tokens, tokens)
        weights = attention.eval()(x).unflatten(2, (heads, 2, tokens))[..., 0, :]
        observe(f"weights of {heads} heads in evaluation mode", weights)
        again = attention(x).unflatten(2, (heads, 2, tokens))[..., 0, :]
        observe(f"weights of {heads} heads once more in evaluation mode", again)
        context = attention.train()(x).unflatten(2, (heads, 2, tokens))
        first, second = context[..., 0, :], context[..., 1, :]
        kept = torch.where(first == 0, weights / (1 - probability), first)
        observe(f"weights of {heads} heads in training mode, the dropped ones put back", kept)
        observe("one weight acts alike on all of its value", first - second)


def test_each_weight_is_dropped_on_its_own(subject, draw, observe):
    """Its scores should be divided by √h, and its weights should go through dropout."""
    for probability in (0.5, 0.2):
        attention = subject.MultiHeadAttention(3, 6, context_length=4, dropout=probability, num_heads=2)
        draw.fill(attention)
        _hand_over_the_weights(attention)
        x = torch.eye(3).expand(2000, 3, 3)  # a module that was just made is in training mode
        kept, again = ((attention(x) != 0).float().unflatten(2, (2, 3)) for _ in range(2))
        # Axes: sequence, query, head, key.
        observe("share of the weights kept", kept.mean(dim=0), tolerance=0.1)
        observe("share kept in both heads", kept.prod(dim=2).mean(dim=0), tolerance=0.1)
        observe("share of pairs of keys kept", kept[:, 2, :, :2].prod(dim=2).mean(dim=0), tolerance=0.1)
        observe("share of pairs of queries kept", kept[:, 1:, :, :2].prod(dim=1).mean(dim=0), tolerance=0.1)
        observe("share kept in two calls", (kept * again).mean(dim=0), tolerance=0.1)


# The fine print.


def test_split_whatever_lies_in_memory(subject, draw, observe):
    """float (B, H, T, h) with h = D / H: entry [b, i, t] is x[b, t, i*h : (i+1)*h], the i-th piece of token t"""
    observe("batch and tokens exchanged", subject.split_heads(draw.normal(7, 2, 12).transpose(0, 1), 3))
    observe("tokens and width exchanged", subject.split_heads(draw.normal(2, 12, 7).transpose(1, 2), 3))
    observe("every other token", subject.split_heads(draw.normal(2, 10, 12)[:, ::2], 3))


def test_split_keeps_double_precision(subject, draw, observe):
    """A result must have its inputs' dtype."""
    x = draw.normal(2, 7, 12).double() / 3
    heads = subject.split_heads(x, 3)
    observe("heads", heads)
    observe("what a float32 cannot hold of them", (heads - heads.float()) * 1e6)


def test_gradient_passes_through_the_split(subject, draw, observe):
    """Gradients must reach every float input."""
    x = draw.normal(2, 7, 12).requires_grad_(True)
    (subject.split_heads(x, 3) * draw.normal(2, 3, 7, 4)).sum().backward()
    observe("gradient", x.grad)


def test_split_refuses_what_does_not_divide(subject, draw, observe):
    """ValueError: H does not divide D. The message should name both numbers."""
    observe("width 15 into 3 heads", subject.split_heads(draw.normal(2, 7, 15), 3))
    observe.outcome("width 15 into 4 heads", subject.split_heads, draw.normal(2, 7, 15), 4, mentions=("15", "4"))
    # The batch and the tokens divide by 8; the width does not.
    observe.outcome("width 12 into 8 heads", subject.split_heads, draw.normal(2, 16, 12), 8, mentions=("12", "8"))
    observe.outcome("width 6 into 12 heads", subject.split_heads, draw.normal(2, 7, 6), 12, mentions=("6", "12"))


def test_merge_whatever_lies_in_memory(subject, draw, observe):
    """float (B, T, D) with D = H * h: entry [b, t] is x[b, 0, t], then x[b, 1, t], and so on"""
    observe("tokens before heads", subject.merge_heads(draw.normal(2, 7, 3, 4).transpose(1, 2)))
    observe("width before tokens", subject.merge_heads(draw.normal(2, 3, 4, 7).transpose(2, 3)))
    observe("every other token", subject.merge_heads(draw.normal(2, 3, 10, 4)[:, :, ::2]))


def test_merge_keeps_double_precision(subject, draw, observe):
    """A result must have its inputs' dtype."""
    x = draw.normal(2, 3, 7, 4).double() / 3
    merged = subject.merge_heads(x)
    observe("merged", merged)
    observe("what a float32 cannot hold of it", (merged - merged.float()) * 1e6)


def test_gradient_passes_through_the_merge(subject, draw, observe):
    """Gradients must reach every float input."""
    x = draw.normal(2, 3, 7, 4).requires_grad_(True)
    (subject.merge_heads(x) * draw.normal(2, 7, 12)).sum().backward()
    observe("gradient", x.grad)


def test_each_merge_has_a_tensor_of_its_own(subject, draw, observe):
    """float (B, T, D) with D = H * h: entry [b, t] is x[b, 0, t], then x[b, 1, t], and so on"""
    both = [subject.merge_heads(draw.normal(2, 3, 7, 4)) for _ in range(2)]
    observe("two results of one shape, looked at when both are there", both)


def test_heads_that_do_not_divide_are_refused(subject, draw, observe):
    """ValueError: num_heads does not divide d_out. The message should name both numbers."""
    # d_in divides by all of them, so that a check of the wrong width shows.
    for width, heads in ((15, 4), (12, 8), (6, 24)):
        make, named = subject.MultiHeadAttention, (str(width), str(heads))
        observe.outcome(f"d_out={width}, {heads} heads", make, 48, width, 7, 0.0, heads, mentions=named)


def test_weights_fit_a_model_with_another_context(subject, draw, observe):
    """The mask is not saved, so the weights can be loaded into a layer with another context_length."""
    short = subject.MultiHeadAttention(10, 12, context_length=5, dropout=0.0, num_heads=3)
    draw.fill(short)
    long = subject.MultiHeadAttention(10, 12, context_length=9, dropout=0.0, num_heads=3)
    long.load_state_dict(short.state_dict())
    observe("context of 7 tokens", long(draw.normal(2, 7, 10)), tolerance=1e-4)


def test_too_many_tokens_are_refused(subject, draw, observe):
    """ValueError: T is larger than context_length. The message should name both numbers."""
    attention = subject.MultiHeadAttention(10, 12, context_length=5, dropout=0.0, num_heads=3)
    draw.fill(attention)
    observe("context of 5 tokens", attention(draw.normal(2, 5, 10)), tolerance=1e-4)
    observe.outcome("6 tokens", attention, draw.normal(2, 6, 10), mentions=("6", "5"))
    observe.outcome("14 tokens", attention, draw.normal(2, 14, 10), mentions=("14", "5"))


def test_hidden_tokens_get_no_weight_at_large_scores(subject, draw, observe):
    """Scores of any size give finite weights."""
    # The first number of a token decides its scores. Queries 0 to 3 score -11250 with all that they may see,
    # and +11250 with the hidden tokens 4 to 6. Where all visible scores are equal, the result is a mean.
    # A float32 knows numbers of that size to 0.0005, which is what right code may be off by.
    attention = subject.MultiHeadAttention(5, 12, context_length=8, dropout=0.0, num_heads=3)
    draw.fill(attention)
    with torch.no_grad():
        for layer, size in ((attention.W_query, 150.0), (attention.W_key, -150.0)):
            layer.weight.zero_()
            layer.weight[::4, 0] = size
    x = draw.normal(2, 7, 5)
    first = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0]).expand(2, 7)
    observe("context", attention(torch.cat([first[..., None], x[..., 1:]], dim=2)), tolerance=1e-2)


def test_large_scores_are_told_apart(subject, draw, observe):
    """Scores of any size give finite weights."""
    # Scores of some hundreds, far from one another: e to the power of them is more than a float32 can hold.
    attention = subject.MultiHeadAttention(16, 24, context_length=9, dropout=0.0, num_heads=3)
    draw.fill(attention)
    observe("context", attention(draw.normal(2, 7, 16, scale=6.0)), tolerance=2e-3)


def test_gradients_reach_x_and_all_parameters(subject, draw, observe):
    """Gradients must reach every float input."""
    attention = subject.MultiHeadAttention(10, 12, context_length=9, dropout=0.0, num_heads=3, qkv_bias=True)
    draw.fill(attention)
    x = draw.normal(2, 7, 10).requires_grad_(True)
    (attention(x) * draw.normal(2, 7, 12)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-3)
    found = {name: value.grad for name, value in attention.named_parameters()}
    observe("gradients of the parameters", dict(sorted(found.items())), tolerance=1e-3)


def test_attention_keeps_double_precision(subject, draw, observe):
    """A result must have its inputs' dtype."""
    attention = subject.MultiHeadAttention(10, 12, context_length=9, dropout=0.0, num_heads=3).double()
    draw.fill(attention)
    observe("context", attention(draw.normal(2, 7, 10).double()))


def test_input_may_lie_in_memory_anyhow(subject, draw, observe):
    """float (B, T, d_out): the merged heads after out_proj"""
    attention = subject.MultiHeadAttention(10, 12, context_length=9, dropout=0.0, num_heads=3)
    draw.fill(attention)
    observe("context, tokens first in memory", attention(draw.normal(7, 2, 10).transpose(0, 1)), tolerance=1e-4)
    observe("context, width first in memory", attention(draw.normal(10, 7, 2).permute(2, 1, 0)), tolerance=1e-4)


def test_more_sequences_than_the_context_is_long(subject, draw, observe):
    """x float (B, T, d_in), T at most context_length"""
    attention = subject.MultiHeadAttention(10, 12, context_length=4, dropout=0.0, num_heads=3)
    draw.fill(attention)
    observe("context of 6 sequences of 3 tokens", attention(draw.normal(6, 3, 10)), tolerance=1e-4)
