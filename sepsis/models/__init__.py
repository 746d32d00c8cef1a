"""The models: each a scikit-learn classifier of windows (`base`), found by its name (`registry`)."""
