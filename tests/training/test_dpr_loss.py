"""The parts of DPR's loss: what does not matter to them, and what does."""

import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.networks.dpr.loss import dpr_terms, fourier_error, gradient_error, lay_over
from cdipipe.networks.losses.perceptual import VGG19_CONVS, NormalisedVgg19, Vgg19, load_features, perceptual_error
from cdipipe.optics import fourier


@pytest.fixture
def pictures():
    target = torch.zeros(3, 24, 20)
    target[:, 8:15, 5:13] = torch.rand(3, 7, 8, generator=torch.Generator().manual_seed(1)) + 0.1
    return target / target.amax((1, 2), keepdim=True)


def on_canvas(pictures):
    return torch.nn.functional.pad(pictures, (10, 10, 12, 12))


@pytest.mark.parametrize("shift", [(0, 0), (3, -4), (-8, 5)])
@pytest.mark.parametrize("turned", [False, True])
def test_shift_and_twin_do_not_matter(pictures, shift, turned):
    prediction = (pictures.flip((1, 2)) if turned else pictures).roll(shift, (1, 2))
    laid, target = lay_over(prediction, pictures)
    assert torch.equal(laid, on_canvas(pictures)) and torch.equal(target, on_canvas(pictures))
    for term in dpr_terms(prediction, pictures, 96).values():
        assert term.abs().max() < 1e-5


def test_each_sample_is_laid_over_by_itself(pictures):
    moved = torch.stack([pictures[0].roll((2, 1), (0, 1)), pictures[1].flip((0, 1)), pictures[2]])
    assert torch.equal(lay_over(moved, pictures)[0], on_canvas(pictures))


def test_an_object_that_wraps_around_is_not_whole(pictures):
    halves = pictures.roll((12, 10), (1, 2))
    terms = dpr_terms(halves, pictures, 96)
    assert terms["mae"].min() > 0.5 * pictures.mean() and terms["r_factor"].min() > 0.1
    assert lay_over(halves, pictures)[0].sum() == pytest.approx(float(pictures.sum()), rel=1e-5)


def test_gradients_come_back_to_the_pixels_they_are_from(pictures):
    prediction = pictures.flip((1, 2)).roll((4, -2), (1, 2)).requires_grad_(True)
    weight = on_canvas(pictures) * 2
    (lay_over(prediction, pictures)[0] * weight).sum().backward()
    torch.testing.assert_close(prediction.grad, 2 * prediction.detach())


def test_every_term_has_a_gradient(pictures):
    prediction = (pictures + 0.1).requires_grad_(True)
    for term in dpr_terms(prediction, pictures, 96).values():
        (grad,) = torch.autograd.grad(term.sum(), prediction, retain_graph=True)
        assert grad.isfinite().all() and grad.abs().sum() > 0


def test_gradient_error_of_a_ramp():
    target = torch.zeros(1, 10, 10)
    target[:, 2:8, 2:8] = 0.5
    ramp = 0.25 * torch.arange(10.0)[None, :, None].expand(1, 10, 10)
    assert gradient_error(target + ramp, target).item() == pytest.approx(0.25)
    assert gradient_error(target + 3, target).item() == 0


def test_fourier_error_is_the_r_factor_on_the_patterns_grid(pictures):
    other = pictures.roll(1, 0)
    whole = torch.nn.functional.pad(torch.stack([other, pictures]), (22, 22, 20, 20))
    got, wanted = fourier.forward(whole.to(torch.complex64)).abs()
    expected = (got - wanted).abs().sum((1, 2)) / wanted.sum((1, 2))
    torch.testing.assert_close(fourier_error(other, pictures, 64), expected, rtol=1e-4, atol=1e-6)


def random_vgg(generator):
    """Weights of torchvision's layout, first two blocks only."""
    weights, channels = {}, 3
    for block, out in zip(VGG19_CONVS[:2], (64, 128), strict=True):
        for number in block:
            weights[f"features.{number}.weight"] = torch.randn(out, channels, 3, 3, generator=generator) / 30
            weights[f"features.{number}.bias"] = torch.randn(out, generator=generator) / 30
            channels = out
    return weights


def test_vgg_blocks_are_those_of_the_plain_layers():
    weights = random_vgg(torch.Generator().manual_seed(0))
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    first, second = Vgg19(weights, blocks=(1, 2))(x)
    conv = torch.nn.functional.conv2d
    y = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for number in VGG19_CONVS[0]:
        y = conv(y, weights[f"features.{number}.weight"], weights[f"features.{number}.bias"], padding=1).relu()
    torch.testing.assert_close(first, y)
    assert second.shape == (2, 128, 8, 8)


def test_files_that_hold_no_weights_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_features(str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match="cannot be read"):
        load_features(str(tmp_path / "text.pth"))
    (tmp_path / "vgg19-dcbb9e9d.pth").write_text("cut short")
    with pytest.raises(InputError, match=r"SHA-256 .* expected dcbb9e9d"):
        load_features(str(tmp_path / "vgg19-dcbb9e9d.pth"))
    torch.save({"0.weight": torch.zeros(3, 3, 1, 1)}, tmp_path / "part.pth")
    with pytest.raises(InputError, match="is missing; expected torchvision's VGG-19"):
        load_features(str(tmp_path / "part.pth"))


@pytest.fixture
def real_features(data_dir):
    return load_features(str(data_dir / "vgg19_relu3_1" / "vgg_normalised_conv3_1.pth"))


def test_real_features_see_blur_before_brightness(real_features):
    assert isinstance(real_features, NormalisedVgg19)
    grain = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(5))
    sharp = fourier.gaussian_blur_corner(grain, 1.0)
    sharp = (sharp - sharp.amin()) / (sharp.amax() - sharp.amin())
    blurred = fourier.gaussian_blur_corner(sharp, 1.5)
    size = (blurred - sharp).square().mean().sqrt()
    errors = [float(perceptual_error(real_features, other, sharp)) for other in (blurred, sharp + size, sharp)]
    assert errors[0] > 3 * errors[1] > 0 and errors[2] == 0


def test_real_features_have_unit_mean(real_features):
    sharp = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(5))
    sharp = fourier.gaussian_blur_corner(sharp, 1.0)
    features = real_features(sharp[:, None].expand(-1, 3, -1, -1))
    assert [tuple(f.shape[1:]) for f in features] == [(128, 32, 32), (256, 16, 16)]
    prediction = sharp.clone().requires_grad_(True)
    perceptual_error(real_features, prediction, sharp.flip(1)).sum().backward()
    assert prediction.grad.abs().sum() > 0
