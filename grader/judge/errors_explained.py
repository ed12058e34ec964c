"""What an error of torch's or Python's usually means here, for those that beginners meet.

Each text has to hold for every code that gets such an error: what the message says in other words, and
where to look.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from grader.course.outline import names_in

# The type of the error, what its message holds, and what that means. The first that fits is taken.
MEANINGS = (
    # Shapes.
    (
        "RuntimeError",
        r"mat1 and mat2 shapes cannot be multiplied",
        "In `a @ b` the last axis of a has to be as long as the second to last of b. Print both shapes on the"
        " line before; for keys, `.transpose(-2, -1)` is the usual way to swap the last two.",
    ),
    (
        "RuntimeError",
        r"(Expected size for first two dimensions of batch2|batch1 and batch2 must have same number of batches|"
        r"Expected tensor to have size .* at dimension 1)",
        "In `a @ b` of tensors with three axes the last axis of a has to be as long as the second to last of "
        "b, and the first axes as long as each other. Print both shapes on the line before.",
    ),
    (
        "RuntimeError",
        r"The size of tensor a \(\d+\) must match the size of tensor b \(\d+\)",
        "Two tensors meet here of which the shapes do not fit. Write the shapes one below the other, right-"
        "aligned: in each column the two numbers must be equal, or one of them 1 (in `a @ b`, in front of the"
        " last two). On more than two axes `.T` turns all of them round, and only `.transpose(-2, -1)` the "
        "last two.",
    ),
    (
        "RuntimeError",
        r"(Sizes of tensors must match except in dimension|Tensors must have same number of dimensions|"
        r"stack expects each tensor to be equal size)",
        "Tensors can be joined only where all other axes are equally long. Print the shape of each, and check"
        " `dim`.",
    ),
    (
        "RuntimeError",
        r"shape '\[.*\]' is invalid for input of size",
        "`view` and `reshape` keep the number of values. The sizes that you ask for, multiplied, give another"
        " number.",
    ),
    (
        "RuntimeError",
        r"view size is not compatible with input tensor's size and stride",
        "`view` wants the values in memory in their order, and after `transpose` they are not. `reshape` "
        "does, or `.contiguous()` before `view`.",
    ),
    (
        "RuntimeError",
        r"The expanded size of the tensor \(-?\d+\) must match the existing size",
        "A tensor is copied or expanded into another shape. Each axis of it has to be as long as there, or 1.",
    ),
    (
        "(RuntimeError|IndexError)",
        r"The shape of the mask \[.*\] at index \d+ does not match|"
        r"output with shape \[.*\] doesn't match the broadcast shape",
        "The two shapes do not fit. What is changed in place keeps its own shape, so the other one (a mask, "
        "for instance) has to fit into it: axis by axis from the right, equal or 1.",
    ),
    (
        "IndexError",
        r"Dimension out of range",
        "There is no axis of this number: the tensor has fewer axes than expected. Print its shape on the "
        "line before.",
    ),
    (
        "IndexError",
        r"too many indices for tensor",
        "The tensor has fewer axes than there are indices in the brackets. Print its shape on the line "
        "before.",
    ),
    (
        "RuntimeError",
        r"(normalized_shape|Given normalized_shape)",
        "The last axis of the input is not as long as this layer norm was made for.",
    ),
    # Types of numbers.
    (
        "RuntimeError",
        r"expected m1 and m2 to have the same dtype|expected scalar type \w+ but found \w+|"
        r"mat1 and mat2 must have the same dtype",
        "Two tensors of different dtypes meet here. `.to(other.dtype)` makes one like the other; what is made"
        " with `torch.zeros` or `torch.arange` takes `dtype=`.",
    ),
    (
        "RuntimeError",
        r"Expected tensor for argument #1 'indices' to have .*(Long|Int)",
        "An embedding takes ids, which are whole numbers (int64). What comes in here holds floats.",
    ),
    (
        "IndexError",
        r"tensors used as indices must be long",
        "Indices have to be int64 or bool. What stands in the brackets holds floats, or another type.",
    ),
    (
        "RuntimeError",
        r"expected dtype int64 for index|gather\(\): Expected dtype int64|"
        r"gather\(\): Expected dtype int32/int64|"
        r"scatter\(\): Expected dtype int64",
        "`gather` and `scatter` take indices of int64. `.long()` makes them so.",
    ),
    (
        "RuntimeError",
        r"masked_fill_? only supports boolean masks|expected BoolTensor|"
        r"where expected condition to be a boolean tensor",
        "A mask has to be of dtype bool. A comparison gives one (`mask == 0`), and so does `.bool()`.",
    ),
    (
        "RuntimeError",
        r"result type \w+ can't be cast to the desired output type",
        "The result has floats, and the tensor that it should go into holds whole numbers or bools. Make that"
        " one a float tensor, or do not work in place.",
    ),
    (
        "(RuntimeError|NotImplementedError)",
        r"mean\(\): could not infer output dtype|\"?\w*\"? not implemented for '(Long|Int|Bool|Byte)'",
        "This operation is for floats, and the tensor holds whole numbers or bools. `.float()` makes it one "
        "of floats.",
    ),
    (
        "RuntimeError",
        r"Subtraction, the `-` operator, with (a|two) bool tensors? is not supported",
        "`-` is not defined for bools. `~mask` turns a mask round.",
    ),
    (
        "(RuntimeError|ValueError)",
        r"Expected floating point type for target with class probabilities|"
        r"expected target dtype to be Long|"
        r"Expected target size|0D or 1D target tensor expected|"
        r"Expected input batch_size \(\d+\) to match target batch_size",
        "`cross_entropy` wants logits of shape (N, V) and ids of shape (N,), as int64. Flatten batch and time"
        " first, of both in the same way.",
    ),
    # Ids and indices.
    (
        "IndexError",
        r"index out of range in self",
        "An id is not smaller than the number of rows that it selects from, or it is negative. In an "
        "embedding of positions: is the text longer than the context? In one of tokens: is the vocabulary "
        "larger than the embedding?",
    ),
    (
        "IndexError",
        r"index -?\d+ is out of bounds for dimension \d+ with size \d+",
        "The index is not smaller than the length of this axis. Counting begins at 0, so the last one is "
        "length - 1.",
    ),
    (
        "(RuntimeError|IndexError)",
        r"([Ii]ndex|[Tt]arget) .*out of bounds",
        "An index is as large as that axis, or larger. Counting begins at 0.",
    ),
    (
        "RuntimeError",
        r"selected index k out of range",
        "`topk` was asked for more values than there are on this axis.",
    ),
    (
        "RuntimeError",
        r"probability tensor contains either `inf`, `nan` or element < 0|invalid multinomial distribution|"
        r"prob_dist must be 1 or 2 dim",
        "`multinomial` draws from probabilities: none negative, none NaN, their sum above 0, at most two "
        "axes. Logits are not that before a softmax.",
    ),
    (
        "IndexError",
        r"(list|string|tuple|bytearray|range object) (assignment )?index out of range",
        "The index is not smaller than the length; counting begins at 0. Is it empty, or one shorter than you"
        " think?",
    ),
    # One number or many.
    (
        "RuntimeError",
        r"a Tensor with \d+ elements cannot be converted to Scalar",
        "`.item()`, `float(…)` and `int(…)` take a tensor with a single value, and this one has several, or "
        "none.",
    ),
    (
        "(TypeError|ValueError)",
        r"only (one|single|integer|0-dimensional|length-1).*(tensors?|arrays?).* can be converted",
        "A tensor with several values stands where a single number is wanted.",
    ),
    (
        "(RuntimeError|ValueError)",
        r"Boolean value of Tensor with (more than one|no) value",
        "`if`, `and`, `or`, `not`, `in` want one yes or no, and a comparison of tensors gives one for each "
        "value. `.all()` or `.any()` makes one of them; `&`, `|`, `~` work value by value.",
    ),
    # Gradients.
    (
        "RuntimeError",
        r"a leaf Variable that requires grad is being used in an in-place operation|"
        r"a view of a leaf Variable that requires grad is being used in an in-place",
        "A parameter is changed in place while torch keeps the graph. That belongs under `with "
        "torch.no_grad():`.",
    ),
    (
        "RuntimeError",
        r"Trying to backward through the graph a second time",
        "`backward` was called twice on one graph. Compute the loss anew before each call, or `detach` what "
        "is kept from the step before.",
    ),
    (
        "RuntimeError",
        r"element 0 of tensors does not require grad",
        "Nothing on the way to this number needs a gradient. Was it computed under `no_grad`, made of "
        "`.item()`, `.detach()` or `.data`, put into a new `torch.tensor(…)`, or are all weights frozen?",
    ),
    (
        "RuntimeError",
        r"one of the variables needed for gradient computation has been modified by an inplace operation",
        "A tensor that the gradient still needs was changed in place (`+=`, `masked_fill_`, `x[…] = …`). Make"
        " a new one.",
    ),
    (
        "RuntimeError",
        r"grad can be implicitly created only for scalar outputs",
        "`backward` starts from one number. Take the mean or the sum of the losses first.",
    ),
    (
        "RuntimeError",
        r"Can't call numpy\(\) on Tensor that requires grad",
        "`.detach()` comes before `.numpy()`: numpy knows no gradients.",
    ),
    (
        "RuntimeError",
        r"Only Tensors of floating point and complex dtype can require gradients|"
        r"only Tensors of floating point dtype can require gradients",
        "Only floats have gradients, and this tensor holds whole numbers or bools.",
    ),
    # Devices.
    (
        "RuntimeError",
        r"Expected all tensors to be on the same device|"
        r"Tensor on device .* is not on the expected device|Unhandled FakeTensor Device Propagation",
        "What is made inside a function is on the CPU unless told otherwise. Give it `device=x.device`, or "
        "keep it as a buffer.",
    ),
    (
        "(RuntimeError|NotImplementedError)",
        r"Cannot copy out of meta tensor|Tensor\.item\(\) cannot be called on meta|"
        r"data is not allocated yet|with arguments from the 'Meta'",
        "A tensor on the meta device has a shape and no values, so nothing may depend on one.",
    ),
    # Modules.
    (
        "AttributeError",
        r"cannot assign (module|parameters?|buffers?) before Module\.__init__\(\) call",
        "`super().__init__()` has to be the first line of `__init__`.",
    ),
    (
        "TypeError",
        r"cannot assign '.*' (as|object to) parameter|cannot assign '.*' as (child module|buffer)",
        "Under this name the module holds a parameter, a module or a buffer, and something else cannot take "
        "its place.",
    ),
    (
        "RuntimeError",
        r"Error\(s\) in loading state_dict.*size mismatch for",
        "A tensor of that name has another shape in this model than in the state. The first shape is the "
        "state's.",
    ),
    (
        "RuntimeError",
        r"Error\(s\) in loading state_dict",
        "The names in the state are not those of this model. Missing ones are of the model, unexpected ones "
        "of the state.",
    ),
    (
        "NotImplementedError",
        r"Module \[.*\] is missing the required \"forward\" function",
        "This module has no `forward`. Is it spelled so, and indented so that it belongs to the class?",
    ),
    (
        "(TypeError|AttributeError|RuntimeError)",
        r"'NoneType'|NoneType",
        "Something is None here. Does the function that it comes from end without `return`? A method that "
        "changes a thing in place, such as `list.sort` or `dict.update`, gives None as well.",
    ),
    (
        "AttributeError",
        r"'(list|dict|tuple|str|int|float|bytes)' object has no attribute",
        "The value is of another type than this line takes it for. Print its `type` on the line before.",
    ),
    (
        "AttributeError",
        r"'[\w.]+' object has no attribute '\w+'",
        "Nothing of this name was set on the object before this line. Is it spelled as in `__init__`, with "
        "`self.` before it?",
    ),
    (
        "TypeError",
        r"'(\w+)' object is not subscriptable",
        "Brackets are for lists, dictionaries and tensors. The fields of a dataclass are reached by a dot: "
        "`config.emb_dim`, where a dictionary would have `config[\"emb_dim\"]`.",
    ),
    (
        "TypeError",
        r"takes 0 positional arguments but 1 was given|takes no arguments",
        "A method's first parameter is `self`; it is missing in the `def`, or the `__init__` of that class is"
        " not there.",
    ),
    (
        "TypeError",
        r"missing \d+ required positional argument",
        "The call gives fewer arguments than the `def` asks for. Is it called on the class where an object is"
        " meant?",
    ),
    (
        "TypeError",
        r"takes (from )?\d+( to \d+)? positional arguments? but \d+ (was|were) given|"
        r"got an unexpected keyword argument",
        "The call and the `def` do not have the same parameters. Compare the two lines.",
    ),
    (
        "TypeError",
        r"'(\w+)' object is not callable",
        "There are round brackets behind something that is no function. Brackets of an index are square; and "
        "a name that was given a new value no longer is the function.",
    ),
    (
        "TypeError",
        r"list indices must be integers or slices|string indices must be integers|tuple indices must be integers",
        "A list, a text or a tuple takes a whole number in its brackets. What is meant may be a dictionary, "
        "or one of its items.",
    ),
    (
        "TypeError",
        r"(unhashable type|cannot use '\w+' as a (dict key|set element))",
        "A list, a set and a dictionary can be changed, so they cannot be a key or in a set. A tuple can.",
    ),
    (
        "TypeError",
        r"'generator' object|object of type '(generator|map|zip|filter|reversed)' has no len",
        "A generator gives its items one by one, and once. `list(…)` keeps them.",
    ),
    (
        "StopIteration",
        r"",
        "`next` was called on something that has no items left. A generator can be gone through only once.",
    ),
    (
        "RuntimeError",
        r"generator raised StopIteration",
        "`next` was called, within a generator, on something that has no items left.",
    ),
    (
        "RuntimeError",
        r"(dictionary|Set) changed size during iteration",
        "Something is added or removed while a loop goes over it. Loop over a copy: `list(…)`.",
    ),
    (
        "KeyError",
        r"",
        "The dictionary has no such key. Is it another type (a text for a number, `bytes` for a text), "
        "spelled otherwise, or not yet put in?",
    ),
    (
        "ValueError",
        r"(bytes must be in range\(0, 256\)|byte must be in range\(0, 256\))",
        "A byte is a number from 0 to 255. An id of a merged token is larger than that: look up the bytes "
        "that it stands for.",
    ),
    (
        "UnicodeDecodeError",
        r"",
        "These bytes are not a whole text: a character may take up to four, and they may be spread over "
        "several tokens. Join all bytes first, then decode.",
    ),
    (
        "UnicodeEncodeError",
        r"",
        "The text holds a character that this encoding lacks. UTF-8 has them all.",
    ),
    (
        "RecursionError",
        r"",
        "The function calls itself, directly or through another one, without coming to an end.",
    ),
    (
        "ZeroDivisionError",
        r"",
        "Something is divided by 0: a count of nothing, for instance. What should come then?",
    ),
    (
        "UnboundLocalError",
        r"",
        "A name that is given a value anywhere in a function is the function's own, and it has none yet on "
        "this line.",
    ),
    (
        "NameError",
        r"",
        "Nothing has this name here. Is it spelled as where it is defined, does it want `self.` before it, or"
        " an import?",
    ),
    (
        "ValueError",
        r"(not enough|too many) values to unpack",
        "There are not as many names on the left of `=` as there are values on the right. Print the shape, or"
        " the length.",
    ),
    (
        "TypeError",
        r"(can only concatenate|unsupported operand type|must be str, not|a bytes-like object is required|"
        r"can't concat|expected a bytes-like object|sequence item \d+: expected)",
        "Two values of different types meet here, such as a text and bytes, or a list and a tensor. Print "
        "both types.",
    ),
    (
        "FrozenInstanceError",
        r"",
        "This dataclass is frozen: it cannot be changed. `dataclasses.replace` makes a changed copy.",
    ),
)  # fmt: skip


def meaning(error: str, message: str) -> str:
    """For an error of this type with this message: what it usually means, or an empty text."""
    for name, part, text in MEANINGS:
        if re.fullmatch(name, error) and re.search(part, message, re.DOTALL):
            return text
    return ""


def look_alike(message: str, text: str) -> str:
    """Where a name or an attribute is missing: that the learner's text has one much like it, or an empty text."""
    for pattern, before in ((r"object has no attribute '(\w+)'", "self."), (r"name '(\w+)' is not defined", "")):
        missing = re.search(pattern, message)
        if missing:
            names = re.findall(r"\bself\.(\w+)", text) if before else names_in(text)
            lowered = {name.lower(): name for name in names if name != missing[1]}
            found = get_close_matches(missing[1].lower(), lowered, n=1, cutoff=0.8)
            return f"Your file has `{before}{lowered[found[0]]}`, which looks much like it." if found else ""
    return ""
