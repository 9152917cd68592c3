import math

import pytest
import torch

from ebm_common import density_slice_2d, embed_dims, log_partition_grid, normalized_log_density_grid


def gaussian(mean, sigma):
    """An energy and its log Z in closed form."""
    mean, sigma = torch.as_tensor(mean), torch.as_tensor(sigma)

    def energy(y):
        return -0.5 * ((y - mean) / sigma).square().sum(-1)

    return energy, (sigma.log() + 0.5 * math.log(2 * math.pi)).sum(-1)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_log_partition_of_a_gaussian(dim):
    energy, log_z = gaussian([0.2, -0.5, 1.0][:dim], [0.3, 0.6, 0.5][:dim])
    estimate = log_partition_grid(energy, -5 * torch.ones(dim), 5 * torch.ones(dim), 80)
    assert estimate.shape == (1,)
    torch.testing.assert_close(estimate[0], log_z, atol=1e-4, rtol=0)


def test_log_partition_of_an_exponential_is_one_of_the_interval():
    """Not symmetric and not small at the ends: a grid off by half a cell would show."""
    estimate = log_partition_grid(lambda y: 3 * y.sum(-1), torch.tensor([0.0]), torch.tensor([2.0]), 2000)
    assert estimate.item() == pytest.approx(math.log((math.exp(6) - 1) / 3), abs=1e-5)


def test_rows_have_their_own_bounds_and_their_own_energy():
    mean, sigma = torch.tensor([[[0.0, 0.0]], [[100.0, -7.0]]]), torch.tensor([[[1.0, 0.5]], [[3.0, 0.2]]])
    energy, log_z = gaussian(mean, sigma)
    lower, upper = (mean - 8 * sigma)[:, 0], (mean + 8 * sigma)[:, 0]
    torch.testing.assert_close(log_partition_grid(energy, lower, upper, 100), log_z[:, 0], atol=1e-4, rtol=0)


def test_large_energies_do_not_overflow():
    energy, log_z = gaussian([0.0], [1.0])
    for offset in (-1e4, 1e4):
        estimate = log_partition_grid(lambda y, c=offset: energy(y) + c, torch.tensor([-8.0]), torch.tensor([8.0]), 200)
        assert estimate.item() == pytest.approx(log_z.item() + offset, abs=5e-3)


def test_density_on_a_grid_is_the_density_there():
    energy, log_z = gaussian([0.5, -1.0], [0.4, 0.9])
    lower, upper = torch.tensor([-4.0, -8.0]), torch.tensor([5.0, 6.0])
    grid = normalized_log_density_grid(energy, lower, upper, (90, 70))
    assert grid.y.shape == (1, 90, 70, 2) and grid.log_density.shape == (1, 90, 70)
    torch.testing.assert_close(grid.log_density, energy(grid.y) - log_z, atol=1e-4, rtol=0)
    assert grid.cell_volume.item() == pytest.approx(9 / 90 * 14 / 70)
    assert (grid.log_density.exp().sum() * grid.cell_volume).item() == pytest.approx(1, abs=1e-4)
    # The first axis of the array is the first coordinate, and points are the middles of cells.
    torch.testing.assert_close(grid.y[0, :, 3, 0], -4 + 0.1 * (torch.arange(90) + 0.5))
    torch.testing.assert_close(grid.y[0, 5, :, 1], -8 + 0.2 * (torch.arange(70) + 0.5))


def test_chunks_change_nothing_and_bound_the_calls():
    energy, _ = gaussian([0.5, -1.0], [0.4, 0.9])
    sizes = []

    def counted(y):
        assert not torch.is_grad_enabled()
        sizes.append(y.shape[1])
        return energy(y)

    bounds = torch.full((3, 2), -4.0), torch.full((3, 2), 4.0)
    whole = log_partition_grid(energy, *bounds, 30)
    torch.testing.assert_close(log_partition_grid(counted, *bounds, 30, chunk=128), whole)
    assert max(sizes) == 128 and sum(sizes) == 900


def test_slice_through_two_coordinates_is_the_conditional_density():
    """Of a correlated Gaussian in 4-D: the slice is a 2-D Gaussian with a mean that depends on where it is cut."""
    a = torch.randn(4, 4, dtype=torch.float64)
    precision = a @ a.T + torch.eye(4)
    base = torch.tensor([0.3, 9.0, -0.4, 9.0], dtype=torch.float64)  # 9: to be ignored

    def energy(y):
        return -0.5 * torch.einsum("bmi,ij,bmj->bm", y, precision, y)

    moving, fixed = [3, 1], [0, 2]
    p = precision[moving][:, moving]
    mean = -torch.linalg.solve(p, precision[moving][:, fixed] @ base[fixed])
    conditional = torch.distributions.MultivariateNormal(mean, precision_matrix=p)
    window = [(m - 9, m + 9) for m in mean.tolist()]
    d = density_slice_2d(energy, embed_dims(base, (3, 1)), *window, (180, 150), chunk=1000, like=base)
    points = torch.cartesian_prod(d.u, d.v).reshape(180, 150, 2)
    torch.testing.assert_close(d.log_density, conditional.log_prob(points), atol=1e-6, rtol=1e-6)


def test_slice_by_a_moving_corner_skips_boxes_turned_inside_out():
    """As Figure S2: the bottom-left corner stays at (10, 50), the top-right one moves."""
    seen = []

    def embed(uv):
        x, y = uv.unbind(-1)
        w, h = x - 10, 50 - y
        return torch.stack([torch.full_like(x, 10), y, w.log(), h.log()], dim=-1)

    def energy(y):
        seen.append(y)
        return -0.5 * ((y[..., 2].exp() - 20) / 3) ** 2 - 0.5 * ((y[..., 3].exp() - 30) / 4) ** 2

    d = density_slice_2d(energy, embed, (0, 60), (0, 60), num_cells=(60, 120))
    assert all(y.isfinite().all() for y in seen)
    assert d.log_density.shape == (60, 120)
    outside = (d.u[:, None] < 10) | (d.v[None] > 50)
    assert torch.equal(d.log_density == -math.inf, outside)
    assert (d.log_density.exp().sum() * 0.5).item() == pytest.approx(1, abs=1e-4)
    i, j = divmod(int(d.log_density.argmax()), 120)
    assert d.u[i].item() == pytest.approx(30, abs=0.5) and d.v[j].item() == pytest.approx(20, abs=0.25)


def test_misuse_is_refused():
    energy, _ = gaussian([0.0], [1.0])
    lower, upper = torch.tensor([-1.0]), torch.tensor([1.0])
    with pytest.raises(ValueError, match="less than"):
        log_partition_grid(energy, upper, lower, 10)
    with pytest.raises(ValueError, match="got 4"):
        log_partition_grid(energy, torch.zeros(4), torch.ones(4), 10)
    with pytest.raises(ValueError, match="same shape"):
        log_partition_grid(energy, torch.zeros(2, 1), torch.ones(1), 10)
    with pytest.raises(ValueError, match="num_cells"):
        log_partition_grid(energy, lower, upper, 0)
    with pytest.raises(ValueError, match="chunk"):
        log_partition_grid(energy, lower, upper, 10, chunk=0)
    with pytest.raises(ValueError, match=r"\(1, 10, 1\) to \(1, 10, 1\)"):
        log_partition_grid(lambda y: y, lower, upper, 10)
    with pytest.raises(ValueError, match="the energy is nan at y = "):
        log_partition_grid(lambda y: y.log().sum(-1), lower, upper, 10)
    with pytest.raises(ValueError, match="the energy is inf at y = "):
        log_partition_grid(lambda y: 1 / (0 * y[..., 0]).abs(), lower, upper, 10)
    with pytest.raises(ValueError, match="v_range"):
        density_slice_2d(energy, embed_dims(torch.zeros(4), (0, 1)), (0, 1), (1, 1))
    with pytest.raises(ValueError, match="inside the target space"):
        density_slice_2d(energy, lambda uv: uv * math.nan, (0, 1), (0, 1))
