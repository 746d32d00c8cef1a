import re

import pytest

from sepsis.models.artifact.card import model_card
from sepsis.models.artifact.input_statistics import ConceptStatistics, InputStatistics
from sepsis.models.artifact.operating import Operating
from sepsis.report.cards import card_html
from tests.report.made_up import CARD

TAGS = set(
    [
        "p",
        "strong",
        "em",
        "code",
        "ul",
        "ol",
        "li",
        "h4",
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ]
)


def tags(html):
    return re.findall(r"<(\w+)", html)


def test_a_card_becomes_paragraphs_lists_headings_and_tables():
    html = card_html(CARD, "MGP-TCN")
    assert [t for t in tags(html) if t in ("p", "ul", "h4", "table")] == ["p", "ul", "h4", "table"]
    assert "<strong>Research software.</strong>" in html
    assert "<code>a</code>, <code>b</code>" in html
    assert "its result was\nknown later.</li>" in html
    assert "<h4>Whom it was fitted on</h4>" in html
    assert 'aria-label="Table of the card of MGP-TCN"' in html
    assert re.findall(r"<t[hd].*?>(.*?)<", html) == ["split", "stays", "train", "12"]
    assert "Model card" not in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>bold</b>", "&lt;b&gt;bold&lt;/b&gt;"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[a](https://x.example)", "[a](https://x.example)"),
        ("[a](javascript:alert(1))", "[a](javascript:alert(1))"),
        ("[a]: https://x.example\n\n[a]", "[a]: https://x.example"),
        ("![a](https://x.example/a.png)", "![a](https://x.example/a.png)"),
        ("<https://x.example>", "&lt;https://x.example&gt;"),
        ("> quoted", "&gt; quoted"),
        ("# <img src=x>\n\n## <img src=x>", "<h4>&lt;img src=x&gt;</h4>"),
        ("| `<i>` |\n|:-:|\n| <td onclick=x> |", "<td>&lt;td onclick=x&gt;</td>"),
    ],
)
def test_html_links_and_images_are_shown_as_text(text, shown):
    html = card_html(text, '"><script>')
    assert shown in html
    assert set(tags(html)) <= TAGS
    assert not re.search(r"<[^>]*(href|src|style|on\w+)=", html)


def test_a_deeply_nested_card_ends():
    assert card_html("- " * 5_000 + "x", "x")
    assert card_html("*" * 20_000, "x")


def test_the_card_of_a_model_of_ours_is_understood_whole():
    rate = ConceptStatistics("heart_rate", "/min", 90, 0.0, 85.0, 12.0)
    rare = ConceptStatistics("lactate", "mmol/L", 2, 0.5)
    facts = {
        "definition": "moor2019",
        "export_kind": "mimic-iii",
        "licence": "As the export.",
        "notes": ["It reads **two** variables, in `concepts_`."],
        "stores_of_patients": ["Codes of stays."],
        "design": "incidence_density",
        "fitted_on": [{"split": "train", "stays": 1, "subjects": 1, "cases": 1, "sets": 1, "controls": 9}],
    }
    card = model_card("fitted", {"depth": 3}, facts, InputStatistics((rate, rare), 2), Operating())
    html = card_html(card, "x")
    assert not re.search(r"[#*`|]", html)
    assert tags(html).count("table") == 2
    assert re.search(r"<td>train</td>(\s*<td>1</td>){4}\s*<td>9</td>", html)
