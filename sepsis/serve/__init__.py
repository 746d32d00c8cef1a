"""
A small HTTP service around one model: batches of stays, and live stays.

`sepsis.serve.app.make_app` makes it, `sepsis.serve.command.serve` runs it; both need the extra `serve`.
"""
