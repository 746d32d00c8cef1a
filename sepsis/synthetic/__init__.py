"""
Synthetic exports: MIMIC-style tables of made-up patients with known onsets.

In: number of stays, seed, layout. Out: the tables of a release as .csv.gz, and `truth.parquet`.

Open `export.py` first: `write_synthetic` runs the others in order. `plan` draws patients and events,
`course` their physiology, `measurements` and `orders` what is recorded of them, `layout` writes it as
MIMIC-III or MIMIC-IV does with the item ids of `items`.

May be changed alone: any module, but the same seed must give the same bytes, and tests hold the onsets that
label rules find to the truth.
"""
