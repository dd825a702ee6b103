"""On the path of a process this stands for MLflow that is not installed: its import and a new store take seconds."""

raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")
