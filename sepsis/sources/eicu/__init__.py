"""
eICU: one flat folder of tables, times in minutes since ICU admission.

In     a folder of eICU tables
Out    the raw tables of `Source`, in hours
First  `reader.py`, which holds everything; it can be changed alone (tests/sources/test_eicu.py)
"""
