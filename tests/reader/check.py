"""Reads everything that a domain has, and verifies it: all sections of docs/repository-format.md."""

from pathlib import Path

from repository import Domain, entries, files, pack_path
from seals import HEADER, Refused, parse_header, require_version
from tables import TRAILER, Pack, Row, parse_pack_table


def check(domain: Domain) -> dict[str, int]:
    """How much of each kind there is, all of it good. Refuses at the first object that is not."""
    return {
        "packs": check_packs(domain),
        "index objects": len(files(domain.folder / "index")),
        "list pages": sum(1 for path in files(domain.folder / "lists") if domain.page(path.name)),
        "points": sum(check_point(domain, name) for name in domain.point_ids()),
        "proofs": sum(check_proof(domain, point.name, path.name) for point, path in proofs(domain)),
        "prune records": sum(check_prune(domain, path.name) for path in files(domain.folder / "prune")),
    }


def check_packs(domain: Domain) -> int:
    """Every pack by its own table; that the index says the same of all that it names; every chunk."""
    groups = entries(domain.folder / "packs")
    tables = {path.name: read_table(domain, path) for group in groups for path in files(group)}
    for places in domain.places.values():
        for pack, row in places:
            if pack.name not in tables:
                raise Refused(f"{pack_path(pack.name)}: missing, and chunk {row.chunk.hex()} is in it")
            known, rows = tables[pack.name]
            if pack != known or row.position >= len(rows) or rows[row.position] != row:
                raise Refused(f"{pack_path(pack.name)}: chunk {row.chunk.hex()} is not there as the index has it")
    for pack, rows in tables.values():
        for row in rows:
            domain.read_place(pack, row)
    return len(tables)


def read_table(domain: Domain, path: Path) -> tuple[Pack, list[Row]]:
    """What a pack says of itself: section 8."""
    what = f"packs/{path.parent.name}/{path.name}"
    content = domain.named_by_hash(what)
    if what != pack_path(path.name):
        raise Refused(f"{what}: it belongs into packs/{path.name[:2]}/")
    salt = parse_header("pack", content, what)
    end = len(content) - TRAILER.size
    if end < HEADER.size:
        raise Refused(f"{what}: cut off")
    length, count, mark = TRAILER.unpack_from(content, end)
    start = end - length
    if mark != b"HAULTAIL" or start < HEADER.size:
        raise Refused(f"{what}: it has no trailer")
    table = domain.keys.open_part("pack", salt, count, content[start:end], "", f"{what}, table")
    rows = parse_pack_table(table, count, what)
    at = HEADER.size
    for position, row in enumerate(rows):
        if (row.position, row.offset) != (position, at):
            raise Refused(f"{what}: part {position} is not where it belongs")
        at += row.stored
    if at != start:
        raise Refused(f"{what}: the table does not follow the last part")
    return Pack(path.name, salt, len(content)), rows


def check_point(domain: Domain, name: str) -> bool:
    point = domain.point(name)
    for stream in (domain.manifest(point), domain.catalogue(point), *domain.streams(point)):
        for _ in domain.read(stream):
            pass
    return True


def proofs(domain: Domain) -> list[tuple[Path, Path]]:
    return [(point, path) for point in entries(domain.folder / "proofs") for path in files(point)]


def check_proof(domain: Domain, point: str, session: str) -> bool:
    what = f"proofs/{point}/{session}"
    proof = require_version(domain.open_json("proof", what, f"{point}/{session}"), what)
    if (proof.get("point"), proof.get("session")) != (point, session):
        raise Refused(f"{what}: it is a proof of {proof.get('point')} by {proof.get('session')}")
    return True


def check_prune(domain: Domain, name: str) -> bool:
    what = f"prune/{name}"
    if len(name) != 16 or not (name.isascii() and name.isdecimal()):
        raise Refused(f"{what}: the name is not 16 digits")
    record = require_version(domain.open_json("prune", what, str(int(name))), what)
    if record.get("number") != int(name):
        raise Refused(f"{what}: it is record {record.get('number')}")
    return True
