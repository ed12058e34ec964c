"""Probes of ex06: attention. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import torch


def sizes(attention):
    """What goes into each of the three linear layers, and what comes out."""
    layers = (attention.W_query, attention.W_key, attention.W_value)
    return [(getattr(layer, "in_features", None), getattr(layer, "out_features", None)) for layer in layers]


def shapes(attention):
    """Every parameter's shape. In the order of their names: it does not matter which layer is made first."""
    return {name: value.shape for name, value in sorted(attention.named_parameters())}


def test_context_is_the_weighted_mean_of_the_values(subject, draw, observe):
    """The mean of the values, weighted by how well each query matches each key."""
    query, key, value = draw.normal(2, 5, 8), draw.normal(2, 7, 8), draw.normal(2, 7, 12)
    observe("context", subject.scaled_dot_product_attention(query, key, value))
    query, key, value = draw.normal(2, 3, 5, 8), draw.normal(2, 3, 7, 8), draw.normal(2, 3, 7, 4)
    observe("context with an extra leading axis", subject.scaled_dot_product_attention(query, key, value))


def test_lesson_examples(subject, draw, observe):
    """The scores should be divided by √d before the softmax over the keys. Example: the first one of the lesson
    gives 7.31.
    """
    # By hand there is no division by √2 yet, so the words that look are multiplied by it.
    words = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    observe("by hand", subject.scaled_dot_product_attention(words * 2**0.5, words, words))
    query = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    key = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    value = torch.tensor([[10.0], [0.0]])
    observe("context", subject.scaled_dot_product_attention(query, key, value))
    scores = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    mask = torch.tensor([[False, True, True], [False, False, True], [False, False, False]])
    # With the identity for keys and values, the scores are the query, and the context is the weights.
    found = subject.scaled_dot_product_attention(scores * 3**0.5, torch.eye(3), torch.eye(3), mask)
    observe("weights under the causal mask", found)


def test_hidden_keys_get_no_weight(subject, draw, observe):
    """bool, broadcastable to (…, T_query, T_key): True hides that key from that query. None hides nothing."""
    query, key, value = draw.normal(2, 5, 8), draw.normal(2, 7, 8), draw.normal(2, 7, 12)
    mask = draw.uniform(2, 5, 7) < 0.4
    mask[:, :, 3] = False
    observe("context", subject.scaled_dot_product_attention(query, key, value, mask))
    observe("context, mask by name", subject.scaled_dot_product_attention(query, key, value, mask=mask[0]))
    query, key, value = draw.normal(2, 3, 5, 8), draw.normal(2, 3, 7, 8), draw.normal(2, 3, 7, 4)
    observe("with an extra axis", subject.scaled_dot_product_attention(query, key, value, mask[:, None]))


def test_dropout_acts_on_the_weights(subject, draw, observe):
    """dropout applied to the weights, after the softmax; None changes nothing"""
    query, key = draw.normal(1, 4, 8), draw.normal(1, 6, 8)
    value = torch.cat([torch.eye(6), draw.normal(6, 3)], dim=1)[None]
    seen = []

    def drop_two(weights):
        seen.append(weights)
        keep = torch.ones(weights.shape[-1])  # which is 9 where it is not the weights that come
        keep[[1, 4]] = 0.0
        return weights * keep * 1.5

    context = subject.scaled_dot_product_attention(query, key, value, dropout=drop_two)
    observe("what the dropout was given", seen)
    observe("context", context)


def test_causal_mask_hides_what_comes_later(subject, draw, observe):
    """bool (T, T): entry [t, s] is True where s > t, so a token sees itself and what came before it"""
    for length in (3, 1, draw.whole(5, 9)):
        observe(f"causal_mask({length})", subject.causal_mask(length))


def test_self_attention_has_three_linear_layers(subject, draw, observe):
    """Three `nn.Linear` layers, named `W_query`, `W_key` and `W_value`, should be all the parameters."""
    for bias in (False, True):
        attention = subject.SelfAttention(6, 4, qkv_bias=bias)
        observe(f"parameters, qkv_bias={bias}", shapes(attention))
        observe(f"sizes of the three nn.Linear, qkv_bias={bias}", sizes(attention))


def test_self_attention(subject, draw, observe):
    """Every token attends to every token of its own sequence."""
    for bias in (False, True):
        attention = subject.SelfAttention(6, 4, qkv_bias=bias)
        draw.fill(attention)
        observe(f"context, qkv_bias={bias}", attention(draw.normal(2, 7, 6)))


def test_causal_attention_has_three_linear_layers(subject, draw, observe):
    """W_query, W_key, W_value `nn.Linear` layers: the only parameters"""
    for bias in (False, True):
        attention = subject.CausalAttention(6, 4, context_length=7, dropout=0.0, qkv_bias=bias)
        observe(f"parameters, qkv_bias={bias}", shapes(attention))
        observe(f"sizes of the three nn.Linear, qkv_bias={bias}", sizes(attention))


def test_causal_attention(subject, draw, observe):
    """Self-attention in which no token sees a later one: what a GPT is made of."""
    for bias in (False, True):
        attention = subject.CausalAttention(6, 4, context_length=7, dropout=0.0, qkv_bias=bias)
        draw.fill(attention)
        observe(f"context, qkv_bias={bias}", attention(draw.normal(2, 7, 6)))


def test_causal_attention_on_fewer_tokens_than_the_context(subject, draw, observe):
    """x float (B, T, d_in), T at most context_length"""
    attention, other = (subject.CausalAttention(6, 4, context_length=room, dropout=0.0) for room in (9, 3))
    draw.fill(attention)
    draw.fill(other)
    for length in (5, 1):
        observe(f"context of {length} tokens", attention(draw.normal(2, length, 6)))
    observe("context of 3 tokens, in one that was made for 3", other(draw.normal(2, 3, 6)))


def test_a_change_reaches_later_tokens_only(subject, draw, observe):
    """Self-attention in which no token sees a later one: what a GPT is made of."""
    attention = subject.CausalAttention(6, 4, context_length=7, dropout=0.0)
    draw.fill(attention)
    x = draw.normal(2, 7, 6)
    before = attention(x)
    for place in (0, 4):
        changed = x.clone()
        changed[:, place] += 1.0
        observe(f"what moves when token {place} changes", attention(changed) - before, tolerance=1e-4)


def test_mask_is_a_buffer(subject, draw, observe):
    """mask `causal_mask(context_length)`, registered as a buffer"""
    attention = subject.CausalAttention(6, 4, context_length=5, dropout=0.0)
    mask = dict(attention.named_buffers()).get("mask")
    observe("the buffer named mask", None if mask is None else mask != 0)
    observe("names of the parameters", sorted(name for name, _ in attention.named_parameters()))
    mask = dict(attention.to("meta").named_buffers()).get("mask")
    observe("the mask moves with the module", None if mask is None else str(mask.device))


def test_dropout_only_while_training(subject, draw, observe):
    """While training, some *weights* are set to 0 at random and the others scaled up, so that the model does not
    rely on a single connection. Nothing is dropped in evaluation mode.
    """
    # The values are the identity twice over, so the context *is* the weights, twice over.
    tokens, probability = 7, 0.5
    attention = subject.CausalAttention(tokens, 2 * tokens, context_length=tokens, dropout=probability)
    draw.fill(attention)
    with torch.no_grad():
        attention.W_value.weight.copy_(torch.cat([torch.eye(tokens), torch.eye(tokens)]))
    x = torch.eye(tokens)[None]
    observe("probability of the nn.Dropout", getattr(getattr(attention, "dropout", None), "p", None))
    attention.eval()
    weights = attention(x)[..., :tokens]
    observe("weights in evaluation mode", weights)
    observe("once more in evaluation mode", attention(x)[..., :tokens])
    attention.train()
    context = attention(x)
    first, second = context[..., :tokens], context[..., tokens:]
    kept = torch.where(first == 0, weights / (1 - probability), first)
    observe("weights in training mode, the dropped ones put back", kept)
    observe("one weight acts alike on all of its value", first - second)


def test_dropout_of_another_probability(subject, draw, observe):
    """the probability with which a weight is dropped in training mode"""
    tokens, probability = 7, 0.2
    attention = subject.CausalAttention(tokens, tokens, context_length=9, dropout=probability)
    draw.fill(attention)
    with torch.no_grad():
        attention.W_value.weight.copy_(torch.eye(tokens))
    x = torch.eye(tokens)[None]
    weights = attention.eval()(x)
    context = attention.train()(x)
    kept = torch.where(context == 0, weights / (1 - probability), context)
    observe("weights in training mode, the dropped ones put back", kept)


# The fine print.


def test_hidden_keys_get_no_weight_at_large_scores(subject, draw, observe):
    """A hidden key must get a weight of exactly 0, however large its score."""
    query, value = draw.uniform(1, 3, 4, low=250, high=300), draw.normal(1, 5, 6)
    key = torch.cat([-query[:, :2], draw.normal(1, 3, 4)], dim=1)
    mask = torch.tensor([[False, False, True, True, True]]).expand(3, 5)
    observe("context", subject.scaled_dot_product_attention(query, key, value, mask))


def test_large_scores_give_finite_weights(subject, draw, observe):
    """Scores of any size should give finite weights."""
    query, key, value = draw.normal(2, 5, 64, scale=4.0), draw.normal(2, 7, 64, scale=4.0), draw.normal(2, 7, 12)
    far = torch.tensor([[0.0], [400.0], [-400.0], [0.0], [-90.0]])
    observe("context", subject.scaled_dot_product_attention(query + far, key, value), tolerance=4e-3)


def test_gradients_reach_all_inputs(subject, draw, observe):
    """Gradients must reach every float input."""
    query, key, value = draw.normal(2, 5, 8), draw.normal(2, 7, 8), draw.normal(2, 7, 12)
    for tensor in (query, key, value):
        tensor.requires_grad_(True)
    (subject.scaled_dot_product_attention(query, key, value) * draw.normal(2, 5, 12)).sum().backward()
    observe("gradients of query, key, value", [query.grad, key.grad, value.grad])


def test_float64_stays_float64(subject, draw, observe):
    """A result must have its inputs' dtype."""
    # 16 wide: a root of 4 is exact, also for those who keep it as a float32.
    query, key, value = (draw.normal(*shape).double() for shape in ((2, 5, 16), (2, 7, 16), (2, 7, 12)))
    mask = draw.uniform(2, 5, 7) < 0.4
    mask[:, :, 3] = False
    context = subject.scaled_dot_product_attention(query, key, value, mask)
    observe("context, to more digits than a float32 has", context, tolerance=1e-12)


def test_self_attention_at_large_scores(subject, draw, observe):
    """Scores of any size give finite weights, as above."""
    attention = subject.SelfAttention(64, 12)
    draw.fill(attention, 0.1)
    observe("context", attention(draw.normal(2, 7, 64, scale=10.0)), tolerance=2e-3)


def test_gradients_pass_through_self_attention(subject, draw, observe):
    """Gradients must reach every float input."""
    attention, x = subject.SelfAttention(6, 4), draw.normal(2, 7, 6).requires_grad_(True)
    draw.fill(attention)
    (attention(x) * draw.normal(2, 7, 4)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-3)
    found = {name: value.grad for name, value in attention.named_parameters()}
    observe("gradients of the weights", found, tolerance=1e-3)


def test_too_many_tokens_are_refused(subject, draw, observe):
    """ValueError: T is larger than context_length. The message should name both numbers."""
    attention = subject.CausalAttention(6, 4, context_length=5, dropout=0.0)
    draw.fill(attention)
    observe("context of 5 tokens", attention(draw.normal(2, 5, 6)))
    observe.outcome("6 tokens", attention, draw.normal(2, 6, 6), mentions=("6", "5"))


def test_causal_attention_at_large_scores(subject, draw, observe):
    """Scores of any size give finite weights, as above."""
    attention = subject.CausalAttention(64, 12, context_length=9, dropout=0.0)
    draw.fill(attention, 0.1)
    observe("context", attention(draw.normal(2, 7, 64, scale=10.0)), tolerance=2e-3)
    # The first number of a token decides its scores. Queries 0 to 3 score -260 with all that they may see, and +260
    # with the hidden tokens 4 to 6. Where all visible scores are equal, the result is a mean.
    with torch.no_grad():
        for layer, size in ((attention.W_query, 30.0), (attention.W_key, -30.0)):
            layer.weight.zero_()
            layer.weight[0, 0] = size
    first = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0]).expand(2, 7)[..., None]
    x = torch.cat([first, draw.normal(2, 7, 63)], dim=2)
    observe("context, far larger scores with hidden tokens", attention(x), tolerance=1e-4)


def test_causal_attention_hides_tokens_at_large_scores(subject, draw, observe):
    """Scores of any size give finite weights, as above."""
    # The first number of a token decides its scores. Queries 0 to 3 score -19486 with all that they may see,
    # and +19486 with the hidden tokens 4 to 6. Where all visible scores are equal, the result is a mean.
    attention = subject.CausalAttention(5, 12, context_length=8, dropout=0.0)
    draw.fill(attention)
    with torch.no_grad():
        for layer, size in ((attention.W_query, 150.0), (attention.W_key, -150.0)):
            layer.weight.zero_()
            layer.weight[::4, 0] = size
    first = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0]).expand(2, 7)
    x = torch.cat([first[..., None], draw.normal(2, 7, 4)], dim=2)
    observe("context", attention(x), tolerance=1e-2)


def test_gradients_pass_through_causal_attention(subject, draw, observe):
    """Gradients must reach every float input."""
    attention, x = subject.CausalAttention(6, 4, 9, dropout=0.0), draw.normal(2, 7, 6).requires_grad_(True)
    draw.fill(attention)
    (attention(x) * draw.normal(2, 7, 4)).sum().backward()
    observe("gradient of x", x.grad, tolerance=1e-3)
    found = {name: value.grad for name, value in attention.named_parameters()}
    observe("gradients of the weights", found, tolerance=1e-3)
