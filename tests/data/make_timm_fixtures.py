"""What timm's networks answer: weights drawn at random, and all that comes out of them.

    python tests/data/make_timm_fixtures.py [FOLDER [NAME …]] [--gradients]

with PyTorch and timm writes NAME.safetensors and NAME.npz into FOLDER: by default this one, and the tiny
networks below. NAME is one of these or one of timm's own. Weights that are there already are loaded,
strictly, and not drawn anew. The committed files are of torch 2.13.0 and timm 1.0.31. With `--gradients`,
NAME.npz has the loss of a training step in float64 and its gradient for every weight instead.
"""

import functools
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))
from peer import timm  # noqa: E402
from timm.layers import SEModule  # noqa: E402
from timm.models.resnet import Bottleneck, ResNet  # noqa: E402
from timm.models.sknet import SelectiveKernelBasic, SelectiveKernelBottleneck  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = {"tiny": (4, 64, 48), "full": (1, 224, 224), "odd": (1, 97, 131)}  # images, height, width
LEARNING_RATE = 0.1
STAGES = {"maxpool": "stem", "layer1": "P2", "layer2": "P3", "layer3": "P4", "layer4": "P5"}
WITH_GRADIENT = ("bn1.", "layer2.1.", "fc.")
EVERY = 8  # only so many channels of the stages are kept


def tiny(block, channels, **options):
    # One stage has a block whose shortcut is its input.
    return ResNet(block, (1, 2, 1, 1), num_classes=5, channels=channels, zero_init_last=False, **options)


GROUPED = {"channels": (2, 4, 4, 8), "cardinality": 2, "base_width": 64}
TINY = {
    "tiny_sknet": functools.partial(
        tiny,
        SelectiveKernelBottleneck,
        block_args={"sk_kwargs": {"rd_ratio": 1 / 2, "rd_divisor": 4, "split_input": False}},
        **GROUPED,
    ),
    "tiny_skresnet": functools.partial(
        tiny,
        SelectiveKernelBasic,
        channels=(4, 8, 8, 16),
        block_args={"sk_kwargs": {"rd_ratio": 1 / 2, "rd_divisor": 4, "split_input": True}},
    ),
    "tiny_resnext": functools.partial(tiny, Bottleneck, **GROUPED),
    "tiny_senet": functools.partial(
        tiny,
        Bottleneck,
        block_args={"attn_layer": functools.partial(SEModule, rd_ratio=1 / 4, rd_divisor=2)},
        **GROUPED,
    ),
}


def images(count, height, width, seed):
    """uint8 images, NHWC, of coloured squares: they differ in the mean, and files of them are small."""
    squares = np.random.default_rng(seed).integers(0, 256, (count, height // 8 + 1, width // 8 + 1, 3))
    return squares.repeat(8, 1).repeat(8, 2)[:, :height, :width].astype("uint8")


def normalized(x, dtype=torch.float32):
    x = torch.from_numpy(x).permute(0, 3, 1, 2).to(dtype) / 255
    mean, std = (torch.tensor(values, dtype=dtype)[:, None, None] for values in (MEAN, STD))
    return (x - mean) / std


def draw(model):
    """Weights under which outputs depend on everything: fresh ones hardly depend on the input."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = 1.0
    for name, weight in model.named_parameters():
        if name.endswith(("fc_select.weight", "se.fc2.weight", "fc.weight")):
            torch.nn.init.normal_(weight, std=1.5 / weight.shape[1] ** 0.5)
    with torch.no_grad():
        model.train()(normalized(images(*SIZES["tiny"], seed=1)))
    for norm in norms:
        norm.momentum = 0.1
        # Wider than the images' own, so that a full-size network does not blow rounding up.
        norm.running_var += 0.5 * norm.running_mean**2
        norm.num_batches_tracked.zero_()


def nhwc(x):
    x = x.detach().numpy()
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)[..., ::EVERY]) if x.ndim == 4 else x


def inference(model, x):
    """{"logits", "stem", "P2", …: what each is for the images `x`}"""
    kept = {}

    def keep(name, module, inputs, output):
        kept[name] = nhwc(output.clone())

    hooks = [
        getattr(model, module).register_forward_hook(functools.partial(keep, name))
        for module, name in STAGES.items()
    ]
    with torch.no_grad():
        kept["logits"] = model.eval()(normalized(x)).numpy()
    for hook in hooks:
        hook.remove()
    return kept


def training(model, x, labels):
    """Losses of two steps of SGD; the first one's gradients, and the running statistics behind it."""
    optimizer = torch.optim.SGD(model.train().parameters(), LEARNING_RATE)
    answers = {}
    for step in range(2):
        loss = torch.nn.functional.cross_entropy(model(normalized(x)), torch.from_numpy(labels))
        answers[f"loss {step}"] = loss.detach().numpy()
        if step == 0:
            loss.backward()
            for name, weight in model.named_parameters():
                if name.startswith(WITH_GRADIENT):
                    answers[f"gradient {name}"] = weight.grad.numpy()
            answers |= {
                f"statistics {name}": value.numpy().copy()
                for name, value in model.named_buffers()
                if not name.endswith("num_batches_tracked")
            }
            optimizer.step()
    return answers


def gradients(model, x, labels):
    """Of every weight, in float64: through a full-size network float32 blows its rounding up."""
    model = model.double().train()
    loss = torch.nn.functional.cross_entropy(model(normalized(x, torch.float64)), torch.from_numpy(labels))
    loss.backward()
    answers = {f"gradient {name}": weight.grad.numpy() for name, weight in model.named_parameters()}
    return {"loss": loss.detach().numpy(), **answers}


def network(folder, name):
    torch.manual_seed(0)
    model = TINY[name]() if name in TINY else timm.create_model(name)
    weights = folder / f"{name}.safetensors"
    if weights.exists():
        model.load_state_dict(load_file(weights), strict=True)
    else:
        draw(model)
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights)
    return model


def write_gradients(folder, name):
    x = images(*SIZES["tiny"], seed=2)
    labels = np.arange(len(x)) % 5
    answers = gradients(network(folder, name), x, labels)
    np.savez(folder / f"{name}.npz", images=x, labels=labels, **answers)


def write(folder, name):
    is_tiny = name in TINY
    model = network(folder, name)
    x, odd = images(*SIZES["tiny" if is_tiny else "full"], seed=2), images(*SIZES["odd"], seed=3)
    answers = {"images": x, "odd images": odd, **inference(model, x)}
    answers |= {f"odd {key}": value for key, value in inference(model, odd).items()}
    if is_tiny:
        answers["labels"] = np.arange(len(x)) % 5
        answers |= training(model, x, answers["labels"])
    np.savez_compressed(folder / f"{name}.npz", **answers)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    function = write_gradients if "--gradients" in arguments else write
    folder, *names = [argument for argument in arguments if argument != "--gradients"] or [HERE]
    for name in names or TINY:
        function(Path(folder), name)
