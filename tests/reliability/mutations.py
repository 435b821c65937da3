"""Ways to damage a file, each a function of a random generator and the contents of valid files."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from random import Random
from typing import Any

NUMBERS = (0, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
VALUES = (None, True, -1, 0, 1, 2**31, 2**64, -(2**63), 1e308, "", "x", "0", "(0, 0)", "(-1,)", "None", [], [0], {})
WORDS = (
    *("null", "-1", "0", "1e999", ".nan", ".inf", "~", "true", "[]", "{}", "[[1, 2]]", "x", "''", "9" * 5000),
    *("!!python/object/apply:os.system ['touch canary']", "!!python/name:os.system", "!!python/module:os", "!own x"),
    *("&a [*a, *a]", "*a", "<<: *a", "{? [1]: 2}", "? x", "- - - -", "|", ">", "%YAML 9.9", "---", "...", "\t", "\0"),
    *("!!int x", "!!float x", "!!binary x", "!!timestamp x", "!!set {a}", "!!omap [a: 1]", "_base_: .", "../../x"),
    *("1:60:99", "0b2", "0o9", "1_000", "\ud7ff", "\ufeff", "\x85", "é" * 40, "[" * 600, "{a: " * 300, "a: &b\n"),
    *(": ", "# ", "2001-99-99"),
)


def flip(draw: Random, seeds: list[bytes]) -> bytes:
    """Change single bytes."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        if data:
            data[_place(draw, data)] = draw.randrange(256)
    return bytes(data)


def cut(draw: Random, seeds: list[bytes]) -> bytes:
    """Lose the end, the beginning or a piece."""
    data = draw.choice(seeds)
    a, b = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    return draw.choice((data[:a], data[b:], data[:a] + data[b:], data[: -draw.randint(1, 9)]))


def number(draw: Random, seeds: list[bytes]) -> bytes:
    """Overwrite a number of 1 to 8 bytes with an extreme one."""
    data, size = bytearray(draw.choice(seeds)), draw.choice((1, 2, 4, 4, 8, 8))
    for _ in range(draw.choice((1, 1, 2))):
        place = _place(draw, data)
        value = draw.choice(NUMBERS) % 256**size
        data[place : place + size] = value.to_bytes(size, draw.choice(("little", "big")))
    return bytes(data)


def repeat(draw: Random, seeds: list[bytes]) -> bytes:
    """Double a piece, blank it, or put in a piece of another file."""
    data, other = draw.choice(seeds), draw.choice(seeds)
    a, b = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    c, d = sorted(draw.randrange(len(other) + 1) for _ in range(2))
    piece = draw.choice((data[a:b], bytes(b - a), other[c:d], draw.randbytes(draw.randint(1, 64))))
    return data[: draw.choice((a, b))] + piece + data[b:]


def words(draw: Random, seeds: list[bytes]) -> bytes:
    """Put a word into a text, in the place of another one or before it."""
    text = draw.choice(seeds).decode(errors="replace")
    for _ in range(draw.choice((1, 1, 2, 5))):
        pieces = text.split(" ")
        place = draw.randrange(len(pieces))
        pieces[place] = draw.choice(WORDS) + draw.choice(("", "\n", pieces[place]))
        text = " ".join(pieces)
    return text.encode(errors="surrogatepass")


def leaves(draw: Random, seeds: list[bytes]) -> bytes:
    """Change, remove or add values of a JSON text."""
    content = json.loads(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 2, 4))):
        content = change_value(draw, content)
    return json.dumps(content).encode()


def change_value(draw: Random, value: Any) -> Any:
    """Copy of a JSON value with one change somewhere inside."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.1:
        return draw.choice(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, changed = draw.choice(keys), value.copy()
    if draw.random() < 0.15:
        del changed[key]
    else:
        changed[key] = change_value(draw, value[key])
    return changed


def members(draw: Random, seeds: list[bytes]) -> bytes:
    """Damage a member of a zip archive, and pack it again with the right checksum."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(draw.choice(seeds))) as source, zipfile.ZipFile(out, "w") as target:
        chosen = draw.choice(source.namelist())
        for name in source.namelist():
            content = source.read(name)
            if name == chosen:
                content = draw.choice((flip, cut, number, repeat))(draw, [content or b"0"])
            target.writestr(name, content)
    return out.getvalue()


def chunks(draw: Random, seeds: list[bytes]) -> bytes:
    """Damage a chunk of a PNG file, its checksum being right."""
    data = bytearray(draw.choice([s for s in seeds if s.startswith(b"\x89PNG")]))
    places, place = [], 8
    while place + 8 <= len(data):
        places.append(place)
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    place = draw.choice((8, draw.choice(places)))
    size = int.from_bytes(data[place : place + 4], "big")
    if size:
        body = draw.choice((flip, number))(draw, [bytes(data[place + 8 : place + 8 + size])])[:size].ljust(size, b"\0")
        data[place + 8 : place + 8 + size] = body
        data[place + 8 + size : place + 12 + size] = zlib.crc32(data[place + 4 : place + 8 + size]).to_bytes(4, "big")
    return bytes(data)


def _place(draw: Random, data: bytes | bytearray) -> int:
    """Somewhere in a file, half of the time where its header is."""
    return draw.randrange(min(len(data), 64) if draw.random() < 0.5 else len(data)) if data else 0


BYTES = (flip, cut, number, repeat)
