"""What this package is measured against, in a worker: timm's networks on PyTorch."""

import contextlib
import re
import sys

import torch
from worker import CORES, imports_are_done, repeated, serve

NETWORKS = {"sknet50": "skresnext50_32x4d", "resnext50": "resnext50_32x4d"}
MISSING_OPERATOR = re.compile(r"operator torchvision::(\w+) does not exist")


def import_timm():
    """Imports timm where torchvision's compiled half does not load, as beside a CPU build of PyTorch.

    timm needs only the half in Python, which stops at each operator that it does not find: a declaration
    will do.
    """
    operators = torch.library.Library("torchvision", "FRAGMENT")
    while True:
        try:
            import timm

            return timm, operators
        except RuntimeError as error:
            missing = MISSING_OPERATOR.search(str(error))
            if not missing:
                raise
            operators.define(f"{missing[1]}(Tensor x) -> Tensor")
            for name in [name for name in sys.modules if name.partition(".")[0] in ("timm", "torchvision")]:
                del sys.modules[name]


timm, _operators = import_timm()
torch.set_num_threads(CORES)
imports_are_done()


def network(name, small=False, depths=None, kernels=None):
    """Builds timm's network of this `name`; `small`, `depths` and `kernels` as in jobs.py."""
    from timm.models.resnet import ResNet
    from timm.models.sknet import SelectiveKernelBottleneck

    if small:
        depths = depths or (1, 1, 1, 1)
    if not (depths or kernels):
        model = timm.create_model(NETWORKS[name])
    elif name == "sknet50":
        sizes = [2 * number + 3 for number in range(kernels or 2)]
        unit = {"kernel_size": sizes, "rd_ratio": 1 / 16, "rd_divisor": 32, "split_input": False}
        model = ResNet(
            SelectiveKernelBottleneck,
            depths or (3, 4, 6, 3),
            cardinality=32,
            base_width=4,
            zero_init_last=False,
            block_args={"sk_kwargs": unit},
        )
    else:
        model = timm.create_model(NETWORKS[name], layers=depths)
    return model.to(memory_format=torch.channels_last)


def images_of(batch, size, device):
    return torch.randn(batch, 3, size, size, device=device).to(memory_format=torch.channels_last)


def precision(dtype, device):
    if dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16)


def train(network_name, batch, size, dtype="float32", compiled=False, device="cpu", **options):
    model = network(network_name, **options).to(device).train()
    forward = torch.compile(model) if compiled else model
    images, labels = images_of(batch, size, device), torch.randint(0, 1000, (batch,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9)

    def step():
        optimizer.zero_grad()
        with precision(dtype, device):
            loss = torch.nn.functional.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return repeated(step)


def infer(network_name, batch, size, dtype="float32", compiled=False, device="cpu", **options):
    model = network(network_name, **options).to(device).eval()
    forward = torch.compile(model) if compiled else model
    images = images_of(batch, size, device)

    def classify():
        with torch.inference_mode(), precision(dtype, device):
            return forward(images).float().cpu().numpy()

    return repeated(classify)


if __name__ == "__main__":
    serve({"train": train, "infer": infer})
