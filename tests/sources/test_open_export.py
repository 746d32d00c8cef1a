"""Finding out what an export is, and saying plainly what is wrong with it."""

import gzip

import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.events import extract_events
from sepsis.sources import open_export
from tests.sources.made_up import III, IV, as_csv, write_export


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("upper", [False, True])
def test_mimic_iii_is_found_in_any_letter_case_and_format(tmp_path, suffix, upper):
    source = open_export(write_export(tmp_path, III, suffix, upper))
    assert source.kind == "mimic_iii"
    assert not source.problems
    assert len(extract_events(source, []).stays) == 3


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_mimic_iv_is_found_with_its_folders(tmp_path, suffix):
    source = open_export(write_export(tmp_path, IV, suffix))
    assert source.kind == "mimic_iv"
    assert len(extract_events(source, []).stays) == 2


def test_mimic_iv_is_found_flat(tmp_path):
    flat = {key.split("/")[-1]: text for key, text in IV.items()}
    assert open_export(write_export(tmp_path, flat)).kind == "mimic_iv"


@pytest.mark.parametrize("base", [III, IV])
def test_the_format_changes_no_event(tmp_path, base):
    made = [
        extract_events(open_export(write_export(tmp_path / suffix[1:], base, suffix, upper=suffix == ".csv")))
        for suffix in (".csv", ".csv.gz", ".parquet")
    ]
    for other in made[1:]:
        assert other.events.equals(made[0].events)
        assert other.infusions.equals(made[0].infusions)
        assert other.antibiotics.equals(made[0].antibiotics)
        assert other.cultures.equals(made[0].cultures)


@pytest.mark.parametrize("base", [III, IV])
def test_more_columns_in_another_order_change_no_event(tmp_path, base):
    """As releases differ: MIMIC-IV 2.x and 3.x have columns that nobody here reads, and none is missed."""

    def otherwise(text: str) -> str:
        lines = [line.split("#")[0].strip() for line in text.strip().splitlines()]
        cells = [[cell.strip() for cell in line.split("|")][::-1] for line in lines if line]
        rows = [["caregiver_id", *cells[0]], *(["7", *row] for row in cells[1:])]
        return "\n".join(" | ".join(row) for row in rows)

    changed = {key: otherwise(text) for key, text in base.items()}
    one, other = (
        extract_events(open_export(write_export(tmp_path / name, tables)), detail=False)
        for name, tables in (("one", base), ("other", changed))
    )
    for table in ("stays", "events", "infusions", "antibiotics", "cultures", "ledger"):
        assert getattr(one, table).equals(getattr(other, table)), table


def test_a_folder_with_brackets_and_a_suffix_in_capitals(tmp_path):
    folder = write_export(tmp_path / "export [v1.4]*?", III)
    (folder / "labevents.csv.gz").rename(folder / "LABEVENTS.CSV.GZ")
    assert set(extract_events(open_export(folder), ["lactate"]).events.concept) == {"lactate"}


def test_ids_written_as_decimals_are_whole_numbers(tmp_path):
    text = III["labevents"].replace("| 50813 ", "| 50813.0 ").replace("10      |", "10.0    |")
    events = extract_events(open_export(write_export(tmp_path, III, labevents=text)), ["lactate"])
    assert list(events.events.stay_id) == [100, 101]


def test_an_unknown_folder_says_what_was_sought(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ExportError, match=r"not an export of a known kind.*ICUSTAYS.*\.psv"):
        open_export(tmp_path)


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(ExportError, match="no such file or folder"):
        open_export(tmp_path / "nowhere")


def test_a_kind_that_does_not_exist(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'mimic_iv'"):
        open_export(write_export(tmp_path, IV), kind="mimic_v")


def test_a_subset_is_refused_for_mimic(tmp_path):
    with pytest.raises(UsageError, match="limit: has no meaning for mimic_iv"):
        open_export(write_export(tmp_path, IV), limit=10)


@pytest.mark.parametrize(("base", "kind"), [(III, "mimic_iii"), (IV, "mimic_iv")])
def test_without_its_stays_an_export_is_known_but_unusable(tmp_path, base, kind):
    source = open_export(write_export(tmp_path, base, icustays=None))
    assert source.kind == kind
    assert source.problems == ["table icustays is missing"]
    with pytest.raises(ExportError, match=r"table icustays is missing.*sepsis check"):
        extract_events(source)


def test_every_missing_required_table_is_named_at_once(tmp_path):
    source = open_export(write_export(tmp_path, IV, labevents=None, prescriptions=None))
    with pytest.raises(ExportError, match="table labevents is missing; table prescriptions is missing"):
        extract_events(source)


def test_a_missing_column_is_named(tmp_path):
    text = III["labevents"].replace("valueuom", "units   ")
    source = open_export(write_export(tmp_path, III, labevents=text))
    with pytest.raises(ExportError, match="table labevents has no column valueuom"):
        extract_events(source)


def test_optional_tables_and_columns_may_be_missing(tmp_path):
    text = "\n".join(line.rsplit("|", 1)[0] for line in III["chartevents"].strip().splitlines())
    source = open_export(
        write_export(
            tmp_path, III, chartevents=text, inputevents_cv=None, procedureevents_mv=None, diagnoses_icd=None
        )
    )
    events = extract_events(source)
    assert len(events.events[events.events.concept == "heart_rate"]) == 2
    assert events.stays.sepsis_code.isna().all()


def test_check_names_what_a_missing_table_feeds(tmp_path):
    check = open_export(write_export(tmp_path, III, outputevents=None)).check()
    row = check[(check.table == "outputevents") & (check.column == "")].iloc[0]
    assert (row.status, row.required, row.feeds) == ("missing", True, "urine output (SOFA renal)")


def test_check_looks_items_up_in_the_dictionary(tmp_path):
    base = {**III, "d_items": "itemid\n220045\n"}
    check = open_export(write_export(tmp_path, base)).check().set_index("column")
    assert check.loc["item 220045", "status"] == "ok"
    assert check.loc["item 220050", "status"] == "missing"
    assert check.loc["item 220050", "feeds"] == "sbp"
    assert "item 50813" not in check.index  # no dictionary of laboratory items: nothing is said


def test_the_same_table_twice_is_refused(tmp_path):
    write_export(tmp_path, III)
    (tmp_path / "ICUSTAYS.csv").write_text(as_csv(III["icustays"]))
    with pytest.raises(ExportError, match="two files hold table icustays"):
        open_export(tmp_path)


@pytest.mark.parametrize("keep", [0.5, 0.98])
def test_a_truncated_file_is_named(tmp_path, keep):
    rows = "\n".join(
        f"100 | 220045 | 2150-01-01 07:30:00 | {k % 90} | {k % 90} | bpm | 0" for k in range(20000)
    )
    write_export(tmp_path, III, chartevents=III["chartevents"].strip() + "\n" + rows)
    file = tmp_path / "chartevents.csv.gz"
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    with pytest.raises(
        ExportError, match=r"chartevents.csv.gz: cannot be read to its end \(not a whole gzip file\)"
    ):
        extract_events(open_export(tmp_path))


@pytest.mark.parametrize("table", ["icustays", "labevents", "chartevents"])
def test_a_file_that_is_no_gzip_is_named(tmp_path, table):
    write_export(tmp_path, III)
    (tmp_path / f"{table}.csv.gz").write_text(as_csv(III[table]))
    with pytest.raises(ExportError, match=rf"{table}.csv.gz: cannot be read to its end"):
        extract_events(open_export(tmp_path))


def test_a_damaged_parquet_file_is_named(tmp_path):
    write_export(tmp_path, III, ".parquet")
    file = tmp_path / "chartevents.parquet"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ExportError, match="chartevents.parquet: cannot be read to its end"):
        extract_events(open_export(tmp_path))


def test_an_empty_file_is_named(tmp_path):
    write_export(tmp_path, III, ".csv")
    (tmp_path / "labevents.csv").write_text("")
    with pytest.raises(ExportError, match="labevents.csv: the file is empty"):
        extract_events(open_export(tmp_path))


def test_text_in_a_column_of_times_is_counted_and_not_quoted(tmp_path):
    text = III["chartevents"].replace("2150-01-01 07:30:00", "yesterday")
    with pytest.raises(ExportError, match="1 of 2 cells of column charttime are not a date or time") as error:
        extract_events(open_export(write_export(tmp_path, III, chartevents=text)))
    assert "yesterday" not in str(error.value)


def test_text_in_a_column_of_ids_is_counted(tmp_path):
    text = III["icustays"].replace("| 100 ", "| abc ").replace("| 101 ", "| def ")
    with pytest.raises(ExportError, match="2 of 3 cells of column icustay_id are not a whole number"):
        extract_events(open_export(write_export(tmp_path, III, icustays=text)))


def test_a_row_with_too_few_cells_is_located(tmp_path):
    write_export(tmp_path, III, ".csv")
    with (tmp_path / "labevents.csv").open("a") as file:
        file.write("10,50813\n")
    with pytest.raises(ExportError, match=r"labevents.csv: a row has 2 cells \(line 3\). Expected: 6"):
        extract_events(open_export(tmp_path))


def test_an_encoding_other_than_utf_8_is_named(tmp_path):
    write_export(tmp_path, III, ".csv")
    file = tmp_path / "chartevents.csv"
    file.write_bytes(file.read_bytes().replace(b"bpm", "\u00b0F".encode("latin-1")))
    with pytest.raises(ExportError, match="chartevents.csv: not UTF-8 text"):
        extract_events(open_export(tmp_path))


def test_an_export_without_stays_is_refused(tmp_path):
    text = III["icustays"].strip().splitlines()[0]
    with pytest.raises(ExportError, match="holds no ICU stay"):
        extract_events(open_export(write_export(tmp_path, III, icustays=text)))


def test_the_fingerprint_follows_names_bytes_and_nothing_else(tmp_path):
    one = open_export(write_export(tmp_path / "a", III)).fingerprint()
    same = open_export(write_export(tmp_path / "b", III)).fingerprint()
    (tmp_path / "b" / "README.txt").write_text("a file that is not read")
    unread = open_export(tmp_path / "b").fingerprint()
    text = III["labevents"].replace("2.5", "2.6")
    changed = open_export(write_export(tmp_path / "c", III, labevents=text)).fingerprint()
    assert one == same == unread
    assert one != changed
    assert len(one) == 64


def test_the_message_of_a_gzip_error_quotes_no_row(tmp_path):
    write_export(tmp_path, III, ".csv")
    (tmp_path / "labevents.csv").unlink()
    broken = as_csv(III["labevents"]) + '10,50813,2150-01-01 05:00:00,"secret,2.5,mmol/L\n'
    (tmp_path / "labevents.csv.gz").write_bytes(gzip.compress(broken.encode()))
    with pytest.raises(ExportError, match=r"labevents\.csv\.gz") as error:
        extract_events(open_export(tmp_path))
    assert "secret" not in str(error.value)
