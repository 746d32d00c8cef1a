"""
The model folder: written once, read by one reader.

In     a fitted model and everything its folder says of it (`write.Fitted`)
Out    a folder (`write.write_model`); from it `read.Trained`, or what `sepsis model show` prints (`show`)

Open `read` first. `files` decides which bytes are trusted: names, sizes, hashes, strict JSON; a folder
may come from a stranger, and nothing in it can run code. `arrays` unpacks safetensors and Parquet.
`operating` (calibrator and thresholds), `input_statistics` (the variables in training) and `card` each
own one file of the folder and can be changed alone. `docs/model_folder.md` describes the format; a change
of it needs a new `FORMAT_VERSION`.
"""
