"""What a value is: its kind, dtype and shape, its size in bytes, and the text that its schema is made of.

The text is the dtype as in the header of an `.npy` file, a space, and the shape: `<f8 ()` for a float, `|u1 (1080, 1920, 3)`
for a frame. A program in another language that gives `neocortex_schema_of` of the same text shares the value.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_ORDER = "<" if sys.byteorder == "little" else ">"
# The types of Python that need no numpy: kind, dtype in words, size.
_SCALARS = {
    float: ("float", f"{_ORDER}f8", 8),
    int: ("int", f"{_ORDER}i8", 8),
    bool: ("bool", "|b1", 1),
}


def text_of_bytes(size: int) -> str:
    return f"|u1 ({size},)"


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise TypeError("without numpy a value is a float, an int, a bool, or bytes (pip install numpy)") from None
    return numpy


def _array(dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[str, Any, tuple[int, ...], int, str]:
    if dtype.hasobject:
        raise TypeError(f"a value of dtype {dtype} refers to objects, which mean nothing in another process")
    size = dtype.itemsize
    for length in shape:
        size *= length
    if size == 0:
        raise ValueError(f"dtype {dtype} and shape {shape} are no bytes at all: nothing to share")
    descr = _numpy().lib.format.dtype_to_descr(dtype)
    return "array", dtype, shape, size, f"{descr} {shape}"


def of_type(dtype: Any, shape: Any) -> tuple[str, Any, tuple[int, ...], int, str | None]:
    """Of what is attached to: kind, dtype, shape, size (0: whatever it is), text (None: it follows from the size)."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if dtype is bytes:
        size = 1
        for length in shape:
            size *= length
        return ("bytes", bytes, (), 0, None) if not shape else ("bytes", bytes, (), size, text_of_bytes(size))
    if dtype in _SCALARS and not shape:
        kind, text, size = _SCALARS[dtype]
        return kind, dtype, (), size, f"{text} ()"
    return _array(_numpy().dtype(dtype), tuple(int(length) for length in shape))


def of_value(value: Any) -> tuple[str, Any, tuple[int, ...], int, str, Any]:
    """Of what is created: kind, dtype, shape, size, text, and an object that has its bytes."""
    if isinstance(value, (bytes, bytearray)):
        return "bytes", bytes, (), len(value), text_of_bytes(len(value)), value
    if type(value) in _SCALARS:
        kind, text, size = _SCALARS[type(value)]
        return kind, type(value), (), size, f"{text} ()", value
    if value is None or isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} cannot be shared: encode it as bytes, or use an array")
    array = _numpy().asarray(value, order="C")
    return *_array(array.dtype, array.shape), array


def as_array(value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """What is written, as an array of that dtype and shape: as `array[...] = value` would, but never with a loss of kind."""
    np = _numpy()
    if isinstance(value, (np.ndarray, np.generic)):
        value = np.asarray(value).astype(dtype, casting="same_kind", copy=False)
    else:
        value = np.asarray(value, dtype)
    return np.ascontiguousarray(np.broadcast_to(value, shape)).reshape(shape)


def attach_again(kind: type, key: Any, dtype: Any, shape: tuple[int, ...], schema: int) -> Any:
    """What a pickle does."""
    return kind.attach(key, dtype, shape, schema=schema)  # type: ignore[attr-defined]
