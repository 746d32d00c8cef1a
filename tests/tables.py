"""Tables as a clinician reads them, for the tests of clinical rules."""

import pandas as pd


def table(text: str) -> pd.DataFrame:
    """
    A table that a clinician can read: columns between bars, comments after `#`.

    Empty cells are gaps; numbers become numbers.
    """
    rows = [line.split("#")[0].strip() for line in text.strip().splitlines()]
    rows = [r for r in rows if r and set(r) - set("-+|= ")]
    head, *body = ([c.strip() for c in r.split("|")] for r in rows)
    frame = pd.DataFrame(body, columns=head).replace({"": None})
    for name in frame:
        try:
            frame[name] = pd.to_numeric(frame[name])
        except (ValueError, TypeError):
            continue
    return frame
