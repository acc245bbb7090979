"""A few steps of a training, as tests of several networks take them."""


def losses_of(module, loss, batch, settings, optimiser, count: int) -> tuple[list[float], set[str]]:
    """The loss before each step on one batch, and the names of its terms.

    Parameters
    ----------
    loss : ``(module, batch, settings) -> (value, terms)``
    optimiser : of the weights of ``module``
    """
    losses = []
    for _ in range(count):
        value, terms = loss(module, batch, settings)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    return losses, set(terms)
