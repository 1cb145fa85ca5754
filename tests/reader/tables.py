"""The binary tables: sections 7 to 10 of docs/repository-format.md."""

import struct
from dataclasses import dataclass

from seals import Refused

ROW = struct.Struct("<32sBBBBIIII")
WHOLE, DELTA = 0, 1
PLAIN, ZSTD = 0, 1
HAS_BASE, HAS_SKETCH = 1, 2
MAX_CHUNK = 16 << 20
TRAILER = struct.Struct("<II8s")


@dataclass(frozen=True)
class Row:
    """What is known of a stored chunk."""

    chunk: bytes
    kind: int
    codec: int
    position: int
    offset: int
    stored: int
    plain: int
    base: bytes | None


@dataclass(frozen=True)
class Pack:
    """A pack, as an index object has it."""

    name: str
    salt: bytes
    length: int


@dataclass(frozen=True)
class Page:
    """A page of a list: entries of 32 bytes of id, bytes under it, chunks under it."""

    level: int
    entries: list[tuple[bytes, int, int]]


class Cursor:
    """Takes a table apart from its start to its very end."""

    def __init__(self, content: bytes, what: str):
        self.content, self.what, self.at = content, what, 0

    def bytes(self, length: int) -> bytes:
        taken = self.content[self.at:self.at + length]
        if len(taken) != length:
            raise Refused(f"{self.what}: the table ends early")
        self.at += length
        return taken

    def fields(self, layout: struct.Struct) -> tuple:
        return layout.unpack(self.bytes(layout.size))

    def end(self) -> None:
        if self.at != len(self.content):
            raise Refused(f"{self.what}: {len(self.content) - self.at} bytes follow the table")

    def row(self) -> Row:
        chunk, kind, codec, flags, sketch, position, offset, stored, plain = self.fields(ROW)
        if flags & ~(HAS_BASE | HAS_SKETCH):
            raise Refused(f"{self.what}: chunk {chunk.hex()} has flags {flags:#x}, which this reader does not know")
        base = self.bytes(32) if flags & HAS_BASE else None
        if flags & HAS_SKETCH:
            self.bytes(sketch)
        elif sketch:
            raise Refused(f"{self.what}: chunk {chunk.hex()} has the length of a sketch, and no sketch")
        return Row(chunk, kind, codec, position, offset, stored, plain, base)


def parse_index(content: bytes, what: str) -> list[tuple[Pack, Row]]:
    cursor = Cursor(content, what)
    pack_count, row_count = cursor.fields(struct.Struct("<II"))
    packs = []
    for _ in range(pack_count):
        name, salt, length = cursor.fields(struct.Struct("<32s32sQ"))
        packs.append(Pack(name.hex(), salt, length))
    places = []
    for _ in range(row_count):
        (number,) = cursor.fields(struct.Struct("<I"))
        row = cursor.row()
        if number >= len(packs):
            raise Refused(f"{what}: chunk {row.chunk.hex()} lies in pack number {number} of {len(packs)}")
        places.append((packs[number], row))
    cursor.end()
    if any(one.chunk > next_.chunk for (_, one), (_, next_) in zip(places, places[1:])):
        raise Refused(f"{what}: rows are not sorted by chunk id")
    return places


def parse_pack_table(content: bytes, count: int, what: str) -> list[Row]:
    cursor = Cursor(content, what)
    rows = [cursor.row() for _ in range(count)]
    cursor.end()
    return rows


def parse_page(content: bytes, what: str) -> Page:
    cursor = Cursor(content, what)
    level, count = cursor.fields(struct.Struct("<II"))
    if level == 0:
        entries = [(*cursor.fields(struct.Struct("<32sI")), 1) for _ in range(count)]
    else:
        entries = [cursor.fields(struct.Struct("<32sQQ")) for _ in range(count)]
    cursor.end()
    return Page(level, entries)
