"""Three libraries that learn the same images, each with the settings that it recommends for small ones, and all that a stopped training needs to go on.

renote                        its system `ddpm` with cosine schedule and velocity, sampled by Heun's method; the best of five settings in probes of one seed,
                              by about chance; the peers had no such search
diffusers                     network, schedule, optimizer and batch of its course for 28 x 28 images (huggingface/diffusion-models-class, unit 2, "class-conditioned diffusion model",
                              without the class); clipped norm and moving average of its training script (examples/unconditional_image_generation)
denoising-diffusion-pytorch   network, optimizer and batch that "The Annotated Diffusion Model", to which its readme points, has for Fashion-MNIST; objective, schedule,
                              clipped norm and moving average by its own defaults

None mirrors images: the measure is against images that are not mirrored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import denoising_diffusion, denoising_diffusion_unet, diffusers_unet
from renote import systems
from renote.allocator import keep_freed_memory
from renote.data import SampleData
from renote.experiment.sample import SampleLearner
from renote.train.average import WeightAverage
from renote.train.order import EpochOrder, mixed_seed, step_generator

OPTIONS: dict[str, Any] = {
    "schedule": "cosine",
    "parameterization": "velocity",
    "weighting": "velocity",
    "batch_size": 32,
    "learning_rate": 1e-3,
    "learning_rate_schedule": "constant",
    "warmup_steps": 100,
    # with the warm-up of the average: its memory is a tenth of the steps so far, at any of them
    "ema_decay": 0.9999,
}
"""What differs from the laptop preset of `ddpm`, whose rate is made for a known number of steps."""


class Contestant(ABC):
    """A training that is a function of its weights, its seed and the number of the step, so that it goes on as if never stopped.

    Args:
        data: images.
        evaluations: of the network, for a sample.
        seed: of everything that is drawn.
    """

    settings: dict[str, Any]
    """What was chosen, for the reader."""

    def __init__(self, data: SampleData, evaluations: int, seed: int) -> None:
        self.data, self.evaluations, self.seed, self.done = data, evaluations, seed, 0
        self.order: EpochOrder | None = None
        with torch.random.fork_rng():
            torch.manual_seed(mixed_seed(seed, 0))
            self.network, self.optimizer, self.average = self.build()

    def step(self) -> float:
        """One step of training; returns the loss."""
        torch.manual_seed(mixed_seed(self.seed, 1, self.done))
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.follow()
        self.done += 1
        return float(loss.detach())

    def sample(self, count: int, seed: int) -> Tensor:
        """(count, channels, height, width) images as the data's own, by the averaged weights."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            parts = [self.draw(min(250, count - start), seed + start) for start in range(0, count, 250)]
        return self.data.raw(torch.cat(parts))

    def save(self, path: Path, **more: Any) -> None:
        """Write all of it, or nothing."""
        state = {"done": self.done, "network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        temporary = path.with_suffix(".tmp")
        torch.save({**state, "average": self.average_state(), **more}, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from what was written; returns the rest of it."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.done = state.pop("done")
        self.network.load_state_dict(state.pop("network"))
        self.optimizer.load_state_dict(state.pop("optimizer"))
        self.load_average(state.pop("average"))
        return state

    def average_state(self) -> dict[str, Any]:
        """The moving average's tensors."""
        state: dict[str, Any] = self.average.state_dict()
        return state

    def load_average(self, state: dict[str, Any]) -> None:
        """Put saved ones in their place."""
        self.average.load_state_dict(state)

    @abstractmethod
    def build(self) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
        """The trained module, its optimizer and its moving average; sets `settings`."""

    @abstractmethod
    def loss(self) -> Tensor:
        """Of the batch of the next step."""

    @abstractmethod
    def follow(self) -> None:
        """Let the moving average follow."""

    @abstractmethod
    def draw(self, count: int, seed: int) -> Tensor:
        """Samples in [-1, 1] by the averaged weights, at most `evaluations` of the network each."""

    def batch(self, size: int) -> Tensor:
        """Clean images of the next step, in [-1, 1]."""
        if self.order is None:
            self.order = EpochOrder(len(self.data.train), size, self.seed)
        return self.data.clean(self.data.train[self.order.indices(self.done)])


class Renote(Contestant):
    """The `ddpm` system with other parts."""

    def build(self) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
        """As the trainer builds them."""
        keep_freed_memory()
        system = systems.get("ddpm")
        self.config = system.configure("laptop", seed=self.seed, **OPTIONS)
        self.learner: SampleLearner = system.learner(self.config, self.data)  # type: ignore[assignment]
        module = self.learner.module
        # Heun evaluates twice a step but in the last
        self.steps = (self.evaluations + 1) // 2
        self.settings = {
            "system": "ddpm, laptop preset",
            **OPTIONS,
            "sampler": f"heun, rho grid, {self.steps} steps, {2 * self.steps - 1} evaluations",
        }
        optimizer = torch.optim.Adam(module.parameters(), lr=OPTIONS["learning_rate"], fused=True)
        return module, optimizer, WeightAverage(module, OPTIONS["ema_decay"])

    def loss(self) -> Tensor:
        """Of the velocity."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.done)
        batch = self.learner.batch(self.done, step_generator(self.seed, self.done))
        return self.network(batch)  # type: ignore[no-any-return]

    def follow(self) -> None:
        """By each step."""
        self.average.update(self.network, self.done)

    def draw(self, count: int, seed: int) -> Tensor:
        """Heun's method."""
        own = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average.tensors)
        try:
            return self.network.sample(  # type: ignore[no-any-return, operator]
                count, seed, sampler="heun", steps=self.steps, spacing="rho", batch_size=count
            )
        finally:
            self.network.load_state_dict(own)

    def average_state(self) -> dict[str, Any]:
        """The averaged weights."""
        return self.average.tensors  # type: ignore[no-any-return]

    def load_average(self, state: dict[str, Any]) -> None:
        """In their place."""
        self.average.load(state)


class Diffusers(Contestant):
    """UNet2DModel, DDPMScheduler, DDIMPipeline."""

    def build(self) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
        """As the course has them."""
        from diffusers import DDPMScheduler
        from diffusers.training_utils import EMAModel

        network = diffusers_unet(self.data.shape, 32, (1, 2, 2), 2, (2, 4), modulation="default")
        self.scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
        average = EMAModel(network.parameters(), 0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        self.settings = {
            "network": "UNet2DModel, block_out_channels (32, 64, 64), 2 layers a block, attention at the two lower resolutions",
            "schedule": "squaredcos_cap_v2, 1000 steps, noise",
            "batch_size": 128,
            "learning_rate": 1e-3,
            "optimizer": "Adam",
            "average": "EMAModel, power 3/4, at most 0.9999",
            "sampler": f"DDIMPipeline, {self.evaluations} steps",
        }
        return network, torch.optim.Adam(network.parameters(), lr=1e-3), average

    def loss(self) -> Tensor:
        """Of the noise."""
        clean = self.batch(128)
        noise = torch.randn(clean.shape)
        times = torch.randint(0, 1000, (len(clean),))
        noisy = self.scheduler.add_noise(clean, noise, times)
        return functional.mse_loss(self.network(noisy, times).sample, noise)

    def follow(self) -> None:
        """By each step."""
        self.average.step(self.network.parameters())

    def draw(self, count: int, seed: int) -> Tensor:
        """DDIM."""
        from diffusers import DDIMPipeline

        self.average.store(self.network.parameters())
        self.average.copy_to(self.network.parameters())
        try:
            pipeline = DDIMPipeline(self.network, self.scheduler)
            pipeline.set_progress_bar_config(disable=True)
            images = pipeline(count, num_inference_steps=self.evaluations, output_type="np").images
        finally:
            self.average.restore(self.network.parameters())
        return torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1


class DenoisingDiffusion(Contestant):
    """Unet, GaussianDiffusion, and the trainer's step."""

    def build(self) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
        """As the article has them, and the library's defaults."""
        library = denoising_diffusion()
        from ema_pytorch import EMA

        network = denoising_diffusion_unet(self.data.shape, self.data.shape[-1], (1, 2, 4))
        process = library.GaussianDiffusion(
            network, image_size=self.data.shape[-1], timesteps=1000, sampling_timesteps=self.evaluations
        )
        self.settings = {
            "network": f"Unet, dim {self.data.shape[-1]}, dim_mults (1, 2, 4)",
            "schedule": f"{process.objective}, sigmoid, 1000 steps",
            "batch_size": 128,
            "learning_rate": 1e-3,
            "optimizer": "Adam, betas (0.9, 0.99)",
            "average": "EMA, 0.995 every 10 steps",
            "sampler": f"ddim_sample, {self.evaluations} steps",
        }
        optimizer = torch.optim.Adam(process.parameters(), lr=1e-3, betas=(0.9, 0.99))
        return process, optimizer, EMA(process, beta=0.995, update_every=10, include_online_model=False)

    def loss(self) -> Tensor:
        """Of the velocity."""
        return self.network((self.batch(128) + 1) / 2)  # type: ignore[no-any-return]

    def follow(self) -> None:
        """Every ten steps."""
        self.average.update()

    def draw(self, count: int, seed: int) -> Tensor:
        """DDIM."""
        self.average.ema_model.eval()
        images: Tensor = self.average.ema_model.sample(batch_size=count)
        return images * 2 - 1


CONTESTANTS: dict[str, type[Contestant]] = {
    "renote": Renote,
    "diffusers": Diffusers,
    "denoising-diffusion-pytorch": DenoisingDiffusion,
}
