"""Where the official files come from: the cache, then a mirror, then the official address.

`RENOTE_CACHE` names the cache folder (else the user's own cache folder for renote), `RENOTE_MIRROR` a folder that holds
`planetoid/`, `mnist/`, … Whatever the way, content with another checksum is refused, and a file appears in the cache
whole or not at all.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import logging
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pooch  # type: ignore[import-untyped]

from renote.data.card import Card, File
from renote.errors import DataError

_log = logging.getLogger("renote")

# A server that sends nothing for so long has failed.
TIMEOUT_SECONDS = 30


def cache_folder() -> Path:
    """Where downloads are kept."""
    chosen = os.environ.get("RENOTE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("renote"))


def locate(card: Card, file: File) -> Path:
    """The verified file on this machine, downloaded if it must be.

    Raises:
        DataError: the checksum differs, or the file could neither be found nor downloaded.
    """
    path = _find(card, file) or _download(card, file)
    _verified(path, file)
    return path


def read(card: Card, file: File) -> bytes:
    """The verified content, unpacked: what is checked is what is returned.

    Raises:
        DataError: as `locate`.
    """
    return _verified(_find(card, file) or _download(card, file), file)


def _find(card: Card, file: File) -> Path | None:
    cached = cache_folder() / card.folder / file.name
    if cached.is_file():
        return cached
    mirror = os.environ.get("RENOTE_MIRROR")
    if not mirror:
        return None
    root = Path(mirror).expanduser()
    if not root.is_dir():
        raise DataError(f"RENOTE_MIRROR is {mirror!r}, which is not a folder: correct it or unset it")
    mirrored = root / card.folder / file.name
    return mirrored if mirrored.is_file() else None


def _verified(path: Path, file: File) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        # what is packed in a mirror may be plain at its official address
        if file.packed and content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        found = hashlib.sha256(_told(content, file)).hexdigest()
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, KeyError, ValueError):
        found = "none: it cannot be unpacked"
    if found != file.sha256:
        raise DataError(
            f"{path} is not the official {file.name} (SHA-256 expected {file.sha256}, found {found}): "
            "it was not used. Delete it and fetch it again"
        )
    return content


def _told(content: bytes, file: File) -> bytes:
    """What the checksum is of."""
    if file.arrays:
        return _plain(content, file.arrays)
    if file.members:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return b"".join(archive.read(name) for name in file.members)
    if file.sets:
        rows = ([int(word) for word in line.split()] for line in content.splitlines())
        return b"\n".join(b" ".join(b"%d" % number for number in row[:1] + sorted(row[1:])) for row in rows if row)
    return content


def _plain(content: bytes, names: tuple[str, ...]) -> bytes:
    """The arrays of an `.npz` file one after the other, each number as 8 bytes; nothing is unpickled."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return b"".join(np.ascontiguousarray(arrays[name], "<i8").tobytes() for name in names)


def _download(card: Card, file: File) -> Path:
    target = cache_folder() / card.folder / file.name
    by_hand = f"Put the file at {target}, or set RENOTE_MIRROR to a folder that has {card.folder}/{file.name}"
    if not file.url:
        raise DataError(f"{file.name} of {card.name} has no official address to be had from. {by_hand}")
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, because a rename is atomic within one file system only.
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        _log.info("downloading %s", file.url)
        pooch.HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT_SECONDS)(file.url, str(temporary), None)
        try:
            _verified(temporary, file)
        except DataError as error:
            raise DataError(
                f"{file.url} did not send the official {file.name}: its checksum differs, "
                f"and nothing was kept. {by_hand}"
            ) from error
        os.replace(temporary, target)
    except (OSError, ValueError) as error:
        raise DataError(f"could not download {file.name} from {file.url}: {_reason(error)}. {by_hand}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    return target


def _reason(error: Exception) -> str:
    """The last and plainest of the nested messages that an HTTP library wraps around each other."""
    inner: BaseException = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    return f"{type(inner).__name__}: {inner}"
