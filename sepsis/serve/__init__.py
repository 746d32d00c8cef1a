"""
A small HTTP service around one model: batches of stays, and live stays.

In: a model folder and HTTP requests. Out: risks as JSON, and with `--state` a folder of live stays.

Open `app.py` first: the endpoints. `messages` are the request and answer schemas, `service` does the work,
`gate` checks token, size and number of requests before any endpoint, `settings` holds the limits, `command`
runs it all. Needs the extra `serve`.

May be changed alone: an endpoint with its message. `gate` and `settings` are security: read their tests
first.
"""
