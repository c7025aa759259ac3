"""Weights out of a PyTorch pickle without running anything that the pickle names.

A checkpoint of a whole module names classes and functions to be called. Here every permitted name stands for an inert
object of ours (a bag of attributes, a tensor view, a dtype), so the real classes are never imported and none of their
code runs; any other name is refused before the first instruction. Reads both formats of torch.save: the zip archive
(PyTorch 1.6 and later) and the sequence of pickles before it. Source of the layouts: torch/serialization.py.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import Code, XrayInterpError

_MAX_BYTES = 600 << 20
_MAX_PICKLE = 1 << 25
_MAX_MODULES = 5000
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

_MODULES = (
    *(("torchxrayvision.models", name) for name in ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition")),
    ("torch.nn.modules.container", "Sequential"),
    ("torch.nn.modules.conv", "Conv2d"),
    ("torch.nn.modules.batchnorm", "BatchNorm2d"),
    ("torch.nn.modules.activation", "ReLU"),
    ("torch.nn.modules.pooling", "MaxPool2d"),
    ("torch.nn.modules.pooling", "AvgPool2d"),
    ("torch.nn.modules.linear", "Linear"),
)
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Sealed(type):
    """Type whose attributes a pickle cannot set."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f"the pickle sets {name!r} on a class")


class _Node(metaclass=_Sealed):
    """Stands for any module: keeps the attributes it is handed."""

    def __new__(cls, *_: object) -> _Node:
        return super().__new__(cls)


class _View:
    """Stands for torch._utils._rebuild_tensor_v2: a view of a flat storage, never larger than it."""

    __slots__ = ()

    def __call__(self, flat: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
        if math.prod(size) > flat.numel():
            raise pickle.UnpicklingError(f"a tensor of shape {tuple(size)} in a storage of {flat.numel()} values")
        return flat.as_strided(size, stride, offset)


class _First:
    """Stands for torch._utils._rebuild_parameter: a parameter is its data here."""

    __slots__ = ()

    def __call__(self, data: Tensor, *_: object) -> Tensor:
        return data


class _Nothing:
    """Stands for the function backend that modules before PyTorch 1.5 name and nothing uses."""

    __slots__ = ()

    def __call__(self) -> None:
        return None


_NAMES: Mapping[tuple[str, str], Any] = {
    **dict.fromkeys(_MODULES, _Node),
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
    ("torch._utils", "_rebuild_tensor"): _View(),
    ("torch._utils", "_rebuild_tensor_v2"): _View(),
    ("torch._utils", "_rebuild_parameter"): _First(),
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"): _Nothing(),
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by state-dict name, own and contiguous, in the dtypes they were saved in.

    The checkpoint may hold a module (of the classes named above) or a state dict.

    Raises:
        XrayInterpError: `weights-unsafe` naming what the pickle names and may not; `weights-corrupt` for a file that is
            truncated or makes no sense.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path.name} is larger than {_MAX_BYTES >> 20} MiB.")
    data = path.read_bytes()
    try:
        state = _state(_read_zip(data, path.name) if data.startswith(b"PK") else _read_legacy(data, path.name))
        if sum(tensor.nbytes for tensor in state.values()) > len(data):
            raise pickle.UnpicklingError("its tensors together are larger than the file")
        return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    except XrayInterpError:
        raise
    except Exception as error:  # whatever a malformed pickle provokes, it is the file that is wrong
        raise XrayInterpError(
            Code.WEIGHTS_CORRUPT,
            f"{path.name} is not a whole PyTorch checkpoint: {type(error).__name__}: {error}.",
            "Fetch it again.",
        ) from error


class _Storages:
    """Flat storages by key; together they may not claim more bytes than the file has."""

    def __init__(self, budget: int) -> None:
        self.flat: dict[str, Tensor] = {}
        self._budget = budget

    def add(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        self._budget -= count * dtype.itemsize
        if count < 0 or self._budget < 0:
            raise pickle.UnpicklingError(f"storage {key!r} claims {count} values, more than the file holds")
        self.flat[key] = torch.zeros(count, dtype=dtype)
        return self.flat[key]

    def fill(self, key: str, data: bytes | memoryview) -> None:
        flat = self.flat[key]
        if len(data) != flat.numel() * flat.itemsize:
            raise EOFError(f"storage {key!r} has {len(data)} bytes where {flat.numel() * flat.itemsize} are expected")
        if data:
            flat.copy_(torch.frombuffer(bytearray(data), dtype=flat.dtype))


class _Restricted(pickle.Unpickler):
    """Unpickler that knows `_NAMES` and nothing else."""

    def __init__(self, data: bytes, storages: _Storages, file: str) -> None:
        super().__init__(io.BytesIO(data))
        self._storages, self._file = storages, file

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise _unsafe(self._file, f"{module}.{name}")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":  # legacy: a class with its source text, which is not looked at
            return pid[1]
        kind, dtype, key, _location, count, *view = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or any(v is not None for v in view):
            raise pickle.UnpicklingError(f"persistent id {pid!r}")
        flat = self._storages.flat.get(key)
        return self._storages.add(key, dtype, count) if flat is None else flat


def _unsafe(file: str, what: str) -> XrayInterpError:
    return XrayInterpError(
        Code.WEIGHTS_UNSAFE,
        f"{file} is refused: its pickle names {what}, which weights do not need. Nothing of it was run.",
        "Get the file from its publisher again, or use weights in safetensors.",
    )


def _inspect(stream: io.BytesIO, file: str) -> bytes:
    """The next pickle of `stream`, which is left behind it; refuses what it names before anything is executed."""
    start = stream.tell()
    for opcode, argument, position in pickletools.genops(stream):
        if opcode.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            if (module, name) not in _NAMES:
                raise _unsafe(file, f"{module}.{name}")
        elif opcode.name in ("EXT1", "EXT2", "EXT4"):
            raise _unsafe(file, f"entry {argument} of the extension registry")
        elif opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > _MAX_PICKLE:
            raise _unsafe(file, f"memo slot {argument}")
        if position is None or position - start > _MAX_PICKLE:
            raise pickle.UnpicklingError(f"its pickle is longer than {_MAX_PICKLE >> 20} MiB")
    end = stream.tell()
    stream.seek(start)
    return stream.read(end - start)


def _read_zip(data: bytes, file: str) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        (name,) = (n for n in infos if n.count("/") == 1 and n.endswith("/data.pkl"))
        root = name.removesuffix("data.pkl")
        if f"{root}constants.pkl" in infos:
            raise _unsafe(file, "a TorchScript program")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos.values()):
            raise zipfile.BadZipFile("it holds compressed members")
        if f"{root}byteorder" in infos and archive.read(f"{root}byteorder") != b"little":
            raise zipfile.BadZipFile("its numbers are big-endian")
        pickled = _inspect(io.BytesIO(archive.read(name)), file)
        storages = _Storages(len(data))
        loaded = _Restricted(pickled, storages, file).load()
        for key in storages.flat:
            storages.fill(key, archive.read(f"{root}data/{key}"))
    return loaded


def _read_legacy(data: bytes, file: str) -> Any:
    stream, storages = io.BytesIO(data), _Storages(len(data))
    parts = [_Restricted(_inspect(stream, file), storages, file).load() for _ in range(5)]
    magic, protocol, system, root, keys = parts
    if magic != _MAGIC or protocol != _PROTOCOL or not system["little_endian"]:
        raise pickle.UnpicklingError("it does not begin as a checkpoint does")
    if set(keys) != set(storages.flat):
        raise EOFError("storages are missing")
    position = stream.tell()
    for key in keys:
        flat = storages.flat[key]
        (count,) = struct.unpack_from("<q", data, position)
        if count != flat.numel():
            raise EOFError(f"storage {key!r} has {count} values where {flat.numel()} are expected")
        end = position + 8 + flat.nbytes
        storages.fill(key, memoryview(data)[position + 8 : end])
        position = end
    return root


def _state(root: Any) -> dict[str, Tensor]:
    """Tensors as a module's state_dict would name them, from our stand-ins or from a state dict itself."""
    if isinstance(root, Mapping):
        return _tensors(root, "")
    state: dict[str, Tensor] = {}
    waiting = [(root, "")]
    for _ in range(_MAX_MODULES):
        if not waiting:
            return state
        node, prefix = waiting.pop()
        held = vars(node)
        hidden = held.get("_non_persistent_buffers_set", set())
        state |= _tensors(held["_parameters"], prefix)
        state |= _tensors({name: value for name, value in held["_buffers"].items() if name not in hidden}, prefix)
        waiting += [(child, f"{prefix}{name}.") for name, child in held["_modules"].items() if child is not None]
    raise RecursionError(f"more than {_MAX_MODULES} modules")


def _tensors(held: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    for name, value in held.items():
        if value is not None and not isinstance(value, Tensor):
            raise pickle.UnpicklingError(f"{prefix}{name} is a {type(value).__name__}, not a tensor")
    return {f"{prefix}{name}": value for name, value in held.items() if value is not None}
