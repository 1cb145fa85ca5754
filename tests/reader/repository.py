"""Reading points and streams: sections 1 and 9 to 13 of docs/repository-format.md."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import zstandard
from blake3 import blake3

from seals import DomainKeys, Refused, derive, field, master_key, parse_header, parse_json, read_digested
from seals import require_features, require_version, unbase64, unseal
from tables import DELTA, MAX_CHUNK, PLAIN, WHOLE, ZSTD, Pack, Page, Row, parse_index, parse_page

HASH = re.compile("[0-9a-f]{64}")
POINT_FEATURES = {"deltas"}


@dataclass(frozen=True)
class Stream:
    """The root of a stream: section 11."""

    name: str
    kind: str
    bytes: int
    chunks: int
    content: dict

    @classmethod
    def parse(cls, document: dict, what: str) -> "Stream":
        types = {"name": str, "kind": str, "bytes": int, "chunks": int, "content": dict}
        return cls(*(field(document, name, of, f"{what}, stream root") for name, of in types.items()))


class Repository:
    """A folder with the objects of a repository, opened with a passphrase or with the master key itself."""

    def __init__(self, folder: Path, passphrase: bytes | None, master: bytes | None = None):
        self.folder = folder
        if not (folder / "format").is_file():
            raise Refused(f"{folder}: no repository: there is no object `format`")
        document = read_digested(folder / "format", "format")
        require_features(document, set(), "format")
        self.id = field(document, "repository", str, "format")
        self.master_key = master if passphrase is None else self._open_keys(passphrase)

    def _open_keys(self, passphrase: bytes) -> bytes:
        """Any key object will do, so one that cannot be read is no reason to give up before the last."""
        reasons = []
        for path in files(self.folder / "keys"):
            what = f"keys/{path.name}"
            try:
                document = read_digested(path, what)
                if field(document, "repository", str, what) == self.id:
                    return master_key(field(document, "wrap", dict, what), self.id, passphrase, what)
                reasons.append(f"{what}: of another repository")
            except Refused as reason:
                reasons.append(str(reason))
        raise Refused("\n  ".join(["no key object gives the master key:", *(reasons or ["there is none"])]))

    def domain_ids(self) -> list[str]:
        return [path.name for path in entries(self.folder / "domains")]

    def domain(self, name: str) -> "Domain":
        what = f"domains/{name}/key"
        path = self.folder / "domains" / name / "key"
        if not path.is_file():
            raise Refused(f"{what}: missing: there is no such domain")
        document = read_digested(path, what)
        nonce, sealed = unbase64(document, "nonce", 12, what), unbase64(document, "sealed", 48, what)
        aad = f"haulier repository v1: domain key of {name} in {self.id}".encode()
        key = unseal(derive("domain key wrapping", self.master_key), nonce, aad, sealed, what)
        return Domain(path.parent, DomainKeys.of(name, key))


class Domain:
    """One domain: its index, its points, its streams."""

    def __init__(self, folder: Path, keys: DomainKeys):
        self.folder, self.keys = folder, keys
        self.verified_packs: set[Pack] = set()
        self.whole_chunk = lru_cache(maxsize=16)(self._whole_chunk)
        self._places: dict[bytes, list[tuple[Pack, Row]]] | None = None

    # --- points

    def point_ids(self) -> list[str]:
        return [path.name for path in files(self.folder / "points")]

    def point(self, name: str) -> dict:
        what = f"points/{name}"
        point = require_version(self.open_json("point", what, name), what)
        require_features(point, POINT_FEATURES, what)
        if point.get("point") != name:
            raise Refused(f"{what}: it is the point {point.get('point')!r}")
        return point

    def manifest(self, point: dict) -> Stream:
        return self._root_in(point, "manifest")

    def catalogue(self, point: dict) -> Stream:
        return self._root_in(point, "catalogue")

    def _root_in(self, point: dict, name: str) -> Stream:
        what = f"points/{point['point']}"
        return Stream.parse(field(point, name, dict, what), f"{what}, {name}")

    def streams(self, point: dict) -> Iterator[Stream]:
        """The roots of all streams of a point, as the lines of its catalogue."""
        what = f"catalogue of {point['point']}"
        *lines, rest = b"".join(self.read(self.catalogue(point))).split(b"\n")
        if rest:
            raise Refused(f"{what}: its last line has no end")
        for line in lines:
            yield Stream.parse(parse_json(line, what), what)

    # --- streams

    def read(self, stream: Stream) -> Iterator[bytes]:
        """The content of a stream, chunk by chunk, each verified before it is given."""
        for chunk, length in self.chunks(stream):
            content = self.chunk(chunk)
            if len(content) != length:
                what = f"stream {stream.name}, chunk {chunk.hex()}"
                raise Refused(f"{what}: {len(content)} bytes, its list says {length}")
            yield content

    def chunks(self, stream: Stream) -> Iterator[tuple[bytes, int]]:
        """Ids and lengths of a stream's chunks, in order."""
        what = f"stream {stream.name}"
        match stream.content:
            case {"inline": [*listed]}:
                chunks = [(parse_hash(chunk, what), length) for chunk, length in listed]
                must_add_up(what, stream.bytes, stream.chunks, [(*chunk, 1) for chunk in chunks])
                yield from chunks
            case {"pages": str(top)}:
                top = parse_hash(top, what).hex()
                yield from self._chunks_under(top, None, stream.bytes, stream.chunks, what)
            case other:
                raise Refused(f"{what}: its content is neither inline nor pages, but {list(other)}")

    def _chunks_under(self, name: str, level: int | None, length: int, count: int, above: str) -> Iterator:
        page = self.page(name)
        what = f"lists/{name}"
        if level is not None and page.level != level:
            raise Refused(f"{what}: of level {page.level}, where one of level {level} belongs")
        must_add_up(f"{what}, named by {above}", length, count, page.entries)
        for child, child_length, child_count in page.entries:
            if page.level == 0:
                yield child, child_length
            else:
                yield from self._chunks_under(child.hex(), page.level - 1, child_length, child_count, what)

    def page(self, name: str) -> Page:
        what = f"lists/{name}"
        return parse_page(self.keys.open_object("list", self.named_by_hash(what), "", what), what)

    # --- chunks

    def chunk(self, chunk: bytes) -> bytes:
        places = self.places.get(chunk, [])
        if any(row.kind == WHOLE for _, row in places):
            return self.whole_chunk(chunk)
        return self._from_any(chunk, places)

    def _whole_chunk(self, chunk: bytes) -> bytes:
        places = self.places.get(chunk, [])
        return self._from_any(chunk, [place for place in places if place[1].kind == WHOLE])

    def _from_any(self, chunk: bytes, places: list[tuple[Pack, Row]]) -> bytes:
        reasons = []
        for pack, row in places:
            try:
                return self.read_place(pack, row)
            except Refused as reason:
                reasons.append(str(reason))
        raise Refused("\n  ".join([f"chunk {chunk.hex()} cannot be read:", *(reasons or ["no index object has it"])]))

    def read_place(self, pack: Pack, row: Row) -> bytes:
        """A chunk from one of its places: section 7."""
        what = f"{pack_path(pack.name)}, chunk {row.chunk.hex()}"
        known = {(WHOLE, PLAIN, False), (WHOLE, ZSTD, False), (DELTA, ZSTD, True)}
        if (row.kind, row.codec, row.base is not None) not in known:
            base = "without a base" if row.base is None else "with a base"
            raise Refused(f"{what}: kind {row.kind}, codec {row.codec}, {base}: this reader does not know that")
        if row.plain > MAX_CHUNK:
            raise Refused(f"{what}: {row.plain} bytes are more than a chunk may have")
        base = b"" if row.base is None else self.whole_chunk(row.base)
        self.verify_pack(pack)
        with open(self.folder / pack_path(pack.name), "rb") as file:
            file.seek(row.offset)
            sealed = file.read(row.stored)
        content = self.keys.open_part("pack", pack.salt, row.position, sealed, "", what)
        if row.codec == ZSTD:
            content = decompress(content, base, row.plain, what)
        if len(content) != row.plain or blake3(content, key=self.keys.chunk_id).digest() != row.chunk:
            raise Refused(f"{what}: its content is not what its id says")
        return content

    def verify_pack(self, pack: Pack) -> None:
        """Name, length and salt of a whole pack, once. More than a reader has to do that asks for ranges."""
        if pack in self.verified_packs:
            return
        what = pack_path(pack.name)
        content = self.named_by_hash(what)
        if len(content) != pack.length:
            raise Refused(f"{what}: {len(content)} bytes, the index says {pack.length}")
        if parse_header("pack", content, what) != pack.salt:
            raise Refused(f"{what}: its salt is not the index's")
        self.verified_packs.add(pack)

    @property
    def places(self) -> dict[bytes, list[tuple[Pack, Row]]]:
        """All places of all chunks. Those that store it whole come first: sections 1 and 9."""
        if self._places is None:
            places = defaultdict(list)
            for path in files(self.folder / "index"):
                for pack, row in self.index(path.name):
                    places[row.chunk].append((pack, row))
            for found in places.values():
                found.sort(key=lambda place: place[1].kind)
            self._places = dict(places)
        return self._places

    def index(self, name: str) -> list[tuple[Pack, Row]]:
        what = f"index/{name}"
        return parse_index(self.keys.open_object("index", self.named_by_hash(what), "", what), what)

    # --- objects

    def open_json(self, kind: str, path: str, name: str) -> dict:
        return parse_json(self.keys.open_object(kind, self.content(path), name, path), path)

    def named_by_hash(self, path: str) -> bytes:
        content = self.content(path)
        if blake3(content).hexdigest() != path.rpartition("/")[2]:
            raise Refused(f"{path}: damaged: its name is not the hash of its content")
        return content

    def content(self, path: str) -> bytes:
        try:
            return (self.folder / path).read_bytes()
        except FileNotFoundError:
            raise Refused(f"{path}: missing") from None


def decompress(frame: bytes, base: bytes, length: int, what: str) -> bytes:
    """The one zstd frame of a chunk, made with the base as prefix."""
    try:
        parameters = zstandard.get_frame_parameters(frame)
        if parameters.dict_id or parameters.content_size not in (length, zstandard.CONTENTSIZE_UNKNOWN):
            raise Refused(f"{what}: a frame for a dictionary, or of another length")
        prefix = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
        decompressor = zstandard.ZstdDecompressor(dict_data=prefix)
        return decompressor.decompress(frame, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Refused(f"{what}: no frame of {length} bytes: {error}") from None


def parse_hash(text: str, what: str) -> bytes:
    if not isinstance(text, str) or not HASH.fullmatch(text):
        raise Refused(f"{what}: {text!r} is no id")
    return bytes.fromhex(text)


def must_add_up(what: str, length: int, count: int, entries: list[tuple[bytes, int, int]]) -> None:
    found = sum(entry[1] for entry in entries), sum(entry[2] for entry in entries)
    if found != (length, count):
        raise Refused(f"{what}: {length} bytes in {count} chunks are announced, {found[0]} in {found[1]} are there")


def pack_path(name: str) -> str:
    return f"packs/{name[:2]}/{name}"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def files(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.is_file()]
