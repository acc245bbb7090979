"""When to end the fit of a network that would, given time, fit the noise as well."""

from __future__ import annotations


class StopNever:
    """All iterations; the result is the running mean of the outputs at the end."""

    best = None

    def update(self, output, mean, residual) -> bool:
        """Take note of an output, of the running mean and of the detector's answer to the output; True: the end."""
        self.best = mean
        return False


class StopAtMisfit(StopNever):
    """Once the misfit of the running mean is what counting noise alone explains.

    At the true object each independent pixel adds the variance of the root of its counts, 1/4 photon for all but the
    dimmest: N/4 in all, or N/8 where k and -k measure the same number (both halves of the sum are then of the same N/2
    numbers, each of half the variance). A least-squares fit of d real unknowns ends d/4 below that (d/8). The network
    is stopped on the way down, just below the expected misfit, with most of those unknowns still unused. The misfit of
    the truth itself scatters by sqrt(2 / independent pixels) around its expectation, 0.8 % for 256 x 256.

    Parameters
    ----------
    share : of the expected misfit
    expected : photons that a result predicts -> expected misfit
    evaluate : object block -> Residual
    """

    NEAR = 1.1
    """The mean is looked at only once the single output comes this near to the limit."""
    REFRESH = 10
    """Iterations between updates of the expected misfit: it depends on the prediction only where light is scarce."""

    def __init__(self, share, expected, evaluate):
        self.share, self.expected, self.evaluate = share, expected, evaluate
        self.count, self.limit = 0, 0.0

    def update(self, output, mean, residual) -> bool:
        if self.count % self.REFRESH == 0:
            self.limit = self.share * self.expected(residual.predicted)
        self.count += 1
        self.best = mean
        return residual.misfit < self.NEAR * self.limit and self.evaluate(mean).misfit < self.limit


class StopAtVariance(StopNever):
    """At the least variance of the last outputs: they agree best between learning the image and learning the noise.

    References
    ----------
    Wang et al., Early stopping for deep image prior (ES-WMV), arXiv:2112.06074
    """

    def __init__(self, window, patience):
        self.window, self.patience = window, patience
        self.outputs, self.count, self.least, self.waited = None, 0, float("inf"), 0

    def update(self, output, mean, residual) -> bool:
        if self.outputs is None:
            self.outputs = output.new_zeros((self.window, *output.shape))
        self.outputs[self.count % self.window] = output
        self.count += 1
        if self.count < self.window:
            self.best = mean
            return False
        variance = float((self.outputs - self.outputs.mean(0)).abs().square().mean())
        self.waited += 1
        if variance < self.least:
            self.least, self.best, self.waited = variance, mean, 0
        return self.waited >= self.patience
