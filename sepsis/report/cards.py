"""
Model cards on the page: Markdown from a model folder as HTML that cannot carry code or addresses.

A card may come from anybody. Only headings, lists, tables, emphasis and code are read as Markdown; links,
images and HTML are shown as escaped text.
"""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markupsafe import Markup

SYNTAX = ("heading", "list", "table", "emphasis", "backticks")


def card_html(markdown: str, name: str) -> Markup:
    """
    A card without its title, which the page prints itself; `name` is for the captions of tables.

    >>> print(card_html("# Model card: x\\n\\nSays **what**, <b>[here](https://x)</b>.", "x"))
    <p>Says <strong>what</strong>, &lt;b&gt;[here](https://x)&lt;/b&gt;.</p>
    """
    parser = MarkdownIt("zero").enable(list(SYNTAX))
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(markdown)
    titles = [k for k, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h1"]
    title = {place for k in titles for place in (k, k + 1, k + 2)}
    tokens = [token for k, token in enumerate(tokens) if k not in title]
    for token in tokens:
        token.attrs = {"scope": "col"} if token.type == "th_open" else {}
        if token.type.startswith("heading_"):
            token.tag = "h4"
    return Markup(parser.renderer.render(tokens, parser.options, {"name": name}).strip())


def _table_open(renderer, tokens, place, options, env) -> str:
    label = escapeHtml(f"Table of the card of {env['name']}")
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table>'
        f'<caption class="unseen">{label}</caption>\n'
    )
