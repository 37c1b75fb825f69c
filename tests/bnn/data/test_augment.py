import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from tuner.bnn.data.dataset import augment
from tuner.errors import UnknownName


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(*shape: int) -> Tensor:
    """Images without a zero, so that padding is told from content."""
    return torch.randint(1, 256, shape, generator=seeded(0)).byte()


def versions(image: Tensor, *, flip: bool, crop: bool) -> dict[tuple[int, int, bool], Tensor]:
    """Every version of an image [C, H, W] that augmentation may give, by literal slicing."""
    _, height, width = image.shape
    pad_y, pad_x = (height // 8, width // 8) if crop else (0, 0)
    found = {}
    for flipped in (False, True) if flip else (False,):
        padded = pad(image.flip(-1) if flipped else image, (pad_x, pad_x, pad_y, pad_y))
        for y in range(2 * pad_y + 1):
            for x in range(2 * pad_x + 1):
                found[y, x, flipped] = padded[:, y : y + height, x : x + width]
    return found


@pytest.mark.parametrize("kind", ["flip", "crop", "flip_crop"])
@pytest.mark.parametrize("shape", [(3, 16, 8), (1, 8, 24)])
def test_each_output_is_a_flipped_or_shifted_version_of_its_input(
    kind: str, shape: tuple[int, ...]
) -> None:
    images = random_images(300, *shape)
    seen = set()
    for image, output in zip(images, augment(images, kind, seeded(1)), strict=True):
        possible = versions(image, flip="flip" in kind, crop="crop" in kind)
        matches = [draw for draw, version in possible.items() if torch.equal(version, output)]
        assert len(matches) == 1
        seen.update(matches)
    assert seen == possible.keys()


def test_about_half_of_the_images_are_flipped() -> None:
    images = random_images(4000, 1, 2, 2)
    unchanged = (augment(images, "flip", seeded(2)) == images).flatten(1).all(1)
    symmetric = (images == images.flip(-1)).flatten(1).all(1)
    flipped = (~unchanged & ~symmetric).sum() / (~symmetric).sum()
    assert 0.46 < flipped < 0.54


def test_shifts_are_uniform_and_independent_in_both_directions() -> None:
    dot = torch.zeros(4500, 1, 8, 8, dtype=torch.uint8)
    dot[:, :, 4, 4] = 1
    sums = augment(dot, "crop", seeded(3)).sum((0, 1))
    assert sums.sum() == 4500
    assert (sums[3:6, 3:6] > 400).all()
    assert (sums[3:6, 3:6] < 600).all()


def test_none_returns_the_input_itself_and_draws_nothing() -> None:
    images, generator = random_images(4, 1, 8, 8), seeded(4)
    before = generator.get_state()
    assert augment(images, "none", generator) is images
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("kind", ["flip", "crop", "flip_crop"])
def test_the_same_seed_gives_the_same_images_and_the_input_stays(kind: str) -> None:
    images = random_images(32, 3, 8, 8)
    before = images.clone()
    first = augment(images, kind, seeded(5))
    assert torch.equal(first, augment(images, kind, seeded(5)))
    assert not torch.equal(first, augment(images, kind, seeded(6)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_dtype_and_leading_axes_change_nothing(dtype: torch.dtype) -> None:
    images = random_images(24, 3, 8, 8)
    expected = augment(images, "flip_crop", seeded(7))
    axes = images.to(dtype).view(2, 3, 4, 3, 8, 8)
    output = augment(axes, "flip_crop", seeded(7))
    assert output.dtype == dtype
    assert output.shape == axes.shape
    assert torch.equal(output.view(24, 3, 8, 8), expected.to(dtype))


def test_a_single_image_and_a_strided_batch_are_augmented_too() -> None:
    images = random_images(6, 3, 8, 8)
    assert augment(images[0], "crop", seeded(8)).shape == (3, 8, 8)
    strided = images.to(memory_format=torch.channels_last)
    assert torch.equal(
        augment(strided, "flip_crop", seeded(9)), augment(images, "flip_crop", seeded(9))
    )


def test_an_image_smaller_than_eight_pixels_moves_by_one() -> None:
    dot = torch.zeros(100, 1, 5, 5, dtype=torch.uint8)
    dot[:, :, 2, 2] = 1
    reached = augment(dot, "crop", seeded(10)).amax((0, 1))
    assert reached[1:4, 1:4].all()
    assert reached.sum() == 9


def test_an_unknown_augmentation_is_refused_with_the_choices() -> None:
    with pytest.raises(UnknownName, match="'flip-crop' is unknown; did you mean 'flip_crop'"):
        augment(random_images(1, 1, 8, 8), "flip-crop", seeded(0))


@pytest.mark.parametrize("kind", ["flip", "crop", "flip_crop"])
def test_several_generators_each_augment_their_part_as_alone(kind: str) -> None:
    images = random_images(3, 10, 2, 8, 8)
    together = augment(images, kind, *map(seeded, (1, 2, 3)))
    alone = [augment(part, kind, seeded(s)) for part, s in zip(images, (1, 2, 3), strict=True)]
    assert torch.equal(together, torch.stack(alone))
