"""Use of the public names that mypy checks; not run."""

import torch

import lyapunov

model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batch = (torch.zeros(4, 2), torch.zeros(4, 1))
h = lyapunov.hessian(model, torch.nn.functional.mse_loss, batch, kind="exact")
value: float = h.lambda_max().value
five: list[lyapunov.Reading] = h.top(5)
row: lyapunov.Row | None = lyapunov.Monitor(model, torch.nn.functional.mse_loss, optimizer, log=print).step(batch)
rate: float = lyapunov.EdgeStep(model, torch.nn.functional.mse_loss, optimizer).step(batch, 1.0)
with lyapunov.Monitor(
    model, torch.nn.functional.mse_loss, optimizer, out="runs/typed", settings={"batch_size": 4}
) as monitor:
    row = monitor.step(batch, loss=torch.zeros(()))
    monitor.log("test_loss", 1.0)
lyapunov.plot(monitor, "typed.svg")
lyapunov.lightning.Callback(every=10, out="runs/typed", on_error="warn")
lyapunov.transformers.Callback(lambda outputs, inputs: outputs.loss, every=10, what=["lambda_max"])
image: torch.Tensor = h @ torch.zeros(3)
