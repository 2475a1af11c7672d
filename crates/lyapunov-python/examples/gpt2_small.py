"""A small GPT-2 on characters, by Hugging Face's trainer under AdamW: its preconditioned sharpness comes to the edge at
38/η.

Run: python examples/gpt2_small.py [--steps 400] [--examples 128] [--out runs/gpt2]; then python -m lyapunov report runs
"""

import argparse
import math
import random

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import lyapunov
import lyapunov.transformers

TEXT = "the edge of stability is where the sharpness of the loss meets the learning rate and training goes on as before"
WORDS = TEXT.split()


def characters(length: int, context: int) -> tuple[list[dict[str, torch.Tensor]], int]:
    """Sentences of a few words in random order, as numbers of characters, cut into contexts."""
    draw = random.Random(0)
    text = " ".join(draw.choice(WORDS) for _ in range(length))
    letters = sorted(set(text))
    numbers = torch.tensor([letters.index(letter) for letter in text])
    rows = numbers[: len(numbers) // context * context].view(-1, context)
    return [{"input_ids": row, "labels": row} for row in rows], len(letters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--examples", type=int, default=128)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--out", default="runs/gpt2")
    chosen = parser.parse_args()
    torch.manual_seed(0)
    examples, letters = characters(4000, 32)
    # Few examples in large batches: close to full-batch training, of which the edge at 38/η speaks.
    examples = examples[: chosen.examples]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=letters,
            n_positions=32,
            n_embd=32,
            n_layer=2,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    rows: list[lyapunov.Row] = []
    callback = lyapunov.transformers.Callback(
        every=chosen.every, out=chosen.out, log=rows.append, settings={"examples": len(examples)}
    )
    arguments = TrainingArguments(
        "gpt2-checkpoints",
        max_steps=chosen.steps,
        per_device_train_batch_size=len(examples),
        learning_rate=chosen.rate,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
        use_cpu=not torch.cuda.is_available(),
    )
    Trainer(model, arguments, train_dataset=examples, callbacks=[callback]).train()
    for row in rows:
        share = row.shares.get("preconditioned_sharpness", math.nan)
        print(
            f"step {row.step:4d}  loss {row.loss:.3f}  λ_max(P^-½HP^-½) {row['preconditioned_sharpness'].value:9.0f}  "
            f"{100 * share:4.0f} % of 38/η = {row.edge.threshold:.0f}"
        )
    assert callback.monitor is not None
    print(f"recorded in {callback.monitor.folder}, at {rows[-1].measuring_cost:.2f} gradients per step")


if __name__ == "__main__":
    main()
