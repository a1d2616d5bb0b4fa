"""Vision-language models: prompts of image and instruction, loading, batches; one rule for training and inference."""
