"""What the array of a block becomes when the block has ended: an array with which nothing can be done."""

import numpy as np

_DTYPE = np.dtype([("the block of this array has ended: copy what you keep", "V1")])
# What `ndarray.__setstate__` takes: version, shape, dtype, order, bytes.
STATE = (1, (), _DTYPE, False, b"\0")
