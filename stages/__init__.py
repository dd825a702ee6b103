"""The scripts that DVC runs, one for each kind of stage in dvc.yaml: each calls slt_bench.run, which writes the files."""
