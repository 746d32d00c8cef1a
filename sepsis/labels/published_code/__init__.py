"""
Code-faithful definitions: what mimic-code, ricu, datasig and MGP-AttTCN compute, to the row.

Many of these rules are accidents of SQL rather than clinical choices; they are here so that published numbers
can be reproduced and compared.
In: `Events` with its optional tables, and the options of a preset. Out: the same tables as from the plain
path (`sepsis.labels`), which imports nothing from this folder apart from the calls in `label_stays`.

Start with `row_sofa`: SOFA of every hour of every stay, each row scored alone. `order_suspicions` pairs
each antibiotic order; `admission_pooling` shares rows between the stays of an admission. The tests in
`tests/labels/published_code` compare with the output of that code and decide whether a change is safe.
"""
