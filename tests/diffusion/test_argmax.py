"""Argmax flows: an invertible map of sequences, a bound above the entropy that training brings near it, samples of the data's distribution."""

import math

import pytest
import torch

from renote import diffusion, nets
from renote.diffusion.argmax import digits_of
from renote.errors import UsageError
from renote.train import TrainOptions


def shaken(length=3, features=4, couplings=3):
    torch.manual_seed(0)
    flow = nets.SequenceFlow(length, features, width=8, couplings=couplings, heads=2).double()
    for parameter in flow.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return flow


def test_sequence_flow_is_invertible_with_its_determinant():
    flow, x = shaken(), torch.randn(2, 3, 4, dtype=torch.float64)
    code, log_determinant = flow(x)
    assert torch.allclose(flow.inverse(code), x, atol=1e-9)
    for one, found in zip(x, log_determinant):
        jacobian = torch.autograd.functional.jacobian(lambda v: flow(v[None])[0][0].flatten(), one)
        assert torch.linalg.slogdet(jacobian.flatten(1))[1].item() == pytest.approx(found.item())
    with pytest.raises(UsageError, match="this network takes"):
        flow(torch.zeros(2, 3, 5))
    with pytest.raises(UsageError, match="features = 1"):
        nets.SequenceFlow(3, 1)


def test_digits():
    assert [digits_of(k) for k in (2, 3, 4, 5, 64, 65)] == [1, 2, 2, 3, 6, 7]
    model = diffusion.ArgmaxFlow(nets.SequenceFlow(4, 3, 8, 1, heads=2), 5)
    x = torch.arange(5).expand(1, 5)
    assert (model.digits(x) * model.powers).sum(-1).tolist() == x.tolist()
    for categories in (2, 9):
        with pytest.raises(UsageError, match=f"categories = {categories}"):
            diffusion.ArgmaxFlow(nets.SequenceFlow(4, 3, 8, 1, heads=2), categories)


def test_density_of_what_q_draws():
    """exp of the bound's terms averages to p(x): the chance, by drawing v of p, that its argmax is x."""
    torch.manual_seed(1)
    model = diffusion.ArgmaxFlow(nets.SequenceFlow(2, 2, 8, 2, heads=2), 4, width=8)
    for parameter in model.network.parameters():
        parameter.data += 0.15 * torch.randn_like(parameter)
    count = 40_000
    samples = ((model.sample(count, batch_size=count) + 1) * 1.5).round().long()
    with torch.no_grad():
        for x in ([0, 3], [2, 1], [3, 3]):
            drawn = torch.randn(count, 2, 2)
            chance = (-model.negative_bound(torch.tensor([x]).expand(count, 2), drawn)).exp()
            direct = (samples == torch.tensor(x)).all(1).float().mean()
            error = float(chance.std()) / math.sqrt(count) + math.sqrt(float(direct) / count)
            assert abs(float(chance.mean() - direct)) < 4 * error


def test_training_brings_the_bound_to_the_entropy():
    from renote.train import Trainer
    from renote.train.learner import PlainLearner

    torch.manual_seed(2)
    model = diffusion.ArgmaxFlow(nets.SequenceFlow(2, 2, 16, 3, heads=2), 3, width=16)

    def data(n, generator):  # the second is the first, or the next in turn
        first = torch.randint(0, 3, (n,), generator=generator)
        return torch.stack([first, (first + (torch.rand(n, generator=generator) < 0.2)) % 3], 1) - 1.0

    class Pairs(PlainLearner):
        module = model

        def batch(self, step, generator):
            return model.draw(data(128, generator), None, generator)

    Trainer(Pairs(), TrainOptions(steps=400, learning_rate=5e-3, precision="fp32", device="cpu"), progress=False).run()
    entropy = (math.log2(3) - 0.2 * math.log2(0.2) - 0.8 * math.log2(0.8)) / 2
    found = float(model.bits(data(2000, torch.Generator().manual_seed(9))).mean())
    assert entropy - 0.03 < found < entropy + 0.3
    samples = (model.sample(1000, batch_size=1000) + 1).round()
    assert ((samples[:, 1] - samples[:, 0]) % 3 == 2).double().mean() < 0.1
    with pytest.raises(UsageError, match=r"a value of 0\.5"):
        model(model.draw(torch.full((1, 2), 0.5), None, torch.Generator()))
