"""
Model cards on the page: the Markdown that a model folder brings, as blocks that a template prints.

Only what our cards use is understood (headings, paragraphs, bullets, tables, bold and code);
anything else is shown as the text it is, and all of it is escaped by the template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SPAN = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`")
RULE = re.compile(r"^\|[\s:|-]+\|$")  # the line under a table's head


@dataclass(frozen=True)
class Span:
    """A piece of a line: plain, strong or code."""

    kind: str
    text: str


@dataclass(frozen=True)
class Block:
    """heading or paragraph (one line of spans), list (a line per bullet), table (a row of cells each)."""

    kind: str
    lines: tuple[tuple[Span, ...], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def blocks(markdown: str) -> list[Block]:
    """
    A card as blocks; its title, which the page prints itself, is left out.

    Examples
    --------
    >>> [b.kind for b in blocks("# Model card: x\\n\\nSays **what**.\\n\\n- one\\n- two\\n")]
    ['paragraph', 'list']
    """
    return [block for part in re.split(r"\n\s*\n", markdown.strip()) for block in _blocks_of(part)]


def _blocks_of(part: str) -> Iterator[Block]:
    """Blocks of lines between two empty ones."""
    lines = part.strip().splitlines()
    while lines and lines[0].startswith("#"):
        title = lines.pop(0)
        if not title.startswith("# "):
            yield Block("heading", (spans(title.lstrip("#").strip()),))
    if not lines:
        return
    if all(line.startswith("|") for line in lines):
        yield Block("table", rows=tuple(_cells(line) for line in lines if not RULE.match(line)))
        return
    bullets = [i for i, line in enumerate(lines) if line.startswith("- ")]
    before = lines[: bullets[0]] if bullets else lines
    if before:
        yield Block("paragraph", (spans(" ".join(line.strip() for line in before)),))
    if bullets:
        ends = [*bullets[1:], len(lines)]
        points = (" ".join(s.strip() for s in lines[a:b])[2:] for a, b in zip(bullets, ends, strict=True))
        yield Block("list", tuple(spans(point) for point in points))


def _cells(line: str) -> tuple[str, ...]:
    """Cells of a table's line."""
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def spans(line: str) -> tuple[Span, ...]:
    """
    A line's plain, strong and code pieces in order.

    Examples
    --------
    >>> [(s.kind, s.text) for s in spans("a **b** `c`")]
    [('plain', 'a '), ('strong', 'b'), ('plain', ' '), ('code', 'c')]
    """
    found, end = [], 0
    for match in SPAN.finditer(line):
        if match.start() > end:
            found.append(Span("plain", line[end : match.start()]))
        kind = str(match.lastgroup)
        found.append(Span(kind, match.group(kind)))
        end = match.end()
    if end < len(line):
        found.append(Span("plain", line[end:]))
    return tuple(found)
