"""
MIMIC-III and MIMIC-IV.

First  `iii.py` and `iv.py`: what each release has of its own; then `base.py`: joining rows to stays, hours
Also   `detail.py`: rows with all their links, for definitions that look beyond a stay
"""
