"""
MIMIC-III and MIMIC-IV.

In     the tables of a release, in files or a database
Out    the raw tables of `Source`, in hours since ICU admission
First  `iii.py` and `iv.py`: what each release has of its own; then `base.py`: joining rows to stays, hours
Also   `detail.py`: rows with all their links, for definitions that look beyond a stay
Alone  `iii.py` and `iv.py`; a change of `base.py` concerns MEDS too, which is read as MIMIC-IV
"""
