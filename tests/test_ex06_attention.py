"""Probes of ex06: attention. Each runs on the reference, on your code and on every known mistake.

The core first, then the fine print, as in the docstrings.
"""

import torch


def sizes(attention):
    """What goes into each of the three linear layers, and what comes out."""
    layers = (attention.W_query, attention.W_key, attention.W_value)
    return [(getattr(layer, "in_features", None), getattr(layer, "out_features", None)) for layer in layers]


def test_context_is_the_weighted_mean_of_the_values(subject, draw, observe):
    query, key, value = draw.normal(2, 5, 8), draw.normal(2, 7, 8), draw.normal(2, 7, 12)
    observe("context", subject.scaled_dot_product_attention(query, key, value))
    query, key, value = draw.normal(2, 3, 5, 8), draw.normal(2, 3, 7, 8), draw.normal(2, 3, 7, 4)
    observe("context with an extra leading axis", subject.scaled_dot_product_attention(query, key, value))


def test_lesson_examples(subject, draw, observe):
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
    query, key, value = draw.normal(2, 5, 8), draw.normal(2, 7, 8), draw.normal(2, 7, 12)
    mask = draw.uniform(2, 5, 7) < 0.4
    mask[:, :, 3] = False
    observe("context", subject.scaled_dot_product_attention(query, key, value, mask))
    observe("context, mask by name", subject.scaled_dot_product_attention(query, key, value, mask=mask[0]))
    query, key, value = draw.normal(2, 3, 5, 8), draw.normal(2, 3, 7, 8), draw.normal(2, 3, 7, 4)
    observe("with an extra axis", subject.scaled_dot_product_attention(query, key, value, mask[:, None]))


def test_dropout_acts_on_the_weights(subject, draw, observe):
    query, key = draw.normal(1, 4, 8), draw.normal(1, 6, 8)
    value = torch.cat([torch.eye(6), draw.normal(6, 3)], dim=1)[None]
    seen = []

    def drop_two(weights):
        seen.append(weights)
        keep = torch.ones(6)
        keep[[1, 4]] = 0.0
        return weights * keep * 1.5

    context = subject.scaled_dot_product_attention(query, key, value, dropout=drop_two)
    observe("what the dropout was given", seen)
    observe("context", context)


def test_causal_mask_hides_what_comes_later(subject, draw, observe):
    for length in (3, 1, draw.whole(5, 9)):
        observe(f"causal_mask({length})", subject.causal_mask(length))


def test_self_attention(subject, draw, observe):
    for bias in (False, True):
        attention = subject.SelfAttention(6, 4, qkv_bias=bias)
        observe("parameters", {name: value.shape for name, value in attention.named_parameters()})
        observe("sizes of the three nn.Linear", sizes(attention))
        draw.fill(attention)
        observe(f"context, qkv_bias={bias}", attention(draw.normal(2, 7, 6)))


def test_causal_attention(subject, draw, observe):
    for bias in (False, True):
        attention = subject.CausalAttention(6, 4, context_length=7, dropout=0.0, qkv_bias=bias)
        observe("parameters", {name: value.shape for name, value in attention.named_parameters()})
        observe("sizes of the three nn.Linear", sizes(attention))
        draw.fill(attention)
        observe(f"context, qkv_bias={bias}", attention(draw.normal(2, 7, 6)))


def test_causal_attention_on_fewer_tokens_than_the_context(subject, draw, observe):
    attention, other = (subject.CausalAttention(6, 4, context_length=room, dropout=0.0) for room in (9, 3))
    draw.fill(attention)
    draw.fill(other)
    for length in (5, 1):
        observe(f"context of {length} tokens", attention(draw.normal(2, length, 6)))
    observe("context of 3 tokens, in one that was made for 3", other(draw.normal(2, 3, 6)))


def test_a_change_reaches_later_tokens_only(subject, draw, observe):
    attention = subject.CausalAttention(6, 4, context_length=7, dropout=0.0)
    draw.fill(attention)
    x = draw.normal(2, 7, 6)
    before = attention(x)
    for place in (0, 4):
        changed = x.clone()
        changed[:, place] += 1.0
        observe(f"what moves when token {place} changes", attention(changed) - before)


def test_mask_is_a_buffer(subject, draw, observe):
    attention = subject.CausalAttention(6, 4, context_length=5, dropout=0.0)
    observe("buffers", {name: value != 0 for name, value in attention.named_buffers()})
    observe("names of the parameters", sorted(name for name, _ in attention.named_parameters()))
    observe("the mask lives on the device", [str(value.device) for value in attention.to("meta").buffers()])


def test_dropout_only_while_training(subject, draw, observe):
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
    query, value = draw.uniform(1, 3, 4, low=250, high=300), draw.normal(1, 5, 6)
    key = torch.cat([-query[:, :2], draw.normal(1, 3, 4)], dim=1)
    mask = torch.tensor([[False, False, True, True, True]]).expand(3, 5)
    observe("context", subject.scaled_dot_product_attention(query, key, value, mask))


def test_large_scores_give_finite_weights(subject, draw, observe):
    query, key, value = draw.normal(2, 5, 64, scale=4.0), draw.normal(2, 7, 64, scale=4.0), draw.normal(2, 7, 12)
    far = torch.tensor([[0.0], [400.0], [-400.0], [0.0], [-90.0]])
    observe("context", subject.scaled_dot_product_attention(query + far, key, value), tolerance=2e-3)


def test_gradients_reach_all_inputs(subject, draw, observe):
    query, key, value = draw.normal(2, 5, 8), draw.normal(2, 7, 8), draw.normal(2, 7, 12)
    for tensor in (query, key, value):
        tensor.requires_grad_(True)
    (subject.scaled_dot_product_attention(query, key, value) * draw.normal(2, 5, 12)).sum().backward()
    observe("gradients of query, key, value", [query.grad, key.grad, value.grad])


def test_float64_stays_float64(subject, draw, observe):
    query, key, value = draw.normal(2, 5, 8).double(), draw.normal(2, 7, 8).double(), draw.normal(2, 7, 12).double()
    mask = draw.uniform(2, 5, 7) < 0.4
    mask[:, :, 3] = False
    context = subject.scaled_dot_product_attention(query, key, value, mask)
    observe("context, to more digits than a float32 has", context, tolerance=1e-12)


def test_self_attention_at_large_scores(subject, draw, observe):
    attention = subject.SelfAttention(64, 12)
    draw.fill(attention, 0.1)
    observe("context", attention(draw.normal(2, 7, 64, scale=10.0)), tolerance=2e-3)


def test_gradients_pass_through_self_attention(subject, draw, observe):
    attention, x = subject.SelfAttention(6, 4), draw.normal(2, 7, 6).requires_grad_(True)
    draw.fill(attention)
    (attention(x) * draw.normal(2, 7, 4)).sum().backward()
    observe("gradient of x", x.grad)
    observe("gradients of the weights", {name: value.grad for name, value in attention.named_parameters()})


def test_too_many_tokens_are_refused(subject, draw, observe):
    attention = subject.CausalAttention(6, 4, context_length=5, dropout=0.0)
    draw.fill(attention)
    observe("context of 5 tokens", attention(draw.normal(2, 5, 6)))
    observe.outcome("6 tokens", attention, draw.normal(2, 6, 6), mentions=("6", "5"))


def test_causal_attention_at_large_scores(subject, draw, observe):
    attention = subject.CausalAttention(64, 12, context_length=9, dropout=0.0)
    draw.fill(attention, 0.1)
    observe("context", attention(draw.normal(2, 7, 64, scale=10.0)), tolerance=2e-3)


def test_gradients_pass_through_causal_attention(subject, draw, observe):
    attention, x = subject.CausalAttention(6, 4, 9, dropout=0.0), draw.normal(2, 7, 6).requires_grad_(True)
    draw.fill(attention)
    (attention(x) * draw.normal(2, 7, 4)).sum().backward()
    observe("gradient of x", x.grad)
    observe("gradients of the weights", {name: value.grad for name, value in attention.named_parameters()})
