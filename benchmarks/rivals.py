"""Three libraries at the same work: samples by DDIM, and training steps, with networks of equal size, each in its own way.

A training step is what the library's own trainer does in one: noise the images, the loss of the noise, its gradient, the clipped norm, Adam, the moving average
(diffusers' examples/unconditional_image_generation, denoising-diffusion-pytorch's Trainer).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import denoising_diffusion, denoising_diffusion_unet, diffusers_unet
from renote.allocator import keep_freed_memory
from renote.diffusion import Denoiser, DiffusionModel, GaussianProcess, LinearSchedule
from renote.nets import UNet
from renote.train.average import WeightAverage

TRAIN_STEPS = 1000
Work = Mapping[str, Callable[[], Any]]


def network(library: str, shape: Sequence[int]) -> nn.Module:
    """The library's own U-Net: about 1.2 million parameters.

    renote's and diffusers' have one layout: two blocks at each of three resolutions, attention at the lowest. That of denoising-diffusion-pytorch has blocks of its own and attention
    everywhere; its width is the one nearest in both parameters and operations.
    """
    if library == "renote":
        return UNet(shape[0], shape[0], channels=32, multipliers=(1, 2, 2), blocks=1, attention=(4,), head_channels=32)
    if library == "diffusers":
        return diffusers_unet(shape, 32, (1, 2, 2), 1, (4,), 32)  # type: ignore[no-any-return]
    return denoising_diffusion_unet(shape, 24, (1, 2, 3))


def work(library: str, shape: Sequence[int], samples: int, batch: int, steps: int) -> Work:
    """`sample` and `step` of a library.

    Args:
        library: renote, diffusers or denoising-diffusion-pytorch.
        shape: of a sample.
        samples: drawn in one piece of `sample`.
        batch: images of a training step.
        steps: of DDIM.
    """
    torch.manual_seed(0)
    build = {"renote": _renote, "diffusers": _diffusers, "denoising-diffusion-pytorch": _denoising_diffusion}[library]
    net = network(library, shape)
    images = torch.rand(batch, *shape)
    sample, loss, trained, average = build(net, shape, samples, steps)
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-4, fused=library == "renote")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(images).backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        average()

    return {"sample": sample, "step": step}


Parts = tuple[Callable[[], Any], Callable[[Tensor], Tensor], nn.Module, Callable[[], Any]]


def renote_model(net: nn.Module, shape: Sequence[int]) -> DiffusionModel:
    """DDPM's process around a network."""
    schedule = LinearSchedule(TRAIN_STEPS)
    return DiffusionModel(Denoiser(net, schedule), GaussianProcess(schedule), shape, num_train_steps=TRAIN_STEPS)


def _renote(net: nn.Module, shape: Sequence[int], samples: int, steps: int) -> Parts:
    model = renote_model(net, shape)
    average = WeightAverage(model, 0.999)
    generator = torch.Generator().manual_seed(0)
    keep_freed_memory()  # the trainer's first act

    def loss(images: Tensor) -> Tensor:
        return model(model.draw(images * 2 - 1, None, generator))  # type: ignore[no-any-return]

    return (
        lambda: model.sample(samples, sampler="ddim", steps=steps),
        loss,
        model,
        lambda: average.update(model, 10_000),
    )


def _pipeline(unet: Any) -> Any:
    from diffusers import DDIMPipeline, DDIMScheduler

    pipeline = DDIMPipeline(unet, DDIMScheduler(TRAIN_STEPS))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _diffusers(net: nn.Module, shape: Sequence[int], samples: int, steps: int) -> Parts:
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    pipeline, scheduler = _pipeline(net), DDPMScheduler(TRAIN_STEPS)
    average = EMAModel(net.parameters(), use_ema_warmup=True, inv_gamma=1.0, power=0.75)

    def loss(images: Tensor) -> Tensor:
        clean = images * 2 - 1
        noise = torch.randn(clean.shape)
        times = torch.randint(0, TRAIN_STEPS, (len(clean),))
        return functional.mse_loss(net(scheduler.add_noise(clean, noise, times), times).sample, noise)

    return (
        lambda: pipeline(batch_size=samples, num_inference_steps=steps, output_type="np"),
        loss,
        net,
        lambda: average.step(net.parameters()),
    )


def _process(net: nn.Module, shape: Sequence[int], steps: int) -> Any:
    return denoising_diffusion().GaussianDiffusion(
        net,
        image_size=shape[-1],
        timesteps=TRAIN_STEPS,
        sampling_timesteps=steps,
        objective="pred_noise",
        beta_schedule="linear",
    )


def _denoising_diffusion(net: nn.Module, shape: Sequence[int], samples: int, steps: int) -> Parts:
    from ema_pytorch import EMA

    process = _process(net, shape, steps)
    average = EMA(process, beta=0.995, update_every=10)
    return lambda: process.sample(batch_size=samples), lambda images: process(images), process, average.update


class _Counted(nn.Module):
    """A network as every library's loop calls it, which keeps the time spent in it.

    Args:
        inner: `inner(x, time)`.
        shape: of a sample.
    """

    dtype, device = torch.float32, torch.device("cpu")
    self_condition = False

    def __init__(self, inner: Callable[[Tensor, Tensor], Tensor], shape: Sequence[int]) -> None:
        super().__init__()
        self.inner, self.seconds = inner, 0.0
        self.weight = nn.Parameter(torch.zeros(()))
        self.channels = self.out_dim = shape[0]
        self.config = SimpleNamespace(sample_size=shape[-1], in_channels=shape[0])

    def forward(self, x: Tensor, time_of: Tensor, _: Any = None) -> Any:
        times = time_of.expand(len(x)).float()
        begun = time.perf_counter()
        out = self.inner(x, times)
        self.seconds += time.perf_counter() - begun
        return out


class _CountedForDiffusers(_Counted):
    def forward(self, x: Tensor, time_of: Tensor, _: Any = None) -> Any:
        return SimpleNamespace(sample=super().forward(x, time_of))


def loops(shape: Sequence[int], samples: int, steps: int) -> Work:
    """Seconds of DDIM and of those in the network, one network under the loop of each library: `NETWORK LIBRARY`, of `U-Net` and `free` ones.

    Args:
        shape: of a sample.
        samples: drawn at a time.
        steps: of DDIM.
    """
    torch.manual_seed(0)
    keep_freed_memory()
    unet = network("renote", shape).eval()
    pieces: dict[str, Callable[[], Any]] = {}
    for name, inner in {"U-Net": unet, "free": lambda x, time: x * 0.5}.items():
        mine, their, other = _Counted(inner, shape), _CountedForDiffusers(inner, shape), _Counted(inner, shape)
        model, pipeline, process = renote_model(mine, shape).eval(), _pipeline(their), _process(other, shape, steps)
        calls = {
            "renote": (mine, lambda model=model: model.sample(samples, sampler="ddim", steps=steps)),
            "diffusers": (
                their,
                lambda pipeline=pipeline: pipeline(samples, num_inference_steps=steps, output_type="np"),
            ),
            "denoising-diffusion-pytorch": (other, lambda process=process: process.sample(samples)),
        }
        for library, (counted, call) in calls.items():
            pieces[f"{name} {library}"] = lambda counted=counted, call=call: _split(counted, call)
    return pieces


def _split(counted: _Counted, call: Callable[[], Any]) -> tuple[float, float]:
    counted.seconds, begun = 0.0, time.perf_counter()
    call()
    return time.perf_counter() - begun, counted.seconds
