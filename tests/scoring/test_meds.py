"""Predictions in MEDS form: held to the published schema, and to a reading of the rule row by row."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sepsis.core.errors import ExportError, NothingLeftError, SettingsError
from sepsis.core.schema import read_facts
from sepsis.scoring.meds import COLUMNS, write_predictions
from tests.tables import table


def scores():
    rows = table("""
        stay_id | subject_id | time_h | horizon_h | risk | is_case | reference_h
        --------+------------+--------+-----------+------+---------+------------
             12 |          2 |    1.0 |           | 0.75 |       1 |         2.0   # a case, an hour before
             12 |          2 |    2.0 |           | 0.50 |       1 |         2.0   # at its reference
             12 |          2 |    3.0 |           | 0.90 |       1 |         2.0   # after it
             11 |          1 |    1.5 |           | 0.25 |       0 |         4.0   # a control
             11 |          1 |    6.0 |           | 0.10 |       0 |         4.0   # after its matched hour
             13 |          3 |    1.0 |           | 0.40 |       0 |               # outside the cohort
             14 |          3 |        |           |      |       0 |               # no risk
    """)
    return rows.assign(is_case=rows.is_case == 1, model="logistic", reason="")


STAYS = pd.DataFrame(
    {
        "stay_id": [11, 12, 13, 14],
        "subject_id": [1, 2, 3, 3],
        "intime": pd.to_datetime(
            ["2150-01-01 00:30", "2151-06-01 12:00", "2152-01-01 00:00", "2153-01-01 00:00"]
        ),
    }
)


AT = datetime.datetime
ROWS = [  # subject, time, whether onset is ahead (None: not known), alarm at 0.5, risk
    (1, AT(2150, 1, 1, 2, 0), False, False, 0.25),
    (1, AT(2150, 1, 1, 6, 30), False, False, 0.1),
    (2, AT(2151, 6, 1, 13), True, True, 0.75),
    (2, AT(2151, 6, 1, 14), True, True, 0.5),
    (2, AT(2151, 6, 1, 15), None, True, 0.9),
    (3, AT(2152, 1, 1, 1), None, False, 0.4),
]


def rows_of(path):
    """What a file holds, risks rounded."""
    return [
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
        for row in pq.read_table(path).to_pylist()
    ]


def test_times_alarms_and_risks_follow_the_rule_and_the_rest_is_counted(tmp_path):
    written = write_predictions(scores(), STAYS, tmp_path / "p.parquet", threshold=0.5)
    assert (written.rows, written.without_risk, written.without_clock, written.without_label) == (6, 1, 0, 0)
    assert not written.labelled
    names = [name for name in COLUMNS.names if name != "boolean_value"]
    assert rows_of(tmp_path / "p.parquet") == [
        dict(zip(names, (subject, time, alarm, risk), strict=True)) for subject, time, _, alarm, risk in ROWS
    ]


def test_asked_for_labels_only_rows_with_one_are_written(tmp_path):
    written = write_predictions(scores(), STAYS, tmp_path / "p.parquet", threshold=0.5, labelled=True)
    assert (written.rows, written.without_label, written.labelled) == (4, 2, True)
    assert rows_of(tmp_path / "p.parquet") == [
        dict(zip(COLUMNS.names, row, strict=True)) for row in ROWS if row[2] is not None
    ]


def test_where_every_label_is_known_the_column_is_there_unasked(tmp_path):
    written = write_predictions(scores().head(2), STAYS, tmp_path / "p.parquet")
    assert written.labelled
    assert pq.read_table(tmp_path / "p.parquet")["boolean_value"].to_pylist() == [True, True]


def test_without_a_threshold_nothing_is_predicted_but_the_probability(tmp_path):
    write_predictions(scores(), STAYS, tmp_path / "p.parquet")
    assert pq.read_table(tmp_path / "p.parquet")["predicted_boolean_value"].null_count == 6


def test_a_third_of_an_hour_comes_out_to_the_microsecond(tmp_path):
    rows = scores().head(1).assign(time_h=1 / 3, reference_h=9.0)
    write_predictions(rows, STAYS, tmp_path / "p.parquet")
    assert pq.read_table(tmp_path / "p.parquet")["prediction_time"][0].as_py() == datetime.datetime(
        2151, 6, 1, 12, 20
    )


def test_the_file_is_what_the_published_schema_asks_for(tmp_path):
    published = pytest.importorskip("meds_evaluation.schema", reason="meds-evaluation is not installed")
    for threshold, labelled in ((None, False), (0.5, False), (0.5, True)):
        write_predictions(scores(), STAYS, tmp_path / "p.parquet", threshold=threshold, labelled=labelled)
        written = pq.read_table(tmp_path / "p.parquet")
        published.PredictionSchema.validate(written)
        assert published.PredictionSchema.align(written).schema.names == written.schema.names
    names = published.PredictionSchema.schema()
    assert all(names.field(field.name).type == field.type for field in COLUMNS)


def test_the_same_scores_in_any_order_give_the_same_bytes_with_their_facts(tmp_path):
    write_predictions(scores(), STAYS, tmp_path / "a.parquet", facts={"seed": 7})
    write_predictions(scores().iloc[::-1], STAYS.iloc[::-1], tmp_path / "b.parquet", facts={"seed": 7})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_facts(tmp_path / "a.parquet") == {"seed": 7, "table": "meds_predictions", "threshold": None}


def test_predictions_with_labels_need_known_labels(tmp_path):
    rows = scores().assign(reference_h=np.nan)
    with pytest.raises(NothingLeftError, match="no label is known of 6 rows"):
        write_predictions(rows, STAYS, tmp_path / "p.parquet", labelled=True)


def test_stays_without_a_clock_are_counted_and_an_export_without_one_refused(tmp_path):
    some = STAYS.assign(intime=STAYS.intime.where(STAYS.stay_id != 12))
    written = write_predictions(scores(), some, tmp_path / "p.parquet")
    assert (written.rows, written.without_clock) == (3, 3)
    with pytest.raises(ExportError, match="no stay has a time of admission"):
        write_predictions(scores(), STAYS.assign(intime=pd.NaT), tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()


@pytest.mark.parametrize(
    ("change", "threshold", "error", "message"),
    [
        ({}, 1.5, SettingsError, "--threshold: 1.5. Expected: between 0 and 1"),
        ({"model": list("aaaaaab")}, None, ExportError, "scores of 2 models"),
        ({"risk": np.nan}, None, NothingLeftError, "none of 7 rows has a risk"),
        ({"stay_id": 99}, None, ExportError, "6 of 6 rows belong to no known stay"),
    ],
)
def test_what_cannot_be_written_is_one_message_and_leaves_nothing(
    tmp_path, change, threshold, error, message
):
    with pytest.raises(error) as caught:
        write_predictions(scores().assign(**change), STAYS, tmp_path / "p.parquet", threshold=threshold)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("in_order", [True, False])
def test_a_score_file_gives_the_same_group_by_group_as_whole(tmp_path, in_order):
    rows = scores()
    rows = pd.concat([rows.assign(subject_id=rows.subject_id + k * 1_000) for k in (0, 1, 2)])
    rows = rows if in_order else rows.iloc[::-1]
    file = tmp_path / "scores.parquet"
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), file, row_group_size=len(rows) // 3)
    written = write_predictions(file, STAYS, tmp_path / "by_group.parquet", threshold=0.5)
    assert written == write_predictions(rows, STAYS, tmp_path / "whole.parquet", threshold=0.5)
    by_group, whole = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("by_group", "whole"))
    assert by_group.equals(whole, check_metadata=True)
