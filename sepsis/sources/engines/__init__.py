"""
Engines: where the tables of an export lie and what joins them; the answers are the same on each.

In     a folder, a DuckDB file or the address of a server
Out    tables with lower-case columns in the types of `data_schema/1_export.toml` (`typed_tables.py`)
First  `engine.py`: DuckDB, PostgreSQL and Spark; then a store: `files.py` or `database.py`

A new engine is a function in `engine.py`; a new kind of storage is a subclass of `TableStore`.
`postgres.py`, `spark.py` and `checksums.py` can be changed alone (tests/engines).
"""
