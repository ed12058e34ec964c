"""The values of an observed tensor as numpy sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from grader.protocol.values import Array

Numbers = npt.NDArray[np.float64]


def numbers(array: Array) -> Numbers:
    """The values of an observed tensor, to calculate with. Integers beyond 2**53 lose their last bits."""
    return raw(array).astype(np.float64)


def raw(array: Array) -> npt.NDArray[Any]:
    """The values of an observed tensor in the type that it has; bfloat16, which numpy lacks, as float32."""
    if array.dtype == "bfloat16":  # the upper half of a float32
        upper = np.frombuffer(array.data, dtype="<u2").astype("<u4") << 16
        return upper.view("<f4").reshape(array.shape)
    dtype = "bool" if array.dtype == "bool" else np.dtype(array.dtype).newbyteorder("<")
    return np.frombuffer(array.data, dtype=dtype).reshape(array.shape)
