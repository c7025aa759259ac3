"""What each step from bytes to PDF costs: median milliseconds, and forwards of the same model in the same run.

Writes pipeline.md beside this file. Every film is synthetic, every seed fixed; run it on an idle machine.
"""

from __future__ import annotations

import io
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from xrayinterp.datasets.phantom import phantom
from xrayinterp.explanation import explain, predict, trace
from xrayinterp.imaging.radiograph import Radiograph
from xrayinterp.imaging.reader import read
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model
from xrayinterp.report.pdf import render_pdf

SEED = 0
MODEL = "compact"
PNG_SHAPE = (2022, 2022)
DICOM_SHAPE = (3000, 2500)
REPEATS = 9
THREADS = (1, 2)
RESULT = Path(__file__).with_suffix(".md")

Timed = dict[str, float]


def median_ms(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median milliseconds of `run` after one run that is not counted."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def film(shape: tuple[int, int], bits: int) -> np.ndarray:
    """A synthetic frontal film with fine noise, so that it compresses no better than a real one."""
    size = max(shape)
    base = Image.fromarray(phantom(SEED, size=512).pixels).resize((size, size), Image.Resampling.BICUBIC)
    values = np.asarray(base)[: shape[0], : shape[1]]
    noisy = values + np.random.default_rng(SEED).normal(0, 0.01, shape)
    return np.round(np.clip(noisy, 0, 1) * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def png_bytes() -> bytes:
    """An 8-bit PNG film."""
    buffer = io.BytesIO()
    Image.fromarray(film(PNG_SHAPE, 8)).save(buffer, format="PNG")
    return buffer.getvalue()


def dicom_bytes() -> bytes:
    """An uncompressed 12-bit MONOCHROME2 DX film for presentation."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["xrayinterp", str(SEED)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("film.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.ViewPosition, dataset.BodyPartExamined = "DX", "PA", "CHEST"
    dataset.PresentationIntentType, dataset.PatientOrientation = "FOR PRESENTATION", ["L", "F"]
    dataset.Rows, dataset.Columns = DICOM_SHAPE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.ImagerPixelSpacing = [0.14, 0.14]
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = film(DICOM_SHAPE, 12).tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def bare_decode(path: Path) -> np.ndarray:
    """What a DICOM costs without a child process, checks or recipe: highdicom's pixel chain alone."""
    import highdicom

    frame: np.ndarray = highdicom.imread(path).get_frame(1, apply_voi_transform=None, voi_output_range=(-1024, 1024))
    return frame


def measure(model: ChestModel, png: Path, dicom: Path) -> Timed:
    """Median milliseconds of every step; the first explanation of a film includes its decoding."""
    radiograph = read(dicom)
    x = model.prepare(radiograph)
    explanation = explain(radiograph, model, model.findings[0], seed=SEED)
    seen = trace(radiograph, model)
    return {
        "forward (the unit)": median_ms(lambda: model.logits(x), 4 * REPEATS),
        "decode PNG": median_ms(lambda: read(png)),
        "decode DICOM": median_ms(lambda: read(dicom)),
        "decode DICOM, bare highdicom in this process": median_ms(lambda: bare_decode(dicom)),
        "predict": median_ms(lambda: predict(radiograph, model)),
        "explain, first of a film: DICOM to explanation": median_ms(lambda: first(dicom, model)),
        "explain, a further finding": median_ms(
            lambda: explain(radiograph, model, model.findings[1], seed=SEED, trace=seen)
        ),
        "PDF": median_ms(lambda: render_pdf(explanation)),
    }


def first(dicom: Path, model: ChestModel) -> Radiograph:
    """From the file to the default explanation."""
    return explain(read(dicom), model, seed=SEED).radiograph


def machine() -> str:
    """The processor's name and the number of cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def fresh_process() -> float:
    """Seconds from nothing to the first explanation, model load and imports included, in a process of its own."""
    code = (
        "import sys, xrayinterp\nxrayinterp.explain(xrayinterp.read(sys.argv[1]), xrayinterp.load_model(sys.argv[2]))"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.dcm"
        path.write_bytes(dicom_bytes())
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, str(path), MODEL], check=True)
    return time.perf_counter() - start


def report(model: ChestModel, timed: dict[int, Timed], cold: float) -> str:
    """The committed table."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "highdicom", "pydicom", "pillow", "typst"))
    head = "".join(f" ms, {n} thread{'s' * (n > 1)} | forwards |" for n in timed)
    lines = [
        "# From bytes to PDF",
        "",
        f"Model `{model.name}` at {model.size} px. DICOM: {DICOM_SHAPE[0]} x {DICOM_SHAPE[1]}, 12 bit, native; "
        f"PNG: {PNG_SHAPE[0]} x {PNG_SHAPE[1]}, 8 bit; both synthetic, seed {SEED}. Medians of {REPEATS} runs after "
        "one that is not counted. A forward is one film at batch 1 through the same model, in the same run, on as many "
        "threads.",
        "",
        f"Machine: {machine()}; Python {platform.python_version()}, {packages}. Made by `make bench`.",
        "",
        f"| step |{head}",
        "|---|" + "---:|---:|" * len(timed),
    ]
    for step in next(iter(timed.values())):
        cells = (f" {t[step]:.1f} | {t[step] / t['forward (the unit)']:.2f} |" for t in timed.values())
        lines.append(f"| {step} |" + "".join(cells))
    lines.append(f"\nFrom a fresh process to the first explanation, imports and model load included: {cold:.1f} s.\n")
    return "\n".join(lines)


def main() -> None:
    """Measure on one thread and on two, and write the table."""
    pydicom.config.settings.writing_validation_mode = pydicom.config.RAISE
    timed: dict[int, Timed] = {}
    model = load_model(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        png, dicom = Path(folder) / "film.png", Path(folder) / "film.dcm"
        png.write_bytes(png_bytes())
        dicom.write_bytes(dicom_bytes())
        for threads in THREADS:
            torch.set_num_threads(threads)
            timed[threads] = measure(model, png, dicom)
    RESULT.write_text(report(model, timed, fresh_process()), encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
