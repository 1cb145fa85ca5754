"""What no writer of today makes, and a reader has to refuse. Run by `python -m unittest discover tests/reader`."""

import struct
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from blake3 import blake3

from repository import Domain, Stream, decompress, must_add_up, pack_path
from seals import DomainKeys, Refused, master_key, parse_header, read_digested, require_features, require_version
from tables import Pack, Row, parse_index, parse_page

KEYS = DomainKeys.of("dom-one", bytes(32))
PACK = Pack("00" * 32, bytes(32), 1000)


def row(**changes) -> Row:
    usual = {"kind": 0, "codec": 0, "position": 0, "offset": 48, "stored": 26, "plain": 10, "base": None}
    return Row(chunk=bytes(32), **usual | changes)


def index(rows: list[bytes]) -> bytes:
    packs = struct.pack("<32s32sQ", bytes(32), bytes(32), 1000)
    return struct.pack("<II", 1, len(rows)) + packs + b"".join(rows)


def packed_row(chunk: bytes = bytes(32), pack: int = 0, flags: int = 0, sketch: int = 0) -> bytes:
    return struct.pack("<I32sBBBBIIII", pack, chunk, 0, 0, flags, sketch, 0, 48, 26, 10)


class Refusals(unittest.TestCase):
    def refuses(self, saying: str, call, *arguments):
        with self.assertRaisesRegex(Refused, saying):
            call(*arguments)

    def test_versions_and_features(self):
        self.refuses("version 2 is unknown", require_version, {"version": 2}, "x")
        self.refuses("version None is unknown", require_version, {}, "x")
        document = {"required_features": ["deltas", "telepathy"]}
        self.refuses("requires 'telepathy', which", require_features, document, {"deltas"}, "x")

    def test_digests(self):
        line = b'{"version":1,"created":"now"}'
        good = line + b"\nblake3 " + blake3(line).hexdigest().encode() + b"\n"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "format")
            path.write_bytes(good)
            self.assertEqual(read_digested(path, "format")["created"], "now")
            for bad in [good.replace(b"now", b"not"), good[:-1], good + b"\n", line, b""]:
                path.write_bytes(bad)
                self.refuses("the digest in the second line is not", read_digested, path, "format")

    def test_costs(self):
        for memory, iterations in [((2 << 20) + 1, 1), (64, 65)]:
            wrap = {"kind": "passphrase", "kdf": "argon2id"}
            wrap["cost"] = {"memory_kib": memory, "iterations": iterations, "lanes": 1}
            self.refuses("more than a reader may spend", master_key, wrap, "rep-a", b"", "x")
        self.refuses("kdf 'scrypt' is unknown", master_key, {"kind": "passphrase", "kdf": "scrypt"}, "rep-a", b"", "x")

    def test_headers(self):
        good = b"HAULIER" + bytes([1, 3]) + bytes(7) + bytes(range(32))
        self.assertEqual(parse_header("list", good, "x"), bytes(range(32)))
        spoilt = [(0, 0, "not an object"), (7, 2, "version 2"), (8, 1, "of kind 1"), (9, 1, "not zero")]
        for at, value, saying in spoilt:
            bad = bytearray(good)
            bad[at] = value
            self.refuses(saying, parse_header, "list", bytes(bad), "x")
        self.refuses("cut off", parse_header, "list", good[:47], "x")

    def test_chunks_of_unknown_kinds(self):
        domain = Domain(Path("/nowhere"), KEYS)
        base = bytes([1] * 32)
        whole = [row(kind=2), row(codec=2), row(base=base)]
        deltas = [row(kind=1), row(kind=1, codec=1), row(kind=1, base=base)]
        for bad in whole + deltas:
            self.refuses("does not know", domain.read_place, PACK, bad)
        self.refuses("more than a chunk may have", domain.read_place, PACK, row(plain=(16 << 20) + 1))

    def test_a_delta_on_a_delta(self):
        domain = Domain(Path("/nowhere"), KEYS)
        base = bytes([1] * 32)
        delta = row(kind=1, codec=1, base=base)
        domain._places = {base: [(PACK, delta)]}
        self.refuses("no index object has it", domain.read_place, PACK, delta)

    def test_content_that_is_not_what_the_id_says(self):
        content = b"0123456789"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, pack_path(PACK.name))
            path.parent.mkdir(parents=True)
            path.touch()
            domain = Domain(Path(folder), SimpleNamespace(chunk_id=bytes(32), open_part=lambda *_: content))
            domain.verified_packs.add(PACK)
            good = replace(row(), chunk=blake3(content, key=bytes(32)).digest())
            self.assertEqual(domain.read_place(PACK, good), content)
            self.refuses("not what its id says", domain.read_place, PACK, row())
            self.refuses("not what its id says", domain.read_place, PACK, replace(good, plain=11))
            domain._places = {good.chunk: [(PACK, good)]}
            self.assertEqual(b"".join(domain.read(inline(good.chunk, 10))), content)
            self.refuses("10 bytes, its list says 9", list, domain.read(inline(good.chunk, 9)))

    def test_index_tables(self):
        self.assertEqual(parse_index(index([packed_row()]), "x"), [(PACK, row())])
        high, low = packed_row(bytes([2] * 32)), packed_row(bytes([1] * 32))
        for content, saying in [
            (index([packed_row(flags=4)]), "flags 0x4"),
            (index([packed_row(sketch=1)]) + b"s", "no sketch"),
            (index([packed_row(flags=1)]), "ends early"),
            (index([packed_row(flags=2, sketch=5)]) + b"four", "ends early"),
            (index([packed_row(pack=1)]), "pack number 1 of 1"),
            (index([packed_row()])[:-1], "ends early"),
            (index([packed_row()]) + b"x", "1 bytes follow"),
            (index([high, low]), "not sorted"),
        ]:
            self.refuses(saying, parse_index, content, "x")

    def test_lists(self):
        self.refuses("ends early", parse_page, struct.pack("<II32s", 0, 1, bytes(32)), "x")
        self.refuses("11 bytes in 1 chunks are announced, 10 in 1", must_add_up, "x", 11, 1, [(bytes(32), 10, 1)])
        domain = Domain(Path("/nowhere"), KEYS)
        pages = {"a" * 64: (2, [(bytes([0xBB] * 32), 10, 1)]), "bb" * 32: (0, [(bytes(32), 10, 1)])}
        domain.page = lambda name: parse_page(page(*pages[name]), name)
        stream = Stream("s", "pages", 10, 1, {"pages": "a" * 64})
        self.refuses("of level 0, where one of level 1", list, domain.chunks(stream))
        for content, saying in [({"pages": "../../key"}, "is no id"), ({"elsewhere": 1}, "neither inline nor pages")]:
            self.refuses(saying, list, domain.chunks(Stream("s", "pages", 10, 1, content)))
        stream = Stream("s", "pages", 10, 2, {"inline": [["a" * 64, 10]]})
        self.refuses("10 bytes in 2 chunks are announced, 10 in 1", list, domain.chunks(stream))

    def test_names_that_are_hashes(self):
        with tempfile.TemporaryDirectory() as folder:
            path, other = Path(folder, "lists", blake3(b"a page").hexdigest()), Path(folder, "lists", "0" * 64)
            path.parent.mkdir()
            for file in (path, other):
                file.write_bytes(b"a page")
            domain = Domain(Path(folder), KEYS)
            self.assertEqual(domain.named_by_hash(f"lists/{path.name}"), b"a page")
            self.refuses("its name is not the hash", domain.named_by_hash, f"lists/{other.name}")
            self.refuses("its name is not the hash", domain.page, other.name)
            self.refuses("missing", domain.page, "1" * 64)

    def test_frames(self):
        frame = bytes.fromhex("28b52ffd2005290000") + b"chunk"
        self.assertEqual(decompress(frame, b"", 5, "x"), b"chunk")
        for bad, length in [(frame, 4), (frame[:-1], 5), (frame + b"x", 5), (frame + frame, 5), (b"chunk", 5)]:
            self.refuses("frame", decompress, bad, b"", length, "x")


def inline(chunk: bytes, length: int) -> Stream:
    return Stream("s", "pages", length, 1, {"inline": [[chunk.hex(), length]]})


def page(level: int, entries: list[tuple[bytes, int, int]]) -> bytes:
    rows = [struct.pack("<32sI", *entry[:2]) if level == 0 else struct.pack("<32sQQ", *entry) for entry in entries]
    return struct.pack("<II", level, len(rows)) + b"".join(rows)


if __name__ == "__main__":
    unittest.main()
