"""Many cells at a time, on this machine or on many, by any executor of Python's `concurrent.futures`.

The head (`head`) hands families of cells (a cell and those that need its ticket) to an executor; a worker
(`process`, `worker`) runs a family in a fresh process and reports. `executors` opens the executor that a user names, `channel`
is what head and workers tell each other meanwhile, `job` what they exchange, `progress` what the user sees. run/many takes
`make_jobs`, `opened` and `run_jobs`.
Nothing here knows how a cell is searched: a job brings the functions that do it (`Work`).
"""
