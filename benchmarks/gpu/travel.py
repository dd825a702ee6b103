"""Prepared images and missing libraries in a small folder, for a machine without ffcv and without a network.

    python -m benchmarks.gpu.travel pack FOLDER      # here, where `slt-bench prepare cifar10` has run
    python -m benchmarks.gpu.travel unpack FOLDER    # there

A .beton of pixels hardly shrinks. So its frame travels without them, and they are read again from the archive of images, which
is small; the manifest's SHA-256 tells whether the file came out as it was.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

from slt_bench.common import paths
from slt_bench.common.errors import BenchError, run_command
from slt_bench.data.beton import RAW, BetonFile
from slt_bench.data.manifest import FILES, read_manifest
from slt_bench.data.sources.registry import load_images
from slt_bench.data.verify import verify_file
from slt_bench.experiment.load import load_experiments

DATASET = "cifar10"
# What a machine with torch, torchvision, numpy, numba, opencv, scikit-learn, matplotlib and the like may still miss:
LIBRARIES = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "ruamel-yaml", "constriction")
_GLIBC = (28, 27, 17)  # of the kinds of wheels that are taken


def pack(folder: Path, python: str = "3.12") -> None:
    """Write wheels, and the frame, manifest and source of the images."""
    folder.mkdir(parents=True, exist_ok=True)
    _download(folder / "wheels", python)
    images = load_experiments().params.datasets[DATASET].images
    archive = Path(os.environ.get(images.variable or "", ""))
    if not archive.is_file():
        raise BenchError(f"the images travel as an archive: name it in {images.variable}")
    directory = paths.dataset_dir(DATASET)
    manifest = read_manifest(directory)
    for name in FILES:
        path = verify_file(directory, name, manifest)
        file, frame = BetonFile(path), np.fromfile(path, np.uint8)
        if (file.modes != RAW).any() or manifest.files[name].images != len(file):
            raise BenchError(f"{path} does not hold pixels alone")
        for begin, size in zip(file.begins, file.sizes, strict=True):
            frame[begin : begin + size] = 0
        (folder / f"{name}.frame").write_bytes(zlib.compress(frame.tobytes(), 9))
    for other in ("manifest.json", "origin.txt"):
        shutil.copy(directory / other, folder / other)
    shutil.copy(archive, folder / f"images{''.join(archive.suffixes)}")


def _download(folder: Path, python: str) -> None:
    """Fetch the wheels of `LIBRARIES`, in the versions of the lock."""
    lock = Path("requirements.lock").read_text().splitlines()
    wanted = [line.split(" ")[0] for line in lock if line.split("==")[0] in LIBRARIES]
    kinds = [f"--platform=manylinux_2_{minor}_x86_64" for minor in _GLIBC] + ["--platform=manylinux2014_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--implementation=cp"]
    subprocess.run([*command, f"--python-version={python}", *kinds, "-d", str(folder), *wanted], check=True)


def unpack(folder: Path) -> None:
    """Put the prepared images together again, in their place."""
    directory = paths.dataset_dir(DATASET)
    directory.mkdir(parents=True, exist_ok=True)
    images = load_experiments().params.datasets[DATASET].images
    (archive,) = folder.glob("images*")
    os.environ[images.variable or ""] = str(archive)
    source = load_images(images)
    for name, split in (("train", source.train), ("test", source.test)):
        path = directory / f"{name}.beton"
        frame = np.frombuffer(zlib.decompress((folder / f"{name}.frame").read_bytes()), np.uint8).copy()
        frame.tofile(path)
        for number, begin in enumerate(BetonFile(path).begins):
            pixels = np.asarray(split[number]).reshape(-1)
            frame[begin : begin + pixels.size] = pixels
        frame.tofile(path)
    for name in ("manifest.json", "origin.txt"):
        shutil.copy(folder / name, directory / name)
    manifest = read_manifest(directory)
    for name in FILES:
        verify_file(directory, name, manifest)
    print(f"{directory}: {manifest.counts()} images, digest {manifest.digest}")


def main() -> None:
    """Pack or unpack."""
    match sys.argv[1:]:
        case ["pack", folder]:
            pack(Path(folder))
        case ["unpack", folder]:
            unpack(Path(folder))
        case _:
            raise BenchError("usage: python -m benchmarks.gpu.travel pack|unpack FOLDER")


if __name__ == "__main__":
    run_command(main)
