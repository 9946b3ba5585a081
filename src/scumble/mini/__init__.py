"""The model in the box: a complete tiny Stable Diffusion made from real handwriting, and the recipe that made it."""
