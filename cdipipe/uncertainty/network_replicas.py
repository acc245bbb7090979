"""Other objects that a trained network could have given: of other counts, of turned patterns, from other starts."""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.networks.views import turn, turn_back
from cdipipe.optics import fourier
from cdipipe.phasing.predict import predict_on_device
from cdipipe.phasing.registry import get_method
from cdipipe.uncertainty.replicas import Replicator

MOST_VIEWS = 7
"""Ways to turn and mirror a plane pattern, without the one as it is."""


class NetworkReplicator(Replicator):
    """Lets the network of a result see other draws of its counts, and its pattern from other sides.

    Parameters
    ----------
    result : Reconstruction of a plane, see ``error_model.kind_of``
    measurement : what it was made from
    seed : of all random numbers

    Raises
    ------
    InputError   the checkpoint of the result is not there any more
    """

    def __init__(self, result: Reconstruction, measurement: Measurement, seed: int):
        super().__init__(result, measurement, seed)
        ((name, chosen),) = result.recipe["steps"][0].items()
        self.method, self.shape, self.chosen = get_method(name), measurement.pattern_shape, chosen
        self.starts_at_random = "start_seed" in self.method.parameters.model_fields
        self.predictor = self._predictor({} if self.starts_at_random else {"views": 1})
        self.centred_mask = fourier.to_centre(self.measured, self.ndim)

    def restarted(self, count: int, iterations: int) -> np.ndarray:
        """Objects from other random starts, or of the pattern turned and mirrored, turned back: (R, *grid), aligned.

        Turned patterns are at most 7. Each start is one of as many as the result was chosen from.

        Parameters
        ----------
        count : how many
        iterations : not used; a network has none
        """
        counts, views = fourier.to_centre(self.counts, self.ndim)[None], []
        if self.starts_at_random:
            first = self.chosen.get("start_seed", 0) + 1
            for seed in range(first, first + count):
                views.append(self._predict(counts, self.centred_mask[None], self._predictor({"start_seed": seed})))
            return self._laid(fourier.to_corner(torch.cat(views), self.ndim), twin=True)
        for number in range(1, 1 + min(count, MOST_VIEWS)):
            views.append(turn_back(self._predict(turn(counts, number), turn(self.centred_mask[None], number)), number))
        return self._laid(fourier.to_corner(torch.cat(views), self.ndim), twin=True)

    def _warm(self, counts: np.ndarray, iterations: int) -> np.ndarray:
        centred = fourier.to_centre(torch.from_numpy(counts), self.ndim)
        objects = self._predict(centred, self.centred_mask.expand(centred.shape))
        return self._laid(fourier.to_corner(objects, self.ndim), twin=True)

    def _predictor(self, changed: dict):
        parameters = self.method.parameters(**{**self.chosen, **changed})
        return self.method.predict(parameters, self.shape, torch.device("cpu"))

    @torch.inference_mode()
    def _predict(self, counts: torch.Tensor, measured: torch.Tensor, predictor=None) -> torch.Tensor:
        return predict_on_device(predictor or self.predictor, counts.float().contiguous(), measured.contiguous())[0]
