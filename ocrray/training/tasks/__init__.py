"""Training tasks: one module each, with its config class; `registry` lists them."""
