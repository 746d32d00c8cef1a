"""
DTW k-NN: nearest neighbours by dynamic time warping, a vote for each variable.

In     windows, or arrays in tslearn's manner
Out    a risk for each window or prefix; the neighbours behind it

Open `knn` first: the estimator `DTWKNN`. `reader` turns windows into hourly series (`series`);
`distance.nearest` finds the neighbours; `votes` turns them into shares of cases, `stacking` and
`selection` into a risk and the best k; `live` follows one stay hour by hour. The fast part is `sweep` ->
`search` -> `kernels` -> `vectors`: its results are held to the bit by `tests/models/dtw`. `settings` and
`restore` check what a user or a folder brings. Votes, stacking and selection can be changed without
reading the kernels.
"""
