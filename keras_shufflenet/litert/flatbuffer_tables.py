"""Writing of flatbuffers whose schema has no generated classes here.

A table of a schema is a tuple of its fields in order: None for a missing field, a list for a
vector, an integer for a byte (unions are preceded by their type), `np.int32` and `np.float32` for
numbers of four bytes.
"""

from typing import Any

import flatbuffers
import numpy as np

Table = tuple[Any, ...]
ALIGNMENT = 16  # of bytes


def to_flatbuffer(table: Table, identifier: bytes) -> bytes:
    """Return the flatbuffer of a root table.

    Args:
        table: The table.
        identifier: Identifier of the schema, four bytes.
    """
    builder = flatbuffers.Builder()
    builder.Finish(_write(builder, table), identifier)
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, value: str | bytes | list[Any] | Table) -> int:
    """Write a string, a vector or a table with its contents; return its offset."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        builder.StartVector(1, len(value), ALIGNMENT)
        for byte in reversed(value):
            builder.PrependByte(byte)
        return builder.EndVector()
    if isinstance(value, list):
        return _write_vector(builder, value)
    kinds = (str, bytes, list, tuple)
    offsets = [_write(builder, slot) if isinstance(slot, kinds) else 0 for slot in value]
    builder.StartObject(len(value))
    for index, (slot, offset) in enumerate(zip(value, offsets, strict=True)):
        if isinstance(slot, int):
            builder.PrependInt8Slot(index, slot, 0)
        elif isinstance(slot, np.int32):
            builder.PrependInt32Slot(index, int(slot), 0)
        elif isinstance(slot, np.float32):
            builder.PrependFloat32Slot(index, float(slot), 0.0)
        elif slot is not None:
            builder.PrependUOffsetTRelativeSlot(index, offset, 0)
    return builder.EndObject()


def _write_vector(builder: flatbuffers.Builder, values: list[Any]) -> int:
    if values and isinstance(values[0], float):
        return builder.CreateNumpyVector(np.array(values, np.float32))
    if values and isinstance(values[0], int):
        return builder.CreateNumpyVector(np.array(values, np.int32))
    offsets = [_write(builder, value) for value in values]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
