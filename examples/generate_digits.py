"""Train a class-conditional diffusion model on digits, draw some, and see how good they are."""

import sys

import renote

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1500

digits = renote.data.load("digits")
cfg = renote.systems.get("cfg")
run = cfg.train(digits, out="runs/example-digits", preset="small", steps=steps)

sevens = run.sample(16, label=7, sampler="ddim", steps=25, guidance_scale=2)
renote.evaluate.image_grid(sevens).save("runs/sevens.png")
print(run.evaluate(200))
