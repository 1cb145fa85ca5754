#!/usr/bin/env python3
"""Reads a Haulier repository that lies in a local folder: see README.md."""

import argparse
import hashlib
import sys
from pathlib import Path
from urllib.parse import quote

from check import check
from repository import Domain, Repository, Stream
from seals import Refused


def main() -> int:
    try:
        run(arguments())
    except (Refused, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Reads a Haulier repository that lies in a local folder.")
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument("--passphrase-file", type=Path, help="a file whose first line is the passphrase")
    keys.add_argument("--master-key-file", type=Path, help="a file of 32 bytes, as KMS unwraps it")
    parser.add_argument("--domain", help="look into this one only; default: all")
    commands = parser.add_subparsers(dest="command", required=True)
    points = commands.add_parser("points", help="lists restore points: domain, id, time, engine, streams, bytes")
    restore = commands.add_parser("restore", help="writes every stream of a point to a file and prints its SHA-256")
    everything = commands.add_parser("check", help="reads and verifies everything that is there")
    for command in (points, restore, everything):
        command.add_argument("folder", type=Path, help="where the objects lie: `format`, `keys/`, `domains/`")
    restore.add_argument("point")
    restore.add_argument("target", type=Path, help="a folder that does not exist yet")
    return parser.parse_args()


def run(wanted: argparse.Namespace) -> None:
    repository = open_repository(wanted)
    names = [name for name in repository.domain_ids() if wanted.domain in (None, name)]
    if not names:
        raise Refused(f"{wanted.folder}: there is no {'domain' if wanted.domain is None else wanted.domain}")
    domains = [repository.domain(name) for name in names]
    if wanted.command == "restore":
        having = [domain for domain in domains if wanted.point in domain.point_ids()]
        if len(having) != 1:
            raise Refused(f"{wanted.point} is in {len(having)} of the domains {', '.join(names)}, and has to be in one")
        return restore_point(having[0], wanted.point, wanted.target)
    for name, domain in zip(names, domains):
        if wanted.command == "points":
            list_points(name, domain)
        else:
            print(name, *(f"{count} {what}" for what, count in check(domain).items()), sep="\t")


def open_repository(wanted: argparse.Namespace) -> Repository:
    if wanted.master_key_file is not None:
        key = wanted.master_key_file.read_bytes()
        if len(key) != 32:
            raise Refused(f"{wanted.master_key_file}: {len(key)} bytes; a master key has 32")
        return Repository(wanted.folder, None, key)
    return Repository(wanted.folder, wanted.passphrase_file.read_bytes().split(b"\n")[0].removesuffix(b"\r"))


def list_points(name: str, domain: Domain) -> None:
    for point_id in domain.point_ids():
        point = domain.point(point_id)
        streams = list(domain.streams(point))
        size = sum(stream.bytes for stream in streams)
        print(name, point_id, point.get("created"), point.get("engine"), len(streams), size, sep="\t")


def restore_point(domain: Domain, name: str, target: Path) -> None:
    """Prints lines that `sha256sum --check` reads, when it is run in the target folder."""
    point = domain.point(name)
    (target / "streams").mkdir(parents=True)
    write(domain, domain.manifest(point), target, "manifest")
    write(domain, domain.catalogue(point), target, "catalogue")
    # Names of streams may hold anything and may repeat; a number keeps files apart and in order.
    for number, stream in enumerate(domain.streams(point)):
        write(domain, stream, target, f"streams/{number:06}-{quote(stream.name, safe='')[:200]}")


def write(domain: Domain, stream: Stream, target: Path, name: str) -> None:
    """A file of that name is a whole stream: until it is, it is called otherwise."""
    digest = hashlib.sha256()
    partial = target / f"{name}.partial"
    try:
        with open(partial, "xb") as file:
            for content in domain.read(stream):
                digest.update(content)
                file.write(content)
        partial.rename(target / name)
    finally:
        partial.unlink(missing_ok=True)
    print(f"{digest.hexdigest()}  {name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
