"""Keys, digests and seals: sections 2 to 6 of docs/repository-format.md."""

import base64
import binascii
import json
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

VERSION = 1
KINDS = {"pack": 1, "index": 2, "list": 3, "point": 4, "prune": 5, "proof": 6}
HEADER = struct.Struct("<7sBB7s32s")
NAMES = {"point", "prune", "proof"}  # whose seals carry the object's name, because it is no hash

MAX_ARGON2_KIB = 2 * 1024 * 1024
MAX_ARGON2_ITERATIONS = 64


class Refused(Exception):
    """Something that must not be read on, named, with the reason."""


def derive(use: str, material: bytes) -> bytes:
    return blake3(material, derive_key_context=f"haulier repository v1: {use}").digest()


def unseal(key: bytes, nonce: bytes, aad: bytes, sealed: bytes, what: str) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except (InvalidTag, ValueError, OverflowError):
        raise Refused(f"{what}: its seal does not open: damaged, or of another key or place") from None


def field(document: dict, name: str, of: type, what: str):
    value = document.get(name)
    if not isinstance(value, of) or isinstance(value, bool):
        raise Refused(f"{what}: `{name}` is missing, or is no {of.__name__}")
    return value


def unbase64(document: dict, name: str, length: int, what: str) -> bytes:
    try:
        value = base64.b64decode(field(document, name, str, what), validate=True)
    except binascii.Error:
        raise Refused(f"{what}: no base64 in `{name}`") from None
    if len(value) != length:
        raise Refused(f"{what}: `{name}` has {len(value)} bytes instead of {length}")
    return value


def parse_json(text: bytes, what: str) -> dict:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Refused(f"{what}: no JSON document: {error}") from None
    if not isinstance(document, dict):
        raise Refused(f"{what}: no JSON object")
    return document


def require_version(document: dict, what: str) -> dict:
    if document.get("version") != VERSION:
        raise Refused(f"{what}: version {document.get('version')!r} is unknown; this reader knows {VERSION}")
    return document


def require_features(document: dict, known: set[str], what: str) -> None:
    lacking = [feature for feature in document.get("required_features") or [] if feature not in known]
    if lacking:
        raise Refused(f"{what}: requires {', '.join(map(repr, lacking))}, which this reader lacks")


def read_digested(path: Path, what: str) -> dict:
    """A JSON document with its digest in a second line: section 3."""
    lines = path.read_bytes().split(b"\n")
    if len(lines) != 3 or lines[2] or lines[1] != b"blake3 " + blake3(lines[0]).hexdigest().encode():
        raise Refused(f"{what}: damaged: the digest in the second line is not the first line's")
    return require_version(parse_json(lines[0], what), what)


def master_key(wrap: dict, repository: str, passphrase: bytes, what: str) -> bytes:
    """The master key out of one key object: section 4."""
    if wrap.get("kind") != "passphrase":
        raise Refused(f"{what}: wrapped by {wrap.get('name', wrap.get('kind'))!r}; this reader knows passphrases only")
    if wrap.get("kdf") != "argon2id":
        raise Refused(f"{what}: kdf {wrap.get('kdf')!r} is unknown")
    cost = field(wrap, "cost", dict, what)
    memory, iterations, lanes = (field(cost, name, int, what) for name in ("memory_kib", "iterations", "lanes"))
    if memory > MAX_ARGON2_KIB or iterations > MAX_ARGON2_ITERATIONS:
        raise Refused(f"{what}: a cost of {memory} KiB and {iterations} iterations is more than a reader may spend")
    salt = unbase64(wrap, "salt", 16, what)
    try:
        kdf = Argon2id(salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory)
    except ValueError as error:
        raise Refused(f"{what}: {error}") from None
    nonce, sealed = unbase64(wrap, "nonce", 12, what), unbase64(wrap, "sealed", 48, what)
    aad = f"haulier repository v1: master key of {repository}".encode()
    return unseal(kdf.derive(passphrase), nonce, aad, sealed, f"{what} (is the passphrase right?)")


@dataclass(frozen=True)
class DomainKeys:
    """What opens the objects of one domain."""

    domain: str
    chunk_id: bytes
    by_kind: dict[str, bytes]

    @classmethod
    def of(cls, domain: str, key: bytes) -> "DomainKeys":
        return cls(domain, derive("chunk id", key), {kind: derive(kind, key) for kind in KINDS})

    def open_object(self, kind: str, sealed: bytes, name: str, what: str) -> bytes:
        """The plain content of an object that is a header and one part."""
        salt = parse_header(kind, sealed, what)
        return self.open_part(kind, salt, 0, sealed[HEADER.size:], name, what)

    def open_part(self, kind: str, salt: bytes, position: int, sealed: bytes, name: str, what: str) -> bytes:
        domain = self.domain.encode()
        aad = b"haulier1" + bytes([KINDS[kind], len(domain)]) + domain + salt + struct.pack("<Q", position)
        if kind in NAMES:
            aad += name.encode()
        return unseal(subkey(self.by_kind[kind], salt), bytes(4) + struct.pack(">Q", position), aad, sealed, what)


@lru_cache(maxsize=64)
def subkey(key: bytes, salt: bytes) -> bytes:
    return derive("object subkey", key + salt)


def parse_header(kind: str, content: bytes, what: str) -> bytes:
    """Checks the first 48 bytes of a sealed object and gives its salt."""
    if len(content) < HEADER.size:
        raise Refused(f"{what}: cut off: {len(content)} bytes are no header")
    magic, version, number, zeros, salt = HEADER.unpack_from(content)
    if magic != b"HAULIER":
        raise Refused(f"{what}: not an object of a Haulier repository")
    if version != VERSION:
        raise Refused(f"{what}: version {version} is unknown; this reader knows {VERSION}")
    if number != KINDS[kind]:
        raise Refused(f"{what}: of kind {number}, where {KINDS[kind]} ({kind}) belongs")
    if any(zeros):
        raise Refused(f"{what}: the header has bytes that are not zero where zeros belong")
    return salt
