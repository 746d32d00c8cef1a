"""
The primary endpoint: one measure at one horizon, named in the settings. Only there are models compared by a
test, and only a p value adjusted for all pairs of models is called a difference.
"""

from __future__ import annotations

import pandas as pd

from sepsis.report.context import Results
from sepsis.report.elements import NOTHING, Cell, Column, Section, Table, p_cell
from sepsis.report.names import in_text, model_name, reference_model
from sepsis.report.tables import (
    METRIC_NAMES,
    band_cell,
    difference_cell,
    indexed,
    measure_cell,
    model_cell,
    models_of,
    paired,
)

NAME, TITLE = "primary", "Primary endpoint"
EXPLORATORY = (
    "Everything else on this page is exploratory: its intervals show how uncertain a number is, and no "
    "difference is claimed from them."
)


def endpoint(results: Results) -> str:
    """The endpoint in words: "AUPRC 6 h before onset"."""
    s = results.settings
    return f"{METRIC_NAMES[s.primary_metric]} {s.primary_horizon_h:g}\N{NO-BREAK SPACE}h before onset"


def tested_pairs(results: Results) -> pd.DataFrame:
    """Differences with an adjusted p value, the smallest first."""
    rows = _at_endpoint(results)
    rows = rows[(rows.metric == f"{results.settings.primary_metric}_difference") & rows.p_holm.notna()]
    return rows.sort_values(["p_holm", "p_value", "model"], kind="stable")


def verdict(results: Results) -> str:
    """
    What the primary endpoint says: the models whose adjusted p value shows a difference from the reference,
    and the number of pairs that differ. Clinical scores and negative controls are not listed.
    """
    if results.horizon.empty:
        return "No fixed-horizon evaluation was possible, so the primary endpoint was not measured."
    if _at_endpoint(results).empty:
        return f"The primary endpoint, {endpoint(results)}, was not scored: all figures are exploratory."
    start = f"Primary endpoint: {endpoint(results)}."
    models = models_of(results.horizon)
    if len(models) < 2:
        return f"{start} A single model has no comparator."
    pairs = tested_pairs(results)
    if pairs.empty:
        return f"{start} No test was possible, so no difference between models is stated."
    found = pairs[pairs.p_holm <= results.alpha]
    if found.empty:
        return f"{start} No difference between models was shown in {_pairs(len(pairs))} (Holm's rule)."
    count = f"{len(found):,} of {_pairs(len(pairs))} {'differs' if len(found) == 1 else 'differ'} by p values"
    reference, kinds = reference_model(models), {look.model: look.kind for look in results.looks}
    listed = [m for m in models if m != reference and (kinds[m] == "model" or "model" not in kinds.values())]
    rows = {
        m: paired(indexed(found), m, reference, found.metric.iloc[0], found.horizon_h.iloc[0]) for m in listed
    }
    signs = {m: row.estimate for m, row in rows.items() if row is not None}
    said = [
        f"{_joined([in_text(m) for m in members])} a {word} {METRIC_NAMES[results.settings.primary_metric]} "
        f"than {in_text(reference)}"
        for word, members in (
            ("higher", [m for m, sign in signs.items() if sign > 0]),
            ("lower", [m for m, sign in signs.items() if sign < 0]),
        )
        if members
    ]
    if not said:
        said = [f"No model differs from {in_text(reference)}"]
    return f"{start} {' and '.join(said)}; {count} adjusted by Holm's rule."


def _pairs(count: int) -> str:
    return f"{count:,} pair{'s' if count > 1 else ''} of models"


def _joined(names: list[str]) -> str:
    text = f"{', '.join(names[:-1])} and {names[-1]} have" if len(names) > 1 else f"{names[0]} has"
    return text[0].upper() + text[1:]


def primary_section(results: Results) -> Section:
    """The endpoint, every model's estimate, and all tested pairs."""
    rows, models, pairs = _at_endpoint(results), models_of(results.horizon), tested_pairs(results)
    if rows.empty:
        return Section(NAME, TITLE, missing=verdict(results))
    test = (
        "All pairs of models are compared there. Their p values are adjusted by Holm's rule, so that the "
        f"chance of any false claim is at most {100 * results.alpha:.2g} %; a triangle marks an adjusted p "
        f"value of {results.alpha:.2g} or less. "
    )
    text = (
        f"The primary endpoint is {endpoint(results)}. {test if len(pairs) else ''}{EXPLORATORY}",
    )  # fmt: skip
    made = [_estimates(results, rows, models)]
    if len(pairs) > 1:
        made.append(_pairs_table(results, pairs))
    return Section(NAME, TITLE, text, tables=tuple(made))


def _estimates(results: Results, rows: pd.DataFrame, models: tuple[str, ...]) -> Table:
    s, found, reference = results.settings, indexed(rows), reference_model(models)
    tested = rows.p_holm.notna().any()
    columns = [
        Column("Model", False), Column(METRIC_NAMES[s.primary_metric], note=f"{results.percent}% interval")
    ]  # fmt: skip
    if len(models) > 1:
        columns.append(Column(f"Difference from {in_text(reference)}"))
        columns += [Column("p"), Column("p, Holm")] if tested else []
    if rows.band_low.notna().any():
        columns.append(Column("Simultaneous band", note="over all horizons"))
    made = []
    for model in models:
        row = found.loc[(model, s.primary_metric, s.primary_horizon_h, "")]
        cells = [model_cell(model), measure_cell(row)]
        if len(models) > 1:
            pair = paired(found, model, reference, f"{s.primary_metric}_difference", s.primary_horizon_h)
            shown = [Cell(NOTHING)] * 3
            if pair is not None:
                shown = [difference_cell(pair, results.alpha), p_cell(pair.p_value), p_cell(pair.p_holm)]
            cells += shown if tested else shown[:1]
        if rows.band_low.notna().any():
            cells.append(band_cell(row))
        made.append(tuple(cells))
    caption = f"{endpoint(results)}: {int(row.n):,} predictions, {int(row.n_events):,} of cases"
    return Table("primary-models", caption, tuple(columns), tuple(made))


def _pairs_table(results: Results, pairs: pd.DataFrame) -> Table:
    made = []
    for row in pairs.itertuples():
        first, second = row.model.split(" - ")
        cells = (difference_cell(row, results.alpha), p_cell(row.p_value), p_cell(row.p_holm))
        made.append((Cell(f"{model_name(first)} less {model_name(second)}"), *cells))
    columns = (Column("Pair", False), Column("Difference"), Column("p"), Column("p, Holm"))
    caption = f"{endpoint(results)}: all {_pairs(len(pairs))}"
    return Table("primary-pairs", caption, columns, tuple(made), folded=True)


def _at_endpoint(results: Results) -> pd.DataFrame:
    return results.horizon[results.horizon.horizon_h == results.settings.primary_horizon_h]
