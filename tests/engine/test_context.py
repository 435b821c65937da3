import mxnet as mx
import pytest

from mxnetseg.engine import context
from mxnetseg.engine.context import check_capability, check_norm, resolve_contexts
from mxnetseg.errors import ConfigError, DeviceError

CUDA = mx.runtime.Features().is_enabled("CUDA")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cpu"], [mx.cpu(0)]),
        (["cpu0", "cpu1"], [mx.cpu(0), mx.cpu(1)]),
        (["cpu(0)", "CPU:2"], [mx.cpu(0), mx.cpu(2)]),
        (["cpu0,cpu1"], [mx.cpu(0), mx.cpu(1)]),
    ],
)
def test_names(names, expected):
    assert resolve_contexts(names) == expected


@pytest.mark.parametrize("names", [["tpu"], ["cpu", "cpu0"], ["-1"], ["cpu", "0"]])
def test_wrong_names(names):
    with pytest.raises(DeviceError):
        resolve_contexts(names)


@pytest.mark.skipif(CUDA, reason="this build has CUDA")
def test_without_cuda():
    assert resolve_contexts() == [mx.cpu(0)]
    with pytest.raises(DeviceError, match="no CUDA") as caught:
        resolve_contexts(["0", "1"])
    assert "--ctx cpu" in caught.value.remedy


@pytest.fixture
def cuda(monkeypatch):
    """A build with CUDA that sees two GPUs of settable capability."""
    gpus = [{"name": "GPU A", "capability": "8.6", "driver": "1"}]
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda *_: True)
    monkeypatch.setattr(context, "gpu_count", lambda: 2)
    monkeypatch.setattr(context, "nvidia_gpus", lambda: gpus)
    return gpus


def test_gpus(cuda):
    assert resolve_contexts(["0", "gpu1"]) == [mx.gpu(0), mx.gpu(1)]
    assert resolve_contexts() == [mx.gpu(0)]
    with pytest.raises(DeviceError, match="GPU 2 does not exist"):
        resolve_contexts(["0", "2"])


def test_gpu_too_new(cuda):
    cuda[0]["capability"] = "9.0"
    with pytest.raises(DeviceError, match=r"GPU A has compute capability 9\.0") as caught:
        resolve_contexts(["0"])
    assert "mxnetseg export" in caught.value.remedy
    assert resolve_contexts() == [mx.cpu(0)]


@pytest.mark.parametrize("capability", ["5.0", "5.2", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9"])
def test_capabilities_with_code(capability):
    check_capability(capability)


@pytest.mark.parametrize("capability", ["3.5", "9.0", "10.0", "12.0"])
def test_capabilities_without_code(capability):
    with pytest.raises(DeviceError):
        check_capability(capability)


def test_syncbn_on_several_cpu_contexts():
    with pytest.raises(ConfigError, match="never returns"):
        check_norm("syncbn", [mx.cpu(0), mx.cpu(1)])
    check_norm("syncbn", [mx.cpu(0)])
    check_norm("gn", [mx.cpu(0), mx.cpu(1)])


def test_broken_driver_counts_as_no_gpu(monkeypatch):
    def fail():
        raise mx.MXNetError("driver")

    monkeypatch.setattr(mx.context, "num_gpus", fail)
    assert context.gpu_count() == 0
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 3)
    assert context.gpu_count() == 3


def test_gpu_that_is_hidden(cuda, monkeypatch):
    monkeypatch.setattr(context, "gpu_count", lambda: 0)
    with pytest.raises(DeviceError, match="GPU 0 does not exist") as caught:
        resolve_contexts(["0"])
    assert caught.value.expected == "a visible GPU (none is)" and "CUDA_VISIBLE_DEVICES" in caught.value.remedy


@pytest.mark.parametrize("capability", ["", "[N/A]", "8", "8.x"])
def test_capability_that_the_driver_does_not_tell_is_no_reason_to_refuse(capability):
    check_capability(capability)
