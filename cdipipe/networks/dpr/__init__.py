"""DPR: masked, noisy patterns to real objects; its settings, its labels and its loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdipipe.errors import InputError
from cdipipe.networks.registry import Network, Stage
from cdipipe.networks.training_settings import NetworkSettings, TrainingSettings


class DprNetwork(NetworkSettings):
    size: int = Field(512, ge=16, le=4096, description="pixels per axis of patterns")
    width: int = Field(64, ge=16, le=256, multiple_of=16, description="channels of the first layer; 16 is a small size")
    downsamplings: int = Field(
        3, ge=1, le=5, description="halvings; the object's box has size / 2^downsamplings pixels per axis"
    )
    encoder: Literal["wpc", "pc", "ffc"] = Field(
        "wpc", description="wpc: weighted partial convolutions; pc: unweighted ones; ffc: fast Fourier convolutions"
    )
    compensated: bool = Field(
        True, description="second decoder, which sees the Fourier projection of the first's result"
    )
    blocks: int | None = Field(
        None, ge=1, le=32, description="residual blocks of the first decoder; not given: 3, or 6 where it is alone"
    )
    compensated_blocks: int = Field(6, ge=1, le=32, description="residual blocks of the second decoder")
    input_power: float = Field(
        1.0, gt=0, le=1, description="the input is photons to this power; 1 as in the paper, 0.5 is the modulus"
    )

    @model_validator(mode="after")
    def _halves(self):
        if self.size % (2 << self.downsamplings):
            raise ValueError(f"size {self.size} is no multiple of {2 << self.downsamplings} = 2^(downsamplings + 1)")
        return self

    @property
    def box_px(self) -> int:
        """Side of the box that holds the object."""
        return self.size >> self.downsamplings


class DprSettings(TrainingSettings):
    network: DprNetwork = DprNetwork()
    epochs: int = Field(600, ge=1, le=100_000, description="passes over the samples")
    batch_size: int = Field(16, ge=1, description="samples per step and process")
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = Field(1e-4, ge=0, le=1, description="decoupled with adamw, L2 with adam")
    schedule: Literal["constant", "cosine", "step", "warm_restarts"] = Field(
        "step", description="as the paper: times 0.1 after 500 epochs; warm_restarts with asam_rho=0.2 is its other way"
    )
    step_epochs: tuple[float, ...] = Field((500.0,), description="epochs after which the rate drops")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: any")
    mae_weight: float = Field(1.0, ge=0, description="of the mean absolute error")
    gradient_weight: float = Field(10.0, ge=0, description="of the error of the gradient")
    fourier_weight: float = Field(0.01, ge=0, description="of the R-factor of the true moduli")
    perceptual_weight: float = Field(0.1, ge=0, description="of the perceptual error; needs perceptual_weights")
    perceptual_weights: str | None = Field(
        None, description="file of VGG-19 weights (see cdipipe fetch vgg19); not given: no perceptual error"
    )
    reference_photons: float | None = Field(
        None, gt=0, description="samples count by sqrt(photons / this), as in the paper; not given: all alike"
    )


def build(settings: DprNetwork):
    """The module, with fresh weights from torch's generator."""
    from cdipipe.networks.dpr.model import DPR

    return DPR(**settings.model_dump())


def prepare(arrays, settings: DprSettings, generator):
    """``inputs`` (B, H, W) photons, ``measured`` (B, H, W), ``objects`` (B, h, w) of maximum 1, their ``scale``."""
    from cdipipe.networks.dpr.model import centre_box
    from cdipipe.networks.losses.noise import draw_noise

    intensity = draw_noise(arrays["intensity"], settings.photons, settings.noise_share, generator)
    objects = centre_box(arrays["object"].abs(), settings.network.box_px)
    scale = objects.amax((-2, -1), keepdim=True).clamp(min=1e-12)
    return {"inputs": intensity, "measured": arrays["measured"], "objects": objects / scale, "scale": scale}


def loss(module, batch, settings: DprSettings):
    """Weighted sum of the parts of the loss, averaged over the batch."""
    from cdipipe.networks.dpr.error import dpr_terms
    from cdipipe.networks.losses.perceptual import load_features

    objects = module(batch["inputs"], batch["measured"]).float() / batch["scale"]
    features = None
    if settings.perceptual_weights is not None and settings.perceptual_weight > 0:
        features = load_features(settings.perceptual_weights, str(objects.device))
    terms = dpr_terms(objects, batch["objects"], settings.network.size, features)
    weights = {
        "mae": settings.mae_weight,
        "gradient": settings.gradient_weight,
        "r_factor": settings.fourier_weight,
        "perceptual": settings.perceptual_weight,
    }
    each = sum(weights[name] * term for name, term in terms.items())
    if settings.reference_photons is not None:
        photons = (batch["inputs"].clamp(min=0) * batch["measured"]).sum((-2, -1))
        each = each * (photons / settings.reference_photons).sqrt()
    return each.mean(), {name: term.detach().mean() for name, term in terms.items()}


def stages(settings: DprSettings) -> tuple[Stage, ...]:
    return (Stage("all", loss),)


def apply(module, settings: DprNetwork, intensity, measured):
    """Objects of (B, size, size) centred patterns on the patterns' grid, with their photons."""
    from cdipipe.networks.dpr.model import in_whole_grid

    return in_whole_grid(module(intensity, measured), settings.size)


def check_corpus(plan, settings: DprSettings) -> None:
    """Patterns of the network's size, of real objects that fit into its box."""
    parameters, network = plan.parameters, settings.network
    size, dimensions = parameters.get("size"), parameters.get("dimensions", 2)
    if dimensions != 2 or size != network.size:
        raise InputError(
            f"dpr: the corpus holds {plan.kind} of size {size} in {dimensions} dimensions; expected 2 dimensions and "
            f"size {network.size} (network.size)"
        )
    if phase := parameters.get("phase_range_rad"):
        raise InputError(f"dpr: the objects of the corpus have phases over {phase:.3g} rad; expected phase_range_rad=0")
    if plan.kind == "pseudo_objects":
        extent = parameters.get("object_size") or min(64, size // 4)
        if extent > network.box_px:
            raise InputError(
                f"dpr: objects of up to {extent} pixels do not fit into the box of {network.box_px} = size / "
                "2^downsamplings"
            )


NETWORK = Network(
    name="dpr",
    summary="weighted partial convolutions and fast Fourier convolutions; masked patterns to real objects",
    reference="Lee et al., Deep-learning real-time phase retrieval of imperfect diffraction patterns from X-ray "
    "free-electron lasers, npj Comput. Mater. (2025)",
    version=1,
    settings=DprSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    check_corpus=check_corpus,
)
