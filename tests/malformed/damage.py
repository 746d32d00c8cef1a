"""
What can be wrong with a file or a cell.

A damage of a file takes its bytes and gives others; one of a cell is a text in its place, by what the
column holds.
"""

import gzip
import io
import zipfile
from collections.abc import Callable

Bytes = Callable[[bytes], bytes]


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Bytes:
    def apply(content: bytes) -> bytes:
        return b"\n".join(change(content.rstrip(b"\n").split(b"\n"))) + b"\n"

    return apply


def _header(change: Callable[[bytes], bytes], comma: bytes) -> Bytes:
    return _lines(lambda rows: [comma.join(map(change, rows[0].split(comma))), *rows[1:]])


def _zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("table.csv", content)
    return packed.getvalue()


def _middle(content: bytes) -> int:
    return len(content) // 2


def _last_row(change: Callable[[bytes], bytes]) -> Bytes:
    return _lines(lambda rows: [*rows[:-1], change(rows[-1])])


def text_file(comma: bytes) -> dict[str, Bytes]:
    """What may happen to a file of rows whose cells are parted by `comma`: {name: bytes to bytes}."""
    return {
        "empty": lambda _: b"",
        "one blank line": lambda _: b"\n",
        "header only": _lines(lambda rows: rows[:1]),
        "no header": _lines(lambda rows: rows[1:]),
        "header twice": _lines(lambda rows: [rows[0], *rows]),
        "header amid the rows": _lines(lambda rows: [*rows[:2], rows[0], *rows[2:]]),
        "cut within a row": lambda content: content[: _middle(content)],
        "no last line end": lambda content: content.rstrip(b"\n"),
        "blank lines at the end": lambda content: content + b"\n\n",
        "blank line amid the rows": _lines(lambda rows: [*rows[:2], b"", *rows[2:]]),
        "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
        "UTF-16": lambda content: content.decode().encode("utf-16"),
        "UTF-32": lambda content: content.decode().encode("utf-32"),
        "EBCDIC": lambda content: content.decode().encode("cp500", errors="replace"),
        "a byte that is no UTF-8": _last_row(lambda row: row.replace(comma, b"\xff" + comma, 1)),
        "zero bytes": lambda content: content + bytes(64),
        "zero bytes amid": lambda content: (
            content[: _middle(content)] + bytes(64) + content[_middle(content) :]
        ),
        "nothing but zero bytes": lambda content: bytes(len(content)),
        "noise": lambda content: bytes((37 * k * k + 11 * k + 5) % 256 for k in range(4096)),
        "CRLF": lambda content: content.replace(b"\n", b"\r\n"),
        "CR": lambda content: content.replace(b"\n", b"\r"),
        "zip in its place": _zipped,
        "gzip in its place": lambda content: gzip.compress(content, mtime=0),
        "Parquet's mark": lambda content: b"PAR1" + content + b"PAR1",
        "a page of HTML": lambda _: b"<!DOCTYPE html>\n<html><body>403 Forbidden</body></html>\n",
        "JSON": lambda _: b'[{"subject_id": 1}]\n',
        "last row with a cell fewer": _last_row(lambda row: row.rsplit(comma, 1)[0]),
        "last row with a cell more": _last_row(lambda row: row + comma + b"1"),
        "quote that is not closed": _last_row(lambda row: b'"' + row),
        "a very long line": _last_row(lambda row: row + b"x" * 3_000_000),
        "every row twice": _lines(lambda rows: [rows[0], *(row for row in rows[1:] for _ in (0, 1))]),
        "rows in reverse": _lines(lambda rows: [rows[0], *rows[:0:-1]]),
        "header in upper case": _lines(lambda rows: [rows[0].upper(), *rows[1:]]),
        "header with spaces": _header(lambda name: b" " + name, comma),
        "header in quotes": _header(lambda name: b'"' + name + b'"', comma),
        "first column twice": _lines(lambda rows: [row.split(comma)[0] + comma + row for row in rows]),
        "a column without a name": _lines(lambda rows: [row + comma for row in rows]),
        "a further column": _lines(
            lambda rows: [rows[0] + comma + b"note", *(row + comma + b"1" for row in rows[1:])]
        ),
        "semicolons between cells": lambda content: content.replace(comma, b";"),
        "tabs between cells": lambda content: content.replace(comma, b"\t"),
    }


# What may happen to a compressed file. {name: bytes to bytes}
PACKED_FILE: dict[str, Bytes] = {
    "empty": lambda _: b"",
    "cut to a half": lambda content: content[: _middle(content)],
    "cut by a byte": lambda content: content[:-1],
    "cut after ten bytes": lambda content: content[:10],
    "not compressed": gzip.decompress,
    "compressed twice": lambda content: gzip.compress(content, mtime=0),
    "one byte changed": lambda content: (
        content[: _middle(content)]
        + bytes([content[_middle(content)] ^ 255])
        + content[_middle(content) + 1 :]
    ),
    "wrong check sum": lambda content: content[:-8] + b"\x01\x02\x03\x04" + content[-4:],
    "noise behind it": lambda content: content + b"noise",
    "in two members": lambda content: gzip.compress(b"", mtime=0) + content,
    "zip in its place": lambda content: _zipped(gzip.decompress(content)),
}

# What may happen to a Parquet file. {name: bytes to bytes}
PARQUET_FILE: dict[str, Bytes] = {
    "empty": lambda _: b"",
    "cut to a half": lambda content: content[: _middle(content)],
    "cut by a byte": lambda content: content[:-1],
    "without its first bytes": lambda content: content[4:],
    "zero bytes in the middle": lambda content: (
        content[: len(content) // 3] + bytes(len(content) // 3) + content[2 * (len(content) // 3) :]
    ),
    "zero bytes in the footer": lambda content: content[:-200] + bytes(190) + content[-10:],
    "a footer of impossible length": lambda content: content[:-8] + b"\xff\xff\xff\x7f" + content[-4:],
    "marks and nothing between": lambda _: b"PAR1PAR1",
    "text": lambda _: b"subject_id,time\n1,2\n",
    "compressed": lambda content: gzip.compress(content, mtime=0),
}

# What may stand in a cell, by the type of the column. {type: {name: text}}
CELL: dict[str, dict[str, str]] = {
    "int64": {
        "text": "unknown",
        "nothing": "",
        "a fraction": "12.5",
        "with .0": "{}.0",
        "with spaces": " {} ",
        "negative": "-{}",
        "zero": "0",
        "NaN": "NaN",
        "infinity": "inf",
        "hexadecimal": "0x1F",
        "a power": "1e3",
        "beyond 64 bits": "98765432109876543210",
        "beyond 53 bits": "9007199254740993",
        "thousands": "12,345",
        "two numbers": "1 2",
        "leading zeros": "000{}",
        "other digits": "\uff11\uff12",
    },
    "timestamp": {
        "text": "yesterday",
        "nothing": "",
        "month 13": "2150-13-01 00:00:00",
        "30 February": "2150-02-30 12:00:00",
        "hour 25": "2150-01-01 25:00:00",
        "year 1": "0001-01-01 00:00:00",
        "year 1700": "1700-01-01 00:00:00",
        "year 2999": "2999-01-01 00:00:00",
        "year 10000": "10000-01-01 00:00:00",
        "month first": "03/25/2150 10:00",
        "day first": "25.03.2150 10:00",
        "seconds since 1970": "5680281600",
        "time of day": "12:30:00",
        "with a zone": "2150-01-01 10:00:00+05:00",
        "now": "now",
        "infinity": "infinity",
        "NaT": "NaT",
        "with T": "2150-01-01T10:00:00",
    },
    "float64": {
        "text": "high",
        "nothing": "",
        "NaN": "NaN",
        "infinity": "inf",
        "minus infinity": "-Infinity",
        "beyond a double": "1e400",
        "huge": "1e300",
        "huge and negative": "-1e300",
        "negative": "-987654",
        "tiny": "1e-320",
        "decimal comma": "1,5",
        "greater than": ">200",
        "percent": "55 %",
        "a range": "3-5",
        "hexadecimal": "0x1p3",
        "other digits": "\uff11\uff12",
        "with spaces": " 5 ",
    },
    "unit": {
        "another": "mg/hogshead",
        "nothing": "",
        "in upper case": "MMHG",
        "with spaces": " mmHg ",
        "a micro sign": "\u00b5mol/L",
        "very long": "m" * 5_000,
        "a number": "7",
    },
    "string": {
        "nothing": "",
        "very long": "x" * 200_000,
        "line end": "a\nb",
        "quotes": 'a "b" c',
        "control characters": "a\x01\x1b[31m",
        "right to left": "\u202etxet",
        "a formula": "=1+1",
        "a query": "'; DROP TABLE stays; --",
        "a path": "../../etc/passwd",
        "other letters": "\u00c4\u00df\u4e2d\u6587",
    },
}
