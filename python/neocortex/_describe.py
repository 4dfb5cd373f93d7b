"""What a value is: its kind, dtype and shape, its size in bytes, and the text that its schema is made of.

The text is the dtype as in the header of an `.npy` file, a space, and the shape: `<f8 ()` for a float, `|u1 (1080, 1920, 3)`
for a frame. A program in another language that gives `neocortex_schema_of` of the same text shares the value.
"""

from __future__ import annotations

import itertools
import math
import sys
from typing import TYPE_CHECKING, Any

from ._core import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    if not isinstance(dtype, type) and (shape is None or shape == ()):
        # What `create` is given.
        if type(dtype) in _SCALARS:
            dtype = type(dtype)
        elif isinstance(dtype, (bytes, bytearray)):
            dtype, shape = bytes, (len(dtype),)
        elif hasattr(dtype, "dtype") and hasattr(dtype, "shape"):
            dtype, shape = dtype.dtype, dtype.shape
    shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    if dtype is bytes:
        size = 1
        for length in shape:
            size *= length
        return ("bytes", bytes, (), 0, None) if not shape else ("bytes", bytes, (), size, text_of_bytes(size))
    if isinstance(dtype, type) and dtype in _SCALARS and not shape:
        kind, text, size = _SCALARS[dtype]
        return kind, dtype, (), size, f"{text} ()"
    np = _numpy()
    try:
        dtype = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"{error}: `attach` is given a dtype and a shape (\"f8\", (3, 4)), a type (float), or a value as for `create`") from None
    return _array(dtype, tuple(int(length) for length in shape))


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


_NAMES = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
# The dtypes that a schema is looked for among: kind and bytes.
_DTYPES = ("b1", "i1", "u1", "f8", "f4", "i8", "i4", "u8", "u4", "i2", "u2", "f2", "c16", "c8", "f16", "c32")
_MOST_DIMENSIONS = 4
_MOST_TEXTS = 200_000


def about(error: Exception, who: str) -> Exception:
    """The same failure to write a value, with whose value it was to be."""
    for kind in (OverflowError, TypeError, ValueError):
        if isinstance(error, kind):
            return kind(f"{who}: {error}").with_traceback(error.__traceback__)
    return error


def shown(text: str) -> str:
    """The text of a schema as a person says it: `float`, `float32 (2, 3)`."""
    for kind, descr, _ in _SCALARS.values():
        if text == f"{descr} ()":
            return kind
    descr, _, shape = text.partition(" ")
    order, kind, size = descr[:1], descr[1:2], descr[2:]
    if order not in ("|", _ORDER) or kind not in _NAMES or not size.isdigit():
        return text
    name = "bool" if kind == "b" else f"{_NAMES[kind]}{8 * int(size)}"
    is_bytes = descr == "|u1" and shape.count(",") == 1 and shape.endswith(",)")
    return f"{shape[1:-2]} bytes ({name} {shape})" if is_bytes else f"{name} {shape}"


def _shapes(count: int, dimensions: int, divisors: list[int]) -> Iterator[tuple[int, ...]]:
    if dimensions <= 1:
        yield (count,) * dimensions
        return
    for length in divisors:
        if count % length == 0:
            for rest in _shapes(count // length, dimensions - 1, divisors):
                yield (length, *rest)


def _texts(size: int) -> Iterator[str]:
    """The texts that a value of so many bytes may have: those of few dimensions first."""
    for dimensions in range(_MOST_DIMENSIONS + 1):
        for dtype in _DTYPES:
            count, rest = divmod(size, int(dtype[1:]))
            if rest != 0 or (dimensions == 0 and count != 1):
                continue
            small = [length for length in range(1, math.isqrt(count) + 1) if count % length == 0]
            divisors = small + [count // length for length in reversed(small)]
            for order in "|" if dtype[1:] == "1" else "<>":
                for shape in _shapes(count, dimensions, divisors):
                    yield f"{order}{dtype} {shape}"


def difference(message: str, expected: str, size: int, schema: int) -> str:
    """What to say where a cortex of this size and schema is not what was expected."""
    who = message.partition(": the segment's ")[0]
    texts = itertools.islice(_texts(size), _MOST_TEXTS)
    found = next((text for text in texts if schema_of(text) == schema), None)
    if found is not None:
        holds = shown(found)
    elif schema == 0:
        holds = f"{size} bytes without a description (schema 0)"
    else:
        holds = f"{size} bytes of another description (schema {schema:#x}), which a `schema=` or another program has given"
    return f"{who}: it holds {holds}, and {shown(expected)} was expected. Both sides must give the same dtype and shape"
