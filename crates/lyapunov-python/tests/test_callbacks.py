"""The callbacks: a run of a trainer is the same to the bit with and without, also when a measurement fails."""

import json
import logging
import sqlite3
import warnings

import pytest
import torch
import torch.nn.functional as F
from models import build, data, mlp, top
from test_quiet import same

import lyapunov

X, Y = data(64)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def query(folder, question):
    connection = sqlite3.connect(folder / "run.sqlite")
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


class Broken(Exception):
    pass


def fails_once(callback, at):
    """The callback's loss raises in the measurement of this row."""
    begin = callback._measuring.begin

    def begin_and_break(*given):
        begin(*given)
        problem = callback.monitor._problem
        loss_fn = problem.loss_fn

        def broken(outputs, batch):
            if callback.monitor.steps == at + 1:
                raise Broken("on purpose")
            return loss_fn(outputs, batch)

        problem.loss_fn = broken

    callback._measuring.begin = begin_and_break


# Lightning
# ------------------------------------------------------------------------------------------------------------------


def lightning_run(callback=None, steps=12, module=None, resume=None, folder=None, **trainer):
    pl = pytest.importorskip("lightning.pytorch")

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = mlp(dropout=0.2)
            self.seen, self.counts = [], 0

        def training_step(self, batch, batch_idx):
            loss = F.cross_entropy(self.net(batch[0]), batch[1])
            self.log("loss", loss)
            self.seen.append(loss.item())
            self.counts += 1
            return loss

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
            return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5), "interval": "step"}]

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    module = Module()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=8, shuffle=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = pl.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=trainer.pop("logger", False),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[callback] if callback else [],
            gradient_clip_val=0.5,
            **trainer,
        )
        runner.fit(module, loader, ckpt_path=resume)
    return module, runner


def state(module):
    return module.seen, module.counts, [p.detach().clone() for p in module.parameters()], torch.get_rng_state()


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_lightning_run_is_the_same_to_the_bit(tmp_path, accumulate, failing, precision):
    pytest.importorskip("lightning.pytorch")
    options = {"accumulate_grad_batches": accumulate, "precision": precision}
    plain, _ = lightning_run(**options)
    readings = []
    callback = lyapunov.lightning.Callback(
        every=4, out=tmp_path / "mine", on_error="warn" if failing else "raise", log=readings.append
    )
    if failing:
        fails_once(callback, 4)
    watched, runner = lightning_run(callback, **options)
    assert same(state(plain), state(watched)) and runner.callback_metrics["loss"] == watched.seen[-1]
    measured = [step for (step,) in query(tmp_path / "mine", "SELECT DISTINCT step FROM sharpness")]
    assert measured == ([0, 8] if failing else [0, 4, 8])
    if precision == "32-true":
        # Measured under the dropout masks of the step, on its last batch.
        assert [row.loss for row in readings] == pytest.approx(
            [watched.seen[(row.step + 1) * accumulate - 1] for row in readings], rel=1e-5
        )
    rows = query(tmp_path / "mine", "SELECT step, loss, learning_rate FROM rows ORDER BY step")
    assert [row[0] for row in rows] == list(range(12)) and manifest(tmp_path / "mine")["outcome"] == "completed"
    # The loss of a row is the mean over the accumulated batches.
    means = [sum(watched.seen[i * accumulate : (i + 1) * accumulate]) / accumulate for i in range(12)]
    assert [row[1] for row in rows] == pytest.approx(means, rel=1e-2 if precision == "bf16-mixed" else 1e-5)
    assert [row[2] for row in rows] == pytest.approx([1e-2 * 0.5 ** (i // 3) for i in range(12)])


def test_a_lightning_reading_is_that_of_the_batch_of_the_step():
    pytest.importorskip("lightning.pytorch")
    seen = []

    class Spy(lyapunov.lightning.Callback):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            batch = self._measuring.batch
            module.net.eval()
            expected = top(module.net, batch)
            module.net.train()
            super().on_before_optimizer_step(trainer, module, optimizer)
            seen.append((rows[-1]["lambda_max"].value, expected))

    rows = []
    # In evaluation mode there is no dropout, whose masks differ from f32 to f64.
    callback = Spy(
        lambda z, y: F.cross_entropy(z, y),
        forward=lambda m, b: m.net.eval()(b[0]),
        every=1,
        what=["lambda_max"],
        log=rows.append,
        products=25,
    )
    lightning_run(callback, steps=4, accumulate_grad_batches=2)
    assert len(seen) == 4 and all(value == pytest.approx(expected, rel=1e-3) for value, expected in seen), seen


def test_a_lightning_run_that_is_resumed_goes_on_in_its_folder(tmp_path):
    pl = pytest.importorskip("lightning.pytorch")
    whole = lyapunov.lightning.Callback(every=4, out=tmp_path / "whole", products=15)
    lightning_run(whole, steps=14)
    first = lyapunov.lightning.Callback(every=4, out=tmp_path / "mine", products=15)
    _, runner = lightning_run(first, steps=6)
    runner.save_checkpoint(tmp_path / "saved.ckpt")
    second = lyapunov.lightning.Callback(every=4, out=tmp_path / "mine", products=15)
    lightning_run(second, steps=14, resume=tmp_path / "saved.ckpt")
    assert second.monitor.folder == tmp_path / "mine" and manifest(tmp_path / "mine")["steps"] == 14
    assert [s for (s,) in query(tmp_path / "mine", "SELECT step FROM rows")] == list(range(14))
    assert pl is not None


def test_a_lightning_run_that_raises_has_failed_and_what_cannot_be_measured_is_said(tmp_path):
    pl = pytest.importorskip("lightning.pytorch")
    callback = lyapunov.lightning.Callback(every=4, out=tmp_path / "mine")
    fails_once(callback, 4)
    with pytest.raises(Broken):
        lightning_run(callback)
    assert manifest(tmp_path / "mine")["fault"] == "Broken: on purpose"

    class Manual(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.automatic_optimization = mlp(), False

        def training_step(self, batch, batch_idx):
            raise AssertionError

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with pytest.raises(lyapunov.Unsuitable, match="steps the optimizer itself"):
        trainer = pl.Trainer(
            max_steps=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[lyapunov.lightning.Callback()],
        )
        trainer.fit(Manual(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=8))
    with pytest.raises(ValueError, match="on_error"):
        lyapunov.lightning.Callback(on_error="ignore")


def test_lightnings_loggers_get_the_readings(tmp_path):
    pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.loggers import CSVLogger

    lightning_run(lyapunov.lightning.Callback(every=2), steps=3, logger=CSVLogger(tmp_path))
    (written,) = tmp_path.rglob("metrics.csv")
    assert (
        "lyapunov/preconditioned_sharpness" in written.read_text()
        and "lyapunov/preconditioned_sharpness_of_edge" in written.read_text()
    )


# Hugging Face
# ------------------------------------------------------------------------------------------------------------------


def hugging_face_run(tmp_path, callback=None, steps=9, accumulate=2, resume=None, dropout=0.1, **arguments):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    sizes = {"vocab_size": 17, "n_positions": 12, "n_embd": 8, "n_layer": 1, "n_head": 2}
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            **sizes, resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, bos_token_id=0, eos_token_id=0
        )
    )
    tokens = torch.randint(0, 17, (64, 12))
    examples = [{"input_ids": row, "labels": row} for row in tokens]
    options = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=steps,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=accumulate,
        learning_rate=1e-2,
        warmup_steps=3,
        max_grad_norm=0.5,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        logging_steps=1,
        seed=1,
        **{"save_strategy": "no", **arguments},
    )
    trainer = transformers.Trainer(
        model=model, args=options, train_dataset=examples, callbacks=[callback] if callback else []
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train(resume_from_checkpoint=resume)
    return (
        [p.detach().clone() for p in model.parameters()],
        [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        torch.get_rng_state(),
    )


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_hugging_face_run_is_the_same_to_the_bit(tmp_path, accumulate, failing, bf16):
    plain = hugging_face_run(tmp_path / "plain", accumulate=accumulate, bf16=bf16)
    readings = []
    callback = lyapunov.transformers.Callback(
        every=4, out=tmp_path / "mine", on_error="warn" if failing else "raise", log=readings.append
    )
    if failing:
        fails_once(callback, 4)
    watched = hugging_face_run(tmp_path / "watched", callback, accumulate=accumulate, bf16=bf16)
    assert same(plain, watched)
    measured = [step for (step,) in query(tmp_path / "mine", "SELECT DISTINCT step FROM sharpness")]
    assert measured == ([0, 8] if failing else [0, 4, 8])
    rows = query(tmp_path / "mine", "SELECT step, loss, learning_rate FROM rows ORDER BY step")
    assert [row[0] for row in rows] == list(range(9)) and manifest(tmp_path / "mine")["outcome"] == "completed"
    if accumulate == 1 and not bf16:
        # Measured under the dropout masks of the step.
        assert [row.loss for row in readings] == pytest.approx([rows[row.step][1] for row in readings], rel=1e-5)
    # The trainer rounds what it logs to four decimals.
    assert [row[1] for row in rows] == pytest.approx(watched[1], abs=2e-2 if bf16 else 1e-3)
    if bf16:
        (kind,) = {k for (k,) in query(tmp_path / "mine", "SELECT product FROM sharpness")}
        assert kind == "exact"


def test_a_hugging_face_reading_is_that_of_the_last_batch_in_full_precision(tmp_path):
    """Also under bf16, which Accelerate puts around forward. Two micro-batches are accumulated, whose losses the
    trainer sums.
    """
    found = {}
    for bf16 in (False, True):
        rows, expected = [], []

        class Spy(lyapunov.transformers.Callback):
            def on_pre_optimizer_step(self, args, state, control, **given):
                inputs = self._measuring.batch
                h = lyapunov.hessian(
                    self.monitor._problem.model,
                    lambda out, b: 2 * out.loss,
                    inputs,
                    forward=lambda m, b: getattr(m, "_original_forward", m.forward)(**b),
                    kind="exact",
                )
                self._measuring.busy = True
                expected.append(h.lambda_max(1e-5).value)
                self._measuring.busy = False
                super().on_pre_optimizer_step(args, state, control, **given)

        hugging_face_run(
            tmp_path, Spy(every=1, what=["lambda_max"], products=25, log=rows.append), steps=2, bf16=bf16, dropout=0.0
        )
        found[bf16] = [row["lambda_max"].value for row in rows]
        assert found[bf16] == pytest.approx(expected, rel=1e-3) and len(rows) == 2
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-4), "the first weights are the same"


def test_a_hugging_face_run_that_is_resumed_goes_on_in_its_folder(tmp_path):
    options = {"save_strategy": "steps", "save_steps": 5, "accumulate": 1}
    hugging_face_run(
        tmp_path / "runs", lyapunov.transformers.Callback(every=4, out=tmp_path / "mine"), steps=7, **options
    )
    assert (tmp_path / "runs" / "checkpoint-5" / "lyapunov.pt").is_file()
    hugging_face_run(
        tmp_path / "runs",
        lyapunov.transformers.Callback(every=4, out=tmp_path / "mine"),
        steps=10,
        resume=str(tmp_path / "runs" / "checkpoint-5"),
        **options,
    )
    assert [s for (s,) in query(tmp_path / "mine", "SELECT step FROM rows")] == list(range(10))
    assert manifest(tmp_path / "mine")["steps"] == 10


def test_a_hugging_face_run_that_raises_is_interrupted_where_nobody_says_more(tmp_path):
    callback = lyapunov.transformers.Callback(every=4, out=tmp_path / "mine")
    fails_once(callback, 4)
    with pytest.raises(Broken):
        hugging_face_run(tmp_path, callback)
    callback.monitor._recording._finalizer()
    assert manifest(tmp_path / "mine")["outcome"] in ("interrupted", "failed")


def test_outputs_without_a_loss_are_said(tmp_path):
    from lyapunov.transformers import _loss_of

    with pytest.raises(ValueError, match="give loss_fn="):
        _loss_of({"logits": torch.zeros(1)})


def test_the_names_are_there_without_an_import_of_their_own():
    pytest.importorskip("lightning.pytorch"), pytest.importorskip("transformers")
    assert lyapunov.lightning.Callback and lyapunov.transformers.Callback
    with pytest.raises(AttributeError, match="no attribute"):
        lyapunov.keras
    assert build(mlp)


def test_trainers_on_several_devices_are_refused_with_a_way_out():
    from types import SimpleNamespace

    for name, begin, trainer in (
        ("lightning", "on_train_start", SimpleNamespace(world_size=2)),
        ("transformers", "on_train_begin", SimpleNamespace(world_size=2, n_gpu=0)),
        ("transformers", "on_train_begin", SimpleNamespace(world_size=1, n_gpu=2)),
    ):
        pytest.importorskip(name), pytest.importorskip("accelerate" if name == "transformers" else name)
        callback = getattr(lyapunov, name).Callback()
        with pytest.raises(lyapunov.Unsuitable, match=r"on 2 devices.*lyapunov\.Monitor.*distributed\.md"):
            getattr(callback, begin)(trainer, None, None) if name == "transformers" else getattr(callback, begin)(
                trainer, None
            )
        assert callback.monitor is None
