"""
The PhysioNet challenges of 2012 and 2019: one file a patient, in a folder or a zip.

In     a folder or zip of .psv (2019) or .txt (2012) files
Out    the raw tables of `Source`; 2019 brings its labels
First  `challenge2019.py` and `challenge2012.py`: the adapters; `patient_files.py`: what they share
Below  `archive.py` (folder or zip), `psv.py` (files of 2019), `records.py` (lines and outcomes of 2012)
Alone  each challenge with its lines; `archive.py` bounds what a zip may unpack: read its tests first
"""
