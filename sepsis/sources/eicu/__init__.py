"""eICU: one flat folder, times in minutes since ICU admission; everything is in `reader.py`."""
