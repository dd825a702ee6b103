"""Many cells at a time, on this machine or on many, by any executor of Python's `concurrent.futures`.

The head (`targets`, `head`) hands families of cells (a cell and those that need its ticket) to an executor; a worker
(`process`, `worker`) runs a family in a fresh process and reports. `executors` opens the executor that a user names, `channel`
is what head and workers tell each other meanwhile, `job` what they exchange, `progress` what the user sees. The command line
and stages/search take `targets` alone.
Nothing here knows how a cell is searched: that is in run/ and below.
"""
