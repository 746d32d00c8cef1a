"""
Synthetic exports: MIMIC-style tables of made-up patients with known onsets.

In     number of stays, seed, layout
Out    the tables of a release as .csv.gz, and `truth.parquet`
First  `export.py`: `write_synthetic` runs `plan` (patients and events), `course` (physiology), `measurements`
       and `orders` (what is recorded), and `layout` (MIMIC-III or MIMIC-IV, with the item ids of `items`)

The same seed must give the same bytes, and tests hold the onsets that label rules find to the truth.
"""
