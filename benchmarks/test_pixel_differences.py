"""How far what a network sees is from full decoding and from torchvision's, and what that does to a network."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture
from torchvision.transforms.v2 import functional as tv

from benchmarks.test_loader import IMAGENET, real
from slt_bench.common import paths
from slt_bench.data.beton import JPG, BetonFile
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.augment import random_crop_box, sequence_start
from slt_bench.data.decode.batch import resize_box
from slt_bench.data.decode.transform import Transform
from slt_bench.data.encode import encode_image
from slt_bench.data.prepare import prepare
from slt_bench.data.sources.registry import load_images
from slt_bench.experiment.cell import Cell
from slt_bench.params.datasets import Dataset, Images
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.sources import Source
from slt_bench.run.evaluate import evaluate
from slt_bench.search.methods.edge_popup import EdgePopup
from slt_bench.search.methods.weight_training import WeightTraining
from slt_bench.search.run import search
from slt_bench.ticket.file import read_ticket

SEEDS = range(int(os.environ.get("SLT_BENCH_SEEDS", "4")))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sample") / "full"
    prepare(Images(source="imagenet_sample", test_images=100, write_mode="jpg"), directory, workers=2)
    return directory


@real
def test_crops_beside_full_decoding(benchmark: BenchmarkFixture, sample: Path) -> None:
    transform = Transform(sample / "train.beton", IMAGENET, True)
    file, begins, sizes, _, heights, widths = transform._stored
    memory, grid, count = transform._memory(), np.array([224, 224, 0, 0]), len(begins)
    differences, halved = [], 0

    def compare() -> None:
        nonlocal halved
        for n in range(count):
            height, width = heights[n], widths[n]
            box = np.array(random_crop_box(np.uint64(sequence_start(np.uint64(2), n)), height, width, 0.08, 1.0))
            data, whole = file[begins[n] : begins[n] + sizes[n]], np.empty(height * width * 3, np.uint8)
            jpeg.decode(data, data.size, height, width, whole)
            reduced, full = (np.empty((224, 224, 3), np.uint8) for _ in range(2))
            resize_box(data, True, height, width, box, grid, True, False, reduced, memory)
            resize_box(whole, False, height, width, box, grid, True, False, full, memory)
            difference = np.abs(reduced.astype(int) - full)
            if jpeg.halvings(box[2], box[3], 224):
                halved += 1
                differences.append((difference.max(), difference.mean()))
            else:
                assert not difference.any()

    benchmark.pedantic(compare, rounds=1)
    largest, means = max(each[0] for each in differences), [each[1] for each in differences]
    print(
        f"\n{halved} of {count} crops were decoded at a lower scale; the others have exactly the pixels of full decoding. "
        f"Of those: mean difference {mean(means):.2f} of 255 (largest of an image {max(means):.2f}), "
        f"largest of a pixel {largest}"
    )


def evaluated(picture: Image.Image) -> NDArray[np.uint8]:
    """Torchvision's way: the shorter side to 256 pixels, the centre 224."""
    return np.asarray(tv.center_crop(tv.resize(picture, [256]), [224]))


def reencoded(pixels: NDArray[np.uint8], images: Images) -> NDArray[np.uint8]:
    """A picture as training images are stored, decoded again."""
    return np.asarray(Image.open(BytesIO(encode_image(pixels, images, True).data.tobytes())))


@real
def test_evaluation_beside_torchvision(benchmark: BenchmarkFixture, sample: Path) -> None:
    """Test images as they are stored, through our resize and crop, beside the sample's own files through torchvision's.

    And the logits of a network, and what re-encoding the test images as training images are would do.
    """
    test = load_images(Images(source="imagenet_sample", test_images=100)).test
    pixels = [test[number] for number in range(100)]
    theirs = np.stack([evaluated(Image.fromarray(each)) for each in pixels])
    modes = BetonFile(sample / "test.beton").modes
    transform = Transform(sample / "test.beton", IMAGENET, False)
    ours, _ = benchmark.pedantic(lambda: transform.batch(np.arange(100), 0), rounds=1)
    difference = np.abs(ours.astype(int) - theirs)
    print(
        f"\n{(modes == JPG).sum()} of {len(modes)} test images are stored as their files, the others as pixels; "
        f"pixels: largest difference {difference.max()}, mean {difference.mean():.3f} of 255"
    )
    for size in (None, 500, 160):
        images = Images(source="imagenet_sample", write_mode="jpg", max_resolution=size)
        other = np.stack([evaluated(Image.fromarray(reencoded(each, images))) for each in pixels])
        difference = np.abs(other.astype(int) - theirs)
        print(f"re-encoded, {images.stored_how.split(';')[0]}: largest {difference.max()}, mean {difference.mean():.3f} of 255")
    directory = Path(
        "outputs/cells/imagenet-sample/imagenet-sample_resnet18-imagenet_dense_training_imagenet-sample-training_s0_seed0"
    )
    if not (directory / "last.safetensors").is_file():
        pytest.skip("logits: `slt-bench run imagenet-sample` first")
    network = read_ticket(directory / "last.safetensors").network.plain_module()
    shift, scale = (torch.tensor(each).view(1, 3, 1, 1) * 255 for each in (IMAGENET.mean, IMAGENET.std))
    with torch.no_grad():
        pictures = [torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2).float() for images in (ours, theirs)]
        a, b = (network((each - shift) / scale) for each in pictures)
    print(
        f"logits: largest difference {float((a - b).abs().max()):.4f}, standard deviation of the logits {float(a.std()):.3f}; "
        f"the same class first for {int((a.argmax(1) == b.argmax(1)).sum())} of {len(a)} images"
    )


@pytest.fixture(scope="module")
def enlarged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with 5,000 + 2,000 images of CIFAR-10 enlarged to 128 pixels: train as JPEGs, and the same decoded."""
    root = tmp_path_factory.mktemp("enlarged")
    found = load_images(Images(source="cifar10"))
    for split, each, count in (("train", found.train, 500), ("test", found.test, 200)):
        for label in range(10):
            for number in np.flatnonzero(each.labels == label)[:count]:
                path = root / "images" / split / str(label) / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(each[number]).resize((128, 128), Image.Resampling.BICUBIC).save(path, compress_level=0)
    jpegs = Images(source="image_folder", path=str(root / "images"), write_mode="jpg")
    prepare(jpegs, root / "data" / "jpegs", workers=2)
    for split in ("train", "test"):
        file = BetonFile(root / "data" / "jpegs" / f"{split}.beton")
        for number, label in enumerate(file.labels):
            path = root / "decoded" / split / str(label) / f"{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = file.bytes_of(number)
            is_jpeg = file.modes[number] == JPG  # of train; test images are pixels in both
            picture = Image.open(BytesIO(data.tobytes())) if is_jpeg else Image.fromarray(data.reshape(128, 128, 3))
            picture.save(path, compress_level=0)
    decoded = Images(source="image_folder", path=str(root / "decoded"))
    prepare(decoded, root / "data" / "decoded", workers=2)
    return root


@pytest.mark.skipif("SLT_BENCH_CIFAR10" not in os.environ, reason="SLT_BENCH_CIFAR10 names no CIFAR-10 images")
@pytest.mark.parametrize("kind", ["weight-training", "edge-popup"])
def test_accuracy_with_reduced_decoding(
    benchmark: BenchmarkFixture, enlarged: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The same searches on JPEGs (most crops decoded at half the scale or less) and on the same pictures as pixels."""
    monkeypatch.chdir(enlarged)
    accuracies: dict[str, list[float]] = {"jpegs": [], "decoded": []}

    def run() -> None:
        for seed in SEEDS:
            for name, found in accuracies.items():
                cell = make_cell(name, enlarged, kind, seed)
                search(cell)
                found.append(evaluate(cell.directory, paths.dataset_dir(name))["last_top1"])

    benchmark.pedantic(run, rounds=1)
    pairs = [a - b for a, b in zip(accuracies["jpegs"], accuracies["decoded"], strict=True)]
    error = stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else float("nan")
    print(
        f"\n{kind}: test top-1 reduced {mean(accuracies['jpegs']):.2f} %, full {mean(accuracies['decoded']):.2f} %; "
        f"difference {mean(pairs):+.2f} points, standard error {error:.2f}, n = {len(pairs)}"
    )


def make_cell(name: str, root: Path, kind: str, seed: int) -> Cell:
    images = Images(source="image_folder", path=str(root / "images"), write_mode="jpg")
    if name != "jpegs":
        images = Images(source="image_folder", path=str(root / "decoded"), write_mode="raw")
    dataset = Dataset(
        images=images,
        mean=[0.491, 0.482, 0.447],
        std=[0.247, 0.243, 0.262],
        flip=True,
        resolution=32,
        resize=32,
        crop_area=[0.2, 1.0],
    )
    trains = kind == "weight-training"
    return Cell(
        table="decoding", dataset_name=name, dataset=dataset,
        network_name="conv4", network=Network(kind="conv4", width=0.25), source=Source(),
        search_name=kind, search=WeightTraining(kind="weight-training") if trains else EdgePopup(kind="edge-popup"),
        recipe_name="r", recipe=Recipe(epochs=8, batch_size=64, learning_rate=0.02 if trains else 0.1),
        sparsity=0.0 if trains else 0.5, seed=seed,
    )  # fmt: skip
