"""What the network lowers: the squared error of its object, and that of its pattern's modulus."""

from cdipipe.networks.registry import Stage
from cdipipe.optics import fourier
from cdipipe_example.pixel_net.model import scale


def prepare(arrays):
    objects = arrays["object"].abs()
    objects = objects / objects.amax((-2, -1), keepdim=True).clamp(min=1e-6)
    return {"inputs": scale(arrays["intensity"] * arrays["measured"]), "objects": objects}


def loss(module, batch, settings):
    found, wanted = module(batch["inputs"]).float(), batch["objects"]
    of_object = (found - wanted).square().mean()
    moduli = [fourier.forward(objects.cfloat()).abs() for objects in (found, wanted)]
    of_pattern = (moduli[0] - moduli[1]).square().mean()
    return of_object + of_pattern, {"object": of_object.detach(), "pattern": of_pattern.detach()}


def stages():
    return (Stage("all", loss),)
