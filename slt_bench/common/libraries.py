"""The libraries that this package needs, and what for; `pyproject.toml` declares the same to installers."""

from __future__ import annotations

from dataclasses import dataclass

_PURPOSES = {
    "": "slt-bench",
    "data": "preparing and loading images",
    "coding": "coding masks",
    "pipeline": "the pipeline with its view in MLflow",
}
_AGAIN = "install slt-bench and its libraries again (`make setup`)"


@dataclass(frozen=True)
class Library:
    """A library: the module that is imported, what installers call it, and the extra that it belongs to ("": none)."""

    module: str
    distribution: str
    extra: str = ""

    @property
    def purpose(self) -> str:
        """What needs it."""
        return _PURPOSES[self.extra]

    @property
    def install(self) -> str:
        """The command that brings it."""
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
)


def first_line(error: BaseException, most: int = 200) -> str:
    """The beginning of what an error says, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def fix(error: ImportError) -> str | None:
    """One line that names the library that cannot be imported and how to get it; None for a module of this package."""
    name, missing = error.name or "", isinstance(error, ModuleNotFoundError)
    package = name.partition(".")[0]
    if package in ("slt_bench", "stages"):
        return None
    known = next((each for each in LIBRARIES if package == each.module or name == each.distribution), None)
    if missing and known is not None and name in (known.module, known.distribution):
        return f"{known.purpose} needs {known.distribution}: {known.install}"
    if missing and known is None:
        return f"a library needs {name or 'a module that it does not name'}, which is missing: {_AGAIN}"
    what = known.distribution if known else name or "a library"
    return f"{what} cannot be loaded ({first_line(error)}); `slt-bench doctor` says what is missing"
