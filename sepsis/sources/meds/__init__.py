"""
MEDS datasets: coded events, turned into the tables of MIMIC-IV and read by its rules.

In     a MEDS dataset: data/**/*.parquet and metadata/
Out    the raw tables of `Source`
First  `reader.py`: the adapter; `codes.py`: the map of codes; `mimic_tables.py`: events as MIMIC-IV's tables
The map itself is data: `data_schema/meds_codes.toml`. `codes.py` can be changed alone; `mimic_tables.py`
must keep the columns that `sepsis.sources.mimic` reads (tests/sources/test_meds.py).
"""
