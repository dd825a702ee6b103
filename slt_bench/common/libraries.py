"""The libraries that this package needs and their purposes, as `pyproject.toml` declares them to installers."""

from __future__ import annotations

from dataclasses import dataclass

_PURPOSES = {
    "": "slt-bench",
    "data": "preparing and loading images",
    "coding": "coding masks",
    "pipeline": "the pipeline with its view in MLflow",
    "cluster": "running on a dask cluster",
}
_REINSTALL = "install slt-bench and its libraries again (`make setup`)"


@dataclass(frozen=True)
class Library:
    """A library by its module and by its name for installers."""

    module: str  # as it is imported
    distribution: str  # as it is installed
    extra: str = ""  # the extra of this package that brings it; "" for a library that is always needed

    @property
    def purpose(self) -> str:
        """The part of this package that needs the library."""
        return _PURPOSES[self.extra]

    @property
    def install(self) -> str:
        """The command that installs the library."""
        return f"pip install 'slt-bench[{self.extra}]'" if self.extra else "pip install slt-bench"


LIBRARIES = (
    Library("torch", "torch"),
    Library("torchvision", "torchvision"),
    Library("pydantic", "pydantic"),
    Library("pydantic_core", "pydantic-core"),
    Library("numpy", "numpy"),
    Library("safetensors", "safetensors"),
    Library("ruamel", "ruamel.yaml"),
    Library("tabulate", "tabulate"),
    Library("tqdm", "tqdm"),
    Library("matplotlib", "matplotlib"),
    Library("sklearn", "scikit-learn"),
    Library("scipy", "scipy"),
    Library("PIL", "pillow"),
    Library("click", "click"),
    Library("jinja2", "jinja2"),
    Library("packaging", "packaging"),
    Library("ffcv", "ffcv", "data"),
    Library("numba", "numba", "data"),
    Library("llvmlite", "llvmlite", "data"),
    Library("cv2", "opencv-python", "data"),
    Library("constriction", "constriction", "coding"),
    Library("dvc", "dvc", "pipeline"),
    Library("_ruamel_yaml", "ruamel.yaml.clib", "pipeline"),
    Library("mlflow", "mlflow", "pipeline"),
    Library("pandas", "pandas", "pipeline"),
    Library("distributed", "distributed", "cluster"),
    Library("dask_jobqueue", "dask-jobqueue", "cluster"),
)


def first_line(error: BaseException, most: int = 200) -> str:
    """Give the first line of an error's message, or the error's class where there is no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def fix(error: ImportError) -> str | None:
    """Name in one line the library that cannot be imported, and its fix; None for a module of this package."""
    name, missing = error.name or "", isinstance(error, ModuleNotFoundError)
    package = name.partition(".")[0]
    if package in ("slt_bench", "stages"):
        return None
    known = next((library for library in LIBRARIES if package == library.module or name == library.distribution), None)
    if missing and known is not None and name in (known.module, known.distribution):
        return f"{known.purpose} needs {known.distribution}: {known.install}"
    if missing and known is None:
        return f"a library needs {name or 'a module that it does not name'}, which is missing: {_REINSTALL}"
    subject = known.distribution if known else name or "a library"
    return f"{subject} cannot be loaded ({first_line(error)}); `slt-bench doctor` says what is missing"
