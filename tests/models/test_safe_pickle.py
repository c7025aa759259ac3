"""Hostile and broken checkpoints: whatever they name, nothing runs."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.safe_pickle import read_checkpoint


class Command:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.mark}",)


class Chained:
    """A call on the result of a call: getattr(OrderedDict, "__init__")."""

    def __reduce__(self) -> object:
        return getattr, (OrderedDict, "__init__")


def archive(pickled: bytes, members: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as opened:
        opened.writestr("archive/data.pkl", pickled)
        for name, data in (members or {}).items():
            opened.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def saved(value: object, *, is_zip: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=is_zip)
    return buffer.getvalue()


def refused(path: Path, data: bytes, code: Code) -> XrayInterpError:
    path.write_bytes(data)
    with pytest.raises(XrayInterpError) as caught:
        read_checkpoint(path)
    assert caught.value.code is code, caught.value
    return caught.value


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_both_formats_give_the_state_dict(
    form: str, published: dict[str, bytes], theirs: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(published[form])
    state = read_checkpoint(path)
    expected = theirs.state_dict()
    assert set(state) == set(expected)
    for name, tensor in expected.items():
        assert state[name].dtype is tensor.dtype
        assert torch.equal(state[name], tensor), name


@pytest.mark.parametrize("is_zip", [True, False])
def test_state_dicts_shared_storages_and_strides(is_zip: bool, tmp_path: Path) -> None:
    base = torch.arange(24.0)
    state = {
        "whole": base,
        "part": base[3:9].reshape(2, 3),
        "turned": base.reshape(4, 6).T,
        "half": torch.rand(5).half(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0),
    }
    path = tmp_path / "state.pt"
    path.write_bytes(saved(OrderedDict(state), is_zip=is_zip))
    read = read_checkpoint(path)
    assert set(read) == set(state)
    for name, tensor in state.items():
        assert torch.equal(read[name], tensor), name
        assert read[name].is_contiguous()
    read["whole"].zero_()
    assert read["part"].any()


def test_no_class_that_a_checkpoint_names_is_imported_or_run(
    published: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("code of the checkpoint's classes ran")

    monkeypatch.setattr(nn.Module, "__setstate__", forbidden)
    monkeypatch.setattr(torch.nn.BatchNorm2d, "__setstate__", forbidden, raising=False)
    path = tmp_path / "model.pt"
    path.write_bytes(published["legacy"])
    assert "classifier.weight" in read_checkpoint(path)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_command_is_named_and_not_run(is_zip: bool, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    error = refused(
        tmp_path / "evil.pt", saved({"x": torch.ones(2), "y": Command(mark)}, is_zip=is_zip), Code.WEIGHTS_UNSAFE
    )
    assert "posix.system" in error.message
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_command_is_named_whatever_the_pickle_protocol(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    data = archive(pickle.dumps({"weights": Command(mark)}, protocol=protocol))
    assert "posix.system" in refused(tmp_path / "evil.pt", data, Code.WEIGHTS_UNSAFE).message
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_chained_calls_are_refused(protocol: int, tmp_path: Path) -> None:
    error = refused(tmp_path / "evil.pt", archive(pickle.dumps(Chained(), protocol=protocol)), Code.WEIGHTS_UNSAFE)
    assert "getattr" in error.message


def stack_global(module: str, name: str) -> bytes:
    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    return b"\x80\x04" + text(module) + text(name) + b"\x93"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("collections", "OrderedDict.fromkeys"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("collections", "abc.sys.modules"),
        ("torch", "serialization.os.system"),
        ("torch._utils", "sys"),
        ("torch.hub", "load"),
        ("torch.nn.modules.module", "Module"),
        ("builtins", "eval"),
        ("torchxrayvision.models", "get_weights"),
    ],
)
def test_names_beside_the_permitted_ones_are_refused(module: str, name: str, tmp_path: Path) -> None:
    dotted = stack_global(module, name) + b")R."
    assert f"{module}.{name}" in refused(tmp_path / "a.pt", archive(dotted), Code.WEIGHTS_UNSAFE).message
    plain = f"\x80\x02c{module}\n{name}\n)R.".encode("latin-1")
    assert f"{module}.{name}" in refused(tmp_path / "b.pt", archive(plain), Code.WEIGHTS_UNSAFE).message


@pytest.mark.parametrize(
    ("tail", "named"),
    [
        (b"(S'touch x'\niposix\nsystem\n.", "posix.system"),
        (b"(cposix\nsystem\nS'touch x'\no.", "posix.system"),
        (b"\x82\x01.", "extension registry"),
    ],
)
def test_other_opcodes_that_reach_code_are_refused(tail: bytes, named: str, tmp_path: Path) -> None:
    for data in (archive(b"\x80\x02" + tail), tail):
        assert named in refused(tmp_path / "evil.pt", data, Code.WEIGHTS_UNSAFE).message


CONV = b"ctorch.nn.modules.conv\nConv2d\n"


def test_setstate_set_on_an_instance_reaches_only_what_is_permitted(
    published: dict[str, bytes], tmp_path: Path
) -> None:
    # a module whose own attribute __setstate__ is a permitted callable, then handed a second state
    node = CONV + b")\x81"
    first = b"}X\x0c\x00\x00\x00__setstate__ccollections\nOrderedDict\nsb"
    second = b"(lb."
    error = refused(tmp_path / "evil.pt", archive(b"\x80\x02" + node + first + second), Code.WEIGHTS_CORRUPT)
    assert "KeyError" in error.message  # an inert node without parameters, nothing more
    self_check(published, tmp_path)


@pytest.mark.parametrize(
    "target",
    [CONV, b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n"],
)
@pytest.mark.parametrize("attribute", [b"__setstate__", b"__call__", b"__new__", b"__code__"])
def test_nothing_permitted_can_be_changed(
    target: bytes, attribute: bytes, published: dict[str, bytes], tmp_path: Path
) -> None:
    # BUILD with a slot state, which pickle hands to setattr(target, attribute, value)
    key = b"X" + struct.pack("<I", len(attribute)) + attribute
    evil = b"\x80\x02" + target + b"N}" + key + b"ccollections\nOrderedDict\ns\x86b."
    refused(tmp_path / "evil.pt", archive(evil), Code.WEIGHTS_CORRUPT)
    self_check(published, tmp_path)


def self_check(published: dict[str, bytes], folder: Path) -> None:
    path = folder / "good.pt"
    path.write_bytes(published["zip"])
    assert len(read_checkpoint(path)) > 100


def tensor_pickle(count: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    class Storage:
        pass

    class Tensor:
        def __reduce__(self) -> object:
            return torch._utils._rebuild_tensor_v2, (Storage(), 0, size, stride, False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", count) if isinstance(value, Storage) else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"w": Tensor()})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("count", "size", "stride"),
    [
        (1 << 40, (2,), (1,)),  # a storage larger than the file
        (-4, (2,), (1,)),
        (4, (1 << 40,), (0,)),  # a tensor that repeats one value
        (4, (4,), (1 << 20,)),  # strides that leave the storage
        (4, (4,), (-1,)),
    ],
)
def test_lies_about_sizes_are_refused(
    count: int, size: tuple[int, ...], stride: tuple[int, ...], tmp_path: Path
) -> None:
    data = archive(tensor_pickle(count, size, stride), {"data/0": bytes(16)})
    refused(tmp_path / "lie.pt", data, Code.WEIGHTS_CORRUPT)


def test_an_honest_tensor_passes_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "honest.pt"
    path.write_bytes(archive(tensor_pickle(4, (2, 2), (2, 1)), {"data/0": struct.pack("<4f", 1, 2, 3, 4)}))
    assert read_checkpoint(path)["w"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"hello world",
        b"<!doctype html><title>404</title>",
        archive(b""),
        archive(b"\x80\x02."),
        archive(b"\x80\x02K\x01."),
        archive(pickle.dumps({"x": 1}, protocol=2)),
        archive(pickle.dumps({}, protocol=2), {"byteorder": b"big"}),
        archive(pickle.dumps({}, protocol=2), compression=zipfile.ZIP_DEFLATED),
        pickle.dumps(OrderedDict(), protocol=2),
    ],
)
def test_what_is_no_checkpoint_is_called_corrupt(data: bytes, tmp_path: Path) -> None:
    error = refused(tmp_path / "broken.pt", data, Code.WEIGHTS_CORRUPT)
    assert "broken.pt" in error.message


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(nn.ReLU()), path)
    assert "TorchScript" in refused(path, path.read_bytes(), Code.WEIGHTS_UNSAFE).message


def test_modules_that_hold_each_other_end(tmp_path: Path) -> None:
    def node(inside: bytes) -> bytes:
        return CONV + b")\x81q\x01}(" + b"X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_buffers}" + inside + b"ub."

    loop = b"X\x08\x00\x00\x00_modules}(X\x01\x00\x00\x00ah\x01X\x01\x00\x00\x00bh\x01u"
    refused(tmp_path / "loop.pt", archive(b"\x80\x02" + node(loop)), Code.WEIGHTS_CORRUPT)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["zip", "legacy"]), share=st.floats(0, 0.9999))
def test_every_truncation_is_called_corrupt(
    form: str, share: float, published: dict[str, bytes], tmp_path: Path
) -> None:
    data = published[form]
    refused(tmp_path / "short.pt", data[: int(share * len(data))], Code.WEIGHTS_CORRUPT)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["zip", "legacy"]), at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_gives_weights_or_a_typed_error(
    form: str, at: float, byte: int, published: dict[str, bytes], tmp_path: Path
) -> None:
    data = bytearray(published[form])
    data[int(at * len(data))] = byte
    path = tmp_path / "changed.pt"
    path.write_bytes(data)
    try:
        state = read_checkpoint(path)
    except XrayInterpError as error:
        assert error.code in (Code.WEIGHTS_CORRUPT, Code.WEIGHTS_UNSAFE)
    else:
        assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())
