"""Code generation: kernels as BANG C text, and the translation unit that holds all of a part's."""
