"""A network: what it is built from, how it is trained, and where its code is. No torch here."""

from cdipipe.networks.prediction import PredictionParameters
from cdipipe.networks.registry import Network
from cdipipe.networks.training_settings import NetworkSettings, TrainingSettings


class PixelNetwork(NetworkSettings):
    size: int = 32
    channels: int = 8


class PixelSettings(TrainingSettings):
    network: PixelNetwork = PixelNetwork()
    batch_size: int = 8


def build(settings):
    from cdipipe_example.pixel_net.model import PixelNet

    return PixelNet(settings.channels)


def prepare(arrays, settings, generator):
    from cdipipe_example.pixel_net.loss import prepare

    return prepare(arrays)


def stages(settings):
    from cdipipe_example.pixel_net.loss import stages

    return stages()


def apply(module, settings, intensity, measured):
    from cdipipe_example.pixel_net.model import scale

    return module(scale(intensity * measured)).to(dtype=intensity.dtype.to_complex())


NETWORK = Network(
    name="pixel_net",
    summary="Three convolutions from a pattern to a real object",
    reference="none",
    version=1,
    settings=PixelSettings,
    build=build,
    prepare=prepare,
    stages=stages,
    apply=apply,
    parameters=PredictionParameters,
)
