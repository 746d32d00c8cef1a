"""
MEDS datasets: coded events, turned into the tables of MIMIC-IV and read by its rules.

First  `reader.py`: the adapter; `codes.py`: the map of codes; `mimic_tables.py`: events as MIMIC-IV's tables
The map itself is data: `data_schema/meds_codes.toml`.
"""
